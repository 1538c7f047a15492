"""Accounting: conversions, composition of a transcript, the filter over walks, calibration."""

import math

import pytest

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy import accounting
from synth_pipeline.privacy.accounting import composed_epsilon, filter_epsilon, filter_room
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.events import (
    DiscoveryEvent,
    DiscreteGaussianEvent,
    ExponentialEvent,
    GaussianPoolEvent,
    SubsampledGaussianEvent,
)

DELTA = 1e-5
TRAINING = SubsampledGaussianEvent(3.0, 0.1, 200)


def pool(epsilon, delta=DELTA):
    return GaussianPoolEvent(accounting.gaussian_mu(epsilon, delta) ** 2)


def test_gaussian_delta_is_the_known_value_at_mu_one():
    # Φ(−1 + ½) − e·Φ(−1 − ½), by hand from a table of Φ.
    assert accounting.gaussian_delta(1.0, 1.0) == pytest.approx(0.30853754 - math.e * 0.06680720, abs=1e-7)


@pytest.mark.parametrize("epsilon", [0.01, 0.3, 1.0, 10.0, 60.0])
@pytest.mark.parametrize("delta", [1e-12, 1e-6, 1e-2])
def test_gaussian_mu_and_epsilon_are_inverse_and_each_rounds_to_the_safe_side(epsilon, delta):
    mu = accounting.gaussian_mu(epsilon, delta)
    assert accounting.gaussian_delta(mu, epsilon) <= delta
    assert accounting.gaussian_epsilon(mu, delta) == pytest.approx(epsilon, rel=1e-9)


def test_gaussian_epsilon_is_zero_where_delta_covers_everything():
    assert accounting.gaussian_epsilon(1e-9, 1e-5) == 0.0


@pytest.mark.parametrize("epsilon, delta", [(0.0, 1e-6), (-1.0, 1e-6), (math.inf, 1e-6), (1.0, 0.0), (1.0, 1.0)])
def test_levels_that_are_no_privacy_are_refused(epsilon, delta):
    with pytest.raises(PrivacyError):
        accounting.gaussian_mu(epsilon, delta)


def test_the_cost_of_noise_and_the_noise_for_a_cost_are_inverse_and_never_overspend():
    for cost in (1e-8, 1e-3, 0.3, 1.0):
        for sensitivity, count in ((1, 1), (8, 1), (2, 40)):
            sigma = accounting.sigma_for_cost(cost, sensitivity, count)
            spent = accounting.gdp_cost(sigma, sensitivity, count)
            assert spent <= cost
            assert spent == pytest.approx(cost, rel=1e-9) or sigma == accounting.MIN_SIGMA


def test_a_cost_beyond_the_smallest_scale_leaves_the_rest_unspent():
    assert accounting.sigma_for_cost(50.0) == accounting.MIN_SIGMA
    with pytest.raises(PrivacyError, match=r"1\.5"):
        accounting.gdp_cost(1.4)


def test_an_empty_transcript_costs_nothing():
    assert composed_epsilon([], DELTA) == 0.0


def test_a_pool_costs_the_epsilon_that_it_was_made_for():
    assert composed_epsilon([pool(1.0)], DELTA) == pytest.approx(1.0, rel=1e-9)


def test_answers_paid_from_a_pool_never_cost_more_than_the_pool():
    share = accounting.gaussian_mu(1.0, DELTA) ** 2 / 40
    answers = [DiscreteGaussianEvent(accounting.sigma_for_cost(share), purpose=str(i)) for i in range(40)]
    assert 0.99 < composed_epsilon(answers, DELTA) <= 1.0 + 1e-12


def test_labels_and_order_and_splitting_of_counts_do_not_change_the_cost():
    split = [DiscreteGaussianEvent(20.0, 1, 2, stage="a"), TRAINING, DiscreteGaussianEvent(20.0, 1, 3, stage="b")]
    merged = [DiscreteGaussianEvent(20.0, 1, 5), TRAINING]
    assert composed_epsilon(split, DELTA) == composed_epsilon(merged, DELTA)


def test_training_on_every_unit_costs_as_the_plain_gaussian():
    plain = GaussianPoolEvent(100 / 30.0**2)
    assert composed_epsilon([SubsampledGaussianEvent(30.0, 1.0, 100)], DELTA) == composed_epsilon([plain], DELTA)


def test_sampling_amplifies_privacy():
    assert composed_epsilon([TRAINING], DELTA) < composed_epsilon([SubsampledGaussianEvent(3.0, 1.0, 200)], DELTA) / 5


def test_training_beside_answers_costs_more_than_either_and_less_than_their_sum():
    both = composed_epsilon([pool(1.0), TRAINING], DELTA)
    alone = composed_epsilon([TRAINING], DELTA)
    assert max(1.0, alone) < both < 1.0 + alone


def test_a_discovery_takes_its_own_delta_off_the_top():
    event = DiscoveryEvent(10.0, 1, 60, 4e-6)
    expected = accounting.gaussian_epsilon(math.sqrt(accounting.gdp_cost(10.0)), DELTA - 4e-6)
    assert composed_epsilon([event], DELTA) == pytest.approx(expected, rel=1e-12)
    assert composed_epsilon([event] * 2, DELTA) > expected


def test_discoveries_that_use_up_delta_are_refused():
    with pytest.raises(PrivacyError, match="discover"):
        composed_epsilon([DiscoveryEvent(10.0, 1, 60, 6e-6)] * 2, DELTA)


