"""Values planted in a raw table are searched for in everything that a fit, a sample and a whole Dagster walk leave behind.

They may be in the raw files and in `<home>/private`, and nowhere else: no artefact, log, event record, page, tracker, ledger, release,
message. Parquet and SQLite are read as what they are, since compression and pages could hide a value from a search of bytes.
"""

import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

ROWS = 500
RARE_CITY = "Xanadu-Marker-83"
PERSON = "Marker-Person-5519"
NOTE = "Marker note: owes 12 goats"
INCOME = 1_734_912_857
RATIO = 0.7310585786300049
MOMENT = datetime(2019, 3, 7, 13, 37, 42, tzinfo=UTC)
BAD_WARD = "Marker-Ward-66"
BAD_INCOME = 2_119_482_733


def _number(value: int) -> set[bytes]:
    return {
        str(value).encode(),
        f"{value:,}".encode(),
        f"{value:_}".encode(),
        struct.pack("<q", value),
        struct.pack("<d", value),
    }


MARKERS: dict[str, set[bytes]] = {
    "a category that one person holds, in a discovered column": {RARE_CITY.encode()},
    "the name of a person": {PERSON.encode()},
    "free text in an identifier column": {NOTE.encode()},
    "a whole number that one person holds": _number(INCOME),
    "a real number that one person holds": {repr(RATIO).encode(), b"0.73105857863", struct.pack("<d", RATIO)},
    "a moment that one person holds": {
        b"2019-03-07 13:37:42",
        b"2019-03-07T13:37:42",
        *_number(int(MOMENT.timestamp()) * 10**6),
    },
    "a category outside the declared ones, in a table that is refused": {BAD_WARD.encode()},
    "a number outside the declared bounds, in a table that is refused": _number(BAD_INCOME),
}

SPEC = {
    "dataset": "marked",
    "columns": {
        "person": {"kind": "identifier"},
        "note": {"kind": "identifier", "faker": "sentence"},
        "city": {"kind": "categorical", "discover": True},
        "income": {"kind": "integer", "min": 0, "max": 2_000_000_000},
        "ratio": {"kind": "float", "min": 0, "max": 1},
        "seen_at": {"kind": "datetime", "min": "2019-01-01", "max": "2019-12-31", "precision": "second"},
        "ward": {"kind": "categorical", "categories": ["A", "B"]},
    },
    "privacy": {"epsilon": 2.0, "delta": 1e-5, "unit": {"column": "person", "max_rows": 2}},
    "constraints": ["income >= 0"],
}


def marked_table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "person": [f"p{row // 2}" for row in range(ROWS)],
            "note": [f"note {row}" for row in range(ROWS)],
            "city": rng.choice(["Ulm", "Bonn"], ROWS),
            "income": rng.integers(10_000, 90_000, ROWS),
            "ratio": np.round(rng.random(ROWS), 3),
            "seen_at": pd.Timestamp("2019-06-01") + pd.to_timedelta(rng.integers(0, 10**6, ROWS), unit="s"),
            "ward": rng.choice(["A", "B"], ROWS),
        }
    )
    frame.loc[7] = [PERSON, NOTE, RARE_CITY, INCOME, RATIO, pd.Timestamp(MOMENT.replace(tzinfo=None)), "A"]
    return frame


@dataclass(frozen=True)
class Trace:
    """What all the runs left behind."""

    folder: Path
    exit_codes: dict[str, int]

    @property
    def raw(self) -> Path:
        return self.folder / "raw"

    @property
    def private(self) -> Path:
        return self.folder / "home" / "private"

    def open_files(self) -> list[Path]:
        """Every file outside the raw folder and the private zone."""
        hidden = (self.raw, self.private)
        return [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not any(place in path.parents for place in hidden)
        ]


