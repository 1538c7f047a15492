"""Calibration of the above-threshold mode: false alarms over whole epochs of re-draws, snapshots of other sizes, and power."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from synth_pipeline.drift.baseline import Baseline, baseline_of
from synth_pipeline.drift.sparse_vector import SparseVectorState, above_threshold
from synth_pipeline.drift.watched import SNAPSHOTS
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.spec import Spec
from synth_pipeline.spec.sections import Drift
from synth_pipeline_tests.seeded_noise import SeededNoise

DELTA = 1e-5
SPEC = Spec.from_mapping(
    {
        "dataset": "d",
        "columns": {
            "score": {"kind": "integer", "min": 0, "max": 9},
            "city": {"kind": "categorical", "categories": list("abcdef")},
            "member": {"kind": "boolean"},
        },
        "privacy": {"epsilon": 4.0, "delta": DELTA},
    }
)


def frame_of(rows: int, rng: np.random.Generator, *, moved: float = 0.0) -> pd.DataFrame:
    """People of whom a share `moved` left the middle of the scores for its ends."""
    score = rng.binomial(9, 0.45, rows)
    score = np.where(rng.random(rows) < moved, 9 * (rng.random(rows) < 0.5), score)
    city = np.array(list("abcdef"), dtype=object)[rng.choice(6, rows, p=[0.4, 0.25, 0.15, 0.1, 0.07, 0.03])]
    return pd.DataFrame({"score": score, "city": pd.Series(city, dtype="str"), "member": rng.random(rows) < 0.3})


def curator_of(frame: pd.DataFrame, noise: SeededNoise, *, epsilon: float) -> Curator:
    native, _ = to_native(frame, SPEC)
    return Curator(native, unit=PrivacyUnit(), budget=Budget(epsilon, DELTA), noise=noise)


def baseline_from(rows: int, rng: np.random.Generator, noise: SeededNoise) -> Baseline:
    return baseline_of(build_profile(curator_of(frame_of(rows, rng), noise, epsilon=4.0), SPEC.modelled, share=0.3))


def first_alarm(
    rows: int, seed: int, *, fresh: int, moved: float = 0.0, snapshots: int = SNAPSHOTS, epsilon: float = 1.0
) -> int:
    """Number of snapshots before the first alarm of one epoch; `snapshots` where there is none."""
    rng, noise = np.random.default_rng(seed), SeededNoise(seed)
    baseline, drift = baseline_from(rows, rng, noise), Drift(epsilon=epsilon, mode="sparse_vector")
    state: SparseVectorState | None = None
    for number in range(snapshots):
        curator = curator_of(frame_of(fresh, rng, moved=moved), noise, epsilon=epsilon)
        report, state = above_threshold(curator, baseline, drift, state, snapshot=str(number))
        if report.is_alarm:
            return number
    return snapshots


@pytest.mark.slow
@pytest.mark.parametrize("size", [0.5, 1.0, 2.0])
def test_an_epoch_of_redraws_raises_an_alarm_at_most_as_often_as_alpha_says(size):
    epochs = 40
    alarms = sum(first_alarm(1500, 100 + seed, fresh=int(1500 * size)) < SNAPSHOTS for seed in range(epochs))
    assert alarms <= binom.ppf(0.999, epochs, 0.05)


@pytest.mark.parametrize("moved, most_missed", [(0.25, 0), (0.0, 12)])
def test_a_change_of_a_quarter_of_four_thousand_people_is_found_at_once(moved, most_missed):
    missed = sum(first_alarm(4000, seed, fresh=4000, moved=moved, snapshots=1) == 1 for seed in range(12))
    assert missed == most_missed
