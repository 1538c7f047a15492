"""Released facts as Dagster metadata: schemas, tables and small plots in text.

Belongs here: layout. Does not: deciding what may be shown (metadata), or anything about real rows.
"""

from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
import numpy as np
import pandas as pd

from synth_pipeline.spec import Spec
from synth_pipeline.table.column import Column, DatetimeColumn, FloatColumn, IdentifierColumn, IntegerColumn, category_key, declared_categories
from synth_pipeline.table.profile import CategoryProfile, ColumnProfile, NumericProfile, Profile

_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 40
_LISTED = 6


def column_schema(spec: Spec) -> dg.TableSchema:
    """The declared columns as Dagster's column schema."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=name,
                type=column.kind,
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=bool(getattr(column, "nullable", False)), other=_domain(column)),
            )
            for name, column in spec.columns.items()
        ],
        constraints=dg.TableConstraints(other=list(spec.rules)) if spec.rules else None,
    )


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MetadataValue:
    """A table in Markdown; figures are given to four digits."""
    lines = [_line(head), _line(["---"] * len(head)), *(_line([_text(cell) for cell in row]) for row in rows)]
    return dg.MetadataValue.md("\n".join(lines))


def profile_plots(profile: Profile) -> dg.MetadataValue:
    """The released distribution of each column as a line of bars, with its ends or its most frequent categories."""
    rows = [(f"`{column.name}`", column.codes, *_plot(column, profile.shares(index))) for index, column in enumerate(profile.columns)]
    return markdown_table(["column", "codes", "released shares", "range or most frequent", "null"], rows)


def sample_rows(frame: pd.DataFrame, rows: int = 8) -> dg.MetadataValue:
    """The first rows of a synthetic table."""
    head = frame.head(rows).astype(object).where(frame.head(rows).notna(), "")
    return markdown_table([str(name) for name in frame.columns], head.itertuples(index=False))


def epsilon_table(lines: Iterable[Mapping[str, object]]) -> dg.MetadataValue:
    """Charges, one a line: stage, purpose, mechanism, ε of the line by itself."""
    rows = [(line["stage"], line["purpose"], line["mechanism"], line["epsilon"]) for line in lines]
    return markdown_table(["stage", "purpose", "mechanism", "ε of the line alone"], rows)


def sparkline(shares: Sequence[float] | np.ndarray) -> str:
    """Shares as bars of text; neighbours are joined where there are more than fit.

    Example:
        >>> sparkline([0.0, 0.5, 1.0])
        '▁▅█'
    """
    values = np.asarray(shares, dtype=float)
    joined = np.array([part.sum() for part in np.array_split(values, min(len(values), _WIDEST))])
    top = max(float(joined.max()), 1e-300)
    return "".join(_BARS[min(int(value / top * (len(_BARS) - 1) + 0.5), len(_BARS) - 1)] for value in joined)


def _plot(column: ColumnProfile, shares: np.ndarray) -> tuple[str, str, str]:
    null = f"{shares[-1]:.1%}" if column.nullable else ""
    body = shares[:-1] if column.nullable else shares
    if isinstance(column, NumericProfile):
        ends = column.grid.values(np.array([0, column.grid.cells - 1]))
        return sparkline(body), f"{ends[0]} … {ends[1]}", null
    return sparkline(body), _most_frequent(column, body), null


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