def test_one_choice_costs_its_epsilon_and_many_cost_less_than_their_sum():
    assert composed_epsilon([ExponentialEvent(0.1)], DELTA) == pytest.approx(0.1, rel=1e-9)
    assert composed_epsilon([ExponentialEvent(0.01, 10_000)], DELTA) < 10.0


def test_many_choices_cost_no_more_than_their_bounded_range_in_zcdp():
    # ρ = n·ε²/8 = 0.125 zCDP, converted by ρ + 2·√(ρ·ln(1/δ)): the plain bound that RDP improves on.
    rho = 10_000 * 0.01**2 / 8
    assert composed_epsilon([ExponentialEvent(0.01, 10_000)], DELTA) <= rho + 2 * math.sqrt(rho * math.log(1 / DELTA))


def test_choices_beside_answers_and_training_cost_more_than_these_alone():
    others = [pool(0.5), TRAINING]
    assert composed_epsilon([*others, ExponentialEvent(0.05, 20)], DELTA) > composed_epsilon(others, DELTA)


def test_a_cover_bounds_the_walk_it_covers_at_every_epsilon():
    slack = 1e-8
    cover = accounting.approximate_gdp([TRAINING, pool(0.3)], slack)
    for delta in (1e-7, 1e-6, 1e-4, 1e-2):
        covered = accounting.gaussian_epsilon(math.sqrt(cover.mu_squared), (delta - cover.delta) / (1 - cover.delta))
        assert composed_epsilon([TRAINING, pool(0.3)], delta) <= covered * (1 + 1e-3)
        assert covered <= 1.1 * composed_epsilon([TRAINING, pool(0.3)], delta)


def test_one_walk_in_the_filter_costs_its_composition():
    walk = [TRAINING, pool(0.3)]
    assert filter_epsilon([walk], DELTA) == composed_epsilon(walk, DELTA)
    assert filter_epsilon([walk, []], DELTA) == composed_epsilon(walk, DELTA)
    assert filter_epsilon([], DELTA) == 0.0


def test_gaussian_walks_in_the_filter_add_exactly():
    expected = accounting.gaussian_epsilon(math.sqrt(2) * accounting.gaussian_mu(1.0, DELTA), DELTA)
    assert filter_epsilon([[pool(1.0)], [pool(1.0)]], DELTA) == pytest.approx(expected, rel=1e-9)


def test_walks_with_training_in_the_filter_stay_close_to_their_joint_composition():
    joint = composed_epsilon([SubsampledGaussianEvent(3.0, 0.1, 1000)], DELTA)
    filtered = filter_epsilon([[TRAINING]] * 5, DELTA)
    assert joint <= filtered <= 1.05 * joint


def test_the_filter_is_unbounded_when_failure_probabilities_use_up_delta():
    assert filter_epsilon([[DiscoveryEvent(10.0, 1, 60, 6e-6)]] * 2, DELTA) == math.inf


@pytest.mark.parametrize("discoveries", [1, 2, 5, 40])
@pytest.mark.parametrize("delta", [1e-6, 0.05])
def test_several_discoveries_keep_a_walk_within_its_epsilon(discoveries, delta):
    budget = Budget.for_walk(epsilon=1.0, delta=delta, discovered_columns=discoveries)
    each = DiscoveryEvent(sigma=1e9, sensitivity=1, threshold=1, delta=budget.delta_of_each(discoveries))
    assert composed_epsilon([GaussianPoolEvent(budget.cost), *[each] * discoveries], delta) <= 1.0


def test_the_room_the_filter_leaves_is_exactly_what_one_more_walk_may_take():
    walks = [[pool(1.0)], [TRAINING]]
    room = filter_room(walks, epsilon=3.0, delta=DELTA)
    assert filter_epsilon([*walks, [GaussianPoolEvent(room)]], DELTA) <= 3.0 * (1 + 1e-9)
    assert filter_epsilon([*walks, [GaussianPoolEvent(room * 1.001)]], DELTA) > 3.0
    assert filter_room(walks, epsilon=1.0, delta=DELTA) == 0.0
    assert filter_room([], epsilon=3.0, delta=DELTA) == accounting.gaussian_mu(3.0, DELTA) ** 2


@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_calibrated_training_uses_the_walks_epsilon_and_no_more(epsilon):
    before = 0.1 * accounting.gaussian_mu(epsilon, 1e-6) ** 2
    noise = accounting.calibrate_noise_multiplier(
        before=before, sample_rate=0.1, steps=100, epsilon=epsilon, delta=1e-6
    )
    walk = [GaussianPoolEvent(before), SubsampledGaussianEvent(noise, 0.1, 100)]
    assert epsilon * (1 - 1e-3) <= composed_epsilon(walk, 1e-6) <= epsilon


def test_calibration_takes_events_as_well_as_their_cost():
    event = DiscreteGaussianEvent(40.0)
    asked = {"sample_rate": 0.1, "steps": 50, "epsilon": 1.0, "delta": 1e-6}
    by_event = accounting.calibrate_noise_multiplier(before=[event], **asked)
    assert by_event == pytest.approx(
        accounting.calibrate_noise_multiplier(before=accounting.gdp_cost(40.0), **asked), rel=1e-3
    )
    assert accounting.calibrate_noise_multiplier(before=0.0, **asked) < by_event


def test_calibration_refuses_when_nothing_is_left():
    with pytest.raises(PrivacyError, match="nothing for DP-SGD"):
        accounting.calibrate_noise_multiplier(before=[pool(1.0)], sample_rate=0.1, steps=10, epsilon=1.0, delta=1e-5)
