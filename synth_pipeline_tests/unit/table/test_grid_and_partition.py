"""Native grids and partitions: small cases computable by hand, and their properties."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.table.column import DatetimeColumn, FloatColumn, IntegerColumn
from synth_pipeline.table.grid import Grid, native_grid
from synth_pipeline.table.partition import Intervals, Points, Roundness, Whole
from synth_pipeline.table.profile import project_simplex


def test_floats_without_a_precision_get_a_fine_public_grid() -> None:
    assert native_grid(FloatColumn(min=0, max=1)).decimals == 14
    assert native_grid(FloatColumn(min=0, max=200_000)).decimals == 9
    assert native_grid(FloatColumn(min=0, max=1e-6)).decimals == 18


@given(st.floats(-1e6, 1e6, allow_nan=False), st.sampled_from([1.0, 200.0, 1e6, 1e12]))
def test_a_float_without_a_precision_comes_back_to_the_15th_digit_of_its_bound(value: float, bound: float) -> None:
    grid = native_grid(FloatColumn(min=-bound, max=bound))
    value = float(np.clip(value, -bound, bound))
    cells, _ = grid.nearest(pd.Series([value]))
    assert abs(float(grid.values(cells.astype(np.int64))[0]) - value) <= 1e-14 * bound


def test_values_come_back_from_their_cells() -> None:
    grid = native_grid(FloatColumn(min=-1, max=1, precision=2))
    values = pd.Series([-1.0, -0.37, 0.0, 0.99, 1.0, None])
    cells, null = grid.nearest(values)
    assert null.tolist() == [False] * 5 + [True]
    assert grid.values(cells[:5].astype(np.int64)).tolist() == [-1.0, -0.37, 0.0, 0.99, 1.0]


def test_datetimes_come_back_from_their_cells() -> None:
    grid = native_grid(DatetimeColumn(min=date(2020, 1, 1), max=date(2021, 1, 1), precision="hour"))
    stamps = pd.Series(pd.to_datetime(["2020-01-01 00:00", "2020-06-05 13:00"]))
    cells, _ = grid.nearest(stamps)
    assert (pd.Series(grid.values(cells.astype(np.int64))) == stamps).all()


def test_a_time_belongs_to_the_step_that_it_falls_in() -> None:
    grid = native_grid(DatetimeColumn(min=date(2020, 1, 1), max=date(2021, 1, 1), precision="day"))
    cells, _ = grid.nearest(pd.Series(pd.to_datetime(["2020-01-02 23:59", "2020-01-03 00:00"])))
    assert cells.tolist() == [1, 2]


def test_values_outside_show_as_cells_outside() -> None:
    grid = native_grid(IntegerColumn(min=0, max=9))
    cells, _ = grid.nearest(pd.Series([-1, 0, 9, 10, np.inf]))
    assert [0 <= cell < grid.cells for cell in cells] == [False, True, True, False, False]


@given(st.integers(-500, 500), st.integers(1, 2000), st.sampled_from([2, 7, 10, 100]))
def test_a_coarser_grid_rounds_to_the_nearest_multiple(low: int, cells: int, stride: int) -> None:
    native = Grid(low, cells)
    coarse = native.coarsened(stride)
    moved = coarse.from_native(np.arange(cells), native)
    assert moved.min() >= 0
    assert moved.max() < coarse.cells
    inside = (native.ticks(np.arange(cells)) >= coarse.low * stride) & (
        native.ticks(np.arange(cells)) <= (coarse.low + coarse.cells - 1) * stride
    )
    gap = np.abs(coarse.ticks(moved) - native.ticks(np.arange(cells)))
    assert (gap[inside] <= stride / 2).all()


def test_partitions_put_each_cell_in_at_most_one_place() -> None:
    native = Grid(0, 12)
    cells = np.arange(12)
    assert Whole(12).assign(cells).tolist() == cells.tolist()
    assert Intervals(np.array([0, 3, 7, 12]), native, native).assign(cells).tolist() == [0] * 3 + [1] * 4 + [2] * 5
    assert Points(np.array([0, 10]), native, native).assign(cells).tolist() == [0] + [-1] * 9 + [1, -1]
    assert Roundness(native, (10,)).assign(cells).tolist() == [2] + [0] * 9 + [1, 0]


@given(st.lists(st.floats(-50, 500), min_size=1, max_size=40), st.floats(1, 2000), st.integers(0, 100))
def test_the_simplex_projection_is_feasible_and_optimal(counts: list[float], total: float, seed: int) -> None:
    values = np.array(counts)
    weights = np.random.default_rng(seed).uniform(0.5, 3.0, len(values))
    found = project_simplex(values, total, weights)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(total, rel=1e-6)
    slope = (values - found) / weights  # equal where positive, no larger where zero (Karush–Kuhn–Tucker)
    level = slope[found > 1e-9]
    assert np.allclose(level, level[0], atol=1e-6)
    assert (slope[found <= 1e-9] <= level[0] + 1e-6).all()
