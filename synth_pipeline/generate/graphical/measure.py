"""Questions to the curator about pairs of columns, in the model's codes."""

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.graphical.beliefs import Floats
from synth_pipeline.generate.graphical.compress import Compression
from synth_pipeline.generate.graphical.estimate import Measurement
from synth_pipeline.generate.graphical.junction import Edge
from synth_pipeline.privacy.curator import EncodedView


def measure_pair(view: EncodedView, compression: Compression, edge: Edge, *, cost: float) -> Measurement:
    """The noisy table of a pair.

    Privacy:
        One histogram through the curator: discrete Gaussian, sensitivity one row.
    """
    first, second = edge
    names = view.domain.names
    noisy = view.pair_counts(
        compression.pair(first, second),
        cost=cost,
        stage="generator",
        purpose=f"table {names[first]} × {names[second]}",
    )
    shape = (compression.sizes[first], compression.sizes[second])
    return Measurement(edge, noisy.values.reshape(shape), np.full(shape, noisy.sigma))


def expected_rows(joint: Floats, rows: float) -> npt.NDArray[np.int64]:
    """Expected rows of each cell as whole numbers, flat: what a choice compares the truth with."""
    return np.rint(joint.reshape(-1) * max(rows, 1.0)).astype(np.int64)
