"""Rows towards given shares of groups or classes: so many rows of each cell as was asked, each drawn from the model's law given the cell.

CELLS: the asked shares as disjoint conditions, each with an exact share. COUNT: the method of largest remainders, so that the numbers of
rows add up and none is off by a whole row. DRAW: each cell by conditioning inside the model, as `sample --where` does; no row is thrown
away to meet a share. SHUFFLE: rows, or people with all their rows, in random order.

Privacy:
    Post-processing of a released model: free of budget, whatever is asked and however often.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product
from math import prod
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.errors import ConstraintError, PredicateError
from synth_pipeline.table.column import (
    BooleanColumn,
    Category,
    CategoryColumn,
    ModelledColumn,
    NumericColumn,
    category_key,
    declared_categories,
)
from synth_pipeline.table.predicate import Predicate, parse_predicate, region_table
from synth_pipeline.table.predicate_operand import shortened

Value: TypeAlias = Category | bool | None
ColumnShares: TypeAlias = Literal["equal"] | Mapping[Value, float]
Shares: TypeAlias = Mapping[str, ColumnShares] | Sequence[tuple[str, float]]
Drawn: TypeAlias = tuple[pd.DataFrame, npt.NDArray[np.int64] | None]

MOST_CELLS = 1_000
"""Cells of columns multiplied out."""

MOST_CONDITIONS = 100
"""Conditions given one by one; each pair is checked to be disjoint."""

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Cell:
    """A group of rows and its share of the table.

    Attributes:
        predicate: the condition that makes the group.
        share: exact share of the rows.
    """

    predicate: Predicate
    share: Fraction


def cells_of(shares: Shares, columns: Mapping[str, ModelledColumn]) -> tuple[Cell, ...]:
    """The asked shares as disjoint cells.

    Args:
        shares: by column, `"equal"` (over its categories; nulls are left out) or a share for each category that may occur (None: null);
            several columns are multiplied out. Or SQL conditions, no two of which a row can meet, each with its share.
        columns: the modelled columns, with discovered categories filled in.

    Raises:
        PredicateError: if a column, category or condition is unknown or impossible, two conditions overlap, a share is not between 0
            and 1, or the shares do not add up to 1.

    Example:
        >>> sex = {"sex": BooleanColumn()}
        >>> [(cell.predicate.sql, str(cell.share)) for cell in cells_of({"sex": "equal"}, sex)]
        [('"sex" = FALSE', '1/2'), ('"sex" = TRUE', '1/2')]
    """
    if not shares:
        raise PredicateError(
            'shares: none given; name a column, such as {"income": "equal"}, or conditions with shares'
        )
    if isinstance(shares, Mapping):
        return _multiplied({name: _of_column(name, asked, columns) for name, asked in shares.items()}, columns)
    return _of_conditions(shares, columns)


def counts_of(rows: int, shares: Sequence[Fraction]) -> list[int]:
    """Whole numbers of rows by the method of largest remainders (Hamilton): they add up, and each is its quota rounded down or up.

    Args:
        rows: rows in all.
        shares: exact shares that add up to 1; of equal remainders the first is rounded up.

    Example:
        >>> counts_of(10, [Fraction(1, 3)] * 3)
        [4, 3, 3]
    """
    quotas = [rows * share for share in shares]
    counts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda cell: counts[cell] - quotas[cell])
    for cell in by_remainder[: rows - sum(counts)]:
        counts[cell] += 1
    return counts


def draw_cells(
    rows: int, cells: Sequence[Cell], draw: Callable[[int, Predicate], Drawn], rng: np.random.Generator
) -> Drawn:
    """The rows of every cell, in random order; people, where rows belong to some, keep their rows together.

    Args:
        rows: rows in all.
        cells: disjoint cells whose shares add up to 1.
        draw: that many rows that all meet a condition, and the person of each where people may have several rows.
        rng: randomness of the order.

    Raises:
        ConstraintError: if the model, under the dataset's rules, cannot draw a cell; names it.
    """
    parts: list[pd.DataFrame] = []
    people: list[npt.NDArray[np.int64]] = []
    known = 0
    for cell, count in zip(cells, counts_of(rows, [cell.share for cell in cells]), strict=True):
        if count == 0:
            continue
        try:
            frame, person = draw(count, cell.predicate)
        except ConstraintError as fault:
            raise ConstraintError(f"shares: {cell.predicate.sql}: {str(fault).removeprefix('--where: ')}") from None
        parts.append(frame)
        if person is not None:
            people.append(person + known)
            known += int(person.max()) + 1
    table = pd.concat(parts, ignore_index=True)
    if not people:
        return table.take(rng.permutation(len(table))).reset_index(drop=True), None
    place = rng.permutation(known)[np.concatenate(people)]
    order = np.argsort(place, kind="stable")
    return table.take(order).reset_index(drop=True), np.unique(place[order], return_inverse=True)[1].astype(np.int64)


def category_condition(name: str, column: CategoryColumn, category: Value) -> str:
    """The SQL that a category column equals a category; None is null.

    Example:
        >>> category_condition("sex", BooleanColumn(), True)
        '"sex" = TRUE'
    """
    quoted = quoted_name(name)
    if category is None:
        return f"{quoted} IS NULL"
    if isinstance(column, BooleanColumn):
        return f"{quoted} = {str(category).upper()}"
    text = category_key(category).replace("'", "''")
    return f"{quoted} = '{text}'"


def quoted_name(name: str) -> str:
    """A column's name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def _of_column(name: str, asked: ColumnShares, columns: Mapping[str, ModelledColumn]) -> dict[str, Fraction]:
    """Conditions on one column with their shares."""
    column = columns.get(name)
    if column is None:
        raise PredicateError(f"shares: no modelled column {name!r}; there are {shortened(list(columns))}")
    if isinstance(column, NumericColumn):
        raise PredicateError(
            f"shares.{name}: is {column.kind}, which has no categories; give conditions with shares, such as"
            f" {quoted_name(name)} < some value"
        )
    declared = {category_key(category): category for category in declared_categories(column)}
    if asked == "equal":
        return {category_condition(name, column, value): Fraction(1, len(declared)) for value in declared.values()}
    if not isinstance(asked, Mapping):
        raise PredicateError(f"shares.{name}: write `equal`, or a share for each category that may occur")
    given: dict[str, float] = {}
    for value, share in asked.items():
        key = None if value is None else _matching(category_key(value), declared, column)
        if (value is None and not column.nullable) or (value is not None and key is None):
            listed = shortened([*declared, *(["null"] if column.nullable else [])])
            raise PredicateError(f"shares.{name}: no category {value!r}; there are {listed}")
        given[category_condition(name, column, None if key is None else declared[key])] = share
    return _exact(given, where=f"shares.{name}")


