"""What an internal report is made of, without a walk: three tables, their scores, an audit, attacks and a drift history."""

import numpy as np
import pandas as pd

from synth_pipeline.audit.attack.rates import Count, auc, excess_risk
from synth_pipeline.audit.attack.report import AttackReport, figure_of
from synth_pipeline.audit.bound import LowerBound
from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.benchmark.measure import score
from synth_pipeline.report.comparison import Tables
from synth_pipeline.report.drift_history import DriftStep
from synth_pipeline.report.internal_page import Evidence, Link
from synth_pipeline.spec import Spec

LONGEST_WARD = "Intensive care and long observation of the newly admitted"


def reported_spec(**changes: object) -> Spec:
    """A specification with numbers, ordered and other categories, dates, a target with a rare class, and groups."""
    content = {
        "dataset": "clinic",
        "columns": {
            "age": {"kind": "integer", "min": 0, "max": 99, "unit": "years"},
            "fee": {"kind": "float", "min": 0, "max": 500, "nullable": True},
            "ward": {"kind": "categorical", "categories": ["A", "B", LONGEST_WARD]},
            "severity": {"kind": "ordinal", "categories": ["low", "middle", "high"]},
            "seen": {"kind": "datetime", "min": "2020-01-01", "max": "2021-01-01"},
            "returned": {"kind": "boolean"},
        },
        "privacy": {"epsilon": 1.0, "delta": 1e-5},
        "benchmark": {"target": "returned"},
        "fairness": {"sensitive": ["ward"]},
        "drift": {"epsilon": 0.1},
    }
    return Spec.from_mapping({**content, **changes})


def reported_table(rows: int, *, seed: int) -> pd.DataFrame:
    """Rows in which age drives fee and ward; about one in fifteen returned."""
    rng = np.random.default_rng(seed)
    age = rng.integers(1, 90, rows)
    ward = np.array(["A", "B", LONGEST_WARD])[np.clip(age // 30 + rng.integers(-1, 2, rows), 0, 2)]
    return pd.DataFrame(
        {
            "age": age,
            "fee": np.where(rng.random(rows) < 0.2, np.nan, np.round(age * 3 + rng.integers(0, 50, rows), 2)),
            "ward": ward,
            "severity": rng.choice(["low", "middle", "high"], rows, p=[0.6, 0.3, 0.1]),
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 360, rows), unit="D"),
            "returned": rng.random(rows) < 0.02 + age / 900,
        }
    )


def reported_attacks() -> AttackReport:
    """Four figures: one found, one not, one unmeasured, one of a column."""
    rng = np.random.default_rng(0)
    figures = (
        figure_of("membership_distance", "auc", auc(rng.random(200), rng.random(200)), family=4, reason=""),
        figure_of("exact_copies", "risk", excess_risk(Count(300, 1000), Count(10, 500)), family=4, reason=""),
        figure_of(
            "attribute_inference", "risk", excess_risk(Count(20, 100), Count(21, 100), Count(25, 100)), column="ward",
            family=4, reason="",
        ),
        figure_of("linkability", "risk", None, family=4, reason="needs two modelled columns"),
    )  # fmt: skip
    return AttackReport(
        dataset="clinic", spec_digest="0" * 64, seed=0, people={"train": 1000, "holdout": 500}, synthetic_rows=1000,
        columns=6, figures=figures,
    )  # fmt: skip


def reported_audit() -> MechanismAudit:
    """An audit that shows ε ≥ 0.61 of the 1 that is claimed."""
    bound = LowerBound(0.61, 1e-5, 0.95, "gaussian", 10_000)
    alarm = LowerBound(0.42, 1e-5, 1 - 1e-6, "gaussian", 10_000)
    return MechanismAudit(
        "maxent", 1.0, 1e-5, "one row", bound, alarm, "the person with the rarest values", 0.9, (), False
    )


def reported_history() -> tuple[DriftStep, ...]:
    """A first snapshot, one that drifted, one that did not."""
    return (
        DriftStep(
            "visits_2023", "2024-01-03T08:00:00+00:00", "refit", "First snapshot.", None, None, (), None, 0.0, 1.0, 1.0
        ),
        DriftStep(
            "visits_2024",
            "2025-01-03T08:00:00+00:00",
            "refresh",
            "Drift.",
            1e-6,
            0.01,
            ("age", "fee"),
            612.0,
            0.1,
            0.5,
            0.6,
        ),
        DriftStep(
            "visits_2025", "2026-01-03T08:00:00+00:00", "reuse", "No drift.", 0.37, 0.01, (), 640.0, 0.1, 0.0, 0.1
        ),
    )


def reported_evidence(*, quick: bool = True, **changes: object) -> Evidence:
    """Everything together; changes replace parts."""
    spec = reported_spec()
    tables = Tables(*(reported_table(rows, seed=seed) for rows, seed in ((600, 1), (400, 2), (500, 3))))
    parts = {
        "spec": spec,
        "snapshot": "visits_2025",
        "tables": tables,
        "audit": reported_audit(),
        "attacks": reported_attacks(),
        "history": reported_history(),
        "links": (
            Link("scorecard", "/home/private/scorecard.json"),
            Link("Data Docs", "file:///docs/index.html", True),
        ),
        **changes,
    }
    if "card" not in parts:
        frames = (parts["tables"].train, parts["tables"].holdout, parts["tables"].synthetic)
        parts["card"] = score(*frames, parts["spec"], quick=quick)
    return Evidence(**parts)
