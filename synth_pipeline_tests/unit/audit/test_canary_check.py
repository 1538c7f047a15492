"""What a watched training must be: noise and batches of the charged law, and nothing released beside the noisy sums."""

import numpy as np
import pytest

from synth_pipeline.audit.canary_check import batch_findings, noise_findings, release_findings
from synth_pipeline.privacy.events import SubsampledGaussianEvent

EVENT = SubsampledGaussianEvent(purpose="toy", noise_multiplier=1.5, sample_rate=0.1, steps=80)


def gaussians(scale: float) -> np.ndarray:
    return scale * np.random.default_rng(0).standard_normal((EVENT.steps, 3000))


@pytest.mark.parametrize(
    "factor, expected", [(1.0, []), (0.7, ["noise of another scale"]), (1.3, ["noise of another scale"])]
)
def test_only_noise_of_the_charged_scale_passes(factor: float, expected: list[str]) -> None:
    """An honest training fails in one run of ten million."""
    assert [finding.kind for finding in noise_findings(gaussians(1.5 * factor), EVENT, where="toy")] == expected


def test_one_silent_step_is_found_and_named() -> None:
    noise = gaussians(1.5)
    noise[11] = 0
    assert "step 12" in str(noise_findings(noise, EVENT, where="toy")[0])


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_noise_that_repeats_from_step_to_step_is_found(share: float) -> None:
    noise = gaussians(1.5)
    mixed = np.sqrt(share) * noise[0] + np.sqrt(1 - share) * noise
    mixed[0] = noise[0]
    assert [finding.kind for finding in noise_findings(mixed, EVENT, where="toy")][-1] in {
        "noise repeats",
        "noise of another scale",
    }
    assert noise_findings(noise, EVENT, where="toy") == []


def poisson(rate: float = 0.1, people: int = 900) -> np.ndarray:
    return (np.random.default_rng(1).random((EVENT.steps, people)) < rate).astype(np.int64)


def test_poisson_batches_pass() -> None:
    rows = poisson()
    assert batch_findings(rows, rows_each=1, sizes=(rows.sum(axis=1), 900), event=EVENT) == []
    assert batch_findings(4 * rows, rows_each=4, sizes=None, event=EVENT) == []


@pytest.mark.parametrize("rate", [0.09, 0.11])
def test_another_rate_is_found(rate: float) -> None:
    assert "rate" in batch_findings(poisson(rate), rows_each=1, sizes=None, event=EVENT)[0].detail


def test_people_dealt_once_a_round_and_batches_of_one_size_are_found() -> None:
    rng = np.random.default_rng(2)
    rows = np.zeros((EVENT.steps, 900), dtype=np.int64)
    for start in range(0, EVENT.steps, 10):
        for step, part in enumerate(np.split(rng.permutation(900), 10)):
            rows[start + step, part] = 1
    found = batch_findings(rows, rows_each=1, sizes=(rows.sum(axis=1), 900), event=EVENT)
    assert ["person" in finding.detail for finding in found] == [True, False]


def test_a_person_in_a_batch_with_some_rows_only_is_found() -> None:
    rows = 4 * poisson()
    rows[3, np.flatnonzero(rows[3])[0]] = 2
    assert "some rows only" in batch_findings(rows, rows_each=4, sizes=None, event=EVENT)[0].detail


def test_anything_but_what_the_noisy_sums_give_is_found_and_named() -> None:
    left = {"model": b"1", "progress": b"a"}
    assert release_findings(left, dict(left), "toy") == []
    assert "progress" in release_findings(left, {**left, "progress": b"b"}, "toy")[0].detail
    assert "extra" in release_findings({**left, "extra": b""}, left, "toy")[0].detail
