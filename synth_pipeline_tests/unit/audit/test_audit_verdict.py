"""Verdicts: one line, JSON both ways, and what counts as a contradiction; choices compared exactly."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.audit.bound import LowerBound
from synth_pipeline.audit.choices import check_choice_law, choice_loss
from synth_pipeline.audit.finding import Finding
from synth_pipeline.audit.neighbour import candidates, neighbours
from synth_pipeline.audit.spending import check_spending
from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.audit.watch import Asked
from synth_pipeline.errors import TableError
from synth_pipeline.generate.plan import make_plan
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import DiscoveryEvent, DiscreteGaussianEvent, ExponentialEvent
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline_tests.audited_table import MARGINAL, TRAINED, audited_frame, audited_spec
from synth_pipeline_tests.seeded_noise import SeededNoise

SOUND = MechanismAudit(
    engine="mst",
    claimed_epsilon=3.0,
    claimed_delta=1e-5,
    unit="one row",
    lower_bound=LowerBound(2.5, 9e-6, 0.95, "gaussian", 10_000),
    alarm_bound=LowerBound(2.2, 9e-6, 1 - 1e-6, "gaussian", 10_000),
    canary="a person at random",
    share=0.99,
    findings=(),
    is_refuted=False,
)


def test_a_verdict_says_the_measured_and_the_claimed_epsilon_in_one_line() -> None:
    line = "mst: not contradicted; ε ≥ 2.50 shown (95%, gaussian, 10,000 runs) of ε ≤ 3 claimed; no finding"
    assert SOUND.summary == line
    blamed = replace(SOUND, findings=(Finding("moved too far", "profile", "ages", "by 2, charged for 1"),))
    assert blamed.is_contradiction
    assert "CONTRADICTED" in blamed.summary
    assert "moved too far (profile/ages): by 2, charged for 1" in blamed.summary
    assert replace(SOUND, is_refuted=True).is_contradiction


def test_a_verdict_goes_through_json_unchanged() -> None:
    blamed = replace(SOUND, findings=(Finding("other release", "generator", "", "x differ"),), share=np.float64(0.5))
    assert MechanismAudit.from_json(blamed.to_json()) == blamed
    assert json.loads(blamed.to_json())["is_contradiction"] is True


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=8), st.integers(0, 1000), st.floats(0.01, 5))
def test_scores_that_move_by_the_sensitivity_lose_at_most_the_charged_epsilon(
    scores: list[float], seed: int, epsilon: float
) -> None:
    first = np.array(scores)
    second = first + np.random.default_rng(seed).uniform(-2, 2, len(scores))
    loss, spread = choice_loss(first, second, epsilon=epsilon, sensitivity=2.0)
    assert loss <= epsilon * (1 + 1e-9)
    assert spread <= epsilon * (1 + 1e-9)


def test_the_law_of_a_choice_is_accepted_and_another_is_not() -> None:
    """Power: at half or twice the charged ε each of five seeds is blamed."""

    class Bold(SeededNoise):
        factor = 1.0

        def exponential_choice(self, scores: np.ndarray, scale: float) -> int:
            return super().exponential_choice(scores, scale * self.factor)

    event = ExponentialEvent(stage="generator", purpose="pair", epsilon=0.3)
    asked = Asked("choice", event, 3, 1.0, np.zeros(3), 0)
    for factor, is_blamed in ((1.0, False), (0.5, True), (2.0, True)):
        for seed in range(5):
            noise = Bold(seed)
            noise.factor = factor
            desk = Desk(unit=PrivacyUnit(), budget=Budget(3.0, 1e-5), spent=(), noise=noise, before_first_answer=None)
            assert bool(check_choice_law(desk, asked)) == is_blamed


@pytest.mark.parametrize(
    "kind, epsilon",
    [*((kind, epsilon) for kind in MARGINAL for epsilon in (0.5, 10.0)), *((kind, 3.0) for kind in TRAINED)],
)
def test_every_plan_is_within_its_budget(kind: str, epsilon: float) -> None:
    assert check_spending(make_plan(audited_spec(kind, epsilon=epsilon)), ()) == []


def test_what_ran_beyond_the_plan_is_blamed() -> None:
    plan = make_plan(audited_spec("independent", epsilon=1.0))
    loud = DiscreteGaussianEvent(sigma=1.5)
    (finding,) = check_spending(plan, [loud])
    assert finding.kind == "budget passed"
    generous = DiscoveryEvent(sigma=100.0, sensitivity=1, threshold=300, delta=5e-6)
    assert check_spending(plan, [generous])


@pytest.mark.parametrize("max_rows", [1, 3])
def test_candidates_fit_the_specification_and_differ_by_one_person(max_rows: int) -> None:
    spec, table = audited_spec(max_rows=max_rows), audited_frame(80, 1, max_rows=max_rows)
    for candidate in candidates(spec, table, rng=np.random.default_rng(0)):
        pair = neighbours(spec, candidate.table, candidate.without)
        missing = pair.larger.rows - pair.smaller.rows
        assert 1 <= missing <= max_rows
        if pair.larger.units is not None and pair.smaller.units is not None:
            assert set(pair.larger.units[: pair.smaller.rows]) == set(pair.smaller.units)
            assert set(pair.larger.units[pair.smaller.rows :]) == {pair.smaller.units.max() + 1}
        for name, column in pair.smaller.columns.items():
            if name not in pair.smaller.vocabularies:
                assert (pair.larger.columns[name][: pair.smaller.rows] == column).all()


def test_a_table_of_one_person_cannot_be_audited() -> None:
    with pytest.raises(TableError, match="one person"):
        neighbours(audited_spec(), audited_frame(1), 0)
