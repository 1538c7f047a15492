"""A Poisson sample of people (the rows of those who were drawn, and which row is whose), and the noise of the step that it is for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from synth_pipeline.errors import PrivacyError
from synth_pipeline.table.encoded import Codes


@dataclass(frozen=True, eq=False, repr=False)
class Batch:
    """The private rows of one step of training.

    Attributes:
        codes: rows (batch, columns); all rows of a person or none.
        persons: person of each row, numbered from 0 without gaps within the batch (batch,); None where each row is a person.
    """

    codes: Codes
    persons: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Number of rows; private."""
        return len(self.codes)

    def __repr__(self) -> str:
        return "Batch(contents withheld)"

    def __reduce__(self) -> NoReturn:
        raise PrivacyError("a Batch holds private rows and cannot be pickled")


@dataclass(frozen=True, eq=False)
class CuratorNoise:
    """What the noise of training steps is made of: call it with a size, once or more often a step.

    Attributes:
        draw: standard Gaussians of the curator's noise source.
        taken: to be told, before it has any effect, what a step releases; None where nobody keeps it.
    """

    draw: Callable[[int], npt.NDArray[np.float64]]
    taken: Callable[[bytes], None] | None = None

    def __call__(self, size: int) -> npt.NDArray[np.float64]:
        """That many standard Gaussians."""
        return self.draw(size)
