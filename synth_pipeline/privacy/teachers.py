"""Private rows dealt to disjoint teachers, who vote on released records; the curator counts the votes and adds noise (PATE).

Source:
    Papernot, Abadi, Erlingsson, Goodfellow and Talwar 2017 (arXiv 1610.05755); Gaussian votes of Papernot et al. 2018 (arXiv
    1802.08908, GNMax), released as noisy counts, of which any label is post-processing.
"""

from collections.abc import Callable
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.secure_stream import Words, parts
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.table.encoded import Codes

_MOST_COPIES = 16

Teacher = Callable[[Codes], npt.NDArray[np.bool_]]
"""Rows of one part → that teacher's vote on each record of a query. What it answers may hang on those rows and on released values only."""


class TeacherPanel:
    """The private people in disjoint parts, one a teacher; all rows of a person are in the same one.

    Where people may have several rows, each person comes with the same number of rows (max_rows, 16 at most): their own in random order,
    again and again. So every person weighs the same to a teacher, as in all other answers.

    Privacy:
        The part of each person is drawn by itself, uniformly, from the operating system's randomness: adding or removing a person moves
        nobody else to another part. The panel hands a teacher its own part and nothing else, so one person touches one teacher's votes.

    Args:
        desk: where votes are charged.
        codes: the private rows.
        teachers: how many teachers.
        units: the person of each row, numbered from 0; needed where people may have several.
    """

    def __init__(self, desk: Desk, codes: Codes, teachers: int, *, units: npt.NDArray[np.int64] | None = None) -> None:
        if teachers < 1:
            raise PrivacyError(f"teachers: {teachers} were asked for; it must be at least 1")
        self._desk = desk
        words = desk.words
        if desk.unit.max_rows == 1:
            part = parts(words(len(codes)), teachers)
        else:
            rows, person = _equally_many(units, desk.unit, words(len(codes)))
            codes = codes[rows]
            part = parts(words(int(person.max(initial=-1)) + 1), teachers)[person]
        order = np.argsort(part, kind="stable")
        self._parts = np.split(codes[order], np.searchsorted(part[order], np.arange(1, teachers)))

    def __repr__(self) -> str:
        return f"TeacherPanel({len(self._parts)} teachers, contents withheld)"

    def __reduce__(self) -> NoReturn:
        raise PrivacyError("a TeacherPanel holds private rows and cannot be pickled")

    @property
    def teachers(self) -> int:
        """Number of teachers; public."""
        return len(self._parts)

    def votes(self, teacher: Teacher, records: int, *, cost: float, purpose: str) -> Noisy:
        """Noisy number of teachers who vote for each of some released records.

        Args:
            teacher: called once for each part, empty ones included; must not keep anything from one call to the next.
            records: how many records are voted on.
            cost: μ² to spend.
            purpose: what it is for.

        Privacy:
            One person changes the part of one teacher, who has one vote a record, so each count moves by at most 1, counted as U whole
            units: a vector of `records` counts, one event of count `records`. The number of teachers is public, so counts of votes against
            need no answer of their own. Queries may hang on earlier noisy votes.

        Raises:
            PrivacyError: if a teacher does not answer one yes or no a record; nothing is released then.
        """
        sigma = self._desk.charge_gaussian(cost, stage="generator", purpose=purpose, count=records)
        counts = np.zeros(records, dtype=np.int64)
        for part in self._parts:
            ballot = teacher(part)
            if ballot.shape != (records,) or ballot.dtype != np.bool_:
                raise PrivacyError(f"teachers: a teacher must answer {records} times yes or no; nothing was released")
            counts += ballot
        return self._desk.noisy(counts * self._desk.unit.weight, sigma)


def _equally_many(
    units: npt.NDArray[np.int64] | None, unit: PrivacyUnit, words: Words
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Indices of rows, equally many of each person (their own in random order, again and again), and the person of each."""
    if units is None:
        raise PrivacyError(f"teachers: max_rows is {unit.max_rows}, but the table does not say whose each row is")
    order = np.lexsort((words, units))
    kept = np.bincount(units)
    first = np.cumsum(kept) - kept
    place = np.arange(min(unit.max_rows, _MOST_COPIES))
    rows = order[(first[:, None] + place % np.maximum(kept, 1)[:, None])[kept > 0]]
    return rows.reshape(-1), np.repeat(np.flatnonzero(kept), len(place))
