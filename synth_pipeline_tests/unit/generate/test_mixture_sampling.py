"""Sampling, conditions and imputation of a mixture, checked against brute force on a domain of 240 states."""

import numpy as np
import pytest

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.errors import ConstraintError, ModelError
from synth_pipeline.generate.maxent.dependency import Dependency
from synth_pipeline.generate.mixture.config import MixtureConfig
from synth_pipeline.generate.mixture.engine import Mixture, load
from synth_pipeline.generate.mixture.products import Products
from synth_pipeline.generate.protocol import Imputer
from synth_pipeline.generate.stratified import draw_by_label, draw_grouped, systematic_counts
from synth_pipeline.table.encoded import Domain, EncodedTable
from synth_pipeline_tests.brute_force import Law, every_state, given, normalised, pearson, whole_codes

SIZES = (3, 4, 2, 5)
DOMAIN = Domain(("a", "b", "c", "d"), SIZES)


@pytest.fixture(scope="module")
def model() -> Mixture:
    """Six uneven products over a, b, c; d is drawn from b."""
    rng = np.random.default_rng(5)
    tables = np.concatenate([rng.dirichlet(np.full(size, 0.6), size=6) for size in SIZES[:3]], axis=1)
    drawn = Dependency(3, 1, rng.dirichlet(np.full(5, 0.7), size=4))
    weights = rng.dirichlet(np.full(6, 1.0))
    return Mixture(Products(DOMAIN, (0, 1, 2), weights, tables, (drawn,)), MixtureConfig(), (), {"residual": 1.0})


def law(model: Mixture) -> Law:
    """Probability of every state, by enumeration."""
    products, found = model.model, {}
    for state in every_state(SIZES):
        inside = np.prod([products.column(place)[:, state[place]] for place in range(3)], axis=0)
        found[state] = float(products.weights @ inside) * float(
            products.dependencies[0].conditional[state[1], state[3]]
        )
    return normalised(found)


def sampled(model: Mixture, condition: Condition | None, rows: int, seed: int) -> np.ndarray:
    return model.sample(rows, where=condition, rng=np.random.default_rng(seed)).codes


def test_rows_follow_the_law_of_the_mixture(model: Mixture) -> None:
    statistic, limit = pearson(sampled(model, None, 20_000, seed=1), law(model))
    assert statistic < limit


def test_a_single_column_is_closer_to_its_law_than_independent_rows_would_be(model: Mixture) -> None:
    rows, expected = sampled(model, None, 20_000, seed=2), np.zeros(SIZES[0])
    for state, share in law(model).items():
        expected[state[0]] += share
    assert np.abs(np.bincount(rows[:, 0], minlength=3) - 20_000 * expected).max() <= 6  # one rounding a component


def test_neighbouring_rows_are_no_more_alike_than_any_two(model: Mixture) -> None:
    rows = sampled(model, None, 20_000, seed=3)
    beside = (rows[1:, 1] == rows[:-1, 1]).mean()
    apart = (np.bincount(rows[:, 1]) / len(rows)) ** 2
    assert abs(beside - apart.sum()) < 5 * np.sqrt(0.25 / 20_000)


CONDITIONS = [
    pytest.param({0: [[0], [1, 2]]}, np.array([True, False]), id="one column"),
    pytest.param(
        {0: [[0], [1, 2]], 2: [[0], [1]]}, np.array([[True, False], [False, True]]), id="an exclusive or of two"
    ),
    pytest.param(
        {1: [[0, 1], [2, 3]], 3: [[0], [1, 2, 3, 4]]},
        np.array([[True, False], [False, True]]),
        id="a drawn column and its parent",
    ),
    pytest.param({3: [[4], [0, 1, 2, 3]]}, np.array([True, False]), id="a drawn column alone"),
    pytest.param(
        {0: [[0], [1], [2]], 1: [[0], [1, 2], [3]], 2: [[0], [1]]},
        np.random.default_rng(1).random((3, 3, 2)) < 0.4,
        id="any combinations of three",
    ),
]


@pytest.mark.parametrize("groups, allowed", CONDITIONS)
def test_conditional_rows_satisfy_the_condition_and_follow_the_conditional_law(model, groups, allowed) -> None:
    condition = Condition(tuple(whole_codes(column, parts) for column, parts in groups.items()), allowed)

    def is_met(state: tuple[int, ...]) -> bool:
        places = (next(n for n, part in enumerate(parts) if state[c] in part) for c, parts in groups.items())
        return bool(allowed[tuple(places)])

    table = model.sample(20_000, where=condition, rng=np.random.default_rng(11))
    assert all(is_met(tuple(row)) for row in np.unique(table.codes, axis=0).tolist())
    statistic, limit = pearson(table.codes, given(law(model), is_met))
    assert statistic < limit
    for column, parts in groups.items():
        told = np.array([next(n for n, part in enumerate(parts) if code in part) for code in table.codes[:, column]])
        assert np.array_equal(told, table.regions[column])


