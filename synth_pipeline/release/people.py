"""A synthetic table of people with several rows, and the released profile in terms of rows; post-processing of released values."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.encode.people import deal, kept_as_row
from synth_pipeline.table.column import DatetimeColumn, ModelledColumn
from synth_pipeline.table.person import PERSON_ROWS, PersonFacts
from synth_pipeline.table.profile import ColumnProfile, Profile

_MORE = 2
_MOST_MORE = 200_000
_ROWS_A_LENGTH = 50
_SPARE = 1.05
_SMALLEST_DRAW = 1024


def rows_to_deal(rows: int, most_rows: int) -> int:
    """Rows to draw so that a sample of the people that they are dealt to has `rows`: more, so that few people are dealt from left-overs."""
    return rows + min(_MORE * rows, _MOST_MORE) + _ROWS_A_LENGTH * most_rows


def drawn_as_rows(
    draw: Callable[[int], pd.DataFrame], rows: int, people: PersonFacts, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows that follow the law of rows, from draws that follow the law of people: each is kept with probability k/m."""
    kept: list[pd.DataFrame] = []
    drawn, found, share = 0, 0, 1.0
    while found < rows:
        fresh = draw(max(int((rows - found) / share * _SPARE) + 1, min(_SMALLEST_DRAW, 4 * rows)))
        stays = kept_as_row(fresh, people.most_rows, rng)
        drawn, found = drawn + len(fresh), found + int(stays.sum())
        share = max(found, 1) / drawn
        kept.append(fresh.loc[stays])
    return pd.concat(kept, ignore_index=True).iloc[:rows]


def with_people(
    frame: pd.DataFrame,
    columns: Mapping[str, ModelledColumn],
    people: PersonFacts,
    *,
    rows: int,
    is_allowed: Callable[[pd.DataFrame], npt.NDArray[np.bool_]],
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """A sample of people dealt from drawn rows: the rows, person by person, and the person of each.

    Columns that are constant within a person (and what they determine) take the value of one of the person's rows. A row that breaks a rule
    or the condition by that becomes a copy of that one.

    Args:
        frame: drawn rows, all allowed, with `PERSON_ROWS`.
        columns: the modelled columns.
        people: released facts about people.
        rows: rows wanted.
        is_allowed: says which rows may stay.
        rng: randomness of post-processing.
    """
    frame = frame.reset_index(drop=True)
    constant = _with_determined(people.constant, columns)
    dealt = deal(frame, constant=constant, order=_order_of(people, columns), rng=rng).first(rows)
    plain = frame.drop(columns=PERSON_ROWS)
    told = plain.take(dealt.rows).reset_index(drop=True)
    spoken = plain.take(dealt.speaker).reset_index(drop=True)
    for name in constant:
        told[name] = spoken[name]
    broken = ~is_allowed(told)
    if broken.any():
        told = pd.concat([told.loc[~broken], spoken.loc[broken]]).sort_index()
    return told, dealt.person


def _order_of(people: PersonFacts, columns: Mapping[str, ModelledColumn]) -> str | None:
    """The column that puts a person's rows in order: a date where there is one, else the first of those that never repeat."""
    distinct = sorted(people.distinct, key=lambda name: not isinstance(columns[name], DatetimeColumn))
    return distinct[0] if distinct else None


def _with_determined(constant: tuple[str, ...], columns: Mapping[str, ModelledColumn]) -> tuple[str, ...]:
    """The constant columns and every column that is declared to be determined by one of them."""
    found = list(constant)
    for name in found:  # grows while it is read
        found += [other for other, column in columns.items() if column.determined_by == name and other not in found]
    return tuple(found)


def people_facts(profile: Profile, columns: Mapping[str, ModelledColumn], unit: str) -> dict[str, Any]:
    """What is released about how rows fall to people, for datasheet and certificate; empty where each row is a person."""
    people = profile.people
    if people is None:
        return {}
    return {
        "column": unit,
        "people": max(round(profile.rows), 1),
        "most_rows": people.most_rows,
        "mean_rows": round(profile.mean_person_rows, 4),
        "shares_by_rows": [round(share, 4) for share in profile.person_rows.tolist()],
        "constant_columns": list(_with_determined(people.constant, columns)),
        "may_vary_in": round(people.hidden_share, 3),
        "distinct_columns": list(people.distinct),
        "order_column": _order_of(people, columns),
    }


def profile_of_rows(profile: Profile, codes: npt.NDArray[np.integer], person_rows: npt.NDArray[np.int64]) -> Profile:
    """The released profile in terms of rows: each count times the mean number of rows of the people in it, by the generator.

    Args:
        profile: the released profile, in terms of people.
        codes: rows that the generator drew, by the law of people.
        person_rows: number of the person's rows of each.
    """
    overall = float(person_rows.mean())

    def in_rows(index: int, column: ColumnProfile) -> ColumnProfile:
        people = np.bincount(codes[:, index], minlength=column.codes)
        sums = np.bincount(codes[:, index], weights=person_rows, minlength=column.codes)
        mean = (sums + overall) / (people + 1)
        return replace(column, counts=column.counts * mean, sigma=column.sigma * mean)

    return replace(
        profile,
        people=None,
        rows=profile.rows * overall,
        rows_sigma=profile.row_count_sigma,
        columns=tuple(in_rows(index, column) for index, column in enumerate(profile.columns)),
    )
