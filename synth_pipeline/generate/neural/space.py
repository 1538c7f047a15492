"""The code space: how rows of codes enter a network, and how its outputs become one distribution a column.

Both sides use the fixed features of `autoregressive.features`: few numbers for a wide ordered column, one a category otherwise. A network
reads features and answers *effects* in feature space, so that

    logits of column j = log released one-way of j + effects_j · features_jᵀ.

A network whose last layer starts at zero therefore starts as independent columns with the released one-ways, and every weight that noise
could spoil is spent on dependence.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.autoregressive.features import Features, make_features
from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.profile import Profile

Floats32 = npt.NDArray[np.float32]

_LEAST_SHARE = 1e-12


@dataclass(frozen=True, eq=False)
class CodeSpace:
    """Released facts that every network of this package is built on.

    Attributes:
        domain: the encoded columns.
        features: fixed features of their codes.
        shares: released one-way shares, all codes side by side.
    """

    domain: Domain
    features: Features
    shares: npt.NDArray[np.float64]

    @property
    def width(self) -> int:
        """Number of features of a row."""
        return self.features.table.shape[1]

    @property
    def codes(self) -> int:
        """Number of codes of all columns together."""
        return len(self.shares)

    @property
    def log_shares(self) -> Floats32:
        """Log of the released one-way shares."""
        return np.log(np.maximum(self.shares, _LEAST_SHARE)).astype(np.float32)

    @property
    def by_column(self) -> list[npt.NDArray[np.float64]]:
        """Released one-way shares of each column."""
        return [self.shares[part] for part in self.domain.slices()]

    def weights(self, target: str | None, target_weight: float) -> Floats32:
        """Weight of each column in a loss, of sum 1 but for the target's extra."""
        weights = np.ones(len(self.domain), dtype=np.float32)
        if target in self.domain.names:
            weights[self.domain.index(target)] = target_weight
        return (weights / len(self.domain)).astype(np.float32)


def make_space(profile: Profile, *, features: int) -> CodeSpace:
    """The code space of a released profile.

    Args:
        profile: the released profile.
        features: most features of an ordered column.
    """
    made = make_features(profile, AutoregressiveConfig(features=features))
    shares = np.concatenate([profile.shares(index) for index in range(len(profile.columns))])
    return CodeSpace(Encoder(profile).domain, made, shares)
