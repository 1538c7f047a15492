"""What can change the mechanism of the hybrid: its constants, and those of the field that it starts from."""

from dataclasses import asdict, dataclass, field
from typing import Any

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.maxent.config import MaxentConfig


@dataclass(frozen=True)
class HybridConfig:
    """Constants of the mechanism; public, and fixed before any row is read.

    Attributes:
        maxent: constants of the field; its target is the hybrid's.
        score_share: share of the walk's μ² for the scores of the target; nothing is kept back where no target is declared.
        weak_score_share: that share where the table is weak (`profile.signal`), so that its pairs are mostly noise and the target's own
            scores tell more about it.
        clip_norm: largest norm of one row's score, with features scaled so that a column's has norm 1 on average or less.
        prior: precision of a correction's weights.
        features: most features of an ordered column.
        categories: most categories of an unordered column with a feature of their own; the rarest others share one.
        smoothness: see `FeatureConfig`.
        roughness: see `FeatureConfig`.
        fit_rows: rows of the field on which the correction is fitted.
        fit_steps: most steps of that fit.
    """

    maxent: MaxentConfig = field(default_factory=MaxentConfig)
    score_share: float = 0.08
    weak_score_share: float = 0.15
    clip_norm: float = 1.7
    prior: float = 4.0
    features: int = 12
    categories: int = 32
    smoothness: float = 0.15
    roughness: float = 0.3
    fit_rows: int = 16_384
    fit_steps: int = 200

    def __post_init__(self) -> None:
        """Refuse constants for which the guarantee or the fit would mean nothing."""
        for name in ("score_share", "weak_score_share"):
            if not 0 <= getattr(self, name) < 1:
                raise PrivacyError(f"hybrid: {name} is {getattr(self, name)!r}; it must be in [0, 1)")
        if not (0 < self.clip_norm < float("inf")):
            raise PrivacyError(f"hybrid: clip_norm is {self.clip_norm!r}; it must be a finite number above 0")
        if not self.prior > 0 or self.fit_rows < 1 or self.fit_steps < 1:
            raise PrivacyError("hybrid: prior must be above 0, fit_rows and fit_steps at least 1")

    @property
    def target(self) -> str | None:
        """Public target column."""
        return self.maxent.target

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return {**asdict(self), "maxent": self.maxent.to_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "HybridConfig":
        """The config that `to_json` wrote."""
        plain: dict[str, Any] = {**content, "maxent": MaxentConfig.from_json(content["maxent"])}
        return cls(**plain)
