"""Unfinished folders beside the values they were to become: what a killed process leaves, and who removes it.

Belongs here: names of drafts, and sweeping them. Does not: what is written into them.
"""

import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

_OLD_SECONDS = 24 * 3600


def draft_prefix(name: str) -> str:
    """Beginning of the name of a draft of a value; hidden, and no name that a person would give.

    Example:
        >>> draft_prefix("model")
        '.model.draft.'
    """
    return f".{name}.draft."


def replaced_prefix(name: str) -> str:
    """Beginning of the name under which an older value waits until the new one is in its place."""
    return f".{name}.old."


def sweep_drafts(folder: Path, name: str) -> None:
    """Remove what was left beside a value that is whole now: drafts and replaced values that nobody has touched for a day.

    Writing one takes minutes, so whoever began one a day ago was killed. What cannot be removed stays; the value is whole all the same.
    """
    pattern = re.compile(f"(?:{re.escape(draft_prefix(name))}|{re.escape(replaced_prefix(name))})[a-z0-9_]{{8,12}}")
    with suppress(OSError):
        for place in folder.iterdir():
            if pattern.fullmatch(place.name) and place.lstat().st_mtime < time.time() - _OLD_SECONDS:
                shutil.rmtree(place, ignore_errors=True)
