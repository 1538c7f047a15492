"""Sampling from a fitted field, checked against brute force on a domain of 240 states."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.errors import ConstraintError
from synth_pipeline.generate.maxent.config import MaxentConfig
from synth_pipeline.generate.maxent.dependency import Dependency
from synth_pipeline.generate.maxent.engine import Maxent, load
from synth_pipeline.generate.maxent.evidence import distance_to
from synth_pipeline.generate.maxent.field import Field, start_field, sweep
from synth_pipeline.table.encoded import Domain

SIZES = (3, 4, 2, 5)
NAMES = ("a", "b", "c", "d")
FALSE_ALARM = 1e-4


@pytest.fixture(scope="module")
def model() -> Maxent:
    """A field with strong pair factors over a, b, c; d is drawn from b."""
    rng = np.random.default_rng(5)
    domain, active = Domain(NAMES, SIZES), (0, 1, 2)
    shares = [rng.dirichlet(np.full(SIZES[i], 2.0)) for i in active]
    field = start_field(Domain(NAMES[:3], SIZES[:3]), shares, 4096, rng, "cpu")
    factors = rng.normal(0, 1.0, (9, 9))
    weights = np.triu(factors, 1) + np.triu(factors, 1).T
    for part in field.slices:
        weights[part, part] = 0.0
    field.weights = torch.tensor(weights, dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    joint = torch.stack([sweep(field, rng, generator) for _ in range(60)])[20:].mean(0)
    drawn = Dependency(3, 1, rng.dirichlet(np.full(5, 0.7), size=4))
    return Maxent(domain, active, field, joint, (drawn,), (), MaxentConfig(), (), {"residual": 1.0})


def law(model: Maxent) -> dict[tuple[int, ...], float]:
    """Probability of every state, by enumeration."""
    weights, bias, offsets = model.field.weights.numpy(), model.field.bias.numpy(), model.field.domain.offsets
    found: dict[tuple[int, ...], float] = {}
    for state in product(*(range(size) for size in SIZES)):
        hot = [offsets[i] + state[i] for i in range(3)]
        energy = sum(bias[h] for h in hot) + sum(weights[hot[i], hot[j]] for i in range(3) for j in range(i))
        found[state] = float(np.exp(energy) * model.dependencies[0].conditional[state[1], state[3]])
    total = sum(found.values())
    return {state: value / total for state, value in found.items()}


def pearson(rows: np.ndarray, expected: dict[tuple[int, ...], float]) -> tuple[float, float]:
    """Pearson statistic of rows against a law, cells of fewer than 5 expected rows pooled, and its rejection point."""
    states, counts = np.unique(rows, axis=0, return_counts=True)
    seen = {tuple(int(v) for v in state): int(count) for state, count in zip(states, counts, strict=True)}
    assert set(seen) <= {state for state, share in expected.items() if share > 0}
    pairs = sorted((share * len(rows), seen.get(state, 0)) for state, share in expected.items())
    big = [(e, o) for e, o in pairs if e >= 5]
    rest_e, rest_o = sum(e for e, _ in pairs if e < 5), sum(o for e, o in pairs if e < 5)
    cells = [*big, (rest_e, rest_o)] if rest_e > 0 else big
    statistic = sum((o - e) ** 2 / e for e, o in cells)
    return statistic, float(chi2.isf(FALSE_ALARM, len(cells) - 1))


def whole_codes(column: int, groups: list[list[int]]) -> SubDomain:
    """Regions that are sets of whole codes."""
    parent = np.array([code for group in groups for code in group])
    region = np.array([number for number, group in enumerate(groups) for _ in group])
    order = np.argsort(parent)
    return SubDomain(column, parent[order], region[order], np.zeros(len(parent)))


def sampled(model: Maxent, condition: Condition | None, rows: int, seed: int) -> np.ndarray:
    return model.sample(rows, where=condition, rng=np.random.default_rng(seed)).codes


def conditional(model: Maxent, is_met) -> dict[tuple[int, ...], float]:
    met = {state: share for state, share in law(model).items() if is_met(state)}
    total = sum(met.values())
    return {state: share / total for state, share in met.items()}


def test_gibbs_chains_without_herding_follow_the_law_of_the_field(model: Maxent) -> None:
    field = Field(model.field.domain, model.field.weights, model.field.bias, model.field.states.clone())
    rng, generator = np.random.default_rng(2), torch.Generator().manual_seed(2)
    for _ in range(30):
        sweep(field, rng, generator)
    rows = (field.states - field.offsets).numpy()
    active: dict[tuple[int, ...], float] = {}
    for state, share in law(model).items():
        active[state[:3]] = active.get(state[:3], 0.0) + share
    statistic, limit = pearson(rows, active)
    assert statistic < limit


def test_herded_rows_are_closer_to_the_marginals_than_independent_rows_would_be(model: Maxent) -> None:
    rows = sampled(model, None, 4096, seed=3)
    expected = np.zeros(SIZES[0])
    for state, share in law(model).items():
        expected[state[0]] += share
    gap = np.abs(np.bincount(rows[:, 0], minlength=3) / 4096 - expected).max()
    assert gap < 3 * np.sqrt(0.25 / 4096)


@pytest.mark.parametrize(
    "groups, allowed",
    [
        pytest.param({0: [[0], [1, 2]]}, np.array([True, False]), id="one column"),
        pytest.param(
            {0: [[0], [1, 2]], 2: [[0], [1]]},
            np.array([[True, False], [False, True]]),
            id="two columns that Gibbs cannot cross",
        ),
        pytest.param(
            {1: [[0, 1], [2, 3]], 3: [[0], [1, 2, 3, 4]]},
            np.array([[True, False], [False, False]]),
            id="a drawn column",
        ),
        pytest.param({3: [[4], [0, 1, 2, 3]]}, np.array([True, False]), id="a drawn column alone"),
    ],
)
def test_conditional_rows_satisfy_the_condition_and_follow_the_conditional_law(model: Maxent, groups, allowed) -> None:
    condition = Condition(tuple(whole_codes(column, parts) for column, parts in groups.items()), allowed)

    def is_met(state: tuple[int, ...]) -> bool:
        place = tuple(
            next(n for n, part in enumerate(parts) if state[column] in part) for column, parts in groups.items()
        )
        return bool(allowed[place])

    rows = sampled(model, condition, 3000, seed=11)
    assert all(is_met(tuple(row)) for row in rows.tolist())
    statistic, limit = pearson(rows, conditional(model, is_met))
    assert (
        statistic < 2.0 * limit
    )  # particles share ancestors, so their statistic is wider than that of independent rows


def test_a_straddling_code_counts_with_its_share_and_reports_the_region_it_was_drawn_in(model: Maxent) -> None:
    share = np.array([1.0, 0.25, 0.75, 1.0])
    sub = SubDomain(0, np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), np.log(share))
    condition = Condition((sub,), np.array([True, False]))
    table = model.sample(4000, where=condition, rng=np.random.default_rng(4))
    weights = {0: 1.0, 1: 0.25, 2: 0.0}
    expected = {state: p * weights[state[0]] for state, p in law(model).items()}
    total = sum(expected.values())
    share_of_zero = sum(p for state, p in expected.items() if state[0] == 0) / total
    assert set(table.regions[0].tolist()) == {0}
    assert abs((table.codes[:, 0] == 0).mean() - share_of_zero) < 5 * np.sqrt(0.25 / 4000) * 2


def test_a_condition_that_no_row_can_meet_is_refused(model: Maxent) -> None:
    impossible = SubDomain(3, np.arange(5), np.zeros(5, dtype=np.int64), np.zeros(5))
    with pytest.raises(ConstraintError, match="too rare"):
        sampled(model, Condition((impossible,), np.array([False])), 100, seed=0)


def test_a_rare_condition_is_reached_by_tempering(model: Maxent) -> None:
    rarest = min(law(model).items(), key=lambda item: item[1])[0]
    groups = [[[rarest[c]], [v for v in range(SIZES[c]) if v != rarest[c]]] for c in range(4)]
    allowed = np.zeros((2, 2, 2, 2), dtype=bool)
    allowed[0, 0, 0, 0] = True
    condition = Condition(tuple(whole_codes(c, groups[c]) for c in range(4)), allowed)
    rows = sampled(model, condition, 500, seed=9)
    assert (rows == np.array(rarest)).all()


def test_distance_counts_the_axes_that_must_change() -> None:
    allowed = np.zeros((2, 3, 2), dtype=bool)
    allowed[1, 2, 0] = True
    distance = distance_to(allowed)
    assert distance[1, 2, 0] == 0
    assert distance[0, 2, 0] == 1
    assert distance[0, 0, 1] == 3


def test_a_saved_model_samples_the_same_rows(model: Maxent, tmp_path) -> None:
    model.save(tmp_path)
    again = load(tmp_path)
    assert np.array_equal(sampled(model, None, 700, seed=5), sampled(again, None, 700, seed=5))
    assert again.facts == model.facts
    assert again.config == model.config
