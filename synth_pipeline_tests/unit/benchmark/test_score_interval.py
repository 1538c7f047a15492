"""Intervals of scores."""

import numpy as np
import pytest

from synth_pipeline.benchmark.interval import (
    Interval,
    deviation_interval,
    log_ratio_interval,
    normal_interval,
    percentile_interval,
)

REPLICATES = np.random.default_rng(0).normal(0.5, 0.01, 20_000)


def test_normal_interval_is_centred_on_the_score_whatever_the_bias_of_the_replicates():
    interval = normal_interval(0.3, REPLICATES, method="m")
    assert (interval.low, interval.high) == pytest.approx((0.3 - 0.0196, 0.3 + 0.0196), abs=5e-4)


def test_normal_interval_stays_within_the_bounds_of_the_score():
    assert normal_interval(0.0, REPLICATES, method="m").low == 0.0
    assert normal_interval(1.0, REPLICATES, method="m").high == 1.0


def test_percentile_interval_is_the_middle_of_the_replicates():
    interval = percentile_interval(0.5, REPLICATES, method="m")
    assert (interval.low, interval.high) == pytest.approx((0.4804, 0.5196), abs=1e-3)


@pytest.mark.parametrize("value, undefined", [(np.nan, 0), (0.5, 5_000)])
def test_percentile_interval_of_an_undefined_score_is_none(value, undefined):
    replicates = np.concatenate([np.full(undefined, np.nan), REPLICATES[undefined:]])
    assert percentile_interval(value, replicates, method="m") is None


def test_log_ratio_interval_of_scores_that_move_together_is_narrower_than_of_independent_ones():
    other = np.random.default_rng(1).normal(0.5, 0.01, 20_000)
    together = log_ratio_interval(0.5, 0.5, above=REPLICATES, below=REPLICATES * 1.0, method="m")
    apart = log_ratio_interval(0.5, 0.5, above=REPLICATES, below=other, method="m")
    assert together.high - together.low == pytest.approx(0, abs=1e-12)
    assert apart.high / apart.value == pytest.approx(np.exp(1.96 * 0.02 * np.sqrt(2)), rel=5e-3)
    assert apart.low * apart.high == pytest.approx(apart.value**2)


def test_log_ratio_interval_over_zero_is_none_and_of_zero_is_zero():
    assert log_ratio_interval(0.1, 0.0, above=REPLICATES, below=REPLICATES, method="m") is None
    assert log_ratio_interval(0.0, 0.1, above=REPLICATES, below=REPLICATES, method="m").high == 0.0


def test_deviation_interval_without_variance_falls_back_to_the_given_lower_end():
    interval = deviation_interval(1.0, 0.0, worst_low=0.97, method="m")
    assert (interval.low, interval.high) == (0.97, 1.0)


def test_affine_with_a_negative_scale_swaps_the_ends():
    interval = Interval(value=0.02, low=0.01, high=0.04, method="m").affine(scale=-1000, offset=1000)
    assert (interval.low, interval.value, interval.high) == (960, 980, 990)
