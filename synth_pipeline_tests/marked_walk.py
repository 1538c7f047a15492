"""A raw table with a marker of every kind in it, runs over it in processes of their own, and a search of everything they leave behind.

Markers are of two sorts. *Values*: texts, ten-digit numbers, a moment. *Exact counts*: of rows, people, dropped, clipped and null rows, of
a category; five digits each. By chance a value is hit with odds below 1e-9 a megabyte. A count may occur as a number of something else,
so it is searched as a whole number only (no digit, letter, point or comma beside it: not inside a digest, an identifier, a moment or a
decimal fraction), process numbers are taken out first, and cells of synthetic tables are left out. The counts are those of the whole
table; noisy answers are about its training rows and lie thousands away. The two counts of the training rows themselves are known after the
split only; the test that uses them says what it does about noise that happens to be 0.
"""

import os
import re
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml

ROWS, DROPPED, CLIPPED, NULLS, WARD_B, BAD_ROWS = 60_013, 10_037, 17_203, 11_027, 23_357, 13_007
PEOPLE = DROPPED + (ROWS - 3 * DROPPED) // 2
RARE_CITY, PERSON, NOTE = "Xanadu-Marker-83", "Marker-Person-5519", "Marker note: owes 12 goats"
INCOME, RATIO = 1_734_912_857, 0.7310585786300049
MOMENT = datetime(2019, 3, 7, 13, 37, 42, tzinfo=UTC)
BAD_WARD, BAD_INCOME = "Marker-Ward-66", 2_119_482_733

Marker: TypeAlias = re.Pattern[bytes]

SPEC = {
    "dataset": "marked",
    "source": {"uri": "./arrivals"},
    "columns": {
        "person": {"kind": "identifier"},
        "note": {"kind": "identifier", "faker": "sentence"},
        "city": {"kind": "categorical", "discover": True},
        "income": {"kind": "integer", "min": 0, "max": 2_000_000_000},
        "ratio": {"kind": "float", "min": 0, "max": 1, "nullable": True},
        "seen_at": {
            "kind": "datetime", "min": "2019-01-01", "max": "2019-12-31", "precision": "second", "nullable": True
        },
        "ward": {"kind": "categorical", "categories": ["A", "B"]},
        "visits": {"kind": "integer", "min": 0, "max": 9, "on_outside": "clip"},
    },
    "privacy": {
        "epsilon": 2.0, "delta": 1e-5, "unit": {"column": "person", "max_rows": 2}, "cap": {"epsilon": 50.0}
    },
    "rows": 400,
    "generator": {"kind": "independent"},
    "constraints": ["income >= 0"],
    "benchmark": {"target": "ward", "publish": {"epsilon": 0.2}},
    "fairness": {"sensitive": ["city"]},
}  # fmt: skip


def _texts(*forms: str) -> Marker:
    return re.compile(b"|".join(re.escape(form.encode()) for form in forms))


def _number(value: int, *more: bytes) -> Marker:
    """A number of many digits: as text in three ways, and as it lies in memory."""
    forms = (
        f"{value}".encode(),
        f"{value:,}".encode(),
        f"{value:_}".encode(),
        struct.pack("<q", value),
        struct.pack("<d", value),
    )
    return re.compile(b"|".join(map(re.escape, (*forms, *more))))


def exact(count: int) -> Marker:
    """A count as a whole number: in text, or as it lies in memory."""
    text = "|".join(re.escape(form) for form in (f"{count}", f"{count:,}", f"{count:_}"))
    memory = b"|".join(re.escape(struct.pack(form, count)) for form in ("<q", "<d"))
    return re.compile(rb"(?<![0-9A-Za-z_.,])(?:" + text.encode() + rb")(?:\.0+)?(?![0-9A-Za-z_]|[.,][0-9])|" + memory)


VALUES: Mapping[str, Marker] = {
    "a category that one person holds, in a discovered column": _texts(RARE_CITY),
    "the name of a person": _texts(PERSON),
    "free text in an identifier column": _texts(NOTE),
    "a whole number that one person holds": _number(INCOME),
    "a real number that one person holds": _texts(repr(RATIO), "0.73105857863"),
    "a moment that one person holds": _number(
        int(MOMENT.timestamp()) * 10**6, b"2019-03-07 13:37:42", b"2019-03-07T13:37:42"
    ),
    "a category outside the declared ones, in a table that is refused": _texts(BAD_WARD),
    "a number outside the declared bounds, in a table that is refused": _number(BAD_INCOME),
}
COUNTS: Mapping[str, Marker] = {
    "rows of the table": exact(ROWS),
    "people": exact(PEOPLE),
    "rows beyond the contribution bound": exact(DROPPED),
    "rows with a clipped value": exact(CLIPPED),
    "rows with a pattern of nulls": exact(NULLS),
    "rows of a category": exact(WARD_B),
    "rows outside the declared domain, in a table that is refused": exact(BAD_ROWS),
}
MARKERS = {**VALUES, **COUNTS}


