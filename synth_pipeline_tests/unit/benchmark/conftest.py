"""Small tables and specifications that the benchmark's tests share."""

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.spec import Spec

COLUMNS = {
    "age": {"kind": "integer", "min": 0, "max": 100},
    "wage": {"kind": "float", "min": 0, "max": 1000, "nullable": True},
    "seen_at": {"kind": "datetime", "min": "2020-01-01", "max": "2030-01-01"},
    "job": {"kind": "categorical", "categories": ["clerk", "nurse", "pilot"], "nullable": True},
    "level": {"kind": "ordinal", "categories": [1, 2, 3]},
    "member": {"kind": "boolean"},
    "name": {"kind": "identifier"},
}


@pytest.fixture
def make_spec():
    """A specification of the small table with the given benchmark."""

    def make(target: str | None = "member", task: str = "classification") -> Spec:
        content = {"dataset": "small", "columns": COLUMNS, "privacy": {"epsilon": 1.0}}
        return Spec.from_mapping(content | ({"benchmark": {"target": target, "task": task}} if target else {}))

    return make


@pytest.fixture
def draw():
    """A small table with every kind of column, nulls, and dependence of the columns on one another."""

    def make(rows: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        age = rng.integers(18, 90, rows)
        member = rng.random(rows) < age / 100
        return pd.DataFrame(
            {
                "age": age,
                "wage": np.where(rng.random(rows) < 0.1, np.nan, np.round(age * 5 + rng.normal(0, 40, rows) + 200, 1)),
                "seen_at": pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 1000, rows), unit="D"),
                "job": pd.Series(np.array(["clerk", "nurse", "pilot"])[rng.integers(0, 3, rows)]).mask(
                    rng.random(rows) < 0.1
                ),
                "level": np.clip(age // 25, 1, 3),
                "member": member,
                "name": [f"person {index}" for index in range(rows)],
            }
        )

    return make


@pytest.fixture
def frames(draw):
    """Train, holdout and synthetic table of the same population."""
    return draw(400, 1), draw(150, 2), draw(300, 3)