def _matching(key: str, declared: Mapping[str, object], column: CategoryColumn) -> str | None:
    """The declared key that a given one means: true and false in any case for a boolean, as JSON writes them."""
    if isinstance(column, BooleanColumn):
        key = key.capitalize()
    return key if key in declared else None


def _multiplied(
    by_column: Mapping[str, Mapping[str, Fraction]], columns: Mapping[str, ModelledColumn]
) -> tuple[Cell, ...]:
    number = prod(len(conditions) for conditions in by_column.values())
    if number > MOST_CELLS:
        raise PredicateError(
            f"shares: {' × '.join(by_column)} make {number:,} cells; at most {MOST_CELLS:,} are allowed: name fewer columns"
        )
    return tuple(
        Cell(
            parse_predicate(" AND ".join(sql for sql, _ in chosen), columns, where="shares"),
            prod((share for _, share in chosen), start=Fraction(1)),
        )
        for chosen in product(*(conditions.items() for conditions in by_column.values()))
    )


def _of_conditions(shares: Sequence[tuple[str, float]], columns: Mapping[str, ModelledColumn]) -> tuple[Cell, ...]:
    """Cells of conditions, each of which some row can meet, and no two of which one row can."""
    if isinstance(shares, str) or any(not isinstance(item, Sequence) or len(item) != 2 for item in shares):
        raise PredicateError("shares: give a mapping by column, or pairs of an SQL condition and its share")
    if len(shares) > MOST_CONDITIONS:
        raise PredicateError(f"shares: {len(shares)} conditions; at most {MOST_CONDITIONS} are allowed")
    predicates = [parse_predicate(sql, columns, where=f"shares[{place}]") for place, (sql, _) in enumerate(shares)]
    for place, predicate in enumerate(predicates):
        alone = region_table([predicate], columns, semantics="where")
        if alone is None:
            raise PredicateError(
                f"shares[{place}]: compares columns with one another; compare each column with constants instead"
            )
        if alone.is_empty:
            raise PredicateError(f"shares[{place}]: no row of the declared domain meets {predicate.sql!r}; correct it")
    for (one, first), (other, second) in combinations(enumerate(predicates), 2):
        both = region_table([first, second], columns, semantics="where")
        if both is None:
            raise PredicateError(
                f"shares[{one}], shares[{other}]: name too many values together to be checked for overlap; simplify them"
            )
        if not both.is_empty:
            raise PredicateError(
                f"shares[{one}], shares[{other}]: a row can meet both {first.sql!r} and {second.sql!r}; make them exclude each other"
            )
    exact = _exact({str(place): share for place, (_, share) in enumerate(shares)}, where="shares")
    return tuple(Cell(predicate, exact[str(place)]) for place, predicate in enumerate(predicates))


def _exact(given: Mapping[str, float], *, where: str) -> dict[str, Fraction]:
    """Shares as written, in exact arithmetic, brought to a sum of exactly 1 where only rounding is amiss."""
    shares: dict[str, Fraction] = {}
    for name, share in given.items():
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            shown = "" if name.isdigit() else f" of {name}"
            raise PredicateError(f"{where}: the share{shown} is {share!r}; a share is a number between 0 and 1")
        shares[name] = Fraction(repr(share))
    total = sum(shares.values(), start=Fraction(0))
    if abs(total - 1) > _SUM_TOLERANCE:
        raise PredicateError(f"{where}: the shares add up to {float(total):g}; they must add up to 1")
    return {name: share / total for name, share in shares.items()}
