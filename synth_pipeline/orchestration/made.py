"""What passes from asset to asset: a value, and the walk that made it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from synth_pipeline.errors import LedgerError
from synth_pipeline.privacy.ledger import WalkKey

Value = TypeVar("Value")


@dataclass(frozen=True)
class Origin:
    """Which walk made a value; released facts.

    Attributes:
        walk: the walk's key in the ledger.
        reservation: number of its reservation.
        fingerprint: keyed fingerprint of the snapshot, as it may be shown (`snapshot.fingerprint.released_fingerprint`).
    """

    walk: WalkKey
    reservation: int
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Origin":
        """The origin that `to_json` wrote."""
        return cls(WalkKey(**content["walk"]), content["reservation"], content["fingerprint"])


@dataclass(frozen=True, repr=False)
class Made(Generic[Value]):
    """A value and its origin; the representation shows neither rows nor figures.

    Attributes:
        value: what was made.
        origin: by which walk.
    """

    value: Value
    origin: Origin

    def __repr__(self) -> str:
        return f"Made({type(self.value).__name__}, contents withheld)"


def one_origin(parts: Sequence[Made[Any]], *, where: str) -> Origin:
    """The walk that made all of the parts.

    Raises:
        LedgerError: if they were made by different walks, so that a result would claim the wrong guarantee.
    """
    origins = {part.origin for part in parts}
    if len(origins) != 1:
        raise LedgerError(
            f"{where}: what it is made from comes from different walks of the snapshot; run the walk again from real_snapshot"
        )
    return origins.pop()
