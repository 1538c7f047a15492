"""Sampling from a fitted field, checked against brute force on a domain of 120 states."""

from itertools import product

import numpy as np
import pytest
import torch

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.errors import ConstraintError
from synth_pipeline.generate.maxent.config import MaxentConfig
from synth_pipeline.generate.maxent.dependency import Dependency
from synth_pipeline.generate.maxent.engine import Maxent, load
from synth_pipeline.generate.maxent.evidence import distance_to, draw_dependent, make_evidence
from synth_pipeline.generate.maxent.field import Field, start_field, sweep
from synth_pipeline.generate.maxent.kernel import move_and_count
from synth_pipeline.generate.maxent.sample import Sampler
from synth_pipeline.table.encoded import Domain
from synth_pipeline_tests.brute_force import Law, given, pearson, whole_codes
from synth_pipeline_tests.small_field import SIZES, field_law, small_field


@pytest.fixture(scope="module")
def model() -> Maxent:
    return small_field()


def random_field(sizes: tuple[int, ...], *, seed: int, spread: float) -> Maxent:
    """A field with normal factors between all columns, and the pool that 20 sweeps leave."""
    rng = np.random.default_rng(seed)
    domain = Domain(tuple(f"c{index}" for index in range(len(sizes))), sizes)
    shares = [0.9 * rng.dirichlet(np.ones(size)) + 0.1 / size for size in sizes]
    field = start_field(domain, shares, 16_384, rng)
    factors = np.triu(rng.normal(0, spread, (field.width, field.width)), 1)
    field.weights = torch.tensor(factors + factors.T, dtype=torch.float32)
    for part in field.slices:
        field.weights[part, part] = 0.0
    generator = torch.Generator().manual_seed(seed)
    joint = torch.stack([sweep(field, rng, generator) for _ in range(20)])[10:].mean(0)
    return Maxent(domain, tuple(range(len(sizes))), field, joint, (), (), MaxentConfig(), (), {})


def law_of_field(model: Maxent) -> Law:
    """Probability of every state of the field, by enumeration."""
    weights, bias = model.field.weights.double().numpy(), model.field.bias.double().numpy()
    states = np.array(list(product(*(range(size) for size in model.field.domain.sizes))))
    hot = states + np.array(model.field.domain.offsets[:-1])
    energy = bias[hot].sum(1)
    for first in range(hot.shape[1]):
        for second in range(first):
            energy += weights[hot[:, first], hot[:, second]]
    odds = np.exp(energy - energy.max())
    return dict(zip(map(tuple, states.tolist()), (odds / odds.sum()).tolist(), strict=True))


def sum_out(expected: Law, column: int) -> np.ndarray:
    """Marginal shares of one column."""
    return np.bincount([state[column] for state in expected], weights=list(expected.values()))


def all_equal(model: Maxent, wanted: dict[int, int]):
    """The condition that each named column has the given code, and the same as a predicate on states."""
    sizes = model.field.domain.sizes
    subs = tuple(whole_codes(c, [[v], [k for k in range(sizes[c]) if k != v]]) for c, v in wanted.items())
    allowed = np.zeros((2,) * len(wanted), dtype=bool)
    allowed[(0,) * len(wanted)] = True
    return Condition(subs, allowed), lambda state: all(state[c] == v for c, v in wanted.items())


def sampled(model: Maxent, condition: Condition | None, rows: int, seed: int) -> np.ndarray:
    return model.sample(rows, where=condition, rng=np.random.default_rng(seed)).codes


def test_gibbs_chains_without_herding_follow_the_law_of_the_field(model: Maxent) -> None:
    field = Field(model.field.domain, model.field.weights, model.field.bias, model.field.states.clone())
    rng, generator = np.random.default_rng(2), torch.Generator().manual_seed(2)
    for _ in range(30):
        sweep(field, rng, generator)
    rows = (field.states - field.offsets).numpy()
    active: Law = {}
    for state, share in field_law(model).items():
        active[state[:3]] = active.get(state[:3], 0.0) + share
    statistic, limit = pearson(rows, active)
    assert statistic < limit


