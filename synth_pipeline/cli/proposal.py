"""A spec proposed from the schema of a file: names and physical types, nothing else.

Privacy: for Parquet the file's footer is read, and of it only names and types (row counts and column statistics, which it also holds,
are values and are not used); for CSV the header line. Whatever else a spec needs is left empty under the word CONFIRM.
"""

import csv
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline.errors import TableError

if TYPE_CHECKING:
    import pyarrow as pa

CONFIRM = "# CONFIRM:"

_HEAD = """\
# Proposed from the schema of a file: names and types only, no value was read.
# Fill in every line that says CONFIRM, from what the columns mean and never from these rows: what is stated here is public.
# `synth-pipeline schema` prints every key; until all is filled in, the spec is refused.
dataset: {dataset}
columns:
"""
_TAIL = f"""\
privacy:
  epsilon:                     {CONFIRM} ε of one release, above 0; 1 is a usual choice
  delta: 1.0e-6                {CONFIRM} well below 1 / number of people
  unit: {{column: null, max_rows: 1}}   {CONFIRM} each row is another person; else as in the next line
  # unit: {{column: PERSON_ID, max_rows: 8}}   # people with several rows: a column of kind identifier, and how many rows of each to use
  cap: {{epsilon: 10.0}}         {CONFIRM} what all releases together may spend on the same people
# benchmark: {{target: COLUMN, task: classification}}   # optional: a column to predict, for the scorecard
# source: {{uri: ./snapshots}}   # where snapshots arrive, for walks through Dagster; `fit` needs none
"""
_MOST_DECIMALS = 12
_FAKER_BY_NAME = {
    r"(.*_)?(e_?mail)(_address)?": "email",
    r"(first|given)_?name": "first_name",
    r"(last|family)_?name|surname": "last_name",
    r"(.*_)?name": "name",
    r"(.*_)?(phone|telephone|mobile)(_number)?": "phone_number",
    r"(.*_)?(street_)?address": "address",
    r"(.*_)?ssn": "ssn",
    r"(.*_)?iban": "iban",
    r"(.*[_-])?(id|uuid|guid|key)([_-]?(no|nr|num|number))?": "uuid4",
}


@dataclass(frozen=True)
class Field:
    """What a file's schema says of a column.

    Attributes:
        name: its name.
        type: its physical type; None in a CSV, where everything is text.
    """

    name: str
    type: "pa.DataType | None"


@dataclass(frozen=True)
class Proposal:
    """A spec to be completed.

    Attributes:
        text: YAML with comments.
        kinds: proposed kind of each column; None where the schema does not tell.
    """

    text: str
    kinds: dict[str, str | None]

    @property
    def to_confirm(self) -> int:
        """Lines that a person has to look at."""
        return sum(CONFIRM in line for line in self.text.splitlines())


@dataclass(frozen=True)
class _Proposed:
    kind: str | None
    lines: tuple[str, ...] = field(default=())


