"""Names of snapshots: which fit the pattern, which are not meant to be seen, which can be no table.

One rule for folders and prefixes: `*` and `?` stay within one level, `**/` stands for any number of levels.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import PurePosixPath

from synth_pipeline.integrations.stores import partition_key
from synth_pipeline.snapshot.read import READABLE

_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".inprogress", ".swp", "~")


def name_filter(pattern: str) -> Callable[[str], bool]:
    """Whether a name (a path with `/`) fits a shell pattern and is neither hidden nor unfinished.

    Names of which a part begins with `.` or `_` are hidden, as in Spark and Hive; endings such as `.tmp` mean that a program is still
    writing.

    Example:
        >>> fits = name_filter("**/*.parquet")
        >>> [fits(name) for name in ("a.parquet", "b/c/a.parquet", "_temporary/a.parquet", "a.csv")]
        [True, True, False, False]
    """
    expression = _expression(pattern)
    return lambda name: expression.fullmatch(name) is not None and not _is_hidden(name)


def is_nested(pattern: str) -> bool:
    """Whether a pattern may fit names below the first level."""
    return "/" in pattern


def partition_title(name: str) -> str:
    """What the partition of a name is called, before other names are looked at; a file named by hand has an absolute path.

    Example:
        >>> partition_title("2026/north/visits.parquet")
        '2026-north-visits'
    """
    path = PurePosixPath(name)
    return partition_key(path.stem if path.is_absolute() else str(path.with_suffix("")) if path.name else name)


def fault_of(name: str, size_bytes: int) -> str | None:
    """Why something can be no snapshot, as far as its name and whether it is empty tell."""
    suffix = PurePosixPath(name).suffix
    if suffix.lower() not in READABLE:
        held = f"ends in {suffix}" if suffix else "has no extension"
        return f"its name {held}; snapshots end in {' or '.join(READABLE)}"
    return "it is empty (0 bytes); write a table with at least one row" if size_bytes == 0 else None


@lru_cache(maxsize=64)
def _expression(pattern: str) -> re.Pattern[str]:
    made, place = "", 0
    while place < len(pattern):
        rest = pattern[place:]
        group = re.match(r"\[(!?)(\]?[^\]]*)\]", rest)
        if rest.startswith("**/"):
            made, place = made + "(?:[^/]+/)*", place + 3
        elif rest.startswith("**"):
            made, place = made + ".*", place + 2
        elif rest[0] in "*?":
            made, place = made + ("[^/]*" if rest[0] == "*" else "[^/]"), place + 1
        elif group:
            inside = re.sub(r"([\\\[\]^&~|])", r"\\\1", group[2])
            made, place = f"{made}[{'^/' if group[1] else ''}{inside}]", place + group.end()
        else:
            made, place = made + re.escape(rest[0]), place + 1
    return re.compile(made, re.DOTALL)


def _is_hidden(name: str) -> bool:
    return name.endswith(_UNFINISHED) or any(part.startswith((".", "_")) for part in name.split("/"))
