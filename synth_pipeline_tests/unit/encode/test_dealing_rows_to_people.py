"""Rows dealt to synthetic people: k rows each, what is constant stays, what is distinct does not repeat, and no row law is bent."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.encode import people
from synth_pipeline.encode.identifier import invent_people
from synth_pipeline.encode.people import Dealing, deal, kept_as_row
from synth_pipeline.table.column import IdentifierColumn
from synth_pipeline.table.person import PERSON_ROWS


def drawn(rows: int, most: int, seed: int = 0) -> pd.DataFrame:
    """Rows as a generator draws them: sex and birth year constant within a person, the year distinct."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sex": pd.Series(rng.choice(np.array(["f", "m", None], dtype=object), rows, p=[0.5, 0.4, 0.1])),
            "born": rng.integers(1950, 1960, rows),
            "year": rng.integers(2000, 2020, rows),
            PERSON_ROWS: rng.integers(1, most + 1, rows),
        }
    )


def dealt(frame: pd.DataFrame, seed: int = 0, *, order: str | None = "year") -> Dealing:
    return deal(frame, constant=("sex", "born"), order=order, rng=np.random.default_rng(seed))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 7, 90, 1500]), st.sampled_from([1, 2, 5, 15]))
def test_every_person_has_exactly_as_many_rows_as_its_rows_say(seed: int, rows: int, most: int) -> None:
    frame = drawn(rows, most, seed)
    found = dealt(frame, seed)
    said = frame[PERSON_ROWS].to_numpy()[found.rows]
    sizes = np.bincount(found.person)
    assert np.array_equal(sizes[found.person], said)
    assert (np.diff(found.person) >= 0).all()
    assert all(frame[PERSON_ROWS].iloc[found.speaker].to_numpy() == said)


def test_nearly_every_drawn_row_is_dealt_exactly_once() -> None:
    frame = drawn(20_000, 8)
    found = dealt(frame)
    counts = np.bincount(found.rows, minlength=len(frame))
    assert (counts == 1).mean() > 0.995
    assert abs(len(found.rows) - len(frame)) < 8 * 8


def test_a_speaker_is_a_row_of_its_person_and_mostly_agrees_with_all_of_them() -> None:
    frame = drawn(20_000, 5)
    found = dealt(frame)
    people = pd.DataFrame({"person": found.person, "row": found.rows, "speaker": found.speaker})
    assert len(people[["person", "speaker"]].drop_duplicates()) == people["person"].nunique()
    assert people.groupby("person").apply(lambda one: one["speaker"].iloc[0] in set(one["row"])).all()
    agree = frame["born"].to_numpy()[found.rows] == frame["born"].to_numpy()[found.speaker]
    assert agree.mean() > 0.97


def test_a_column_that_never_repeats_is_repeated_only_where_it_cannot_be_helped() -> None:
    """One person in eight has a year twice by chance; dealt along the year hardly any has, and a person's rows are in its order."""
    frame = drawn(30_000, 6)
    along, blind = (dealt(frame, order=order) for order in ("year", None))
    repeats = [
        pd.Series(frame["year"].to_numpy()[found.rows]).groupby(found.person).apply(lambda y: y.duplicated().any())
        for found in (along, blind)
    ]
    assert repeats[0].mean() < 0.03
    assert repeats[1].mean() > 0.1
    years = pd.Series(frame["year"].to_numpy()[along.rows]).groupby(along.person)
    assert years.apply(lambda one: one.is_monotonic_increasing).all()


def test_people_of_small_cells_exchange_rows_until_few_have_a_year_twice_and_no_row_is_lost(monkeypatch) -> None:
    """Five waves, five rows a person: each has every wave. Cells of a few people draw them unevenly; near cells even that out."""
    frame = drawn(12_000, 1).assign(**{PERSON_ROWS: 5, "year": np.tile(np.arange(5), 2400)})
    frame["born"] = np.random.default_rng(3).integers(0, 400, len(frame))
    together = dealt(frame)
    monkeypatch.setattr(people, "_unrepeated", lambda person, _: person)
    apart = dealt(frame)

    def twice(found: Dealing) -> float:
        years = pd.Series(frame["year"].to_numpy()[found.rows])
        return float(years.groupby(found.person).apply(lambda one: one.duplicated().any()).mean())

    assert twice(apart) > 0.5
    assert twice(together) < 0.15
    assert np.array_equal(np.sort(together.rows), np.sort(apart.rows))
    moved = frame["born"].to_numpy()[together.rows] - frame["born"].to_numpy()[together.speaker]
    assert np.abs(moved).mean() < 16  # of 400


def test_the_first_people_are_a_random_sample_of_all() -> None:
    """Mean rows of the first 2,000 people within 5 standard errors of all people's: false alarm below 1e-6 (the seed is fixed)."""
    frame = drawn(60_000, 9)
    numbers = np.bincount(dealt(frame).person)
    error = numbers.std() / np.sqrt(2000)
    assert abs(numbers[:2000].mean() - numbers.mean()) < 5 * error


def test_people_are_as_frequent_as_the_rows_over_k_say_also_in_small_tables() -> None:
    """Left-over rows make a person with the chance that keeps the expectation: 4,000 tables, 5 standard errors, false alarm below 1e-6."""
    frame = pd.DataFrame({"year": np.arange(11), PERSON_ROWS: [4] * 5 + [3] * 4 + [1] * 2})
    rng = np.random.default_rng(1)
    people = [deal(frame, constant=(), order=None, rng=rng) for _ in range(4000)]
    fours = np.array([(np.bincount(one.person) == 4).sum() for one in people])
    threes = np.array([(np.bincount(one.person) == 3).sum() for one in people])
    for found, expected in ((fours, 5 / 4), (threes, 4 / 3)):
        assert abs(found.mean() - expected) < 5 * found.std() / np.sqrt(len(found))


@pytest.mark.parametrize("most", [2, 15])
def test_thinning_keeps_a_row_with_the_chance_k_over_m(most: int) -> None:
    """200,000 rows; each share within 5 standard errors of k/m, and away from 1 − (1 − 1/m)^k: false alarm below 1e-5 in all."""
    numbers = np.tile(np.arange(1, most + 1), 200_000 // most)
    frame = pd.DataFrame({PERSON_ROWS: numbers})
    kept = kept_as_row(frame, most, np.random.default_rng(2))
    for number in range(1, most + 1):
        share, rows = kept[numbers == number].mean(), (numbers == number).sum()
        expected = number / most
        assert abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / rows)


def test_a_million_rows_are_dealt_in_one_pass_over_sorted_arrays() -> None:
    frame = drawn(1_000_000, 10)
    found = dealt(frame)
    assert len(found.rows) > 999_000
    assert found.first(1000).rows.shape == found.first(1000).person.shape == (1000,)


@pytest.mark.parametrize("faker", ["uuid4", "first_name", "random_digit", "boolean"])
def test_every_person_has_one_identifier_and_no_two_share_one(faker: str) -> None:
    person = np.repeat(np.arange(300), np.arange(300) % 3 + 1)
    column = IdentifierColumn(kind="identifier", faker=faker)
    found = invent_people("who", column, person, seed=4)
    pairs = pd.DataFrame({"person": person, "who": found}).drop_duplicates()
    assert len(pairs) == 300
    assert pairs["who"].is_unique
    assert found.equals(invent_people("who", column, person, seed=4))
