"""The budget of one walk: (ε, δ) as a pool of Gaussian-DP cost μ² that answers are paid from."""

import math
from dataclasses import dataclass

from synth_pipeline.privacy.accounting import gaussian_mu

DISCOVERY_SHARE = 0.1
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Budget:
    """What one walk may spend.

    Attributes:
        epsilon: ε of the whole walk.
        delta: δ of the whole walk.
        discovery_delta: part of δ that category discovery may use.

    Source:
        Dong, Roth & Su 2022 (Gaussian differential privacy), Corollary 2.13: μ-GDP is (ε, δ)-DP for exactly one μ at given ε, δ.
    """

    epsilon: float
    delta: float
    discovery_delta: float = 0.0

    @property
    def cost(self) -> float:
        """The pool of Gaussian cost μ² that (ε, δ − discovery_delta) amounts to, less a billionth for rounding."""
        return gaussian_mu(self.epsilon, self.delta - self.discovery_delta) ** 2 * (1 - _ROUNDING)

    def delta_of_each(self, discoveries: int) -> float:
        """δ′ of each of so many discoveries, which compose to `discovery_delta` and no more: ∏(1 + δ′) − 1.

        Example:
            >>> Budget(1.0, 1e-5, discovery_delta=1e-6).delta_of_each(1) == 1e-6
            True
        """
        if discoveries <= 1:
            return self.discovery_delta
        return math.expm1(math.log1p(self.discovery_delta) / discoveries)

    @classmethod
    def for_walk(cls, *, epsilon: float, delta: float, discovered_columns: int) -> "Budget":
        """The budget of a walk; a tenth of δ is set aside when categories are to be discovered."""
        return cls(epsilon, delta, discovery_delta=DISCOVERY_SHARE * delta if discovered_columns else 0.0)
