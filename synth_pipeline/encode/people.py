"""Drawn rows dealt to synthetic people, and drawn rows weighed by how many rows their person has.

A generator knows the law of people: P(x, k) is the chance that a random row of a random person is x and that the person has k rows. Rows
follow P_row(x) ∝ Σ_k k·P(x, k). Thinning gets there exactly: a drawn row is kept with probability k/m (`kept_as_row`).

Rows are then dealt (`deal`): those of equal k, and of equal values in the columns that are constant within a person, are dealt into people
of k rows, round-robin along the column that never repeats within a person. Where somebody has the same year twice all the same, near
people of equal k exchange rows, so that it stays so only where it cannot be helped. What is left of such a cell joins what is left of its
neighbours; of each person dealt from there one row, drawn at random, speaks for the constant columns of all. So the law of k and of the
constant columns is that of the drawn rows, whatever the cells.
Post-processing of released values: free.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.table.person import PERSON_ROWS

Places = npt.NDArray[np.int64]
_WINDOW_PEOPLE = 16
_NEAR_PEOPLE = 64


@dataclass(frozen=True, eq=False)
class Dealing:
    """Rows of synthetic people, person by person; the first that are wanted of it are a random sample of people.

    Attributes:
        rows: places of the rows in the drawn table.
        person: person of each, numbered from 0 in this order.
        speaker: for each, the place of the row whose constant columns are its person's.
    """

    rows: Places
    person: Places
    speaker: Places

    def first(self, rows: int) -> "Dealing":
        """The first rows; the last person may be cut short."""
        return Dealing(self.rows[:rows], self.person[:rows], self.speaker[:rows])


def kept_as_row(frame: pd.DataFrame, most_rows: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which drawn rows are kept, each with probability k/m: what is kept follows the law of rows."""
    return rng.random(len(frame)) * most_rows < _numbers(frame)


def deal(frame: pd.DataFrame, *, constant: tuple[str, ...], order: str | None, rng: np.random.Generator) -> Dealing:
    """Deal rows to people.

    Args:
        frame: drawn rows that follow the law of rows, with `PERSON_ROWS`.
        constant: columns that are constant within a person.
        order: column that does not repeat within a person and puts a person's rows in order, or None.
        rng: randomness of post-processing.
    """
    most = _numbers(frame)
    ranks = np.zeros(len(frame), dtype=np.int64) if order is None else _ranks(pd.Series(frame[order]))
    keys = [_ranks(pd.Series(frame[name])) for name in constant]
    keys.sort(key=lambda codes: -int(codes.max(initial=0)))  # the column with the fewest values decides first
    left = np.lexsort((rng.random(len(frame)), *keys, most))
    hands: list[tuple[Places, Places]] = []
    for cells in (_cells(left, [most, *keys]), None):
        found = _windows(left, most) if cells is None else cells
        hand, left = _dealt(left, found, most, (ranks, rng))
        hands.append(hand)
    hands.append(_completed(left, most, rng))
    rows, person = _joined(hands)
    if order is not None:
        person = _unrepeated(person, ranks[rows])
    return _shuffled(rows, person, ranks, rng)


def _numbers(frame: pd.DataFrame) -> Places:
    return frame[PERSON_ROWS].to_numpy(dtype=np.int64)


def _ranks(values: pd.Series) -> Places:
    """Rank of each row's value among the distinct ones; null is the last."""
    plain = values.astype(str).where(values.notna()) if values.dtype == object else values
    codes, found = pd.factorize(plain, sort=True)
    return np.where(codes < 0, len(found), codes).astype(np.int64)


def _cells(rows: Places, keys: list[Places]) -> Places:
    """Number of the cell of each row, where rows are sorted by the keys."""
    is_new = np.zeros(len(rows), dtype=bool)
    for codes in keys:
        is_new[1:] |= codes[rows[1:]] != codes[rows[:-1]]
    return np.cumsum(is_new)


def _windows(rows: Places, most: Places) -> Places:
    """Cells of neighbouring rows of equal k, large enough for some people each."""
    group = _cells(rows, [most])
    place = _place_in(group)
    return np.cumsum((place % (_WINDOW_PEOPLE * most[rows])) == 0)


def _place_in(cells: Places) -> Places:
    """Place of each row in its cell, where rows are sorted by cell."""
    is_first = np.diff(cells, prepend=-1) != 0
    place = np.arange(len(cells))
    return place - np.maximum.accumulate(np.where(is_first, place, 0))


