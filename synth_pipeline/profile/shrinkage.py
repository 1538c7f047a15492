"""Noise taken off counts: shrinkage to their mean (James & Stein 1961, positive part), and empty stretches told from thin ones."""

import math

import numpy as np
import numpy.typing as npt

from synth_pipeline.table.profile import Floats

_STANDS_OUT_SIGMAS = 3.5
_TAIL_FALL, _TAIL_SIGMAS, _TAIL_ENDS_SIGMAS = 0.4, 0.7, 0.1


def shrunk(counts: Floats, sigma: float) -> Floats:
    """Noisy counts of like cells, shrunk towards their mean: wholly where their spread is no more than noise would give.

    Args:
        counts: noisy counts; may be negative.
        sigma: standard deviation of the noise of each.
    """
    mean = max(float(counts.mean()), 0.0)
    deviation = counts - counts.mean()
    evidence = float((deviation**2).sum()) / sigma**2
    size = len(counts)
    keep = max(0.0, 1 - size / evidence) if size > 1 and evidence > size + 2 * math.sqrt(2 * size) else 0.0
    return np.maximum(mean + keep * deviation, 0.0)


def standing_out(counts: Floats, variances: Floats) -> npt.NDArray[np.bool_]:
    """Which cells of a line stand out of the noise (above 3.5 σ): alone, or with up to 31 neighbours that do not by themselves."""
    found = np.zeros(len(counts), dtype=bool)
    for width in (1, 2, 4, 8, 16, 32):
        if width > len(counts):
            break
        sums = np.cumsum(np.append(0.0, np.where(found, 0.0, counts)))
        noise = np.cumsum(np.append(0.0, np.where(found, 0.0, variances)))
        is_heavy = sums[width:] - sums[:-width] > _STANDS_OUT_SIGMAS * np.sqrt(noise[width:] - noise[:-width])
        for start in np.flatnonzero(is_heavy & (noise[width:] > noise[:-width])):
            found[start : start + width] = True
    return found


def without_noise_tails(counts: Floats, variances: Floats) -> Floats:
    """Noisy counts on a line with the noise of its empty ends taken away.

    Half the noise of an empty stretch is positive, and on a heavy-tailed scale it would put a per cent of the rows a hundred times too far
    out. So the cells before the first and after the last that stands out, alone or with its neighbours, keep only what a tail would leave
    there: from the last one, falling by a factor of 0.4 a cell, from at most 0.7 σ to 0.1 σ. Where nothing stands out the counts are
    returned as they are.

    Args:
        counts: noisy counts along the line; may be negative.
        variances: of the noise; 0 for cells that are known to be empty.
    """
    found = np.flatnonzero(standing_out(counts, variances))
    if len(found) == 0:
        return counts
    kept = np.zeros(len(counts), dtype=bool)
    kept[found[0] : found[-1] + 1] = True
    tails = np.zeros(len(counts))
    for line, held in ((slice(None), kept), (slice(None, None, -1), kept[::-1])):
        reach, out = 0.0, np.zeros(len(counts))
        for cell, (count, noise, is_kept) in enumerate(zip(counts[line], np.sqrt(variances[line]), held, strict=True)):
            if is_kept:
                reach = max(float(count), 0.0)
            else:
                reach = min(_TAIL_FALL * reach, _TAIL_SIGMAS * noise) if noise > 0 else _TAIL_FALL * reach
                reach = reach if reach >= _TAIL_ENDS_SIGMAS * noise else 0.0
                out[cell] = reach if noise > 0 else 0.0
        tails = np.maximum(tails, out[line])
    return np.where(kept, counts, tails)
