"""Released facts as Dagster metadata: schemas, tables and small plots in text.

Belongs here: layout. Does not: deciding what may be shown (metadata), or anything about real rows.
"""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit
from urllib.request import url2pathname

import dagster as dg
import numpy as np
import pandas as pd

from synth_pipeline.audit.finding import Finding
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.ledger import ChargeLine, Entry
from synth_pipeline.release import lineage
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    Column,
    DatetimeColumn,
    FloatColumn,
    IdentifierColumn,
    IntegerColumn,
    category_key,
    declared_categories,
)
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, NumericProfile, Profile

_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 40
_LISTED = 6


def column_schema(spec: Spec) -> dg.MetadataValue:
    """The declared columns as Dagster's column schema."""
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=name,
                type=column.kind,
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=bool(getattr(column, "nullable", False)), other=_domain(column)
                ),
            )
            for name, column in spec.columns.items()
        ],
        constraints=dg.TableConstraints(other=list(spec.rules)) if spec.rules else None,
    )
    return dg.MetadataValue.table_schema(schema)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MetadataValue:
    """A table in Markdown; figures are given to four digits."""
    lines = [_line(head), _line(["---"] * len(head)), *(_line([_text(cell) for cell in row]) for row in rows)]
    return dg.MetadataValue.md("\n".join(lines))


def page(address: str) -> dg.MetadataValue:
    """A page that people open: as a link; of a page on this machine its path, since no browser follows a web page's link to a file."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return dg.MetadataValue.path(url2pathname(parts.path))
    return dg.MetadataValue.url(address)


def finding_table(findings: Sequence[Finding]) -> dg.MetadataValue:
    """What an audit found wrong, one line each."""
    if not findings:
        return dg.MetadataValue.md("none")
    rows = [(found.kind, found.stage, found.purpose, found.detail) for found in findings]
    return markdown_table(["finding", "stage", "purpose", "measured"], rows)


def profile_plots(profile: Profile) -> dg.MetadataValue:
    """The released distribution of each column as a line of bars, with its ends or its most frequent categories."""
    columns = enumerate(profile.columns)
    rows = [(f"`{column.name}`", column.codes, *_plot(column, profile.shares(index))) for index, column in columns]
    return markdown_table(["column", "codes", "released shares", "middle 99 % or most frequent", "null"], rows)


def sample_rows(frame: pd.DataFrame, rows: int = 8) -> dg.MetadataValue:
    """The first rows of a synthetic table."""
    head = frame.head(rows).astype(object).where(frame.head(rows).notna(), "")
    return markdown_table([str(name) for name in frame.columns], head.itertuples(index=False))


def charge_table(lines: Iterable[ChargeLine]) -> dg.MetadataValue:
    """A plan, one charge a line; together the lines compose to less than the sum of their ε."""
    rows = [(line.stage, line.purpose, line.mechanism, line.epsilon) for line in lines]
    return markdown_table(["stage", "purpose", "mechanism", "ε of the line alone"], rows)


def event_table(events: Iterable[Event]) -> dg.MetadataValue:
    """What was done to the data, one DP event a line."""
    return markdown_table(
        ["stage", "purpose", "mechanism"], [(event.stage, event.purpose, event.mechanism) for event in events]
    )


def ledger_table(entries: Iterable[Entry], reservation: int) -> dg.MetadataValue:
    """The ledger's entries about one walk."""
    own = [entry for entry in entries if entry.reservation == reservation]
    rows = [
        (entry.sequence, f"{entry.at:.19}".replace("T", " "), entry.kind, entry.cohort, entry.digest[:8])
        for entry in own
    ]
    return markdown_table(["entry", "at (UTC)", "what", "block", "digest"], rows)


def composed(model: ReleasedModel) -> float:
    """Composed ε of everything that a model's plan reserved, at the walk's δ."""
    return model.epsilon


def table_digest(frame: pd.DataFrame) -> str:
    """SHA-256 of a synthetic table's values, row by row; the one that its lineage carries."""
    return lineage.table_digest(frame)


def sparkline(shares: Sequence[float] | np.ndarray, *, widest: int = _WIDEST) -> str:
    """Shares as bars of text; neighbours are joined where there are more than fit.

    Args:
        shares: one of each code.
        widest: most letters.

    Example:
        >>> sparkline([0.0, 0.5, 1.0])
        '▁▅█'
    """
    values = np.asarray(shares, dtype=float)
    joined = np.array([part.sum() for part in np.array_split(values, min(len(values), widest))])
    top = max(float(joined.max()), 1e-300)
    return "".join(_BARS[min(int(value / top * (len(_BARS) - 1) + 0.5), len(_BARS) - 1)] for value in joined)


def _plot(column: ColumnProfile, shares: np.ndarray) -> tuple[str, str, str]:
    null = f"{shares[-1]:.1%}" if column.nullable else ""
    body = shares[:-1] if column.nullable else shares
    if isinstance(column, NumericProfile):
        return (*_density(column, body), null)
    return sparkline(body), _most_frequent(column, body), null


def _density(column: NumericProfile, shares: np.ndarray) -> tuple[str, str]:
    """The released distribution over equal steps of the column's value, and its ends; half a percent is left out at each end."""
    has_leaves = len(column.leaves) > 0
    edges = np.append(column.leaves[:, 0], column.leaves[-1, 1]) if has_leaves else column.edges
    masses = np.maximum(column.masses, 0.0) if has_leaves else shares
    below = np.concatenate([[0.0], np.cumsum(masses)]) / max(float(masses.sum()), 1e-300)
    first = int(edges[np.searchsorted(below, 0.005, side="right") - 1])
    last = int(edges[np.searchsorted(below, 0.995)])
    steps = np.linspace(first, last, min(last - first, _WIDEST) + 1)
    ends = column.grid.values(np.array([first, max(last - 1, first)]))
    return sparkline(np.diff(np.interp(steps, edges, below))), f"{ends[0]} … {ends[1]}"


def _most_frequent(column: CategoryProfile, shares: np.ndarray) -> str:
    names = [category_key(category) for category in column.categories] + (["(other)"] if column.has_rest else [])
    order = np.argsort(-shares)[:_LISTED]
    return ", ".join(f"{names[index]} {shares[index]:.0%}" for index in order)


def _domain(column: Column) -> list[str]:
    if isinstance(column, IdentifierColumn):
        return ["never read; invented"]
    if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
        return [f"between {column.min} and {column.max}"]
    public = declared_categories(column)
    return [f"{len(public)} categories, declared"] if public else ["categories discovered under differential privacy"]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _text(cell: object) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
