"""Exact rows under a condition: component and combination of regions drawn jointly, then the columns inside.

A condition is a boolean array over regions of the columns that it names (see `encode.condition`). Inside a component columns are
independent, so a combination of regions has the product of the regions' probabilities; summed over the allowed combinations that is the
component's chance to meet the condition. Hence, without a reject loop and however rare the condition is:

    P(k, combination | condition) ∝ w_k Π_c P_k(region_c)      for allowed combinations.

A column that is drawn from another one is folded into it: the codes of its parent are split by its regions (`maxent.evidence`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.encode.condition import Condition
from synth_pipeline.errors import ConstraintError
from synth_pipeline.generate.maxent.evidence import Parts, make_evidence
from synth_pipeline.generate.mixture.products import Products
from synth_pipeline.generate.stratified import Integers, draw_by_label, systematic_counts
from synth_pipeline.table.profile import Floats

_MOST_CELLS = 1 << 22


@dataclass(frozen=True, eq=False)
class Split:
    """An active column that a condition names, its codes cut into parts and the parts gathered into cells.

    Attributes:
        position: position among the active columns.
        parent: code of each part.
        shares: share of its code that each part is.
        cells: cell of each part.
        axes: axes of the condition that hang on the column.
        regions: regions of each cell on those axes, (cells, axes).
        masses: probability of each cell in each component, (K, cells), scaled to a largest value of 1.
    """

    position: int
    parent: Integers
    shares: Floats
    cells: Integers
    axes: tuple[int, ...]
    regions: Integers
    masses: Floats


@dataclass(frozen=True, eq=False)
class ExactConditional:
    """The law of a mixture under a condition.

    Attributes:
        model: the mixture.
        splits: the active columns that the condition names, directly or through a drawn column.
        allowed: cell of each split in each allowed combination, (combinations, splits).
        chances: w_k · P_k(condition), up to a factor, (K,).
    """

    model: Products
    splits: tuple[Split, ...]
    allowed: Integers
    chances: Floats

    def draw(self, rows: int, rng: np.random.Generator) -> tuple[Integers, dict[int, npt.NDArray[np.int32]], Integers]:
        """Components of the rows (ascending); codes of the named active columns by position; regions by axis (rows, axes)."""
        counts = systematic_counts(self.chances, rows, rng)
        components, combinations, sizes = self._groups(counts, rng)
        codes: dict[int, npt.NDArray[np.int32]] = {}
        regions = np.zeros((rows, sum(len(split.axes) for split in self.splits)), dtype=np.int64)
        for number, split in enumerate(self.splits):
            keys = components * len(split.regions) + self.allowed[combinations, number]
            used, labels = np.unique(keys, return_inverse=True)
            law = self.model.column(split.position)[:, split.parent][used // len(split.regions)] * split.shares
            inside = np.where(split.cells == (used % len(split.regions))[:, None], law, 0.0)
            chosen = draw_by_label(inside, np.repeat(labels.reshape(-1), sizes), rng)
            codes[split.position] = split.parent[chosen].astype(np.int32)
            regions[:, split.axes] = split.regions[split.cells[chosen]]
        return np.repeat(np.arange(len(counts)), counts), codes, regions

    def _groups(self, counts: Integers, rng: np.random.Generator) -> tuple[Integers, Integers, Integers]:
        """(component, combination, rows) of every group of rows that share both, components ascending."""
        components: list[Integers] = []
        combinations: list[Integers] = []
        sizes: list[Integers] = []
        for component in np.flatnonzero(counts):
            law = combination_chances(self.splits, self.allowed, np.array([component]))[0]
            taken = systematic_counts(law, int(counts[component]), rng)
            met = np.flatnonzero(taken)
            components.append(np.full(len(met), component))
            combinations.append(met)
            sizes.append(taken[met])
        return np.concatenate(components), np.concatenate(combinations), np.concatenate(sizes)


def condition_mixture(model: Products, condition: Condition) -> ExactConditional:
    """The law of a mixture under a condition.

    Raises:
        ConstraintError: if the condition has no probability under the model.
    """
    evidence = make_evidence(condition, model.active, model.dependencies)
    splits = tuple(_split(model, position, parts) for position, parts in evidence.columns.items())
    allowed = _allowed_combinations(splits, condition.allowed)
    chances = np.zeros(model.components)
    step = max(_MOST_CELLS // max(len(allowed), 1), 1)
    for start in range(0, model.components, step):
        part = np.arange(start, min(start + step, model.components))
        chances[part] = combination_chances(splits, allowed, part).sum(1)
    chances *= model.weights
    if not chances.sum() > 0:
        raise ConstraintError(
            "condition: no row satisfies it under the released model; check the values it compares with, or widen it"
        )
    return ExactConditional(model, splits, allowed, chances)


def combination_chances(splits: tuple[Split, ...], allowed: Integers, components: Integers) -> Floats:
    """Probability of each allowed combination in each of the components, up to one factor, (components, combinations)."""
    found = np.ones((len(components), len(allowed)))
    for number, split in enumerate(splits):
        found *= split.masses[components][:, allowed[:, number]]
    return found


def _split(model: Products, position: int, parts: Parts) -> Split:
    parent = np.asarray(parts.parent, dtype=np.int64)
    shares = np.exp(np.asarray(parts.log_share, dtype=np.float64))
    regions, cells = np.unique(np.asarray(parts.regions, dtype=np.int64), axis=0, return_inverse=True)
    cells = cells.reshape(-1)
    members = np.zeros((len(parent), len(regions)))
    members[np.arange(len(parent)), cells] = shares
    masses = model.column(position)[:, parent] @ members
    axes = tuple(int(axis) for axis in parts.axes)
    return Split(position, parent, shares, cells, axes, regions, masses / max(float(masses.max()), 1e-300))


def _allowed_combinations(splits: tuple[Split, ...], allowed: npt.NDArray[np.bool_]) -> Integers:
    """The combinations of the splits' cells whose regions are allowed, (combinations, splits)."""
    places: dict[int, npt.NDArray[np.int64]] = {}
    for number, split in enumerate(splits):
        shape = [-1 if other == number else 1 for other in range(len(splits))]
        for column, axis in enumerate(split.axes):
            places[axis] = split.regions[:, column].reshape(shape)
    met = allowed[tuple(places[axis] for axis in range(allowed.ndim))]
    return np.argwhere(met)
