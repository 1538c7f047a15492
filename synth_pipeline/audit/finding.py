"""What an audit found wrong, as a value."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One way in which a mechanism does not keep what it claims.

    Attributes:
        kind: what was broken: "other question", "moved too far", "choice too telling", "answer without a charge", "other release",
            "budget passed", "published too often", "noise repeats", "noise of another scale", "choice of another law".
        stage: where in the walk.
        purpose: what the question was for.
        detail: the measured figure beside the allowed one.
    """

    kind: str
    stage: str
    purpose: str
    detail: str

    def __str__(self) -> str:
        place = "/".join(part for part in (self.stage, self.purpose) if part)
        return f"{self.kind} ({place}): {self.detail}" if place else f"{self.kind}: {self.detail}"

    def to_json(self) -> dict[str, Any]:
        """Plain data; `Finding(**content)` reads it back."""
        return asdict(self)
