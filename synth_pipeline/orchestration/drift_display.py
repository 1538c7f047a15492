"""A drift report as Dagster metadata: tables with small plots in text, before and after; released values only."""

import dagster as dg
import numpy as np

from synth_pipeline.drift.report import ColumnDrift, DriftReport
from synth_pipeline.orchestration import pictures
from synth_pipeline.orchestration.display import markdown_table, sparkline
from synth_pipeline.orchestration.metadata import Entry
from synth_pipeline.privacy.gate import Released
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile

_WIDEST = 24
"""Letters of a small plot: two of them stand in a row, beside six figures."""
_SMALLEST_P = 1e-9


def drift_entries(report: DriftReport, prior: Profile, spec: Spec) -> dict[str, Entry]:
    """What a drift report shows.

    Args:
        report: the report.
        prior: profile of the release that the snapshot was compared with.
        spec: the dataset's specification, for the units of its columns.
    """
    shown: dict[str, Entry] = {
        "drifted": Released(", ".join(report.drifted) or "nothing"),
        "p_value": Released(float(f"{report.overall_p:.3g}")),
        "alpha": Released(report.alpha),
        "rows_noisy": Released(round(float(report.rows.values[0]))),
        "rows_before_noisy": Released(round(float(report.prior_rows.values[0]))),
    }
    if report.columns:
        shown["columns"] = Released(_column_table(report, prior, spec))
    shown |= {name: Released(picture) for name, picture in pictures.shown(pictures.drift_pictures(report)).items()}
    if report.pairs:
        shown["pairs"] = Released(_pair_table(report))
    if report.schema:
        rows = [(finding.kind, finding.column, finding.detail) for finding in report.schema]
        shown["schema"] = Released(markdown_table(["finding", "column", "detail"], rows))
    if report.warnings:
        shown["warnings"] = Released("; ".join(report.warnings))
    return shown


def _column_table(report: DriftReport, prior: Profile, spec: Spec) -> dg.MetadataValue:
    head = ["column", "verdict", "p (Holm)", "before", "now", "PSI", "JS distance", "TVD [95 %]", "Wasserstein-1"]
    rows = [
        (
            column.name,
            _verdict(column),
            _p_value(column.adjusted_p),
            *_bars(column.name, report, prior),
            column.psi.value,
            column.js_distance.value,
            str(column.tvd),
            _distance(column, spec),
        )
        for column in sorted(report.columns, key=lambda column: column.adjusted_p)
    ]
    return markdown_table(head, rows)


def _distance(column: ColumnDrift, spec: Spec) -> str:
    """The Wasserstein distance in the column's unit; empty where its codes have no order."""
    if column.wasserstein is None:
        return ""
    declared = spec.columns[column.name].unit if column.name in spec.columns else None
    return f"{column.wasserstein.value:.3g} {column.unit or declared or ''}".strip()


def _p_value(value: float) -> float | str:
    """As it is, or that it is smaller than anybody asks about."""
    return f"< {_SMALLEST_P:g}" if value < _SMALLEST_P else value


def _verdict(column: ColumnDrift) -> str:
    if column.is_ignored:
        return "expected to move"
    return "**drifted**" if column.is_drifted else "no drift"


def _bars(name: str, report: DriftReport, prior: Profile) -> tuple[str, str]:
    """Released shares of the column's codes before and now; negative noise is drawn as nothing."""
    index = next((place for place, column in enumerate(prior.columns) if column.name == name), None)
    if index is None or name not in report.fresh:
        return "", ""
    now = np.maximum(report.fresh[name].values, 0.0)
    before, after = prior.shares(index), now / max(float(now.sum()), 1.0)
    return sparkline(before, widest=_WIDEST), sparkline(after, widest=_WIDEST)


def _pair_table(report: DriftReport) -> dg.MetadataValue:
    rows = [
        (
            f"{pair.first} × {pair.second}",
            "**drifted**" if pair.is_drifted else "no drift",
            _p_value(pair.adjusted_p),
            str(pair.tvd),
            ", ".join(pair.explained_by) or ("how the two belong together" if pair.is_drifted else ""),
        )
        for pair in sorted(report.pairs, key=lambda pair: pair.adjusted_p)
    ]
    return markdown_table(["pair", "verdict", "p (Holm)", "TVD [95 %]", "explained by"], rows)
