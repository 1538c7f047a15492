"""What a choice by the exponential mechanism costs in Gaussian DP, and back."""

import pytest

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.accounting import bounded_range_mu, choice_epsilon_for_cost


@pytest.mark.parametrize("cost", [1e-12, 1e-6, 1e-3, 0.1, 1.0, 10.0])
def test_a_choice_never_costs_more_than_was_paid_and_wastes_nothing(cost: float) -> None:
    epsilon = choice_epsilon_for_cost(cost)
    assert bounded_range_mu(epsilon) ** 2 <= cost
    assert bounded_range_mu(epsilon * 1.001) ** 2 > cost


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cost_that_buys_no_choice_is_refused(cost: float) -> None:
    with pytest.raises(PrivacyError, match="must be a finite number above 0"):
        choice_epsilon_for_cost(cost)
