"""Ranks inside bins: the compiled truncated normals, and the correlation that bins alone lose."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from synth_pipeline.generate.maxent.ranks import RankModel, _quantile, _truncated, fit_ranks


def test_the_quantile_agrees_with_scipy_to_six_digits() -> None:
    shares = np.concatenate([np.logspace(-14, -1, 60), np.linspace(0.1, 0.9, 60), 1 - np.logspace(-9, -1, 40)])
    assert max(abs(_quantile(float(share)) - ndtri(share)) for share in shares) < 2e-6


@pytest.mark.parametrize("low, high", [(-1.0, 0.5), (2.0, 2.5), (-8.0, -6.0), (6.0, 8.0), (-0.1, 0.1)])
def test_a_truncated_score_has_the_asked_share_of_the_interval_below_it(low: float, high: float) -> None:
    for point in (0.05, 0.5, 0.95):
        score = _truncated(low, high, point)
        assert low <= score <= high
        sign = -1.0 if low > 0 else 1.0  # in the tail where the distribution function does not cancel
        ends = sorted((ndtr(sign * low), ndtr(sign * high)))
        share = (ndtr(sign * score) - ends[0]) / (ends[1] - ends[0])
        assert (share if sign > 0 else 1 - share) == pytest.approx(point, abs=2e-3)


@pytest.mark.parametrize("correlation", [0.2, 0.9, -0.7])
def test_scores_spread_over_four_bins_keep_the_correlation_that_bins_lose(correlation: float) -> None:
    rng = np.random.default_rng(4)
    covariance = np.array([[1.0, correlation], [correlation, 1.0]])
    scores = rng.multivariate_normal(np.zeros(2), covariance, 40_000)
    bounds = np.array([-8.0, -0.7, 0.0, 0.7, 8.0])
    codes = (np.searchsorted(bounds, scores) - 1).astype(np.int32)
    places = RankModel((0, 1), (bounds, bounds), covariance).draw(codes, rng)
    spread = np.empty_like(scores)
    for column in range(2):
        low, high = ndtr(bounds[codes[:, column]]), ndtr(bounds[codes[:, column] + 1])
        assert places[column].min() >= 0
        assert places[column].max() <= 1
        assert places[column].mean() == pytest.approx(0.5, abs=0.02)
        spread[:, column] = ndtri(np.clip(low + (high - low) * places[column], 1e-9, 1 - 1e-9))
    assert np.corrcoef(spread.T)[0, 1] == pytest.approx(correlation, abs=0.02)


def test_a_row_with_a_null_takes_part_with_a_free_score() -> None:
    bounds = np.array([-8.0, 0.0, 8.0])
    model = RankModel((0, 1), (bounds, bounds), np.array([[1.0, 0.5], [0.5, 1.0]]))
    codes = np.array([[2, 0], [2, 1], [0, 2]] * 400, dtype=np.int32)  # 2 is the null code
    places = model.draw(codes, np.random.default_rng(0))
    assert all(np.isfinite(part).all() for part in places.values())


def test_the_copula_reads_the_sign_of_an_association_from_pair_shares() -> None:
    joint = np.zeros((6, 6))
    table = np.array([[0.30, 0.03, 0.00], [0.03, 0.28, 0.03], [0.00, 0.03, 0.30]])
    joint[:3, 3:], joint[3:, :3] = table, table.T
    joint[np.arange(3), np.arange(3)] = table.sum(1)
    joint[np.arange(3, 6), np.arange(3, 6)] = table.sum(0)
    model = fit_ranks(joint, [slice(0, 3), slice(3, 6)], [(0, 0), (1, 1)])
    assert model is not None
    assert model.correlation[0, 1] > 0.8
