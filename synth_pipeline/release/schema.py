"""The released schema of a synthetic table: columns, kinds, meanings, units and domains, all public or discovered under DP."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synth_pipeline.release.facts import ReleaseFacts
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    CategoricalColumn,
    Column,
    DatetimeColumn,
    FloatColumn,
    IdentifierColumn,
    IntegerColumn,
    declared_categories,
)
from synth_pipeline.table.profile import CategoryProfile

if TYPE_CHECKING:
    import pyarrow as pa

_LISTED_CATEGORIES = 8
_TOLD = ("description", "unit", "notes")


def released_schema(facts: ReleaseFacts, types: Mapping[str, str]) -> dict[str, Any]:
    """The content of schema.json.

    Args:
        facts: facts of the release.
        types: Arrow type of each column of data.parquet.
    """
    columns = [_column(facts, name, column, types) for name, column in facts.spec.columns.items()]
    return {
        "dataset": facts.dataset,
        "version": facts.version,
        "rows": facts.rows,
        "columns": columns,
        "constraints": list(facts.spec.rules),
    }


def with_column_metadata(  # pyright: ignore[reportUnknownParameterType]  # pyarrow has no types
    table: "pa.Table",  # pyright: ignore[reportUnknownParameterType]
    spec: Spec,
) -> "pa.Table":
    """The same table whose Arrow fields carry what the specification says of each column.

    Keys of a field's metadata: `description`, `unit`, `notes`, each where it is stated. Values, types and the table's own metadata stay
    as they are, so that pandas reads the same rows with the same dtypes.

    Args:
        table: the synthetic table.
        spec: its specification.
    """
    schema = table.schema
    for position, name in enumerate(schema.names):
        told = {key: text for key in _TOLD if (text := getattr(spec.columns[name], key)) is not None}
        if told:
            field = schema.field(position)
            schema = schema.set(position, field.with_metadata({**(field.metadata or {}), **told}))
    return table.cast(schema)


def domain_words(column: dict[str, Any]) -> str:
    """The domain of a column of `released_schema`, in a few words."""
    domain: dict[str, Any] = column["domain"]
    if "categories" in domain:
        shown = [str(value) for value in domain["categories"][:_LISTED_CATEGORIES]]
        more = len(domain["categories"]) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")
    if "min" in domain:
        return f"{domain['min']} to {domain['max']}"
    return f"invented ({domain['invented']})" if "invented" in domain else "true, false"


def _column(facts: ReleaseFacts, name: str, column: Column, types: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "kind": column.kind,
        "type": types[name],
        **{key: getattr(column, key) for key in _TOLD},
        "nullable": not isinstance(column, IdentifierColumn) and column.nullable,
        "domain": _domain(facts, name, column),
    }


def _domain(facts: ReleaseFacts, name: str, column: Column) -> dict[str, Any]:
    if isinstance(column, IdentifierColumn):
        return {"source": "invented; the real values were never read", "invented": column.faker}
    if isinstance(column, (IntegerColumn, FloatColumn, DatetimeColumn)):
        plain = column.model_dump(mode="json")
        kept = {key: plain[key] for key in ("min", "max", "precision") if plain.get(key) is not None}
        return {"source": "declared", **kept}
    if isinstance(column, CategoricalColumn) and column.discover:
        found = facts.profile.column(name)
        categories = list(found.categories) if isinstance(found, CategoryProfile) else []
        return {"source": "discovered under differential privacy", "categories": categories or ["other"]}
    return {"source": "declared", "categories": list(declared_categories(column))}