def marked_table() -> pd.DataFrame:
    """The table: people with two and with three rows, and one row that holds every value."""
    rng = np.random.default_rng(0)
    people = np.concatenate([np.repeat(np.arange(DROPPED), 3), DROPPED + np.arange(ROWS - 3 * DROPPED) // 2])
    frame = pd.DataFrame(
        {
            "person": [f"p{person}" for person in people],
            "note": [f"note {row}" for row in range(ROWS)],
            "city": rng.choice(["Ulm", "Bonn"], ROWS),
            "income": rng.integers(1_200_000_000, 1_300_000_000, ROWS),
            "ratio": np.round(rng.random(ROWS), 3),
            "seen_at": pd.Timestamp("2019-06-01") + pd.to_timedelta(rng.integers(0, 10**6, ROWS), unit="s"),
            "ward": np.where(rng.permutation(ROWS) < WARD_B, "B", "A"),
            "visits": np.where(rng.permutation(ROWS) < CLIPPED, 77, rng.integers(0, 10, ROWS)),
        }
    )
    frame.loc[rng.choice(np.arange(3 * DROPPED, ROWS), NULLS, replace=False), ["ratio", "seen_at"]] = None
    last = frame[frame["ratio"].notna() & (frame["ward"] == "A") & (frame["visits"] < 10)].index[-1]
    frame.loc[last, ["person", "note", "city", "income", "ratio", "seen_at"]] = [
        PERSON, NOTE, RARE_CITY, INCOME, RATIO, pd.Timestamp(MOMENT.replace(tzinfo=None))
    ]  # fmt: skip
    return frame


def bad_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with values outside the declared domain in some rows."""
    bad = frame.assign(ward=frame["ward"].where(frame["ward"] == "A", BAD_WARD))
    bad.loc[: BAD_ROWS - 1, "income"] = BAD_INCOME
    return bad


@dataclass(frozen=True)
class Trace:
    """What runs left behind.

    Attributes:
        folder: everything: raw tables, a home, what was said.
    """

    folder: Path

    @classmethod
    def prepare(cls, folder: Path) -> "Trace":
        """Raw tables, and a declared dataset over them."""
        for name in ("raw", "home/arrivals", "defs/marked", "tmp", "said"):
            (folder / name).mkdir(parents=True)
        frame = marked_table()
        frame.to_parquet(folder / "raw" / "first.parquet")
        bad_table(frame).to_parquet(folder / "raw" / "bad.parquet")
        headless = pd.concat([frame[frame["person"] == PERSON], frame.head(3)])
        headless.to_csv(folder / "raw" / "headerless.csv", index=False, header=False)
        (folder / "marked.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False))
        component = {"type": "synth_pipeline.orchestration.SyntheticDataset", "attributes": SPEC}
        (folder / "defs" / "marked" / "defs.yaml").write_text(yaml.safe_dump(component, sort_keys=False))
        return cls(folder)

    @property
    def raw(self) -> Path:
        """The raw tables."""
        return self.folder / "raw"

    @property
    def arrivals(self) -> Path:
        """The folder in which the sensor looks for raw tables."""
        return self.folder / "home" / "arrivals"

    @property
    def private(self) -> Path:
        """The private zone."""
        return self.folder / "home" / "private"

    def run(self, name: str, argv: Sequence[str], **environment: str) -> int:
        """A Python process; what it says is one more file to search.

        Args:
            name: what to call it.
            argv: its arguments.
            environment: further variables.
        """
        settings = {
            **os.environ,
            "SYNTH_PIPELINE_HOME": str(self.folder / "home"),
            "SYNTH_PIPELINE_DEFS": str(self.folder / "defs"),
            "DAGSTER_HOME": str(self.folder / "home" / "dagster"),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "OMP_NUM_THREADS": "1",
            **environment,
        }
        with (self.folder / "said" / f"{name}.txt").open("wb") as said:
            command = [sys.executable, *argv]
            return subprocess.run(
                command, cwd=self.folder, env=settings, stdout=said, stderr=subprocess.STDOUT, check=False
            ).returncode

    def said(self, name: str) -> str:
        """What a process said."""
        return (self.folder / "said" / f"{name}.txt").read_text()

    def open_files(self) -> list[Path]:
        """Every file outside the folders of raw tables and the private zone."""
        return [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not {self.raw, self.arrivals, self.private} & set(path.parents)
        ]

    def leaks(self, marker: Marker, *, in_cells: bool) -> list[str]:
        """Files outside the private zone in which a marker is.

        Args:
            marker: what to look for.
            in_cells: whether cells of synthetic tables count.
        """
        return [
            str(path.relative_to(self.folder))
            for path in self.open_files()
            if any(marker.search(content) for content in contents(path, in_cells=in_cells))
        ]


def contents(path: Path, *, in_cells: bool = True) -> Iterator[bytes]:
    """A file's bytes, and what it says to a reader of its format."""
    facts = path.stat()
    yield from _contents(path, in_cells, facts.st_size, facts.st_mtime_ns)


@cache
def _contents(path: Path, in_cells: bool, *_: int) -> tuple[bytes, ...]:
    raw = path.read_bytes()
    found = [re.sub(rb"(?i)(process |pid\W{1,6})\d+", rb"\1", raw)]
    if raw[:4] == b"PAR1":
        table = pq.ParquetFile(path)
        found.append(str(table.schema_arrow.metadata).encode())
        groups = [table.metadata.row_group(group) for group in range(table.num_row_groups)]
        columns = [group.column(at) for group in groups for at in range(group.num_columns)]
        found.append(repr([(column.num_values, column.statistics) for column in columns]).encode())
        if in_cells:
            found.append(table.read().to_pandas().astype(str).to_csv().encode())
    elif raw[:15] == b"SQLite format 3":
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            found.append(re.sub(rb"(?i)(process |pid\W{1,6})\d+", rb"\1", "\n".join(database.iterdump()).encode()))
    assert raw[:2] not in (b"\x1f\x8b", b"PK"), f"{path}: compressed, so this search would see nothing"
    return tuple(found)
