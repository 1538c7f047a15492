import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from synth_pipeline.drift.report import ColumnDrift, DriftReport, Effect
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.release.facts import BudgetPart
from synth_pipeline.release.trust_map import MarginalTrust, TrustMap
from synth_pipeline.report.figure import (
    MOST_BYTES,
    budget_figure,
    data_uri,
    drift_figure,
    marginals_figure,
    trust_figure,
)
from synth_pipeline_tests.released_example import example_profile, example_spec, example_table

PARTS = (BudgetPart("profile", "discrete Gaussian", 25, 0.46), BudgetPart("generator", "DP-SGD", 500, 0.85))


def profile_of(columns):
    profile = example_profile(example_spec(), example_table(), sigma=20.0)
    wanted = [replace(profile.columns[index % 3], name=f"column_${index}") for index in range(columns)]
    return replace(profile, columns=tuple(wanted))


def map_of(columns):
    names = [f"a_rather_long_name_{index}" for index in range(columns)]
    single = [MarginalTrust((name,), "measured", 4, 0.01, 0.02, 0.01 * index) for index, name in enumerate(names)]
    pairs = [MarginalTrust((names[0], name), "model", 9, 0.01) for name in names[1:]]
    return TrustMap(100.0, 100, "row", (*single, *pairs))


def report_of(p_values):
    effect = Effect(0.1, 0.0, 0.2)
    columns = tuple(
        ColumnDrift(f"c{index}", p, p, p < 0.05, False, effect, effect, effect) for index, p in enumerate(p_values)
    )
    rows = Noisy(np.array([100.0]), 1.0)
    return DriftReport(0.05, min(p_values, default=1.0), columns, (), (), rows, rows, {}, ())


DRAWN = {
    "budget": lambda: budget_figure(PARTS, composed_epsilon=0.99, budget_epsilon=1.0),
    "marginals": lambda: marginals_figure(profile_of(60)),
    "one column": lambda: marginals_figure(profile_of(1)),
    "trust": lambda: trust_figure(map_of(60)),
    "small trust": lambda: trust_figure(map_of(3)),
    "drift": lambda: drift_figure(report_of([0.5, 1e-30, 0.01, 1.0])),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_small_not_empty_and_the_same_each_time(name):
    png = DRAWN[name]()
    assert png == DRAWN[name]()
    assert len(png) < MOST_BYTES
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)
    assert len(np.unique(picture, axis=0)) > 4
    assert (picture != 255).any(axis=1).mean() > 0.02


def test_no_test_no_picture():
    assert drift_figure(report_of([])) is None


def test_an_address_holds_the_picture():
    assert data_uri(b"\x89PNG") == "data:image/png;base64,iVBORw=="
