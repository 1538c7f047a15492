"""The data sets of the benchmark: real tables from `../shared/data`, variants of them, and the demo's table, which needs nothing.

`NAME-4k` is 4,000 rows of NAME's training table (seed 0), its holdout unchanged. `nist10` is the ten features that most systems published
their scores on, over the whole file, because so were theirs: its holdout is part of it, and only marginals are read.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks.matrix import ROOT, SCRATCH, SHARED

if TYPE_CHECKING:
    from synth_pipeline.spec import Spec

SMALL_ROWS = 4000
NIST_FEATURES = ("AGEP", "SEX", "MSP", "RAC1P", "HOUSING_TYPE", "OWN_RENT", "EDU", "PINCP_DECILE", "DVET", "DEYE")
HOLDOUT = 0.2
DEMO_ROWS = 7800


@dataclass(frozen=True)
class Tables:
    """Where a data set lies.

    Attributes:
        train: Parquet file of the rows that a generator sees.
        holdout: Parquet file of rows that it does not see.
        meta: the judge's description of the columns, or None where the judge does not know the table.
        spec: specification file.
        skip: parts of the judge that mean nothing here.
    """

    train: Path
    holdout: Path
    meta: Path | None
    spec: Path
    skip: tuple[str, ...] = ("privacy",)


def read_spec(path: Path, *, engine: str, epsilon: float) -> "Spec":
    """A specification for another engine and ε, under a cap that lets benchmarks be repeated."""
    from synth_pipeline.spec import Spec

    content = Spec.from_yaml(path).model_dump(mode="json", by_alias=True)
    content["privacy"] |= {"epsilon": epsilon, "cap": {**content["privacy"]["cap"], "epsilon": 1000.0}}
    content["generator"] = {"kind": engine}
    return Spec.from_mapping(content, where=str(path))


class MissingTableError(Exception):
    """A data set that is not on this machine."""


def prepare(name: str, *, shared: Path = SHARED, scratch: Path = SCRATCH) -> Tables:
    """The files of a data set; variants and specifications are made in the scratch folder when first asked for.

    Raises:
        MissingTableError: if the data set is not on this machine.
    """
    place = scratch / "tables" / name
    place.mkdir(parents=True, exist_ok=True)
    if name == "gss":
        return _demo_table(place)
    source = (
        shared
        / "data"
        / {"nist": "nist_national2019", "nist10": "nist_national2019"}.get(name, name.removesuffix("-4k"))
    )
    if not (source / "meta.json").exists():
        raise MissingTableError(
            f"{name}: no table at {source}; put the shared folder beside the repository, or choose --datasets gss"
        )
    meta = json.loads((source / "meta.json").read_text(encoding="utf-8"))
    train, holdout, skip = source / "train.parquet", source / "holdout.parquet", ("privacy",)
    if name == "nist10":
        meta, skip = ten_features(meta), ("privacy", "c2st", "tstr")
        train = _written(place / "train.parquet", lambda: pd.read_parquet(source / "data.parquet")[list(NIST_FEATURES)])
        holdout = _written(
            place / "holdout.parquet", lambda: pd.read_parquet(source / "holdout.parquet")[list(NIST_FEATURES)]
        )
    elif name.endswith("-4k"):
        meta = {**meta, "name": name.replace("-", "_")}
        train = _written(place / "train.parquet", lambda: four_thousand(pd.read_parquet(source / "train.parquet")))
    described = place / "meta.json"
    _write(described, json.dumps(meta, indent=1))
    return Tables(train, holdout, described, _spec_of(described, shared), skip)


def ten_features(meta: dict[str, Any]) -> dict[str, Any]:
    """The description of a table cut to the ten features, without target and group."""
    kept = {key: value for key, value in meta.items() if key not in ("target", "task", "group_feature", "columns")}
    by_name = {column["name"]: column for column in meta["columns"]}
    return {**kept, "name": "nist10", "columns": [by_name[name] for name in NIST_FEATURES]}


def four_thousand(train: pd.DataFrame) -> pd.DataFrame:
    """The small table."""
    return train.sample(SMALL_ROWS, random_state=0).reset_index(drop=True)


def _spec_of(meta: Path, shared: Path) -> Path:
    """The specification that the shared tool makes of a description."""
    tool = shared / "bench" / "spec_from_meta.py"
    if not tool.exists():
        raise MissingTableError(f"{tool}: not there; it makes the specification of a shared table")
    done = subprocess.run([sys.executable, str(tool), str(meta)], check=True, capture_output=True, text=True)
    spec = meta.with_name("spec.yaml")
    _write(spec, done.stdout)
    return spec


def _demo_table(place: Path) -> Tables:
    """The newest snapshot of the demo's table, a fifth of it held out; the judge is not told of it."""

    def split(part: slice) -> pd.DataFrame:
        from synth_pipeline.integrations.demo_data import SNAPSHOT_YEARS, read_gss

        table = read_gss()
        newest = table[table["year"].between(*SNAPSHOT_YEARS[-1])].sample(frac=1.0, random_state=0)
        return newest.iloc[part].reset_index(drop=True)

    cut = int(DEMO_ROWS * HOLDOUT)
    train = _written(place / "train.parquet", lambda: split(slice(cut, None)))
    holdout = _written(place / "holdout.parquet", lambda: split(slice(0, cut)))
    return Tables(train, holdout, None, ROOT / "synth_pipeline" / "defs" / "gss" / "defs.yaml")


def _written(path: Path, make: Any) -> Path:
    if not path.exists():
        draft = path.with_suffix(".draft")
        make().to_parquet(draft, index=False)
        draft.replace(path)
    return path


def _write(path: Path, text: str) -> None:
    """Write a text file where it is not there already with the same content, in one step: runs share the folder."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
