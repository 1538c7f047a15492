"""Whatever a specification sets aside beside its training, the walk stays within its ε, and ledger and certificate say the same."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline import reserve
from synth_pipeline.errors import BudgetRefused, LedgerError
from synth_pipeline.generate.plan import SCORE_STAGE, make_plan
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.spec import Spec

MARGINAL = ("maxent", "mixture", "aim", "mst", "privbayes", "copula", "independent", "pate_gan", "hybrid")
TRAINED = ("autoregressive", "vae", "gan", "diffusion")
COLUMNS = {
    "person": {"kind": "identifier"},
    "age": {"kind": "integer", "min": 0, "max": 90, "nullable": True},
    "ward": {"kind": "categorical", "categories": ["A", "B", "C"]},
    "ill": {"kind": "boolean"},
}
shares = st.floats(0.001, 0.5)


@st.composite
def specs(draw, kinds=MARGINAL) -> Spec:
    epsilon = draw(st.floats(0.1, 20))
    discovered = {
        f"city {number}": {"kind": "categorical", "discover": True} for number in range(draw(st.integers(0, 2)))
    }
    mode = draw(st.sampled_from([None, "test", "sparse_vector"]))
    max_rows = draw(st.sampled_from([1, 4]))
    return Spec.from_mapping(
        {
            "dataset": "sides",
            "columns": {**COLUMNS, **discovered},
            "privacy": {
                "epsilon": epsilon,
                "delta": draw(st.sampled_from([1e-9, 1e-6, 1e-4])),
                "unit": {"column": "person", "max_rows": max_rows} if max_rows > 1 else {},
                "cap": {"epsilon": epsilon},
            },
            "generator": {"kind": draw(st.sampled_from(kinds))},
            "benchmark": {"target": "ill", "publish": {"epsilon": epsilon * draw(shares)}},
            "drift": None if mode is None else {"epsilon": epsilon * draw(shares), "mode": mode},
        }
    )


def charged(spec: Spec, folder: Path, *, share: float) -> None:
    """The reservations of a walk, committed with what was planned, under a cap of its own ε; ledger and certificate are compared."""
    ledger, beside = open_ledger(folder / "ledger.sqlite"), []
    about = {"snapshot": "s", "ledger": ledger, "walk_id": "w"}
    opened = [] if spec.drift is None else [reserve.open_drift_report(spec, **about)]
    opened += [reserve.open_walk(spec, share=share, **about), reserve.open_score(spec, **about)]
    for walk in opened:
        events = walk.plan.events if walk.budget is walk.plan.budget else walk._side.events
        ledger.mark_read(walk.reservation, stage=SCORE_STAGE if walk.is_score else "profile")
        walk.commit(events)
        beside += [] if walk.budget is walk.plan.budget else events
    stated = composed_epsilon(
        (*beside, *make_plan(spec, share=share).events), spec.privacy.delta
    )  # as `proven_epsilon`
    assert stated <= spec.privacy.epsilon * (1 + 1e-9)
    assert ledger.account(spec.dataset).spent_epsilon == pytest.approx(stated, rel=1e-6)
    with pytest.raises((BudgetRefused, LedgerError)):  # a score is asked for once a walk
        reserve.open_score(spec, **about)
    assert len(ledger.walks(spec.dataset)) == len(opened)


@settings(max_examples=12, deadline=None)
@given(spec=specs(), share=st.sampled_from([1.0, 0.5, 0.1]))
def test_a_walk_with_all_its_sides_fits_a_cap_of_its_own_epsilon_and_is_stated_as_the_ledger_has_it(spec, share):
    with TemporaryDirectory() as folder:
        charged(spec, Path(folder), share=share)


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(spec=specs(TRAINED), share=st.sampled_from([1.0, 0.5]))
def test_a_walk_that_trains_by_batches_does_too(spec, share):
    with TemporaryDirectory() as folder:
        charged(spec, Path(folder), share=share)
