"""Accounting: the one door to what events cost and how much noise a budget asks for.

Belongs here: names, gathered. Does not: formulas (gaussian_dp, composition, adaptive, calibration), nor spending.
"""

from synth_pipeline.privacy.adaptive import ApproximateGdp, approximate_gdp, filter_epsilon, filter_room
from synth_pipeline.privacy.calibration import calibrate_noise_multiplier
from synth_pipeline.privacy.composition import composed_epsilon, discovery_delta, pooled_mu_squared
from synth_pipeline.privacy.gaussian_dp import (
    DOMINATION_OFFSET,
    MIN_SIGMA,
    bounded_range_mu,
    check_delta,
    check_epsilon_delta,
    choice_epsilon_for_cost,
    gaussian_delta,
    gaussian_epsilon,
    gaussian_mu,
    gdp_cost,
    pure_epsilon_for_cost,
    pure_mu,
    sigma_for_cost,
)

__all__ = [
    "DOMINATION_OFFSET",
    "MIN_SIGMA",
    "ApproximateGdp",
    "approximate_gdp",
    "bounded_range_mu",
    "calibrate_noise_multiplier",
    "check_delta",
    "check_epsilon_delta",
    "choice_epsilon_for_cost",
    "composed_epsilon",
    "discovery_delta",
    "filter_epsilon",
    "filter_room",
    "gaussian_delta",
    "gaussian_epsilon",
    "gaussian_mu",
    "gdp_cost",
    "pooled_mu_squared",
    "pure_epsilon_for_cost",
    "pure_mu",
    "sigma_for_cost",
]
