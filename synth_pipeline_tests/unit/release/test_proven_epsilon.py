"""The ε that a release states where a drift report came before it."""

import pytest

from synth_pipeline.generate.plan import make_plan
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.release.origin import proven_epsilon
from synth_pipeline_tests.released_example import example_profile, example_spec, example_table

PLAIN = example_spec()
WATCHED = example_spec(drift={"epsilon": 0.3})
REPORT = make_plan(WATCHED).drift
PROFILE = example_profile(PLAIN, example_table())


def model(spec, *, share=1.0) -> ReleasedModel:
    return ReleasedModel(spec, PROFILE, None, {}, share)  # pyright: ignore[reportArgumentType]  # the ε hangs on the plan alone


def test_a_report_and_the_training_after_it_come_to_the_whole_of_the_walk():
    assert proven_epsilon(model(WATCHED), REPORT.events) == pytest.approx(WATCHED.privacy.epsilon, rel=1e-6)
    assert proven_epsilon(model(WATCHED)) < WATCHED.privacy.epsilon


def test_a_report_counts_though_the_generator_that_is_kept_was_trained_without_one():
    assert proven_epsilon(model(PLAIN)) == pytest.approx(1.0, rel=1e-3)
    stated = proven_epsilon(model(PLAIN), REPORT.events)
    assert stated > 1.02
    assert stated == composed_epsilon((*REPORT.events, *make_plan(PLAIN).events), PLAIN.privacy.delta)


def test_a_second_report_counts_beside_the_first():
    once = proven_epsilon(model(WATCHED), REPORT.events)
    assert proven_epsilon(model(WATCHED), (*REPORT.events, *REPORT.events)) > once


def test_a_refresh_states_its_share():
    assert proven_epsilon(model(WATCHED, share=0.5), REPORT.events) < proven_epsilon(model(WATCHED), REPORT.events)
