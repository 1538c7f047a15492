"""The model: p(x) = Σ_k w_k Π_c p_k(x_c), and columns drawn from others.

Symbols: K components, S one-hot width of the active columns, d active columns.
"""

from dataclasses import dataclass

from synth_pipeline.generate.maxent.dependency import Dependency
from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.profile import Floats


@dataclass(frozen=True, eq=False)
class Products:
    """A mixture of products over all encoded columns.

    Attributes:
        domain: all encoded columns.
        active: domain indices of the columns in the products.
        weights: w (K,), sum 1.
        tables: p (K, S), the columns' distributions side by side; each sums to 1.
        dependencies: columns drawn from an active one.
    """

    domain: Domain
    active: tuple[int, ...]
    weights: Floats
    tables: Floats
    dependencies: tuple[Dependency, ...]

    @property
    def components(self) -> int:
        """Number of products K."""
        return len(self.weights)

    @property
    def active_domain(self) -> Domain:
        """The columns in the products."""
        names, sizes = self.domain.names, self.domain.sizes
        return Domain(tuple(names[i] for i in self.active), tuple(sizes[i] for i in self.active))

    def column(self, position: int) -> Floats:
        """Distribution of an active column in each component, (K, D)."""
        return self.tables[:, self.active_domain.slices()[position]]