def _dealt(
    rows: Places, cells: Places, most: Places, how: tuple[Places, np.random.Generator]
) -> tuple[tuple[Places, Places], Places]:
    """Rows and people of every whole person of the cells, and the rows that are left; a cell's rows have one k."""
    ranks, rng = how
    if len(rows) == 0:
        return (rows, rows), rows
    cells = np.unique(cells, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(cells)
    people = sizes[cells] // most[rows]
    is_whole = _place_in(cells) < people * most[rows]
    whole, inside, people = rows[is_whole], cells[is_whole], people[is_whole]
    order = np.lexsort((rng.random(len(whole)), ranks[whole], inside))
    whole, inside, people = whole[order], inside[order], people[order]
    each = np.zeros(len(sizes), dtype=np.int64)
    each[inside] = people
    first = np.cumsum(each) - each
    return (whole, first[inside] + _place_in(inside) % np.maximum(people, 1)), rows[~is_whole]


def _completed(rows: Places, most: Places, rng: np.random.Generator) -> tuple[Places, Places]:
    """The fewer than k rows that are left of each k: with probability (rows left)/k a person, filled up with copies of rows of its k."""
    found, people = [rows[:0]], [rows[:0]]
    for number in np.unique(most[rows]):
        left = rows[most[rows] == number]
        if rng.random() * number >= len(left):
            continue
        alike = np.flatnonzero(most == number)
        found.append(np.concatenate([left, alike[rng.integers(len(alike), size=number - len(left))]]))
        people.append(np.full(number, len(people) - 1, dtype=np.int64))
    return np.concatenate(found), np.concatenate(people)


def _joined(hands: list[tuple[Places, Places]]) -> tuple[Places, Places]:
    """All hands as one, people numbered through."""
    starts = np.cumsum([0] + [int(person.max(initial=-1)) + 1 for _, person in hands])
    people = [person + start for (_, person), start in zip(hands, starts, strict=False)]
    return np.concatenate([rows for rows, _ in hands]), np.concatenate(people)


def _unrepeated(person: Places, ranks: Places) -> Places:
    """Person of each row after exchanges between people of equal k, by which fewer of them have one rank twice.

    In a small cell a rank is now and then drawn more often than there are people. A person with one rank twice gives one of the two to a
    near one that lacks it, for one of that person's doubles or, where nobody near has any, for a rank that it lacks itself. Each exchange
    leaves fewer doubles; people near one another in number are of the same cell, or of one like it.
    """
    person = person.copy()
    order = np.argsort(person, kind="stable")
    sizes = np.bincount(person)
    for size in np.unique(sizes):
        table = order[np.isin(person[order], np.flatnonzero(sizes == size))].reshape(-1, size)
        sorted_ranks = np.sort(ranks[table], axis=1)
        doubled = np.flatnonzero((sorted_ranks[:, 1:] == sorted_ranks[:, :-1]).any(axis=1))
        if len(doubled):
            held = _Held(table, ranks)
            for number in doubled.tolist():
                held.settle(number)
            person[held.table.ravel()] = np.repeat(person[table[:, 0]], size)
    return person


class _Held:
    """Rows of people of equal k, one person a line, and their exchanges."""

    def __init__(self, table: Places, ranks: Places) -> None:
        self.table = table.copy()
        self._ranks: list[list[int]] = ranks[table].tolist()

    def settle(self, number: int) -> None:
        """Exchange a person's doubles, as far as near people can take them."""
        for _ in range(len(self._ranks[number])):
            give = self._double(number)
            if give is None:
                return
            found = self._taker(number, self._ranks[number][give])
            if found is None:
                return
            self._exchange((number, give), found)

    def _double(self, number: int) -> int | None:
        """Place of a rank that a person has twice."""
        held = self._ranks[number]
        return next((place for place, rank in enumerate(held) if rank in held[:place]), None)

    def _taker(self, number: int, rank: int) -> tuple[int, int] | None:
        """The nearest person that lacks a rank, and the place of what it gives for it."""
        own, other = self._ranks[number], None
        for step in range(1, _NEAR_PEOPLE + 1):
            for near in (number - step, number + step):
                if not 0 <= near < len(self._ranks) or rank in self._ranks[near]:
                    continue
                double = self._double(near)
                if double is not None:
                    return near, double
                if other is None:
                    place = next((place for place, held in enumerate(self._ranks[near]) if held not in own), None)
                    other = None if place is None else (near, place)
        return other

    def _exchange(self, one: tuple[int, int], other: tuple[int, int]) -> None:
        self.table[one], self.table[other] = self.table[other], self.table[one]
        (person, place), (near, there) = one, other
        held, theirs = self._ranks[person], self._ranks[near]
        held[place], theirs[there] = theirs[there], held[place]


def _shuffled(rows: Places, person: Places, ranks: Places, rng: np.random.Generator) -> Dealing:
    """People in random order, each person's rows in theirs, and one row of each person drawn as its speaker."""
    count = int(person.max(initial=-1)) + 1
    person = rng.permutation(count)[person]
    lots = np.lexsort((rng.random(len(rows)), person))
    speakers = rows[lots[np.flatnonzero(np.diff(person[lots], prepend=-1))]]
    order = np.lexsort((rng.random(len(rows)), ranks[rows], person))
    return Dealing(rows[order], person[order], speakers[person[order]])
