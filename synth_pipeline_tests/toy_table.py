"""A small table with every kind of column, as frame, specification and native codes; for tests."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import NumericProfile, Profile
from synth_pipeline_tests.seeded_noise import SeededNoise

CITIES = ("Aachen", "Bonn", "Coburg", "Dresden")


def toy_spec(**privacy: object) -> Spec:
    return Spec.from_mapping(
        {
            "dataset": "toy",
            "columns": {
                "age": {"kind": "integer", "min": 0, "max": 99},
                "income": {"kind": "float", "min": 0, "max": 200000, "precision": 2, "nullable": True},
                "gain": {"kind": "integer", "min": 0, "max": 99999},
                "visit": {"kind": "datetime", "min": "2020-01-01", "max": "2025-01-01"},
                "city": {"kind": "categorical", "discover": True},
                "grade": {"kind": "ordinal", "categories": ["low", "mid", "high"], "nullable": True},
                "member": {"kind": "boolean"},
            },
            "privacy": {"epsilon": 2.0, "delta": 1e-5, **privacy},
            "benchmark": {"target": "member"},
        }
    )


def toy_frame(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Ages drive incomes, grades and membership; gains are zero for most; visits are whole days."""
    rng = np.random.default_rng(seed)
    age = np.clip(rng.normal(45, 15, rows), 0, 99).round().astype(np.int64)
    income = np.round(np.clip(rng.lognormal(9.5 + age / 100, 0.5), 0, 200000), -2)
    gain = np.where(rng.random(rows) < 0.9, 0, np.where(rng.random(rows) < 0.5, 15024, rng.integers(1, 50000, rows)))
    grade = np.array(["low", "mid", "high"], dtype=object)[np.clip((age // 30) + rng.integers(-1, 2, rows), 0, 2)]
    return pd.DataFrame(
        {
            "age": age,
            "income": np.where(rng.random(rows) < 0.1, np.nan, income),
            "gain": gain,
            "visit": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1800, rows), unit="D"),
            "city": pd.Series(
                np.array(CITIES, dtype=object)[rng.choice(4, rows, p=[0.5, 0.3, 0.15, 0.05])], dtype="str"
            ),
            "grade": pd.Series(np.where(rng.random(rows) < 0.05, None, grade), dtype="str"),
            "member": rng.random(rows) < np.where(age > 50, 0.8, 0.2),
        }
    )


def toy_units(rows: int, person_rows: int) -> npt.NDArray[np.int64]:
    """Person of each row: so many rows each, but for the first person, who has what is left."""
    return np.cumsum(np.arange(rows, 0, -1) % person_rows == 0) - int(rows % person_rows == 0)


def toy_curator(spec: Spec, frame: pd.DataFrame, *, seed: int | None = 0, max_rows: int = 1) -> Curator:
    """A curator over a frame; with a seed its noise repeats, without one it is the secure source.

    With max_rows above 1 each person has so many rows of the frame, counted from its end: the last max_rows rows are one person's.
    """
    native, _ = to_native(frame, spec)
    if max_rows > 1:
        native = replace(native, units=toy_units(len(frame), max_rows))
    budget = Budget.for_walk(epsilon=spec.privacy.epsilon, delta=spec.privacy.delta, discovered_columns=1)
    noise = None if seed is None else SeededNoise(seed)
    return Curator(native, unit=PrivacyUnit("id" if max_rows > 1 else None, max_rows), budget=budget, noise=noise)


def toy_trained(
    fit: Callable[..., Any], config: object, spec: Spec, *, rows: int = 4000, noise: int = 0, seed: int = 0
):
    """Curator, profile and generator of an engine's fit to the toy table, with noise and post-processing that repeat."""
    curator = toy_curator(spec, toy_frame(rows), seed=noise)
    profile = build_profile(curator, spec.modelled)
    return curator, profile, fit(curator, profile, config, budget=curator.budget, runtime=RuntimeConfig(seed=seed))


def assert_budget_is_spent(curator: Curator, events: Sequence[Event], spec: Spec) -> None:
    """All of the pool is spent and no more, and what ran composes to the specification's ε from below."""
    assert curator.spent_cost == pytest.approx(curator.budget.cost, rel=1e-6)
    epsilon = composed_epsilon(events, spec.privacy.delta)
    assert 0.98 * spec.privacy.epsilon < epsilon <= spec.privacy.epsilon * (1 + 1e-9)


def member_shares(profile: Profile, generator: Any) -> tuple[float, float]:
    """Share of members among sampled people above 50 years, of whom .8 are, and among the others, of whom about .25 are."""
    table = generator.sample(4000, rng=np.random.default_rng(1))
    age, member = generator.domain.index("age"), generator.domain.index("member")
    column = profile.column("age")
    assert isinstance(column, NumericProfile)
    is_old = column.edges[table.codes[:, age]] > 50
    return float(table.codes[is_old, member].mean()), float(table.codes[~is_old, member].mean())
