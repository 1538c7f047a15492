"""Rows of people: the modelled column that says how many rows a person has, and what is released about how rows fall to people.

Belongs here: names and released facts. Does not: measuring them (profile) or dealing rows to people (encode).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synth_pipeline.table.column import IntegerColumn

PERSON_ROWS = "person:rows"
"""Name of the modelled column that holds the number of a person's rows; no column of a specification may have it."""

_ALMOST_NONE = 0.05
_SURE_SIGMAS = 3.0
_TELLING_SIGMAS = 10.0


def person_column(most_rows: int) -> IntegerColumn:
    """The declaration of that column: from 1 to the contribution bound, both public."""
    return IntegerColumn(kind="integer", min=1, max=most_rows)


@dataclass(frozen=True, eq=False)
class PersonFacts:
    """What is released about how rows fall to people.

    Attributes:
        most_rows: contribution bound; public.
        several: noisy number of people with two rows or more.
        sigma: standard deviation of the noise of that number and of each number below.
        varying: noisy number of people in whom a column varies, by column.
        repeating: noisy number of people of whom two rows agree in a column, by column.
    """

    most_rows: int
    several: float
    sigma: float
    varying: Mapping[str, float]
    repeating: Mapping[str, float]

    @property
    def constant(self) -> tuple[str, ...]:
        """Columns that practically never vary within a person: birth year, sex."""
        return tuple(name for name, people in self.varying.items() if self._is_rare(people))

    @property
    def distinct(self) -> tuple[str, ...]:
        """Columns that practically never repeat a value within a person: the wave of a panel, the day of a visit."""
        constant = self.constant
        return tuple(name for name, people in self.repeating.items() if self._is_rare(people) and name not in constant)

    @property
    def hidden_share(self) -> float:
        """Share of the people with several rows up to which a column that is called constant, or never repeating, may be otherwise."""
        return max(_ALMOST_NONE, _SURE_SIGMAS * self.sigma / max(self.several, 1.0))

    def _is_rare(self, people: float) -> bool:
        """At most 5 % of the people with several rows, or nothing but noise; never where noise hides a quarter of them."""
        if self.several < _TELLING_SIGMAS * self.sigma:
            return False
        return people <= max(_ALMOST_NONE * self.several, _SURE_SIGMAS * self.sigma)

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {**vars(self), "varying": dict(self.varying), "repeating": dict(self.repeating)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "PersonFacts":
        """The facts that `to_json` wrote."""
        return cls(**content)
