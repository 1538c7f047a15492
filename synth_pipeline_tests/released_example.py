"""A small dataset with every kind of column: its specification, a table that obeys it, and a released profile of that table."""

import numpy as np
import pandas as pd

from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.events import DiscoveryEvent, DiscreteGaussianEvent, SubsampledGaussianEvent
from synth_pipeline.release.facts import ReleaseFacts
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import declared_categories
from synth_pipeline.table.grid import native_grid
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, NumericProfile, Profile
from synth_pipeline.validate.evaluate import check
from synth_pipeline.validate.suite import build_suite

EXAMPLE = {
    "dataset": "clinic",
    "columns": {
        "age": {"kind": "integer", "min": 0, "max": 99, "unit": "years", "description": "Age at the visit."},
        "fee": {"kind": "float", "min": 0, "max": 500, "precision": 2, "nullable": True, "unit": "EUR"},
        "ward": {"kind": "categorical", "categories": ["A", "B", "C"]},
        "triage": {"kind": "ordinal", "categories": [1, 2, 3], "nullable": True},
        "insured": {"kind": "boolean"},
        "visit": {"kind": "datetime", "min": "2020-01-01", "max": "2020-12-31", "precision": "day"},
        "town": {"kind": "categorical", "discover": True},
        "patient": {"kind": "identifier"},
    },
    "privacy": {"epsilon": 1.0, "delta": 1e-6},
    "constraints": ["age >= 18 OR insured", {"if": "ward = 'C'", "then": "fee IS NULL OR fee < 400"}],
}
TOWNS = ("Ulm", "Bonn", "Jena")


def example_spec(**changes) -> Spec:
    return Spec.from_mapping({**EXAMPLE, **changes})


def example_table(rows: int = 2000, *, seed: int = 0) -> pd.DataFrame:
    """A table that holds everything the specification asks for."""
    rng = np.random.default_rng(seed)
    age = rng.binomial(99, 0.45, rows)
    ward = rng.choice(["A", "B", "C"], rows, p=[0.5, 0.3, 0.2])
    fee = np.round(np.where(ward == "C", rng.random(rows) * 399, rng.random(rows) * 500), 2)
    return pd.DataFrame(
        {
            "age": age,
            "fee": np.where(rng.random(rows) < 0.2, np.nan, fee),
            "ward": ward,
            "triage": np.where(rng.random(rows) < 0.1, np.nan, rng.integers(1, 4, rows)),
            "insured": (rng.random(rows) < 0.7) | (age < 18),
            "visit": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 366, rows), unit="D"),
            "town": rng.choice(TOWNS, rows),
            "patient": [f"{rng.integers(2**62):x}-{row}" for row in range(rows)],
        }
    )


def example_profile(spec: Spec, frame: pd.DataFrame, *, sigma: float = 5.0, seed: int = 0, bins: int = 10) -> Profile:
    """What a profile stage would release about the table, with rounded normal noise in place of discrete Gaussians."""
    rng = np.random.default_rng(seed)
    columns = tuple(_profile(spec, name, frame[name], sigma=sigma, rng=rng, bins=bins) for name in spec.modelled)
    return Profile(rows=len(frame) + float(rng.normal(0, sigma)), rows_sigma=sigma, columns=columns, cost=0.01)


def _profile(spec: Spec, name: str, values: pd.Series, *, sigma, rng, bins) -> ColumnProfile:
    column = spec.modelled[name]
    nulls = [values.isna().sum()] * column.nullable
    if column.kind in ("integer", "float", "datetime"):
        grid = native_grid(column)
        cells, null = grid.nearest(values)
        edges = np.unique(np.linspace(0, grid.cells, bins + 1).astype(np.int64))
        counts = np.array([*np.histogram(cells[~null], edges)[0], *nulls], dtype=float)
        noisy = counts + np.round(rng.normal(0, sigma, len(counts)))
        leaves, masses = np.empty((0, 2), dtype=np.int64), np.empty(0)
        return NumericProfile(
            name, grid, grid, edges, noisy, np.full(len(counts), sigma), column.nullable, leaves, masses
        )
    categories = declared_categories(column) or TOWNS
    rest = [0] * (not declared_categories(column))
    counts = np.array([*[(values == category).sum() for category in categories], *rest, *nulls], dtype=float)
    noisy = counts + np.round(rng.normal(0, sigma, len(counts)))
    return CategoryProfile(
        name,
        categories,
        column.kind == "ordinal",
        column.nullable,
        bool(rest),
        noisy,
        np.full(len(counts), sigma),
        column.kind == "boolean",
    )


def example_facts(spec: Spec | None = None, frame: pd.DataFrame | None = None, **changes) -> ReleaseFacts:
    """Facts of a release of the example's own table, as if it were synthetic."""
    spec = spec or example_spec()
    frame = example_table() if frame is None else frame
    profile = example_profile(spec, frame, sigma=20.0)
    events = [
        *(DiscreteGaussianEvent(stage="profile", purpose=f"{name}: one-way", sigma=20.0) for name in spec.modelled),
        DiscoveryEvent(
            stage="profile", purpose="town: discovery", sigma=20.0, sensitivity=1, threshold=110, delta=1e-7
        ),
        DiscreteGaussianEvent(stage="generator", purpose="pairs", sigma=40.0, count=12),
        SubsampledGaussianEvent(stage="generator", purpose="steps", noise_multiplier=8.0, sample_rate=0.05, steps=200),
    ]
    content = {
        "dataset": spec.dataset,
        "version": "2020-a-1234abcd",
        "spec": spec,
        "profile": profile,
        "events": [event.to_dict() for event in events],
        "epsilon": spec.privacy.epsilon,
        "delta": spec.privacy.delta,
        "composed_epsilon": composed_epsilon(events, spec.privacy.delta),
        "accountant": "privacy loss distributions",
        "snapshot_fingerprint": "ab" * 32,
        "code_version": "0.1.0+abc",
        "ledger_entry": "clinic/2020-a/w1",
        "outcomes": check(frame, build_suite(spec, profile, rows=len(frame))),
        "generator": {"kind": "maxent", "facts": {"pairs": 12}},
        "created_at": "2026-01-02T03:04:05+00:00",
        "rows": len(frame),
    }
    return ReleaseFacts(**{**content, **changes})