@pytest.fixture(scope="module")
def trace(tmp_path_factory) -> Trace:
    folder = tmp_path_factory.mktemp("marked")
    for name in ("raw", "defs/marked", "tmp", "said"):
        (folder / name).mkdir(parents=True)
    frame = marked_table()
    frame.to_parquet(folder / "raw" / "first.parquet")
    frame.assign(city="Ulm").replace({"ward": {"B": BAD_WARD}}).assign(income=BAD_INCOME).to_parquet(
        folder / "raw" / "bad.parquet"
    )
    (folder / "marked.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False))
    component = {"type": "synth_pipeline.orchestration.SyntheticDataset", "attributes": SPEC}
    (folder / "defs" / "marked" / "defs.yaml").write_text(yaml.safe_dump(component, sort_keys=False))
    commands = {
        "fit": "fit --spec marked.yaml --data raw/first.parquet --out model",
        "fit of a bad table": "fit --spec marked.yaml --data raw/bad.parquet --out model2",
        "sample": "sample model --rows 300 --out rows.parquet --where income>=0 --json",
        "walk": "run marked --snapshot raw/first.parquet",
        "walk of a bad table": "run marked --snapshot raw/bad.parquet --json",
    }
    return Trace(folder, {name: _run(folder, name, command.split()) for name, command in commands.items()})


def _run(folder: Path, name: str, argv: list[str]) -> int:
    """A command in a process of its own; what it said is one more file to search."""
    environment = {
        **os.environ,
        "SYNTH_PIPELINE_HOME": str(folder / "home"),
        "SYNTH_PIPELINE_DEFS": str(folder / "defs"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "said" / f"{name}.txt").open("wb") as said:
        done = subprocess.run(
            [sys.executable, "-m", "synth_pipeline", *argv],
            cwd=folder,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return done.returncode


def contents(path: Path) -> Iterator[bytes]:
    """A file's bytes, and what it says to a reader of its format."""
    raw = path.read_bytes()
    yield raw
    if raw[:4] == b"PAR1":
        table = pq.ParquetFile(path)
        yield str(table.schema_arrow.metadata).encode()
        yield table.read().to_pandas().astype(str).to_csv().encode()
        yield repr([table.metadata.row_group(group).to_dict() for group in range(table.num_row_groups)]).encode()
    elif raw[:15] == b"SQLite format 3":
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            yield "\n".join(database.iterdump()).encode()
    assert raw[:2] not in (b"\x1f\x8b", b"PK"), f"{path}: compressed, so this search would see nothing"


def holders(paths: list[Path], forms: set[bytes]) -> list[str]:
    return [str(path) for path in paths if any(form in content for content in contents(path) for form in forms)]


def test_the_runs_ended_as_they_should(trace):
    said = {name: (trace.folder / "said" / f"{name}.txt").read_text() for name in trace.exit_codes}
    assert trace.exit_codes == {"fit": 0, "fit of a bad table": 2, "sample": 0, "walk": 0, "walk of a bad table": 2}, (
        said
    )


def test_the_runs_left_every_kind_of_record_to_search(trace):
    names = {str(path.relative_to(trace.folder)) for path in trace.open_files()}
    for part in (
        "home/ledger.sqlite",
        "home/mlflow.db",
        "home/dagster/",
        "home/released/",
        "home/releases/",
        "data_docs",
        "model/",
        "said/",
    ):
        assert any(part in name for name in names), part


@pytest.mark.parametrize("marker", MARKERS)
def test_the_search_finds_what_is_planted(trace, marker):
    assert holders(sorted(trace.raw.iterdir()), MARKERS[marker])


def test_the_private_zone_is_closed_to_others(trace):
    for path in (trace.private, *trace.private.rglob("*")):
        assert not path.stat().st_mode & 0o077, path


@pytest.mark.parametrize("marker", MARKERS)
def test_no_planted_value_is_anywhere_but_in_the_private_zone(trace, marker):
    assert holders(trace.open_files(), MARKERS[marker]) == []


@pytest.mark.parametrize("name", ["fit of a bad table", "walk of a bad table"])
def test_a_refused_table_is_told_by_columns_and_counts_alone(trace, name):
    told = (trace.folder / "said" / f"{name}.txt").read_text().strip().splitlines()[-1]
    assert "'income'" in told
    assert "rows outside the declared" in told
