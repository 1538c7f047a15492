"""The law of two noisy tables of one distribution, and what it says of two that differ."""

from dataclasses import replace

import numpy as np
import pytest

from synth_pipeline.drift.null_law import TwoTables, compare, holm, residual_of

SHARES = np.array([0.3, 0.2, 0.2, 0.15, 0.1, 0.05])


def tables(new_shares: np.ndarray = SHARES, *, seed: int = 0, sigma: float = 20.0, ordered: int = 0) -> TwoTables:
    """Counts of 4,000 and 6,000 people with noise."""
    rng = np.random.default_rng(seed)
    old, new = rng.multinomial(4_000, SHARES), rng.multinomial(6_000, new_shares / new_shares.sum())
    noise = np.full(len(SHARES), sigma)
    return TwoTables(
        old + rng.normal(size=6) * sigma, noise, 4_000, new + rng.normal(size=6) * sigma, noise, 6_000, ordered
    )


def test_tables_of_one_distribution_are_seldom_told_apart_and_moved_mass_is() -> None:
    same = np.array([compare(tables(seed=seed)).p_value for seed in range(60)])
    moved = compare(tables(SHARES + np.array([-0.1, 0, 0, 0, 0, 0.1])))
    assert 0.2 < np.median(same) < 0.8
    assert moved.p_value < 1e-9
    assert moved.freedom == 5


def test_the_same_tables_get_the_same_p_value() -> None:
    assert compare(tables(seed=3)).p_value == compare(tables(seed=3)).p_value


def test_noise_in_either_table_makes_a_change_harder_to_see() -> None:
    shifted = SHARES + np.array([-0.03, 0, 0, 0, 0, 0.03])
    quiet = tables(shifted, sigma=5.0)
    assert compare(quiet).p_value < compare(replace(quiet, new_sigma=np.full(6, 120.0))).p_value
    assert compare(quiet).p_value < compare(replace(quiet, old_sigma=np.full(6, 120.0))).p_value
    assert compare(quiet).noise_share < compare(replace(quiet, new_sigma=np.full(6, 120.0))).noise_share < 1


def test_a_wrong_total_alone_is_no_difference() -> None:
    """What lies along the shares is taken out, so a noisy count of people may be off."""
    even = tables(seed=1)
    assert compare(replace(even, new_rows=6_300.0)).p_value == pytest.approx(compare(even).p_value, abs=0.15)


def test_a_shift_along_an_order_is_seen_better_by_sums_up_to_a_code() -> None:
    slope = SHARES + 0.02 * np.array([-1, -1, -1, 1, 1, 1])
    plain, ordered = (compare(tables(slope, ordered=count, sigma=60.0)) for count in (0, 6))
    assert ordered.found.peak > plain.found.peak
    assert ordered.contrasts == 11


def test_residuals_are_taken_of_many_tables_at_once() -> None:
    one, two = tables(seed=1), tables(seed=2)
    both = residual_of(one, np.stack([one.old, two.old]), np.stack([one.new, two.new]))
    alone = residual_of(one, one.old, one.new)
    assert both.chi_square.shape == both.peak.shape == (2,)
    assert both.chi_square[0] == pytest.approx(float(alone.chi_square))


def test_cells_put_together_add_their_people_and_their_noise() -> None:
    merged = tables(ordered=6).merged(np.array([0, 0, 1, 1, 2, 2]))
    assert merged.new.sum() == pytest.approx(tables().new.sum())
    assert merged.new_sigma == pytest.approx(np.full(3, 20 * np.sqrt(2)))
    assert merged.ordered == 3


def test_one_cell_tells_nothing() -> None:
    assert compare(tables().merged(np.zeros(6, dtype=np.int64))).p_value == 1.0


def test_holm_adjusts_by_rank_and_keeps_the_order() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.9])).tolist() == pytest.approx([0.04, 0.09, 0.09, 0.9])
    assert holm(np.zeros(0)).tolist() == []