def read_fields(path: Path) -> list[Field]:
    """Names and types of a file's columns.

    Raises:
        TableError: if there is no such file, it is empty or broken, or two columns share a name.
    """
    readers = {".parquet": _parquet_fields, ".csv": _csv_fields}
    if path.suffix.lower() not in readers:
        raise TableError(
            f"--data: {path}: {path.suffix or 'no extension'} is not supported; use a file that ends in .parquet or .csv"
        )
    if not path.is_file():
        raise TableError(f"--data: {path}: no such file; give the path of a .parquet or .csv file")
    try:
        if path.stat().st_size == 0:
            raise TableError(f"--data: {path}: the file is empty (0 bytes); give a table")
        fields = readers[path.suffix.lower()](path)
    except OSError as fault:
        raise TableError(f"--data: {path}: cannot be read ({type(fault).__name__}); check its permissions") from None
    names = [item.name for item in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(
            f"--data: {path}: columns that share a name: {', '.join(twice)}; give every column its own name"
        )
    if not names:
        raise TableError(f"--data: {path}: has no columns; give a table")
    return fields


def propose(fields: list[Field], *, dataset: str) -> Proposal:
    """A spec for a file's columns.

    Args:
        fields: the columns.
        dataset: what to name the dataset after.
    """
    proposed = {item.name: _propose(item) for item in fields}
    blocks = [_HEAD.format(dataset=_dataset_name(dataset))]
    for name, made in proposed.items():
        blocks.append(f"  {_quoted(name)}:\n")
        blocks += [f"    {line}\n" for line in made.lines]
    return Proposal("".join([*blocks, _TAIL]), {name: made.kind for name, made in proposed.items()})


def _parquet_fields(path: Path) -> list[Field]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        raise TableError(
            f"--data: {path}: not a readable parquet file (truncated, or another format); write it again"
        ) from None
    return [Field(item.name, item.type) for item in schema]


def _csv_fields(path: Path) -> list[Field]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        raise TableError(
            f"--data: {path}: does not parse as CSV; it needs UTF-8 text, a header line and commas"
        ) from None
    return [Field(name, None) for name in header]


def _propose(item: Field) -> _Proposed:
    import pyarrow.types as pt

    kind, invented = item.type, _faker_of(item.name)
    if kind is not None and pt.is_integer(kind) and invented == "uuid4":
        return _identifier(invented, _NO_NUMBERS)
    if kind is None:
        return _identifier(invented) if invented else _unknown("a CSV does not say what it holds")
    if pt.is_dictionary(kind):
        kind = kind.value_type
    if invented and (_is_text(kind) or pt.is_integer(kind)):
        return _identifier(invented)
    if _is_text(kind):
        return _Proposed("categorical", ("kind: categorical", _CATEGORIES, _NULLABLE))
    if pt.is_boolean(kind):
        return _Proposed("boolean", ("kind: boolean", _NULLABLE))
    if pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_fixed_size_binary(kind):
        return _identifier("uuid4")
    return _propose_quantity(kind)


def _propose_quantity(kind: Any) -> _Proposed:
    import pyarrow.types as pt

    if pt.is_integer(kind):
        return _bounded("integer", f"kind: integer                {CONFIRM} a quantity; for codes use categorical")
    if pt.is_floating(kind) or pt.is_decimal(kind):
        scale = kind.scale if pt.is_decimal(kind) else None
        step = f"precision: {scale}" if scale is not None and 0 <= scale <= _MOST_DECIMALS else "# precision: 2"
        return _bounded(
            "float", "kind: float", f"{step:<29}{CONFIRM} decimals of the values, where their number is fixed"
        )
    if pt.is_date(kind):
        return _bounded(
            "datetime", "kind: datetime", f"precision: day               {CONFIRM} day, hour, minute or second"
        )
    if pt.is_timestamp(kind):
        return _bounded(
            "datetime", "kind: datetime", f"# precision: second          {CONFIRM} day, hour, minute or second"
        )
    return _unknown(f"{kind} cannot be modelled; drop the column, convert it, or declare it as identifier")


def _is_text(kind: Any) -> bool:
    import pyarrow.types as pt

    return pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)


_NULLABLE = "nullable: true               # or false, where that is known"
_NO_NUMBERS = "                 # invents texts, all different; random_number: whole numbers, some of them twice"
_KEYS_OF_KINDS = (
    "# min:                       # integer, float, datetime: smallest and largest possible value",
    "# max:",
    "# categories: []             # categorical, ordinal: every possible value; or, for a categorical, `discover: true`",
    "# nullable: true             # all but an identifier: where values may be missing",
)
_CATEGORIES = (
    f"categories: []               {CONFIRM} every possible value; or `discover: true` in place of this line, at a charge;"
    " or, for names and free text, only `kind: identifier`"
)


def _bounded(kind: str, *lines: str) -> _Proposed:
    bounds = (
        f"min:                         {CONFIRM} smallest possible value",
        f"max:                         {CONFIRM} largest possible value",
    )
    return _Proposed(kind, (lines[0], *bounds, *lines[1:], _NULLABLE))


def _identifier(faker: str, note: str = "") -> _Proposed:
    line = (
        f"kind: identifier             {CONFIRM} names a person or thing: never read, invented for the synthetic table"
    )
    return _Proposed("identifier", (line, f"faker: {faker}{note}"))


def _unknown(why: str) -> _Proposed:
    kinds = "integer, float, datetime, categorical, ordinal, boolean or identifier"
    return _Proposed(None, (f"kind:                        {CONFIRM} {kinds}; {why}", *_KEYS_OF_KINDS))


def _faker_of(name: str) -> str | None:
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace(" ", "_").replace("-", "_")
    return next((faker for pattern, faker in _FAKER_BY_NAME.items() if re.fullmatch(pattern, plain)), None)


def _quoted(name: str) -> str:
    """A column's name as a YAML key; one that YAML would read as something else is quoted."""
    import yaml

    is_plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None and yaml.safe_load(name) == name
    return name if is_plain else json.dumps(name)


def _dataset_name(text: str) -> str:
    plain = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")
    return (plain if re.match(r"[a-z]", plain) else f"d_{plain}").rstrip("_")[:63]
