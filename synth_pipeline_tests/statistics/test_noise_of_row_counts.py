"""The noisy number of rows scatters as much as the profile says, where people may have several rows."""

import numpy as np
import pandas as pd

from synth_pipeline.generate.plan import budget_of
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.person import profiled_columns
from synth_pipeline.snapshot.take import take_snapshot
from synth_pipeline.spec import Spec

RUNS = 150


def test_the_row_count_of_a_panel_scatters_as_its_deviation_says() -> None:
    """False alarm below one in a million: the sample deviation of 150 draws is off by 30 % with a chance of about 2e-7."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(1200), rng.integers(1, 9, 1200))
    frame = pd.DataFrame({"person": [f"p{one}" for one in person], "member": rng.random(len(person)) < 0.4})
    spec = Spec.from_mapping(
        {
            "dataset": "panel",
            "columns": {"person": {"kind": "identifier"}, "member": {"kind": "boolean"}},
            "privacy": {"epsilon": 1.0, "delta": 1e-5, "unit": {"column": "person", "max_rows": 8}},
        }
    )
    native = take_snapshot(frame, spec, key=b"k" * 32, holdout=False).native
    unit = PrivacyUnit("person", 8)
    found = [
        build_profile(Curator(native, unit=unit, budget=budget_of(spec)), profiled_columns(spec), share=0.3)
        for _ in range(RUNS)
    ]
    counts = np.array([profile.row_count for profile in found])
    told = float(np.mean([profile.row_count_sigma for profile in found]))
    assert abs(counts.mean() - len(person)) < 6 * told / np.sqrt(RUNS) + 1
    assert 0.7 < counts.std(ddof=1) / told < 1.3
