"""How long a frontier will take, said before it begins.

Seconds of one walk with its quick scores, by engine, per million cells, beside a constant part; measured on adult (39,073 rows of 15
columns) on one core (benchmarks/results/full.md), and rounded up. The bar's own estimate replaces it after the first walk.
"""

from synth_pipeline.frontier.released_rows import ReleasedRows
from synth_pipeline.generate.engine_registry import chosen_kind

_PER_MILLION_CELLS = {"autoregressive": 35.0, "vae": 35.0, "gan": 50.0, "diffusion": 120.0, "pate_gan": 30.0}
_OTHERS = 25.0
_CONSTANT_SECONDS = 6.0
_SECONDS_PER_COLUMN = 0.15


def expected_minutes(released: ReleasedRows, *, walks: int) -> float:
    """Minutes that so many walks take on one core, to within a factor of two.

    Args:
        released: the rows that they are repeated on.
        walks: how many, over all ε and repeats.
    """
    cells = len(released.train) * len(released.spec.modelled) / 1e6
    one = _CONSTANT_SECONDS + _SECONDS_PER_COLUMN * len(released.spec.modelled)
    return walks * (one + cells * _PER_MILLION_CELLS.get(chosen_kind(released.spec), _OTHERS)) / 60
