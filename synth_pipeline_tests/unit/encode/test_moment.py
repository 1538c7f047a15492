"""Moments put together from a bin, its calendar parts and a region."""

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.encode.moment import day_slots, spread_moments
from synth_pipeline.encode.pieces import Pieces
from synth_pipeline.table.calendar import CalendarPart, cells_of_days, part_of
from synth_pipeline.table.column import DatetimeColumn
from synth_pipeline.table.grid import native_grid
from synth_pipeline.table.profile import NumericProfile

GRID = native_grid(DatetimeColumn(min=pd.Timestamp("2020-01-01"), max=pd.Timestamp("2020-12-31 23:59:59")))
DAY = 86_400
COLUMN = NumericProfile("visit", GRID, GRID, np.array([0, GRID.cells]), np.zeros(1), np.ones(1), nullable=False,
                        leaves=np.empty((0, 2), dtype=np.int64), masses=np.zeros(0))  # fmt: skip
YEAR = Pieces(np.array([0]), np.array([GRID.cells]), np.array([1.0]))


def moments(cells: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(GRID.values(cells))


def test_parts_agree_with_the_calendar_of_pandas() -> None:
    cells = np.random.default_rng(0).integers(0, GRID.cells, 1000)
    stamps = moments(cells)
    assert (CalendarPart(GRID, "month").assign(cells) == stamps.month.to_numpy() - 1).all()
    assert (CalendarPart(GRID, "weekday").assign(cells) == stamps.day_of_week.to_numpy()).all()
    assert (CalendarPart(GRID, "hour").assign(cells) == stamps.hour.to_numpy()).all()


def test_moments_before_1970_have_the_right_parts() -> None:
    stamps = pd.DatetimeIndex(["1969-12-31 23:00", "1900-02-28 05:30"])
    seconds = stamps.to_numpy().astype("datetime64[s]").astype(np.int64)
    assert part_of(seconds, "hour").tolist() == [23, 5]
    assert part_of(seconds, "weekday").tolist() == stamps.day_of_week.tolist()
    assert part_of(seconds, "month").tolist() == [11, 1]


def test_every_row_falls_in_its_month_on_its_weekday_at_its_hour() -> None:
    rng = np.random.default_rng(1)
    parts = {"month": rng.integers(0, 12, 500), "weekday": rng.integers(0, 7, 500), "hour": rng.integers(0, 24, 500)}
    stamps = moments(spread_moments(YEAR, COLUMN, parts, rows=500, rng=rng))
    assert (stamps.month.to_numpy() - 1 == parts["month"]).all()
    assert (stamps.day_of_week.to_numpy() == parts["weekday"]).all()
    assert (stamps.hour.to_numpy() == parts["hour"]).all()


def test_a_part_that_is_null_wishes_nothing() -> None:
    parts = {"month": np.full(400, 12), "weekday": np.full(400, 7), "hour": np.full(400, 24)}
    stamps = moments(spread_moments(YEAR, COLUMN, parts, rows=400, rng=np.random.default_rng(2)))
    assert len(set(stamps.month)) == 12
    assert len(set(stamps.hour)) == 24


def test_parts_give_way_to_the_bin() -> None:
    monday = Pieces(np.array([5 * DAY]), np.array([6 * DAY]), np.array([1.0]))  # 2020-01-06
    parts = {"month": np.full(50, 7), "weekday": np.full(50, 3), "hour": np.full(50, 11)}
    stamps = moments(spread_moments(monday, COLUMN, parts, rows=50, rng=np.random.default_rng(3)))
    assert set(stamps.date) == {pd.Timestamp("2020-01-06").date()}
    assert set(stamps.hour) == {11}


def test_the_hour_gives_way_to_a_piece_that_does_not_reach_it() -> None:
    morning = Pieces(np.array([0]), np.array([3 * 3600]), np.array([1.0]))
    cells = spread_moments(morning, COLUMN, {"hour": np.full(50, 20)}, rows=50, rng=np.random.default_rng(4))
    assert cells.min() >= 0
    assert cells.max() < 3 * 3600


def test_slots_keep_the_mass_of_their_pieces() -> None:
    pieces = Pieces(np.array([DAY // 2, 10 * DAY]), np.array([4 * DAY, 10 * DAY + 1]), np.array([7.0, 3.0]))
    slots = day_slots(pieces, COLUMN)
    assert slots.masses.sum() == pytest.approx(10.0)
    assert slots.masses[0] == pytest.approx(1.0)  # half a day of three and a half
    assert (slots.stops > slots.starts).all()


def test_a_coarser_grid_keeps_its_steps() -> None:
    hourly = GRID.coarsened(3600)
    assert cells_of_days(np.array([18262, 18263]), hourly).tolist() == [0, 24]  # 2020-01-01 and the day after
