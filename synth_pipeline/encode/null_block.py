"""Null blocks in encoded rows: where the columns of a block disagree, the row is made wholly null in it, or wholly filled.

A generator that knows noisy pairs, or only columns one by one, gives some rows a mix of nulls that the table does not have. So many of
these become wholly null that the block's share of nulls stays that of its columns, those with the most nulls first; in the others what is
missing is taken from a row in which nothing is, so that the filled values fit one another. Post-processing: free.
"""

import numpy as np
import numpy.typing as npt

from synth_pipeline.table.encoded import Codes, EncodedTable
from synth_pipeline.table.profile import Profile


def with_whole_blocks(table: EncodedTable, profile: Profile, *, rng: np.random.Generator) -> Codes:
    """The codes of the table, each null block wholly null or not at all in every row.

    Columns that a condition confines (those with regions) are never changed; the first of them decides.
    """
    codes = table.codes
    for block in profile.null_blocks:
        codes = _repaired(codes, block, profile, (frozenset(table.regions), rng))
    return codes


def _repaired(
    codes: Codes, block: tuple[int, ...], profile: Profile, how: tuple[frozenset[int], np.random.Generator]
) -> Codes:
    fixed, rng = how
    null_codes = np.array([profile.columns[index].codes - 1 for index in block])
    is_null = codes[:, list(block)] == null_codes
    mixed = np.flatnonzero(is_null.any(1) & ~is_null.all(1))
    if len(mixed) == 0:
        return codes
    leaders = [place for place, index in enumerate(block) if index in fixed]
    decides = is_null[mixed, leaders[0]] if leaders else _most_null(is_null[mixed], rng)
    donors = np.flatnonzero(~is_null.any(1))
    if len(donors) == 0 and not leaders:
        decides = np.ones(len(mixed), dtype=bool)
    result = codes.copy()
    filled = mixed[~decides]
    givers = donors[rng.integers(0, len(donors), len(filled))] if len(donors) else filled
    for place, index in enumerate(block):
        if index in fixed:
            continue
        result[mixed[decides], index] = null_codes[place]
        lacking = is_null[filled, place]
        for column in (index, *profile.parts(profile.columns[index].name).values()):
            _copy(result, codes, column, (filled[lacking], givers[lacking]))
    return result


def _most_null(is_null: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which mixed rows become wholly null: as many as they hold nulls on average over the columns, rounded by chance; ties by lot."""
    nulls = is_null.sum(1)
    number = int(nulls.sum() / is_null.shape[1] + rng.random())
    decides = np.zeros(len(nulls), dtype=bool)
    decides[np.lexsort((rng.random(len(nulls)), -nulls))[:number]] = True
    return decides


def _copy(result: Codes, codes: Codes, column: int, rows: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]) -> None:
    """Codes of one column taken from the giving rows."""
    result[rows[0], column] = codes[rows[1], column]
