"""Deliberately broken mechanisms of the marginal path, each caught by the audit; the real ones, by which it must not be alarmed.

| mutant | caught by |
|---|---|
| noise ÷ 4 | transcripts: bound above the claim, scale of the noise |
| one-way answers not charged; charged for twice the noise | replay: answer without a charge |
| categories taken from the data; null cell only where there are nulls | replay: other question |
| exact number of rows | replay: other question or other release |
| a fact of the rows in the released model | replay: other release |
| discovery threshold fixed at 5 | lone keys published too often |
| contribution bound ignored in the weights | replay: moved too far |
| seed of the noise reused | noise repeats |
| δ of discovery left out of the budget; out of the plan | budget passed |
| choice without noise; at twice the charged ε | choice of another law |
| scores of a choice that move twice as far as charged | replay: choice too telling |
| clipping left out of a sum of vectors | replay: moved too far |

False alarms of the negative control: below 1e-5 an audit. Each check states its own; the bound that accuses fails once in a million.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.audit.twin import replay
from synth_pipeline.audit.verdict import MechanismAudit, audit_mechanism
from synth_pipeline.generate import independent
from synth_pipeline.privacy import desk, view
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import ExponentialEvent
from synth_pipeline.privacy.gaussian_dp import gaussian_mu
from synth_pipeline.privacy.mechanisms import stability
from synth_pipeline.privacy.mechanisms.discrete_gaussian import add_noise
from synth_pipeline.privacy.mechanisms.exponential import Choice, choose
from synth_pipeline.privacy.noise import SecureNoise
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.table.native import NULL
from synth_pipeline_tests.audited_table import MARGINAL, audited_frame, audited_spec
from synth_pipeline_tests.seeded_noise import SeededNoise

RUNS = 2000


def audited(
    kind: str, *, epsilon: float = 1.0, max_rows: int = 1, table: pd.DataFrame | None = None, seed: int = 0
) -> MechanismAudit:
    frame = audited_frame(200, seed, max_rows=max_rows) if table is None else table
    spec = audited_spec(kind, epsilon=epsilon, max_rows=max_rows)
    return audit_mechanism(spec, frame, runs=RUNS, seed=seed, noise=SeededNoise(seed))


def kinds(found: MechanismAudit) -> set[str]:
    assert found.is_contradiction
    return {finding.kind for finding in found.findings}


def lonely_table() -> pd.DataFrame:
    """One person alone has a null ward, and a city."""
    table = audited_frame(200, 3)
    table["ward"] = table["ward"].fillna("A")
    table["floor"] = table["floor"].fillna(1)
    table.loc[7, ["ward", "floor"]] = [None, np.nan]
    table.loc[7, "city"] = "Unique"
    return table


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind, epsilon", [("mst", 1.0), ("aim", 10.0), ("copula", 3.0), ("independent", 1.0)])
def test_the_real_mechanism_is_not_accused(kind: str, epsilon: float, seed: int) -> None:
    found = audited(kind, epsilon=epsilon, seed=seed)
    assert not found.is_contradiction, found.summary
    assert max(found.alarm_bound.epsilon, found.lower_bound.epsilon) <= epsilon


def test_the_real_mechanism_of_people_with_several_rows_is_not_accused() -> None:
    found = audited("mst", epsilon=3.0, max_rows=3)
    assert not found.is_contradiction, found.summary
    assert found.lower_bound.epsilon > 1.0


@pytest.mark.slow
@pytest.mark.parametrize("max_rows", [1, 3])
@pytest.mark.parametrize("kind", MARGINAL)
def test_no_engine_is_accused_with_the_noise_of_real_walks(kind: str, max_rows: int) -> None:
    """Secure noise, hence other draws each time: false alarms below 1e-5 an audit; the bound passes ε in at most 1 of 20 audits."""
    spec = audited_spec(kind, epsilon=3.0, max_rows=max_rows)
    found = audit_mechanism(spec, audited_frame(300, 4, max_rows=max_rows), runs=1000)
    assert not found.is_contradiction, found.summary


@pytest.mark.parametrize("epsilon", [1.0, 3.0, 10.0])
def test_a_quarter_of_the_noise(monkeypatch: pytest.MonkeyPatch, epsilon: float) -> None:
    monkeypatch.setattr(desk, "add_noise", lambda counts, sigma, noise: add_noise(counts, sigma / 4, noise))
    found = audited("mst", epsilon=epsilon)
    assert "noise of another scale" in kinds(found)
    assert found.is_refuted
    assert found.lower_bound.epsilon > epsilon


def forget_charge(real: Callable[..., float]) -> Callable[..., float]:
    def forgetful(self: desk.Desk, cost: float, **asked: object) -> float:
        sigma = real(self, cost, **asked)
        if "one-way" in str(asked["purpose"]):
            self._events.pop()
        return sigma

    return forgetful


def test_one_way_answers_that_are_not_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.Desk, "charge_gaussian", forget_charge(desk.Desk.charge_gaussian))
    assert kinds(audited("independent")) == {"answer without a charge"}


def test_answers_with_half_of_the_noise_that_was_charged_for(monkeypatch: pytest.MonkeyPatch) -> None:
    real = desk.Desk.charge_gaussian
    monkeypatch.setattr(desk.Desk, "charge_gaussian", lambda self, cost, **asked: real(self, cost, **asked) / 2)
    assert "answer without a charge" in kinds(audited("independent"))


def test_categories_taken_from_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Curator, "discover", lambda self, column, **_: tuple(self._present(column)))
    assert "other question" in kinds(audited("independent", table=lonely_table()))


def test_a_null_cell_only_where_there_are_nulls(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Curator.histogram

    def branching(self: Curator, column: str, partition: object, *, with_null: bool, **ask: object) -> Noisy:
        has_null = bool((self._table.columns[column] == NULL).any())
        found = real(self, column, partition, with_null=with_null and has_null, **ask)
        return found if has_null or not with_null else Noisy(np.append(found.values, 0.0), found.sigma)

    monkeypatch.setattr(Curator, "histogram", branching)
    found = replay(audited_spec("independent"), lonely_table(), 7, noise=SeededNoise(0))
    assert [finding.kind for finding in found.findings] == ["other question"]


@pytest.mark.parametrize("kind", ["independent", "mst"])
def test_the_exact_number_of_rows(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(Curator, "count_rows", lambda self, **_: Noisy(np.array([float(self._table.rows)]), 5.0))
    assert kinds(audited(kind)) & {"other question", "other release"}


def test_a_fact_of_the_rows_in_the_released_model(monkeypatch: pytest.MonkeyPatch) -> None:
    real = independent.fit

    def telling(curator: Curator, *args: object, **named: object) -> independent.Independent:
        model = real(curator, *args, **named)
        model.facts["oldest"] = int(curator._table.columns["age"].sum())
        return model

    monkeypatch.setattr(independent, "fit", telling)
    assert kinds(audited("independent")) == {"other release"}


@pytest.mark.parametrize("epsilon", [1.0, 10.0])
def test_a_discovery_threshold_fixed_at_five(monkeypatch: pytest.MonkeyPatch, epsilon: float) -> None:
    monkeypatch.setattr(stability, "discovery_threshold", lambda *_args, **_named: 5)
    assert "published too often" in kinds(audited("independent", epsilon=epsilon))


def test_a_contribution_bound_that_the_weights_ignore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrivacyUnit, "row_weights", lambda self, units: np.full(len(units), self.weight))
    assert "moved too far" in kinds(audited("independent", max_rows=3))


def test_a_seed_that_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        SecureNoise, "discrete_gaussian", lambda _self, size, sigma: SeededNoise(0).discrete_gaussian(size, sigma)
    )
    found = audit_mechanism(audited_spec("independent"), audited_frame(200, 0), runs=200)
    assert "noise repeats" in kinds(found)


def test_the_delta_of_discovery_left_out_of_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "cost", property(lambda self: gaussian_mu(self.epsilon, self.delta) ** 2 * (1 - 1e-9)))
    assert kinds(audited("independent")) == {"budget passed"}


def test_the_delta_of_discovery_left_out_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independent, "discovery_events", lambda *_: ())
    assert kinds(audited("independent")) == {"budget passed"}


def test_a_choice_without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    def best(scores: np.ndarray, *, epsilon: float, **_: object) -> Choice:
        return Choice(int(np.argmax(scores)), ExponentialEvent(epsilon=epsilon))

    monkeypatch.setattr(desk, "choose", best)
    assert kinds(audited("mst")) == {"choice of another law"}


def test_a_choice_at_twice_the_epsilon_that_was_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    def bold(scores: np.ndarray, **asked: object) -> Choice:
        return choose(2 * scores, **asked)

    monkeypatch.setattr(desk, "choose", bold)
    assert kinds(audited("aim")) == {"choice of another law"}


def test_scores_of_a_choice_that_move_further_than_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    real = view.EncodedView._error
    monkeypatch.setattr(view.EncodedView, "_error", lambda self, table: 4 * real(self, table))
    assert kinds(audited("mst")) == {"choice too telling"}


def test_clipping_left_out_of_a_sum_of_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    def unclipped(vectors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        assert weights is None
        return np.trunc(np.nan_to_num(vectors) * view.VECTOR_UNITS).sum(axis=0).astype(np.int64)

    monkeypatch.setattr(view, "sum_of_clipped", unclipped)
    found = audited("hybrid", epsilon=3.0)
    assert "moved too far" in kinds(found)
    assert any("clipped scores" in finding.purpose for finding in found.findings)