def test_herded_rows_are_closer_to_the_marginals_than_independent_rows_would_be(model: Maxent) -> None:
    rows = sampled(model, None, 4096, seed=3)
    expected = np.zeros(SIZES[0])
    for state, share in field_law(model).items():
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
    statistic, limit = pearson(rows, given(field_law(model), is_met))
    assert statistic < limit


def test_a_straddling_code_counts_with_its_share_and_reports_the_region_it_was_drawn_in(model: Maxent) -> None:
    share = np.array([1.0, 0.25, 0.75, 1.0])
    sub = SubDomain(0, np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), np.log(share))
    condition = Condition((sub,), np.array([True, False]))
    table = model.sample(4000, where=condition, rng=np.random.default_rng(4))
    weights = {0: 1.0, 1: 0.25, 2: 0.0}
    expected = {state: p * weights[state[0]] for state, p in field_law(model).items()}
    total = sum(expected.values())
    share_of_zero = sum(p for state, p in expected.items() if state[0] == 0) / total
    assert set(table.regions[0].tolist()) == {0}
    assert abs((table.codes[:, 0] == 0).mean() - share_of_zero) < 5 * np.sqrt(0.25 / 4000) * 2


def test_a_condition_that_no_row_can_meet_is_refused(model: Maxent) -> None:
    impossible = SubDomain(3, np.arange(5), np.zeros(5, dtype=np.int64), np.zeros(5))
    with pytest.raises(ConstraintError, match="too rare"):
        sampled(model, Condition((impossible,), np.array([False])), 100, seed=0)


def test_a_rare_condition_is_reached_by_tempering(model: Maxent) -> None:
    rarest = min(field_law(model).items(), key=lambda item: item[1])[0]
    groups = [[[rarest[c]], [v for v in range(SIZES[c]) if v != rarest[c]]] for c in range(4)]
    allowed = np.zeros((2, 2, 2, 2), dtype=bool)
    allowed[0, 0, 0, 0] = True
    condition = Condition(tuple(whole_codes(c, groups[c]) for c in range(4)), allowed)
    rows = sampled(model, condition, 500, seed=9)
    assert (rows == np.array(rarest)).all()


def codes_where(model: Maxent, condition: Condition, rows: int, seed: int) -> np.ndarray:
    sampler = Sampler(model.field, model.joint, np.random.default_rng(seed), torch.Generator().manual_seed(seed))
    states, _ = sampler.rows_where(rows, make_evidence(condition, model.active, model.dependencies))
    return (states - model.field.offsets).numpy()


def test_rows_of_a_condition_met_once_in_ten_thousand_follow_the_conditional_law() -> None:
    """Six columns, 2,880 states; chi-square over 8 requests at a false-alarm rate of 1e-4."""
    model = random_field((6, 5, 4, 6, 4), seed=3, spread=0.9)
    expected = law_of_field(model)
    shares = [sum_out(expected, column) for column in range(5)]
    rare = [int(np.argmin(share)) for share in shares]
    condition, is_met = all_equal(model, {0: rare[0], 3: rare[3]})
    met = {state: share for state, share in expected.items() if is_met(state)}
    total = sum(met.values())
    assert total < 3e-4
    rows = np.concatenate([codes_where(model, condition, 1000, seed) for seed in range(8)])
    assert all(is_met(tuple(row)) for row in rows.tolist())
    statistic, limit = pearson(rows, {state: share / total for state, share in met.items()})
    assert statistic < limit


