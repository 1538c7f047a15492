"""Gower's distance of one row to every row of a table: per column min(|a - b|, 1), added up.

Source: Gower 1971, A general coefficient of similarity and some of its properties, Biometrics 27.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from synth_pipeline.audit.attack.people import Cells, People
from synth_pipeline.table.arrays import Floats

MOST_WORK = 1_300_000_000


def affordable_people(most: int, rows: int, columns: int, *, least: int = 300) -> int:
    """How many people can be attacked, so that an attack takes seconds on any table.

    Example:
        >>> affordable_people(2000, 40_000, 15), affordable_people(2000, 400_000, 15)
        (2000, 300)
    """
    return min(most, max(least, MOST_WORK // (rows * columns)))


class Gower:
    """Distances of single rows to the rows of a table.

    Args:
        table: the rows to measure to.
        columns: positions of the columns that count; by default all.
    """

    def __init__(self, table: People, columns: Sequence[int] | None = None) -> None:
        self._columns = range(len(table.places)) if columns is None else columns
        self._places = table.places
        self._part = np.empty(table.places.shape[1], dtype=np.float32)

    def to(self, row: Cells) -> Cells:
        """Distance of a row to each row of the table."""
        total = np.zeros(self._places.shape[1], dtype=np.float32)
        for column in self._columns:
            total += self._differ(column, row, self._part)
        return total

    def without_each(self, row: Cells) -> Iterator[tuple[int, Cells]]:
        """For each column that counts, the distance without it; what is yielded is overwritten by the next."""
        parts = np.empty((len(self._columns), self._places.shape[1]), dtype=np.float32)
        for index, column in enumerate(self._columns):
            self._differ(column, row, parts[index])
        total = parts.sum(axis=0)
        for index, column in enumerate(self._columns):
            yield column, np.subtract(total, parts[index], out=self._part)

    def nearest(self, row: Cells, count: int) -> npt.NDArray[np.intp]:
        """Positions of the `count` nearest rows, in no order."""
        total = self.to(row)
        return np.arange(len(total)) if len(total) <= count else np.argpartition(total, count - 1)[:count]

    def _differ(self, column: int, row: Cells, out: Cells) -> Cells:
        np.subtract(self._places[column], row[column], out=out)
        np.abs(out, out=out)
        return np.minimum(out, np.float32(1.0), out=out)


def nearest_distances(targets: People, table: People, *, rank: int = 1) -> Floats:
    """For each target row its distance to the nearest row of a table, or to the second, third … nearest.

    Shapes:
        rows of `targets`.
    """
    gower = Gower(table)
    found = np.empty(targets.places.shape[1])
    place = min(rank, table.places.shape[1]) - 1
    for index in range(len(found)):
        distances = gower.to(targets.places[:, index])
        found[index] = distances.min() if place == 0 else np.partition(distances, place)[place]
    return found
