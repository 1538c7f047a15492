"""Sampling from the autoregressive network, checked against brute force on a domain of 120 states."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.errors import ConstraintError, ModelError
from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.autoregressive.engine import Autoregressive, load, main_order
from synth_pipeline.generate.autoregressive.features import Features
from synth_pipeline.generate.autoregressive.model import PairModel, calibrate, draw_codes
from synth_pipeline.privacy.events import GaussianPoolEvent, SubsampledGaussianEvent
from synth_pipeline.table.encoded import Domain
from synth_pipeline_tests.damaged_folder import DAMAGES, Damage, damage_folder

SIZES = (3, 4, 2, 5)
DOMAIN = Domain(("a", "b", "c", "d"), SIZES)
ORDER = (2, 0, 3, 1)
FALSE_ALARM = 1e-4
POOL_NOISE = 1.5
"""A pool of particles of twice the rows asked for adds at most half to the variance of independent rows."""

State = tuple[int, ...]


@pytest.fixture(scope="module")
def generator() -> Autoregressive:
    """Strong random couplings, so that the order of drawing matters and conditioning is far from independence."""
    rng = np.random.default_rng(4)
    columns = np.repeat(np.arange(4), SIZES)
    lower = np.where(columns[None] < columns[:, None], rng.normal(0, 1.2, (14, 14)), 0.0)
    couplings = (lower + lower.T).astype(np.float32)
    shares = np.concatenate([rng.dirichlet(np.full(size, 3.0)) for size in SIZES])
    model = PairModel(
        DOMAIN, Features(np.eye(14, dtype=np.float32), SIZES), couplings, np.log(shares).astype(np.float32)
    )
    events = (
        GaussianPoolEvent(stage="profile", purpose="one-way", mu_squared=0.01),
        SubsampledGaussianEvent(stage="generator", purpose="steps", noise_multiplier=3.0, sample_rate=0.1, steps=9),
    )
    return Autoregressive(model, ORDER, shares, AutoregressiveConfig(target="b"), events, {"steps": 9})


def law(generator: Autoregressive) -> dict[State, float]:
    """Probability of every state, by enumeration."""
    states = np.array(list(product(*(range(size) for size in SIZES))), dtype=np.int32)
    probability = np.exp(generator.model.log_likelihood(states, ORDER))
    return {tuple(int(code) for code in state): float(p) for state, p in zip(states, probability, strict=True)}


def pearson(codes: np.ndarray, expected: dict[State, float]) -> tuple[float, float]:
    """Pearson statistic against a law, cells of fewer than 5 expected rows pooled, and its rejection point."""
    seen: dict[State, int] = {}
    for row in codes.tolist():
        seen[tuple(row)] = seen.get(tuple(row), 0) + 1
    assert set(seen) <= {state for state, share in expected.items() if share > 0}
    pairs = [(share * len(codes), seen.get(state, 0)) for state, share in expected.items()]
    cells = [(e, o) for e, o in pairs if e >= 5]
    rare = [(e, o) for e, o in pairs if 0 < e < 5]
    if rare:
        cells.append((sum(e for e, _ in rare), sum(o for _, o in rare)))
    return sum((o - e) ** 2 / e for e, o in cells), float(chi2.isf(FALSE_ALARM, len(cells) - 1))


def regions_of(column: int, groups: list[list[int]]) -> SubDomain:
    """Regions that are sets of whole codes."""
    parent = np.array([code for group in groups for code in group])
    region = np.array([number for number, group in enumerate(groups) for _ in group])
    return SubDomain(column, parent, region, np.zeros(len(parent)))


def conditioned(law_: dict[State, float], is_met) -> dict[State, float]:
    total = sum(share for state, share in law_.items() if is_met(state))
    return {state: share / total if is_met(state) else 0.0 for state, share in law_.items()}


def test_the_law_sums_to_one(generator: Autoregressive) -> None:
    assert sum(law(generator).values()) == pytest.approx(1.0, abs=1e-5)


def test_rows_follow_the_law(generator: Autoregressive) -> None:
    statistic, limit = pearson(generator.sample(20_000, rng=np.random.default_rng(0)).codes, law(generator))
    assert statistic < limit


CASES = {
    "last column drawn": ([regions_of(1, [[0], [1, 2, 3]])], np.array([True, False]), lambda s: s[1] == 0),
    "first column drawn": ([regions_of(2, [[0], [1]])], np.array([False, True]), lambda s: s[2] == 1),
    "two columns, a corner": (
        [regions_of(1, [[0, 1], [2, 3]]), regions_of(0, [[0], [1, 2]])],
        np.array([[False, True], [False, False]]),
        lambda s: s[1] < 2 and s[0] > 0,
    ),
    "two columns, an exclusive or": (
        [regions_of(0, [[0], [1, 2]]), regions_of(3, [[0, 1, 2], [3, 4]])],
        np.array([[True, False], [False, True]]),
        lambda s: (s[0] == 0) == (s[3] < 3),
    ),
    "three columns": (
        [regions_of(3, [[0], [1, 2, 3, 4]]), regions_of(2, [[0], [1]]), regions_of(1, [[0, 3], [1, 2]])],
        np.array([[[True, False], [False, True]], [[False, False], [True, False]]]),
        lambda s: (s[3] == 0 and (s[2] == 0) == (s[1] in (0, 3))) or (s[3] > 0 and s[2] == 1 and s[1] in (0, 3)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rows_under_a_condition_follow_the_conditional_law(generator: Autoregressive, name: str) -> None:
    subdomains, allowed, is_met = CASES[name]
    table = generator.sample(8000, where=Condition(tuple(subdomains), allowed), rng=np.random.default_rng(1))
    statistic, limit = pearson(table.codes, conditioned(law(generator), is_met))
    assert statistic / POOL_NOISE < limit


def test_a_chi_square_of_this_power_would_catch_conditioning_by_masks_alone(generator: Autoregressive) -> None:
    """Masking without weights follows another law; the test above must be able to tell."""
    subdomains, allowed, is_met = CASES["last column drawn"]
    assert allowed[0]
    codes = generator.sample(8000, rng=np.random.default_rng(1)).codes.copy()
    codes[:, subdomains[0].column] = 0
    statistic, limit = pearson(codes, conditioned(law(generator), is_met))
    assert statistic / POOL_NOISE > limit


def test_a_code_that_straddles_regions_keeps_only_its_share_inside(generator: Autoregressive) -> None:
    split = SubDomain(3, np.array([0, 1, 2, 2, 3, 4]), np.array([0, 0, 0, 1, 1, 1]), np.log([1, 1, 0.3, 0.7, 1, 1]))
    where = Condition((split,), np.array([True, False]))
    table = generator.sample(8000, where=where, rng=np.random.default_rng(2))
    assert (table.regions[3] == 0).all()
    weighted = {s: p * (1.0 if s[3] < 2 else 0.3 if s[3] == 2 else 0.0) for s, p in law(generator).items()}
    total = sum(weighted.values())
    statistic, limit = pearson(table.codes, {s: p / total for s, p in weighted.items()})
    assert statistic / POOL_NOISE < limit


@pytest.mark.parametrize("seed", range(8))
def test_every_row_satisfies_the_condition(generator: Autoregressive, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = rng.permutation(4)[: rng.integers(1, 5)]
    subdomains, parts = [], []
    for column in columns:
        region = rng.integers(0, 3, SIZES[column])
        subdomains.append(SubDomain(int(column), np.arange(SIZES[column]), region, np.zeros(SIZES[column])))
        parts.append(region)
    allowed = rng.random((3,) * len(columns)) < 0.3
    present = np.zeros_like(allowed)
    present[np.ix_(*(np.unique(region) for region in parts))] = True
    allowed &= present
    where = Condition(tuple(subdomains), allowed)
    if not allowed.any():
        with pytest.raises(ConstraintError):
            generator.sample(10, where=where, rng=rng)
        return
    table = generator.sample(300, where=where, rng=rng)
    assert table.codes.shape == (300, 4)
    for axis, column in enumerate(columns):
        assert (parts[axis][table.codes[:, column]] == table.regions[int(column)]).all()
    assert allowed[tuple(table.regions[int(column)] for column in columns)].all()


def test_a_very_rare_condition_is_met_all_the_same(generator: Autoregressive) -> None:
    bias = generator.model.bias.copy()
    bias[DOMAIN.offsets[1]] = -40.0
    rare = replace(generator, model=replace(generator.model, bias=bias))
    table = rare.sample(
        100, where=Condition((regions_of(1, [[0], [1, 2, 3]]),), np.array([True, False])), rng=np.random.default_rng(0)
    )
    assert (table.codes[:, 1] == 0).all()


def test_an_empty_condition_is_refused(generator: Autoregressive) -> None:
    where = Condition((regions_of(2, [[0], [1]]),), np.array([False, False]))
    with pytest.raises(ConstraintError, match="no row of the declared domain"):
        generator.sample(5, where=where, rng=np.random.default_rng(0))


def test_no_rows_are_no_rows(generator: Autoregressive) -> None:
    assert generator.sample(0, rng=np.random.default_rng(0)).codes.shape == (0, 4)


def test_calibrated_biases_give_the_released_shares(generator: Autoregressive) -> None:
    shares = [generator.shares[part] for part in DOMAIN.slices()]
    bias = calibrate(generator.model, ORDER, shares, rows=16_384, rng=np.random.default_rng(0))
    fitted = replace(generator, model=replace(generator.model, bias=bias))
    before, after = (
        max(
            np.abs(np.bincount(codes[:, column], minlength=size) / len(codes) - shares[column]).max()
            for column, size in enumerate(SIZES)
        )
        for codes in (g.sample(20_000, rng=np.random.default_rng(1)).codes for g in (generator, fitted))
    )
    assert after < 0.01 < before


def test_codes_are_drawn_by_their_distributions_with_less_scatter_than_independent_draws() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), size=500).astype(np.float32)
    draws = np.stack([draw_codes(probabilities, rng) for _ in range(400)])
    shares = np.stack([(draws == code).mean(axis=0) for code in range(4)], axis=1)
    deviation = (shares - probabilities) / np.sqrt(probabilities * (1 - probabilities) / 400 + 1e-12)
    assert 0.8 < float((deviation**2).mean()) < 1.2
    counts = np.stack([(draws == code).sum(axis=1) for code in range(4)], axis=1)
    independent = (probabilities * (1 - probabilities)).sum(axis=0)
    assert counts.var(axis=0).sum() < 0.7 * independent.sum()


def test_the_target_is_drawn_last_and_small_columns_first() -> None:
    domain = Domain(("a", "b", "c"), (5, 2, 3))
    assert main_order(domain, "b") == (2, 0, 1)
    assert main_order(domain, None) == (1, 2, 0)


def test_a_saved_generator_samples_the_same_rows(generator: Autoregressive, tmp_path: Path) -> None:
    generator.save(tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]
    loaded = load(tmp_path)
    assert (loaded.events, loaded.config, loaded.facts, loaded.order) == (
        generator.events,
        generator.config,
        generator.facts,
        generator.order,
    )
    where = Condition((regions_of(1, [[0], [1, 2, 3]]),), np.array([True, False]))
    for condition in (None, where):
        first, second = (g.sample(200, where=condition, rng=np.random.default_rng(5)) for g in (generator, loaded))
        assert np.array_equal(first.codes, second.codes)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_one_line(generator: Autoregressive, tmp_path: Path, damage: Damage) -> None:
    generator.save(tmp_path)
    damage_folder(tmp_path, "autoregressive", damage)
    with pytest.raises(ModelError, match="fit it again"):
        load(tmp_path)
