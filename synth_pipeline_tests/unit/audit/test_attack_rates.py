import numpy as np
import pytest
from scipy.stats import binomtest

from synth_pipeline.audit.attack.rates import (
    Count,
    advantage,
    auc,
    clopper_pearson,
    excess_risk,
    recognised_at,
    wilson,
)


@pytest.mark.parametrize("successes", [0, 1, 17, 40])
def test_both_intervals_of_a_rate_are_those_of_scipy(successes):
    test = binomtest(successes, 40)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = test.proportion_ci(0.95, method=method)
        assert ours(successes, 40, 0.95) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_the_area_under_the_curve_counts_ties_one_half():
    members, others = np.array([3.0, 2.0, 1.0]), np.array([2.0, 0.0])
    # Pairs won: 3>2, 3>0, 2>0, 1>0 and half of 2=2, out of six.
    assert auc(members, others).value == pytest.approx(4.5 / 6)


def test_delong_agrees_with_a_bootstrap_over_people():
    rng = np.random.default_rng(0)
    members, others = rng.normal(0.4, 1, 400).round(1), rng.normal(0, 1, 300).round(1)
    low, high = auc(members, others).ends(0.95)
    drawn = [auc(rng.choice(members, 400), rng.choice(others, 300)).value for _ in range(400)]
    assert np.allclose([low, high], np.quantile(drawn, [0.025, 0.975]), atol=0.015)


def test_a_perfect_separation_does_not_claim_to_be_certain():
    low, high = auc(np.ones(50), np.zeros(30)).ends(0.95)
    assert high == 1.0
    assert low == pytest.approx(0.025 ** (1 / 30))


def test_the_excess_is_a_share_of_what_was_left_to_succeed_at():
    found = excess_risk(Count(60, 100), Count(20, 100))
    assert found is not None
    assert found.value == pytest.approx(0.5)


def test_the_excess_interval_is_close_to_the_published_one():
    # Anonymeter 1.1.0: EvaluationResults(n_attacks=1000, n_success=338, n_baseline=57, n_control=89).risk()
    found = excess_risk(Count(338, 1000), Count(89, 1000))
    assert found is not None
    assert found.value == pytest.approx(0.2728, abs=0.002)
    assert found.ends(0.95) == pytest.approx((0.2376, 0.3079), abs=0.002)


def test_a_control_that_always_succeeds_leaves_nothing_to_measure():
    assert excess_risk(Count(9, 10), Count(10, 10)) is None


def test_a_scaled_control_is_compared_at_the_size_of_train():
    found = excess_risk(Count(40, 100), Count(10, 100, scale=4.0))
    assert found is not None
    assert found.value == 0.0
    low, high = found.ends(0.95)
    assert low < -0.3 < 0.0 < high


def test_recognition_at_a_low_false_positive_rate_counts_members_above_the_threshold():
    others = np.arange(100.0)
    members = np.concatenate([np.full(30, 200.0), np.full(70, -1.0)])
    found = recognised_at(members, others)
    assert found.value == 0.3
    assert found.counts["control"].rate == 0.01
    assert found.chance(0.95) == pytest.approx(clopper_pearson(1, 100, 0.95)[1])


def test_scores_that_all_tie_recognise_nobody():
    assert recognised_at(np.zeros(50), np.zeros(50)).value == 0.0


def test_the_advantage_of_useless_scores_is_not_inflated_by_choosing_the_threshold():
    rng = np.random.default_rng(1)
    values = [advantage(rng.random(60), rng.random(60), rng).value for _ in range(300)]
    # The best threshold on the same people would give about .15 on average; on other people the mean is 0 (standard error .007).
    assert abs(np.mean(values)) < 0.03


def test_the_advantage_of_perfect_scores_is_one():
    found = advantage(np.ones(40), np.zeros(40), np.random.default_rng(2))
    assert found.value == 1.0
    assert found.ends(0.95)[0] > 0.7
