"""Sums of row weights by cell, and counts of people: exact, in whole units, before any noise. Private, all of it."""

import numpy as np
import numpy.typing as npt

Whole = npt.NDArray[np.int64]


def weighed(cells: npt.NDArray[np.integer], size: int, weights: Whole | None) -> Whole:
    """Weight of each cell; the number of its rows where no weights are given.

    Sums are exact below 2^53, that is for 10^10 people of `WEIGHT_UNITS` each.

    Example:
        >>> weighed(np.array([0, 2, 2]), 3, np.array([6, 2, 3])).tolist()
        [6, 0, 5]
    """
    if weights is None:
        return np.bincount(cells, minlength=size)
    return np.bincount(cells, weights=weights, minlength=size).astype(np.int64)


def people_who_vary(codes: npt.NDArray[np.integer], units: Whole) -> int:
    """Number of people whose rows do not all hold the same code.

    Example:
        >>> people_who_vary(np.array([1, 1, 1, 2]), np.array([0, 0, 1, 1]))
        1
    """
    if len(units) == 0:
        return 0
    order = np.lexsort((codes, units))
    starts = np.flatnonzero(np.diff(units[order], prepend=-1))
    ends = np.append(starts[1:], len(units)) - 1
    held = codes[order]
    return int((held[starts] != held[ends]).sum())


def people_who_repeat(codes: npt.NDArray[np.integer], units: Whole) -> int:
    """Number of people of whom two rows hold the same code.

    Example:
        >>> people_who_repeat(np.array([1, 1, 1, 2]), np.array([0, 0, 1, 1]))
        1
    """
    order = np.lexsort((codes, units))
    person, held = units[order], codes[order]
    again = (person[1:] == person[:-1]) & (held[1:] == held[:-1])
    return len(np.unique(person[1:][again]))
