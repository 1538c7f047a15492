"""Schema drift: what about the columns of a table is not as its specification declares, as values rather than as a refusal.

Names and types of a file's columns are public facts (see `snapshot.check`, which refuses by them); no value is looked at but to tell what
an object column holds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from synth_pipeline.snapshot.check import has_header, type_fault
from synth_pipeline.snapshot.held import column_values
from synth_pipeline.spec import Spec

SchemaChange = Literal["new column", "missing column", "changed type", "new category"]


@dataclass(frozen=True)
class SchemaFinding:
    """One way in which the columns of a snapshot are not what was declared or released.

    Attributes:
        kind: what changed.
        column: the column.
        detail: in words, without a value of the table.
        categories: of a new category, the names that were found under DP; empty for every other kind.
    """

    kind: SchemaChange
    column: str
    detail: str
    categories: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.column!r}: {self.detail}"

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {**asdict(self), "categories": list(self.categories)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SchemaFinding":
        """The finding that `to_json` wrote."""
        return cls(content["kind"], content["column"], content["detail"], tuple(content["categories"]))


def schema_findings(frame: pd.DataFrame, spec: Spec) -> tuple[SchemaFinding, ...]:
    """What about the columns of a table is not as declared; empty where nothing is.

    Identifier columns must be there, and are not looked at. A table without rows will do: that of a Parquet file's schema. Where few
    of the declared columns are there, the names that are there are withheld (see `check.require_header`).
    """
    names = list(dict.fromkeys(str(name) for name in frame.columns))
    missing = [
        SchemaFinding("missing column", name, f"declared as {column.kind}, and not in the table")
        for name, column in spec.columns.items()
        if name not in names
    ]
    new = [
        SchemaFinding(
            "new column", name, "not declared; declare it (kind: identifier, if it is never to be read) or drop it"
        )
        for name in names
        if name not in spec.columns and has_header(names, spec)
    ]
    shared = [name for name in spec.columns if names.count(name) and list(frame.columns).count(name) == 1]
    changed = [
        SchemaFinding("changed type", name, fault)
        for name in shared
        if (fault := type_fault(column_values(frame, name), spec.columns[name])) is not None
    ]
    return (*missing, *new, *changed)