def test_the_rarest_state_is_drawn_at_once_when_asked_for(model: Mixture) -> None:
    tables = model.model.tables.copy()
    for part in model.model.active_domain.slices():
        tables[:, part.start] *= 1e-70
        tables[:, part] /= tables[:, part].sum(1, keepdims=True)
    rare = Mixture(
        Products(DOMAIN, (0, 1, 2), model.model.weights, tables, model.model.dependencies), model.config, (), {}
    )
    allowed = np.zeros((2, 2, 2), dtype=bool)
    allowed[0, 0, 0] = True
    condition = Condition(tuple(whole_codes(c, [[0], list(range(1, SIZES[c]))]) for c in range(3)), allowed)
    assert (sampled(rare, condition, 500, seed=9)[:, :3] == 0).all()


def test_a_straddling_code_counts_with_its_share_and_reports_the_region_it_was_drawn_in(model: Mixture) -> None:
    share = np.array([1.0, 0.25, 0.75, 1.0])
    sub = SubDomain(0, np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), np.log(share))
    other = whole_codes(2, [[0], [1]])
    allowed = np.array([[True, False], [False, True]])
    table = model.sample(20_000, where=Condition((sub, other), allowed), rng=np.random.default_rng(4))
    split: Law = {}
    for state, probability in law(model).items():
        for code, region, weight in zip(sub.parent, sub.region, share, strict=True):
            if code == state[0] and allowed[region, state[2]]:
                split[(*state, int(region))] = probability * float(weight)
    seen = np.column_stack([table.codes, table.regions[0]])
    statistic, limit = pearson(seen, normalised(split))
    assert statistic < limit


def test_a_condition_without_probability_is_refused(model: Mixture) -> None:
    impossible = SubDomain(3, np.arange(5), np.zeros(5, dtype=np.int64), np.zeros(5))
    with pytest.raises(ConstraintError, match="no row satisfies it"):
        sampled(model, Condition((impossible,), np.array([False])), 100, seed=0)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param((-1, -1, -1, -1), id="nothing known"),
        pytest.param((2, -1, -1, -1), id="one column known"),
        pytest.param((-1, 1, 0, -1), id="two known, a drawn column missing"),
        pytest.param((0, -1, -1, 4), id="a drawn column known, its parent missing"),
        pytest.param((-1, 3, -1, 2), id="a drawn column and its parent known"),
        pytest.param((1, 2, 1, 3), id="nothing missing"),
    ],
)
def test_missing_cells_follow_the_law_given_the_known_ones(model: Mixture, row: tuple[int, ...]) -> None:
    assert isinstance(model, Imputer)
    codes = np.tile(np.array(row, dtype=np.int32), (20_000, 1))
    filled = model.impute(EncodedTable(codes, DOMAIN), rng=np.random.default_rng(6)).codes
    expected = given(law(model), lambda state: all(k in (-1, v) for k, v in zip(row, state, strict=True)))
    statistic, limit = pearson(filled, expected)
    assert statistic < limit


def test_rows_with_different_cells_missing_are_filled_together(model: Mixture) -> None:
    rng = np.random.default_rng(8)
    whole = sampled(model, None, 9000, seed=7)
    codes = np.where(rng.random(whole.shape) < 0.5, -1, whole).astype(np.int32)
    filled = model.impute(EncodedTable(codes, DOMAIN), rng=rng).codes
    assert np.array_equal(filled[codes >= 0], codes[codes >= 0])
    statistic, limit = pearson(filled, law(model))  # cells missing at random: filled rows have the law of whole ones
    assert statistic < limit


def test_a_row_that_the_model_thinks_impossible_is_still_filled(model: Mixture) -> None:
    tables = model.model.tables.copy()
    tables[:, 0] = 0.0
    broken = Products(DOMAIN, (0, 1, 2), model.model.weights, tables, model.model.dependencies)
    codes = np.tile(np.array([0, -1, -1, -1], dtype=np.int32), (50, 1))
    mixture = Mixture(broken, model.config, (), {})
    assert (mixture.impute(EncodedTable(codes, DOMAIN), rng=np.random.default_rng(0)).codes >= 0).all()


def test_a_saved_model_samples_the_same_rows(model: Mixture, tmp_path) -> None:
    model.save(tmp_path)
    again = load(tmp_path)
    assert np.array_equal(sampled(model, None, 700, seed=5), sampled(again, None, 700, seed=5))
    assert (again.facts, again.config, again.model.active) == (model.facts, model.config, model.model.active)
    (tmp_path / "mixture.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="fit it again"):
        load(tmp_path)


def test_counts_of_stratified_draws_are_within_one_of_their_expectation() -> None:
    rng = np.random.default_rng(0)
    shares, sizes = rng.dirichlet(np.ones(7), size=5), np.array([0, 1, 40, 1000, 3])
    codes = draw_grouped(shares, sizes, rng)
    for number, part in enumerate(np.split(codes, np.cumsum(sizes)[:-1])):
        assert np.abs(np.bincount(part, minlength=7) - sizes[number] * shares[number]).max() < 1
    assert np.abs(systematic_counts(shares[0], 100, rng) - 100 * shares[0]).max() < 1
    assert draw_by_label(np.eye(3), np.array([2, 0, 1, 2]), rng).tolist() == [2, 0, 1, 2]
