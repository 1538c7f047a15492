"""Our composed ε beside two accountants that others wrote: dp_accounting's PLD accountant and Opacus' PRV accountant.

Each plan is handed over as what it is: the pool of Gaussian cost as one Gaussian, DP-SGD as Poisson-sampled Gaussian steps.
"""

import math
from pathlib import Path

import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from opacus.accountants import PRVAccountant

import synth_pipeline
from synth_pipeline.generate.plan import make_plan
from synth_pipeline.privacy.accounting import composed_epsilon, filter_epsilon, pooled_mu_squared
from synth_pipeline.privacy.events import DiscreteGaussianEvent, GaussianPoolEvent, SubsampledGaussianEvent
from synth_pipeline.privacy.ledger import WalkKey, cap_of, open_ledger
from synth_pipeline.spec import Spec

pytestmark = [
    pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning:opacus"),  # at sampling rate 1, a plain Gaussian
    pytest.mark.filterwarnings(
        "ignore:Optimal order:UserWarning:opacus"
    ),  # of its first guess at the width of the grid
]

TOLERANCE = 0.02
PRV_ERROR = 0.002  # Opacus' answer is above the truth by at most twice this

DEMO = Spec.from_yaml(Path(synth_pipeline.__file__).parent / "defs" / "gss" / "defs.yaml")
ADULT = Spec.from_mapping(
    {
        "dataset": "adult",
        "columns": {
            "age": {"kind": "integer", "min": 17, "max": 90},
            "fnlwgt": {"kind": "integer", "min": 0, "max": 1500000},
            "workclass": {
                "kind": "categorical",
                "categories": ["Private", "State-gov", "Self-emp-inc"],
                "nullable": True,
            },
            "education": {"kind": "ordinal", "categories": ["HS-grad", "Bachelors", "Masters", "Doctorate"]},
            "sex": {"kind": "categorical", "categories": ["Female", "Male"]},
            "capital-gain": {"kind": "integer", "min": 0, "max": 99999},
            "hours-per-week": {"kind": "integer", "min": 1, "max": 99},
            "income": {"kind": "categorical", "categories": ["<=50K", ">50K"]},
        },
        "privacy": {"epsilon": 1.0, "delta": 1.0e-5, "cap": {"epsilon": 1000.0, "delta": 1.0e-5}},
        "benchmark": {"target": "income", "task": "classification"},
    }
)


def pld_epsilon(events, delta):
    accountant = PLDAccountant()
    for event in events:
        match event:
            case GaussianPoolEvent():
                accountant.compose(GaussianDpEvent(1 / math.sqrt(event.mu_squared)))
            case SubsampledGaussianEvent():
                step = PoissonSampledDpEvent(event.sample_rate, GaussianDpEvent(event.noise_multiplier))
                accountant.compose(SelfComposedDpEvent(step, event.steps))
    return accountant.get_epsilon(delta)


def prv_epsilon(events, delta):
    accountant = PRVAccountant()
    for event in events:
        match event:
            case GaussianPoolEvent():
                accountant.history.append((1 / math.sqrt(event.mu_squared), 1.0, 1))
            case SubsampledGaussianEvent():
                accountant.history.append((event.noise_multiplier, event.sample_rate, event.steps))
    return accountant.get_epsilon(delta, eps_error=PRV_ERROR, delta_error=delta / 1e4)


def figures(spec, kind, epsilon):
    plan = make_plan(spec.with_privacy(epsilon=epsilon).with_generator(kind))
    delta = plan.budget.delta
    events = [*(plan.drift.events if plan.drift is not None else ()), *plan.events]
    return plan, {
        "ours": composed_epsilon(events, delta),
        "PLD": pld_epsilon(events, delta),
        "PRV": prv_epsilon(events, delta),
    }


@pytest.mark.parametrize("epsilon", [1.0, pytest.param(3.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["maxent", "autoregressive", "vae"])
@pytest.mark.parametrize("spec", [DEMO, ADULT], ids=["demo", "adult"])
def test_the_plan_of_a_walk_costs_the_same_by_three_accountants(spec, kind, epsilon):
    plan, found = figures(spec, kind, epsilon)
    assert found["ours"] == plan.epsilon <= epsilon
    assert found["ours"] == pytest.approx(found["PLD"], abs=TOLERANCE)
    assert found["ours"] == pytest.approx(found["PRV"], abs=TOLERANCE)


@pytest.mark.parametrize("kind", ["maxent", "vae"])
def test_a_tenth_less_noise_is_more_than_the_tolerance(kind):
    plan, found = figures(ADULT, kind, 1.0)
    pool, *training = plan.events
    louder = [GaussianPoolEvent(pool.mu_squared / 0.9**2)]
    louder += [SubsampledGaussianEvent(0.9 * e.noise_multiplier, e.sample_rate, e.steps) for e in training]
    assert prv_epsilon(louder, plan.budget.delta) > found["ours"] + TOLERANCE


@pytest.mark.parametrize("kind", ["maxent", "vae"])
def test_the_ledger_shows_for_one_walk_what_its_plan_and_certificate_say(kind, tmp_path):
    plan = make_plan(DEMO.with_generator(kind))
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    reservation = ledger.reserve(WalkKey("gss", "s", "p", "c", "w"), plan.charge(), cap=cap_of(DEMO))
    ledger.mark_read(reservation)
    ledger.commit(reservation, [DiscreteGaussianEvent(40.0), *plan.events[1:]], plan.training_epsilon)
    account = ledger.account("gss")
    assert account.spent_epsilon == account.walks[0].epsilon == plan.training_epsilon


def test_two_walks_of_gaussian_noise_cost_in_the_ledger_what_the_other_accountants_say():
    plan = make_plan(DEMO)
    delta = plan.budget.delta
    total = filter_epsilon([plan.events, plan.events], delta)
    assert total == pytest.approx(pld_epsilon([*plan.events, *plan.events], delta), abs=TOLERANCE)
    assert total == pytest.approx(prv_epsilon([*plan.events, *plan.events], delta), abs=TOLERANCE)


def test_two_walks_with_dp_sgd_cost_in_the_ledger_at_least_what_they_would_if_planned_together_and_little_more():
    plan = make_plan(DEMO.with_generator("vae"))
    delta = plan.budget.delta
    together = prv_epsilon([*plan.events, *plan.events], delta)
    total = filter_epsilon([plan.events, plan.events], delta)
    assert together - 2 * PRV_ERROR <= total <= 1.05 * together


def test_a_pool_covers_the_discrete_gaussians_that_are_paid_from_it():
    spent = [DiscreteGaussianEvent(sigma) for sigma in (5.0, 8.0, 13.0)]
    pool = (GaussianPoolEvent(pooled_mu_squared(spent)),)
    assert 0 <= composed_epsilon(pool, 1e-6) - composed_epsilon(spent, 1e-6) < TOLERANCE
