"""Predicates that may single a person out: conjunctions of one condition a column, guessed from the synthetic table.

Source: Giomi et al. 2023 (PoPETs 2023(2)), section 5.1, and Cohen & Nissim 2020, Towards formalizing the GDPR's notion of singling out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from synth_pipeline.audit.attack.people import People
from synth_pipeline.table.arrays import Floats

Sign = Literal["=", "≠", "≤", "≥", "<", ">"]

MOST_ATTEMPTS = 12_000
SIZES = (3, 4, 5, 6)

_NULL_BELOW = -1e299


@dataclass(frozen=True)
class Condition:
    """One column compared with one value."""

    column: int
    sign: Sign
    value: float

    def holds(self, values: Floats) -> npt.NDArray[np.bool_]:
        """Where it holds; a null is only ever equal or unequal."""
        if self.sign == "=":
            return values == self.value
        if self.sign == "≠":
            return values != self.value
        if self.sign in ("≥", ">"):
            return values >= self.value if self.sign == "≥" else values > self.value
        is_known = values > _NULL_BELOW
        return is_known & (values <= self.value if self.sign == "≤" else values < self.value)


Predicate = tuple[Condition, ...]


def fitting_people(people: People, predicate: Predicate) -> tuple[int, ...]:
    """The people with a row that meets a predicate; of more than two, two of them."""
    rows = np.flatnonzero(predicate[0].holds(people.values[predicate[0].column]))
    for condition in predicate[1:]:
        rows = rows[condition.holds(people.values[condition.column][rows])]
    if len(rows) == 0:
        return ()
    persons = people.persons[rows]
    low, high = int(persons.min()), int(persons.max())
    return (low,) if low == high else (low, high)


def distinct_rows(people: People) -> People:
    """The first of all rows that are equal in every column, in order, each as a person of its own."""
    _, first = np.unique(people.values, axis=1, return_index=True)
    return people.take(np.sort(first))


def univariate(synthetic: People, ordered: Sequence[bool], most: int, rng: np.random.Generator) -> list[Predicate]:
    """Conditions on one column that hold for one synthetic row: values that occur once, and the extremes of numbers."""
    found: list[Predicate] = []
    for column, values in enumerate(synthetic.values):
        distinct, counts = np.unique(values, return_counts=True)
        found += [(Condition(column, "=", float(value)),) for value in distinct[counts == 1]]
        known = distinct > _NULL_BELOW
        if ordered[column] and known.any():
            kept, kept_counts = distinct[known], counts[known]
            if kept_counts[0] == 1:
                found.append((Condition(column, "≤", float(kept[0])),))
            if kept_counts[-1] == 1:
                found.append((Condition(column, "≥", float(kept[-1])),))
    return [found[index] for index in rng.permutation(len(found))[:most]]


def multivariate(
    synthetic: People, ordered: Sequence[bool], most: int, rng: np.random.Generator, *, sizes: Sequence[int] = SIZES
) -> list[Predicate]:
    """Conditions on several columns of a random synthetic row that hold for no other: numbers towards their nearer end."""
    columns, rows = synthetic.values.shape
    if columns == 1:
        return []
    medians = [_median(values) for values in synthetic.values]
    found: dict[Predicate, None] = {}
    for _ in range(MOST_ATTEMPTS):
        if len(found) == most:
            break
        size = min(int(rng.choice(np.asarray(sizes))), columns)
        row, chosen = int(rng.integers(rows)), np.sort(rng.choice(columns, size, replace=False)).tolist()
        predicate = tuple(
            _condition(column, float(synthetic.values[column, row]), medians[column], is_ordered=ordered[column])
            for column in chosen
        )
        if predicate not in found and len(fitting_people(synthetic, predicate)) == 1:
            found[predicate] = None
    return list(found)


def random_predicates(
    synthetic: People, ordered: Sequence[bool], most: int, rng: np.random.Generator, *, sizes: Sequence[int] = SIZES
) -> list[Predicate]:
    """Random conditions on random values: the naive attack."""
    columns = len(synthetic.values)
    distinct = [np.unique(values) for values in synthetic.values]
    signs: tuple[Sign, ...] = ("=", "≠", ">", "<", "≥", "≤")
    found: list[Predicate] = []
    for _ in range(most):
        size = min(int(rng.choice(np.asarray(sizes))), columns)
        chosen = np.sort(rng.choice(columns, size, replace=False)).tolist()
        conditions: list[Condition] = []
        for column in chosen:
            value = float(rng.choice(distinct[column]))
            choices = signs if ordered[column] and value > _NULL_BELOW else signs[:2]
            conditions.append(Condition(column, choices[rng.integers(len(choices))], value))
        found.append(tuple(conditions))
    return found


def _condition(column: int, value: float, median: float, *, is_ordered: bool) -> Condition:
    if not is_ordered or value <= _NULL_BELOW:
        return Condition(column, "=", value)
    return Condition(column, "≥" if value > median else "≤", value)


def _median(values: Floats) -> float:
    known = values[values > _NULL_BELOW]
    return float(np.median(known)) if len(known) else 0.0
