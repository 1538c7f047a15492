"""The two zones as types: what may leave is `Released`, what may not is `Internal`; a bare value is neither and is refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pandas as pd

from synth_pipeline.errors import PrivacyError

Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)

ZONE = "zone"
"""Name under which a value says its zone: an attribute of a class of ours, an entry of `DataFrame.attrs`."""

_KEPT_IN = ("private", "internal")


class Place(Protocol):
    """An address in a store: the path of a folder or file, or its URL."""

    @property
    def name(self) -> str:
        """The last part."""
        ...

    def __truediv__(self, name: str, /) -> "Place":
        """The address of what is inside."""
        ...

    def __str__(self) -> str:
        """As people read it."""
        ...

    def as_uri(self) -> str:
        """As a link."""
        ...


class PrivateStore(Protocol):
    """Where the private zone keeps what does not leave; readable by its owner alone."""

    @property
    def root(self) -> Path:
        """Folder on this machine for what is written line by line, such as withheld output."""
        ...

    def place(self, *parts: str) -> Place:
        """Where a value lies."""
        ...

    def write(self, save: Callable[[Path], object], *parts: str) -> Place:
        """Write a value with `save(folder)`, whole or not at all."""
        ...


@dataclass(frozen=True)
class Released(Generic[Value_co]):
    """A public fact, or the output of a charged DP mechanism or of post-processing one.

    Attributes:
        value: what leaves.

    Raises:
        PrivacyError: for a value that says itself that it is private or internal, or holds one that does.
    """

    value: Value_co

    def __post_init__(self) -> None:
        refuse_private(self.value, where="Released")


@dataclass(frozen=True, repr=False)
class Internal:
    """A value computed from real rows without noise: scores, exact counts, findings of attacks; it is never shown.

    Attributes:
        value: plain data, kept as JSON in the private store.
    """

    value: Any

    def __repr__(self) -> str:
        return "Internal(withheld)"


def opened(entry: "Released[Value]", *, where: str) -> Value:
    """The value of a released entry: what every adapter calls on what it is given.

    Args:
        entry: the entry.
        where: what it was to become, for the message.

    Raises:
        PrivacyError: for anything that is not `Released`.
    """
    if not isinstance(entry, Released):
        raise PrivacyError(f"{where}: {type(entry).__name__} has no zone; wrap it in Released(...) or Internal(...)")
    return entry.value


def refuse_private(value: object, *, where: str) -> None:
    """Stop a value that says itself that it is private or internal, or holds one that does.

    Raises:
        PrivacyError: naming its type, never what it holds.
    """
    zone = zone_of(value)
    if zone is not None:
        raise PrivacyError(
            f"{where}: a {type(value).__name__} is {zone} and does not leave; pass Internal(...), or what a mechanism released"
        )


def zone_of(value: object) -> str | None:
    """The zone that keeps a value, as it says itself, or None; tuples, lists and mappings say what their items do.

    Example:
        >>> zone_of(Internal(0.87)), zone_of({"scores": [Internal(1)]}), zone_of(0.87)
        ('internal', 'internal', None)
    """
    if isinstance(value, Internal):
        return "internal"
    if isinstance(value, (pd.DataFrame, pd.Series)):
        said = value.attrs.get(ZONE)
        return said if said in _KEPT_IN else None
    if isinstance(value, Mapping):
        return next(filter(None, map(zone_of, value.values())), None)
    # Not what merely derives from tuple and list, such as records that refuse to be looped over.
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return next(filter(None, map(zone_of, value)), None)
    said = getattr(value, ZONE, None)
    return said if isinstance(said, str) and said in _KEPT_IN else None


def mark_private(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table, marked as private, so that `Released` refuses it and what pandas derives from it."""
    frame.attrs[ZONE] = "private"
    return frame
