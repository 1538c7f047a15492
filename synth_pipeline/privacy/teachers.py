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
from synth_pipeline.table.encoded import Codes

Teacher = Callable[[Codes], npt.NDArray[np.bool_]]
"""Rows of one part → that teacher's vote on each record of a query. What it answers may hang on those rows and on released values only."""


class TeacherPanel:
    """The private rows in disjoint parts, one a teacher; each row is in exactly one.

    Privacy:
        The part of each row is drawn by itself, uniformly, from the operating system's randomness: adding or removing a row moves no other
        row to another part. The panel hands a teacher its own part and nothing else, so one row touches one teacher's votes.

    Args:
        desk: where votes are charged.
        codes: the private rows.
        teachers: how many teachers.
    """

    def __init__(self, desk: Desk, codes: Codes, teachers: int) -> None:
        if teachers < 1:
            raise PrivacyError(f"teachers: {teachers} were asked for; it must be at least 1")
        self._desk = desk
        part = desk.noise.secure_generator().integers(teachers, size=len(codes))
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
            One row changes the part of one teacher, who has one vote a record: each count moves by at most 1, so one person's rows move
            each by at most max_rows. A vector of `records` counts, L2 sensitivity max_rows·√records; one event of count `records`. The
            number of teachers is public, so counts of votes against need no answer of their own. Queries may hang on earlier noisy votes.

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
        return self._desk.noisy(counts, sigma)
