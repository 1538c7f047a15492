"""The three tables as an attacker sees them: cells on a common scale, and the person each row belongs to.

Private: the arrays hold real rows. They live only while the attacks run.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.errors import TableError
from synth_pipeline.spec import Spec
from synth_pipeline.table.arrays import Floats, Ints, Kind, as_codes, as_numbers, check_comparable, column_kind
from synth_pipeline.table.column import ModelledColumn, OrdinalColumn, category_key

Cells = npt.NDArray[np.float32]

LEAST_PEOPLE = 20
MOST_SEARCHED = 100_000

_NULL_PLACE = 2.5
_UNLISTED_PLACE = 4.0
_NULL_VALUE = -1e300
_REMEDY = "an attack needs rows of each table"


@dataclass(frozen=True, repr=False, eq=False)
class People:
    """Rows of one table, and whose they are.

    Attributes:
        places: columns × rows; two cells differ by min(|a - b|, 1): Gower's distance. Numbers lie in [0, 1], categories a whole number
            apart, a null one or more from every value.
        values: columns × rows; numbers as they are, datetimes in seconds, categories and ordinals as codes, null one value of its own.
        persons: for each row the number of its person, without gaps.
    """

    places: Cells
    values: Floats
    persons: Ints

    def __repr__(self) -> str:
        return "People(contents withheld)"

    @property
    def count(self) -> int:
        """How many people there are."""
        return int(self.persons.max(initial=-1)) + 1

    def take(self, rows: npt.NDArray[np.intp]) -> "People":
        """The given rows, with their people numbered again in order of their old numbers."""
        _, persons = np.unique(self.persons[rows], return_inverse=True)
        return People(
            np.ascontiguousarray(self.places[:, rows]), np.ascontiguousarray(self.values[:, rows]), persons.reshape(-1)
        )

    def sample(self, most: int, rng: np.random.Generator) -> "People":
        """Every row of some people, drawn at random."""
        if self.count <= most:
            return self
        chosen = np.zeros(self.count, dtype=bool)
        chosen[rng.choice(self.count, most, replace=False)] = True
        return self.take(np.flatnonzero(chosen[self.persons]))

    def split(self, rng: np.random.Generator) -> tuple["People", "People"]:
        """Two halves of the people, at random."""
        first = np.zeros(self.count, dtype=bool)
        first[rng.choice(self.count, self.count // 2, replace=False)] = True
        is_first = first[self.persons]
        return self.take(np.flatnonzero(is_first)), self.take(np.flatnonzero(~is_first))

    def one_row_each(self, rng: np.random.Generator) -> "People":
        """One row of each person, drawn at random."""
        order = rng.permutation(len(self.persons))
        _, first = np.unique(self.persons[order], return_index=True)
        return self.take(np.asarray(order[first], dtype=np.intp))

    def highest(self, scores: Floats) -> Floats:
        """The highest score among each person's rows."""
        best = np.full(self.count, -np.inf)
        np.maximum.at(best, self.persons, scores)
        return best


@dataclass(frozen=True, repr=False, eq=False)
class AttackedTables:
    """The tables of an attack.

    Attributes:
        kinds: kind of each modelled column, in the order of the specification; also the order of the arrays' columns.
        widths: for numeric and datetime columns the difference of the largest and the smallest value over the three tables.
        train: people the generator saw.
        holdout: people it did not see: the control.
        synthetic: its rows in random order, each a person of its own.
        searched: the first 100,000 of them, among which neighbours and predicates are looked for.
    """

    kinds: Mapping[str, Kind]
    widths: Mapping[str, float]
    train: People
    holdout: People
    synthetic: People
    searched: People

    def __repr__(self) -> str:
        return f"AttackedTables({len(self.kinds)} columns, contents withheld)"

    @property
    def names(self) -> tuple[str, ...]:
        """The modelled columns."""
        return tuple(self.kinds)


