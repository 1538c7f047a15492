import numpy as np
import pytest

from synth_pipeline.table.profile import CategoryProfile, Profile
from synth_pipeline.validate.evaluate import check
from synth_pipeline.validate.fidelity import MODEL_ALLOWANCE, released
from synth_pipeline.validate.suite import build_suite
from synth_pipeline_tests.released_example import example_profile, example_spec, example_table


def one_column(counts, *, sigma=1.0, has_rest=False, nullable=False):
    categories = tuple("abcdefgh"[: len(counts) - has_rest - nullable])
    column = CategoryProfile(
        "x", categories, False, nullable, has_rest, np.array(counts, float), np.full(len(counts), sigma)
    )
    return Profile(float(sum(counts)), sigma, (column,), 0.1)


def test_the_tolerance_by_hand_for_two_equal_categories_without_noise():
    facts = released(one_column([500, 500], sigma=1e-9), 0, rows=1000)
    deviation = np.sqrt(0.25 / 1000)
    expected = np.sqrt(2 / np.pi) * deviation + 4 * np.sqrt((1 - 2 / np.pi) * 2 * deviation**2) / 2 + MODEL_ALLOWANCE
    assert facts.tolerance == pytest.approx(expected)


def test_more_noise_and_fewer_synthetic_rows_make_checks_more_lenient():
    assert (
        released(one_column([500, 500], sigma=50), 0, rows=1000).tolerance
        > released(one_column([500, 500]), 0, rows=1000).tolerance
    )
    assert (
        released(one_column([500, 500]), 0, rows=50).tolerance
        > released(one_column([500, 500]), 0, rows=1000).tolerance
    )


def test_the_undiscovered_rest_is_spread_over_the_discovered_categories_as_decoding_does():
    facts = released(one_column([600, 200, 100, 100], sigma=1e-9, has_rest=True, nullable=True), 0, rows=1000)
    assert facts.shares == pytest.approx([0.675, 0.225, 0.1])


@pytest.mark.parametrize("sigma", [2.0, 20.0])
def test_tables_from_the_released_truth_pass_and_the_noise_explains_why(sigma):
    """100 tables × 10 fidelity checks: at four standard deviations none should fail; one failure is allowed for."""
    spec, real = example_spec(), example_table(3000, seed=99)
    failed = 0
    for seed in range(100):
        suite = build_suite(spec, example_profile(spec, real, sigma=sigma, seed=seed), rows=1000)
        fidelity = [item for item in suite if item.kind == "fidelity"]
        failed += sum(not outcome.passed for outcome in check(example_table(1000, seed=seed), fidelity))
    assert failed <= 1