def test_rows_of_a_condition_that_most_rows_meet_follow_the_conditional_law() -> None:
    """Rows under a condition must not be drawn to the marginals of the unconditional law."""
    model = random_field((4, 3, 3), seed=6, spread=1.0)
    expected = law_of_field(model)
    common = int(np.argmax(sum_out(expected, 0)))
    met = {state: share for state, share in expected.items() if state[0] != (common + 1) % 4}
    total = sum(met.values())
    others = [code for code in range(4) if code != (common + 1) % 4]
    condition = Condition((whole_codes(0, [others, [(common + 1) % 4]]),), np.array([True, False]))
    rows = np.concatenate([codes_where(model, condition, 4000, seed) for seed in range(5)])
    statistic, limit = pearson(rows, {state: share / total for state, share in met.items()})
    assert statistic < limit


@pytest.mark.parametrize("rows, requests", [pytest.param(3, 700, id="few rows"), pytest.param(2000, 6, id="many rows")])
def test_rows_of_many_requests_together_follow_the_law(model: Maxent, rows: int, requests: int) -> None:
    """Herding makes the rows of one request closer to the law than chance would; it must not move the law of a row."""
    drawn = np.concatenate([sampled(model, None, rows, seed) for seed in range(requests)])
    statistic, limit = pearson(drawn, field_law(model))
    assert statistic < limit


def test_a_request_larger_than_the_pool_does_not_repeat_its_rows() -> None:
    model = random_field((9,) * 12, seed=2, spread=0.3)
    sampler = Sampler(model.field, model.joint, np.random.default_rng(0), torch.Generator().manual_seed(0))
    count = len(sampler.pool)
    rows = sampler.rows(2 * count).numpy()
    again = (rows[:count] == rows[count:]).all(1).mean()  # the same chain, one time around the pool later
    assert again < 0.001


def test_the_compiled_move_gives_the_probabilities_of_the_naive_formula(model: Maxent) -> None:
    field = Field(model.field.domain, model.field.weights, model.field.bias, model.field.states[:200].clone())
    near = field.neighbours()
    for index in range(3):
        rows, part = field.rows.copy(), field.slices[index]
        hot = np.zeros((len(rows), field.width))
        np.put_along_axis(hot, rows.astype(np.int64), 1.0, 1)
        logits = hot @ field.weights.numpy()[:, part] + field.bias.numpy()[part]
        odds = np.exp(logits - logits.max(1, keepdims=True))
        expected = hot.T @ (odds / odds.sum(1, keepdims=True))
        expected[part] = np.diag((odds / odds.sum(1, keepdims=True)).sum(0))
        joint = np.zeros((field.width, SIZES[index]), np.float32)
        move_and_count(rows, field.column(index, near[index]), np.full(len(rows), 0.5, np.float32), joint)
        assert np.allclose(joint, expected, rtol=1e-4, atol=1e-3)
        wanted = (np.cumsum(odds, 1) / odds.sum(1, keepdims=True) > 0.5).argmax(1)
        assert (rows[:, index] - part.start == wanted).all()


def test_a_pair_of_codes_that_is_forbidden_never_occurs(model: Maxent) -> None:
    weights = model.field.weights.clone()
    first, second = model.field.offsets[0] + 1, model.field.offsets[1] + 2
    weights[first, second] = weights[second, first] = -torch.inf
    field = Field(model.field.domain, weights, model.field.bias, model.field.states)
    sampler = Sampler(field, model.joint, np.random.default_rng(0), torch.Generator().manual_seed(0))
    rows = sampler.rows(5000).numpy()
    assert not ((rows[:, 0] == int(first)) & (rows[:, 1] == int(second))).any()
    assert np.isfinite(rows).all()
    assert len(np.unique(rows[:, 0])) == SIZES[0]


def test_a_drawn_code_is_never_one_of_probability_zero() -> None:
    table = np.array([[0.0, 0.5, 0.0, 0.5, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]])
    parents = np.random.default_rng(0).integers(0, 3, 30_000)
    codes = draw_dependent(Dependency(1, 0, table), parents, None, None, np.random.default_rng(1))
    assert (table[parents, codes] > 0).all()
    assert abs((codes[parents == 0] == 1).mean() - 0.5) < 5 * np.sqrt(0.25 / 10_000)


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