def read_people(frames: Mapping[str, pd.DataFrame], spec: Spec, rng: np.random.Generator) -> AttackedTables:
    """Check the tables named train, holdout and synthetic against the specification and each other, and read them into arrays.

    Raises:
        TableError: for missing columns or values of another type, without a person column, with a person in both real tables, or with
            fewer than 20 people in one of them.
    """
    kinds: dict[str, Kind] = {name: column_kind(column) for name, column in spec.modelled.items()}
    check_comparable(frames, kinds, remedy=_REMEDY)
    places: dict[str, list[Cells]] = {what: [] for what in frames}
    values: dict[str, list[Floats]] = {what: [] for what in frames}
    widths: dict[str, float] = {}
    for name, column in spec.modelled.items():
        parts = {what: pd.Series(frame[name]) for what, frame in frames.items()}
        if kinds[name] in ("numeric", "datetime"):
            read, placed, widths[name] = _read_numbers(parts)
        else:
            read, placed = _read_categories(parts, column)
        for what in frames:
            values[what].append(read[what])
            places[what].append(placed[what])
    persons = _read_persons(frames, spec.privacy.unit.column)
    train, holdout, synthetic = (
        People(np.stack(places[what]), np.stack(values[what]), persons[what])
        for what in ("train", "holdout", "synthetic")
    )
    for what, people in (("train", train), ("holdout", holdout)):
        if people.count < LEAST_PEOPLE:
            raise TableError(
                f"{what}: fewer than {LEAST_PEOPLE} people; an attack on so few says nothing, keep more (see `holdout`)"
            )
    shuffled = synthetic.take(rng.permutation(len(synthetic.persons)))
    searched = shuffled.take(np.arange(min(MOST_SEARCHED, len(shuffled.persons))))
    return AttackedTables(kinds, widths, train, holdout, shuffled, searched)


def _read_numbers(parts: Mapping[str, pd.Series]) -> tuple[dict[str, Floats], dict[str, Cells], float]:
    numbers = {what: as_numbers(part, what) for what, part in parts.items()}
    known = np.concatenate([part[~np.isnan(part)] for part in numbers.values()])
    low, width = (float(known.min()), float(np.ptp(known))) if len(known) else (0.0, 0.0)
    values: dict[str, Floats] = {}
    places: dict[str, Cells] = {}
    for what, part in numbers.items():
        is_null = np.isnan(part)
        values[what] = np.where(is_null, _NULL_VALUE, part)
        places[what] = np.where(is_null, _NULL_PLACE, (part - low) / (width or 1.0)).astype(np.float32)
    return values, places, width


def _read_categories(
    parts: Mapping[str, pd.Series], column: ModelledColumn
) -> tuple[dict[str, Floats], dict[str, Cells]]:
    """Codes and places; an ordinal's places follow its declared order, and a value it does not list lies apart from all."""
    coded, vocabulary = as_codes(list(parts.values()))
    codes = np.arange(len(vocabulary), dtype=np.float64)
    steps = codes.copy()
    if isinstance(column, OrdinalColumn):
        ranks = {category_key(value): rank for rank, value in enumerate(column.categories)}
        codes = np.array([ranks.get(key, len(ranks) + code) for code, key in enumerate(vocabulary)], dtype=np.float64)
        listed = codes / max(len(ranks) - 1, 1)
        steps = np.where(codes < len(ranks), listed, _UNLISTED_PLACE + steps)
    else:
        steps = steps + _UNLISTED_PLACE
    value_of, place_of = np.append(codes, _NULL_VALUE), np.append(steps, _NULL_PLACE).astype(np.float32)
    values = {what: value_of[part] for what, part in zip(parts, coded, strict=True)}
    return values, {what: place_of[part] for what, part in zip(parts, coded, strict=True)}


def _read_persons(frames: Mapping[str, pd.DataFrame], unit: str | None) -> dict[str, Ints]:
    if unit is None:
        return {what: np.arange(len(frame)) for what, frame in frames.items()}
    for what in ("train", "holdout"):
        if unit not in frames[what].columns:
            raise TableError(f"{what}: no column {unit!r}; privacy.unit.column names people by it, add it")
    train, holdout = (pd.Series(frames[what][unit]) for what in ("train", "holdout"))
    if holdout.dropna().isin(train.dropna()).any():
        raise TableError(
            f"holdout: shares people (by {unit!r}) with train; the control must be other people, split by person"
        )
    numbered = {"synthetic": np.arange(len(frames["synthetic"]))}
    for what, ids in (("train", train), ("holdout", holdout)):
        numbers = pd.factorize(ids)[0].astype(np.int64)
        unnamed = numbers < 0
        numbers[unnamed] = numbers.max(initial=-1) + 1 + np.arange(int(unnamed.sum()))
        numbered[what] = numbers
    return numbered
