"""Conditions entered as evidence: a weight on the codes of each named column, in disjoint boxes that together are the condition.

A condition allows combinations of regions. It is cut into disjoint *boxes*: a set of regions for each named column, any combination of
which is allowed. Inside a box the condition is a product of one factor a column, so that it fits any junction tree. Rows fall into a
box with its probability under the model.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.errors import ConstraintError
from synth_pipeline.generate.graphical.beliefs import Floats
from synth_pipeline.generate.graphical.compress import Compression

Box = tuple[npt.NDArray[np.bool_], ...]

MOST_BOXES = 4096


@dataclass(frozen=True, eq=False)
class Parts:
    """The subcodes of one named column inside a box, as parts of the model's codes.

    Attributes:
        column: index of the column.
        code: encoded code of each part.
        region: region of each part.
        group: the model's code that each part belongs to.
        weight: share of that code that the part is.
        size: number of the model's codes.
    """

    column: int
    code: npt.NDArray[np.int64]
    region: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64]
    weight: Floats
    size: int

    @property
    def evidence(self) -> Floats:
        """Share of each of the model's codes that satisfies the box."""
        return np.bincount(self.group, weights=self.weight, minlength=self.size).astype(np.float64)


def boxes(allowed: npt.NDArray[np.bool_]) -> list[Box]:
    """Disjoint boxes whose union is a boolean array; one set for each axis.

    The axis with the fewest different slices is cut first, its equal slices kept together.

    Raises:
        ConstraintError: if there would be more than `MOST_BOXES`.

    Example:
        >>> [[side.tolist() for side in box] for box in boxes(np.array([[True, True], [True, False]]))]
        [[[True, False], [True, True]], [[False, True], [True, False]]]
    """
    found = _boxes(allowed)
    if len(found) > MOST_BOXES:
        raise ConstraintError(
            f"condition: it falls into {len(found)} separate cases, more than {MOST_BOXES}; compare fewer columns with one another"
        )
    return found


def make_parts(where: Condition, compression: Compression, box: Box) -> list[Parts]:
    """The parts of each named column inside a box."""
    return [
        _parts(sub, compression.groups[sub.column], compression.shares[sub.column], side)
        for sub, side in zip(where.subdomains, box, strict=True)
    ]


def _parts(sub: SubDomain, groups: npt.NDArray[np.int64], shares: Floats, side: npt.NDArray[np.bool_]) -> Parts:
    kept = side[sub.region]
    code = sub.parent[kept]
    weight = shares[code] * np.exp(sub.log_share[kept])
    return Parts(sub.column, code, sub.region[kept], groups[code], weight, int(groups.max()) + 1)


def _boxes(allowed: npt.NDArray[np.bool_]) -> list[Box]:
    if allowed.ndim == 0:
        return [()] if bool(allowed) else []
    cuts = [np.unique(np.moveaxis(allowed, axis, 0).reshape(allowed.shape[axis], -1), axis=0, return_inverse=True)
            for axis in range(allowed.ndim)]  # fmt: skip
    axis = min(range(allowed.ndim), key=lambda index: len(cuts[index][0]))
    rest_shape = tuple(np.delete(allowed.shape, axis))
    found: list[Box] = []
    for number, piece in reversed(list(enumerate(cuts[axis][0]))):
        side = np.asarray(cuts[axis][1]).reshape(-1) == number
        inner = _boxes(piece.reshape(rest_shape)) if piece.any() else []
        found += [(*box[:axis], side, *box[axis:]) for box in inner]
        if len(found) > 4 * MOST_BOXES:
            break
    return found
