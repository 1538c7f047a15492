"""Tables from and to parquet and CSV files; every refusal is one line, and no value of the table is in it.

The dtypes of what is read depend on the file's schema and the specification alone, never on whether some value happens to be null: the
synthetic table is released with the same dtypes.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from synth_pipeline.errors import TableError
from synth_pipeline.snapshot.check import refuse_same_names
from synth_pipeline.snapshot.csv_text import convert_text, infer_text
from synth_pipeline.spec import Spec

_Chosen = TypeVar("_Chosen")
READABLE = (".parquet", ".csv")


def read_table(
    path: str | Path, spec: Spec | None = None, *, what: str = "data", keep_text: bool = False
) -> pd.DataFrame:
    """A table from a .parquet or .csv file.

    Args:
        path: the file.
        spec: declares the columns; CSV text is converted by it, and nullable parquet columns keep one dtype with and without nulls.
        what: what the file is to the caller, for errors.
        keep_text: leave the fields of a CSV file as the text they are, empty ones as empty text.

    Raises:
        TableError: if there is no such file, it is empty, broken or has no rows, two columns share a name, or CSV text does not fit
            the declared columns.
    """
    path = Path(path)
    reader = _by_extension(path, what, {".parquet": _read_parquet, ".csv": _read_csv_text if keep_text else _read_csv})
    if not path.exists():
        raise TableError(f"{what}: {path}: no such file; give the path of a .parquet or .csv file")
    if not path.is_file():
        raise TableError(f"{what}: {path}: not a file; give the path of one .parquet or .csv file")
    try:
        size = path.stat().st_size
        if size == 0:
            raise TableError(f"{what}: {path}: the file is empty (0 bytes); give a table with at least one row")
        frame = reader(path, spec, f"{what}: {path}")
    except OSError as error:
        raise TableError(f"{what}: {path}: cannot be read ({type(error).__name__}); check its permissions") from None
    if len(frame) == 0:
        raise TableError(f"{what}: {path}: the table has no rows; give a table with at least one")
    return frame


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Writes a table to a .parquet or .csv file, whole or not at all (temporary name, then rename).

    Raises:
        TableError: for another extension, a folder that does not exist, or one that cannot be written.
    """
    path = Path(path)
    writer = _by_extension(path, "output", {".parquet": _write_parquet, ".csv": _write_csv})
    if not path.parent.is_dir():
        raise TableError(f"output: {path.parent}: no such folder; create it, or give another path")
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        writer(frame, partial)
        os.replace(partial, path)  # noqa: PTH105  # Path.replace is the same call; the name says what makes it atomic
    except OSError as error:
        raise TableError(
            f"output: {path}: cannot be written ({type(error).__name__}); check the folder's permissions and space"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _by_extension(path: Path, what: str, by_extension: Mapping[str, _Chosen]) -> _Chosen:
    chosen = by_extension.get(path.suffix.lower())
    if chosen is None:
        held = path.suffix or "no extension"
        raise TableError(f"{what}: {path}: {held} is not supported; use a file that ends in {' or '.join(READABLE)}")
    return chosen


def _read_parquet(path: Path, spec: Spec | None, where: str) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError):
        raise TableError(
            f"{where}: not a readable parquet file (truncated, or another format); write it again"
        ) from None
    refuse_same_names(table.column_names, spec, where=where)
    table = _without_identifiers_nulls(table, spec)
    try:
        frame = _as_frame(table)
    except (
        pa.ArrowException,
        KeyError,
        TypeError,
        ValueError,
    ):  # an unknown time zone, text that is no UTF-8, two names of an index
        raise TableError(
            f"{where}: holds a column that pandas cannot represent; store plain numbers, text, dates, booleans"
        ) from None
    decimals = {field.name for field in table.schema if pa.types.is_decimal(field.type)}
    return _with_stable_dtypes(frame, decimals, spec)


def _as_frame(table: Any) -> pd.DataFrame:
    """An Arrow table as a data frame, a named index as columns; text is looked through, for nobody has yet."""
    import pyarrow as pa

    for column in table.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column.validate(full=True)
    frame = table.to_pandas(date_as_object=False)
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    return frame.reset_index(drop=True)


def _without_identifiers_nulls(table: Any, spec: Spec | None) -> Any:
    """Identifiers that nobody looks at without nulls, which would turn whole numbers to float64 and truths to object."""
    import pyarrow as pa
    import pyarrow.compute as pc

    unread = () if spec is None else (name for name in spec.identifiers if name != spec.privacy.unit.column)
    for name in unread:
        place = table.schema.get_field_index(name)
        kind = table.schema.field(place).type if place >= 0 else pa.null()
        if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            filled = pc.fill_null(table.column(place), pa.scalar(0).cast(kind))
            table = table.set_column(place, table.schema.field(place), filled)
    return table


def _with_stable_dtypes(frame: pd.DataFrame, decimals: set[str], spec: Spec | None) -> pd.DataFrame:
    """Decimals as floats; and nullable whole numbers and booleans with the dtype that pandas gives them where nulls occur."""
    wanted = {name: "float64" for name in frame.columns if name in decimals}
    for name, column in spec.modelled.items() if spec is not None else ():
        if column.nullable and name in frame.columns:
            dtype = str(frame[name].dtype)
            if dtype == "bool":
                wanted[name] = "object"
            elif dtype.startswith(("int", "uint")) and "[" not in dtype:
                wanted[name] = "float64"
    return frame.astype(wanted) if wanted else frame


def _read_csv(path: Path, spec: Spec | None, where: str) -> pd.DataFrame:
    text = _read_csv_text(path, spec, where)
    return infer_text(text) if spec is None else convert_text(text, spec, where=where)


def _read_csv_text(path: Path, spec: Spec | None, where: str) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import csv

    try:
        with csv.open_csv(path, parse_options=csv.ParseOptions(newlines_in_values=True)) as reader:
            names = reader.schema.names
        refuse_same_names(names, spec, where=where)
        table = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException:
        raise TableError(
            f"{where}: does not parse as CSV; it needs UTF-8 text, a header line, commas, and as many fields in every line"
        ) from None
    return table.to_pandas()


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False)


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False)
