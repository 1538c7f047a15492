"""Null blocks in encoded rows."""

import numpy as np
import pytest

from synth_pipeline.encode.null_block import with_whole_blocks
from synth_pipeline.table.encoded import Domain, EncodedTable
from synth_pipeline.table.profile import CategoryProfile, Profile


def column(name: str) -> CategoryProfile:
    """Categories a and b, and null as code 2."""
    return CategoryProfile(name, ("a", "b"), is_ordered=False, nullable=True, has_rest=False,
                           counts=np.ones(3), sigma=np.ones(3))  # fmt: skip


PROFILE = Profile(9.0, 1.0, (column("x"), column("y"), column("z"), column("w")), 1.0, null_blocks=((0, 1, 2),))
DOMAIN = Domain(("x", "y", "z", "w"), (3, 3, 3, 3))


def repaired(rows: list[list[int]], regions: dict[int, np.ndarray] | None = None) -> list[list[int]]:
    table = EncodedTable(np.array(rows, dtype=np.int32), DOMAIN, regions or {})
    return with_whole_blocks(table, PROFILE, rng=np.random.default_rng(0)).tolist()


def test_the_majority_decides_and_columns_outside_the_block_are_left() -> None:
    assert repaired([[0, 1, 0, 2], [2, 2, 1, 0], [2, 0, 1, 1]]) == [[0, 1, 0, 2], [2, 2, 2, 0], [0, 0, 1, 1]]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_columns_drawn_one_by_one_keep_their_share_of_nulls(share: float) -> None:
    rng = np.random.default_rng(1)
    rows = 2_000
    codes = np.where(rng.random((rows, 4)) < share, 2, rng.integers(0, 2, (rows, 4))).astype(np.int32)
    found = with_whole_blocks(EncodedTable(codes, DOMAIN), PROFILE, rng=rng)
    is_null = found[:, :3] == 2
    assert np.array_equal(is_null.any(1), is_null.all(1))
    assert abs(is_null[:, 0].mean() - (codes[:, :3] == 2).mean()) <= 1 / rows


def test_a_single_mixed_row_is_null_as_often_as_its_columns_are() -> None:
    rows, rng = np.array([[2, 1, 0, 0], [1, 1, 1, 1]], dtype=np.int32), np.random.default_rng(2)
    found = [with_whole_blocks(EncodedTable(rows, DOMAIN), PROFILE, rng=rng)[0, :3].tolist() for _ in range(600)]
    nulls = sum(codes == [2, 2, 2] for codes in found)
    assert sum(2 in codes for codes in found) == nulls
    assert 131 < nulls < 269  # a third of 600, give or take six standard deviations


def test_whole_rows_are_left_as_they_are() -> None:
    rows = [[0, 1, 1, 2], [2, 2, 2, 0]]
    assert repaired(rows) == rows


def test_without_a_filled_row_to_take_from_mixed_rows_become_null() -> None:
    assert repaired([[2, 0, 1, 0]]) == [[2, 2, 2, 0]]


def test_a_column_that_a_condition_confines_decides_and_is_never_changed() -> None:
    regions = {0: np.zeros(3, dtype=np.int32)}
    found = repaired([[0, 2, 2, 0], [2, 0, 0, 0], [1, 1, 1, 1]], regions)
    assert found == [[0, 1, 1, 0], [2, 2, 2, 0], [1, 1, 1, 1]]


def test_the_rows_that_were_given_are_not_written_to() -> None:
    codes = np.array([[2, 0, 0, 0], [1, 1, 1, 1]], dtype=np.int32)
    with_whole_blocks(EncodedTable(codes, DOMAIN), PROFILE, rng=np.random.default_rng(0))
    assert codes.tolist() == [[2, 0, 0, 0], [1, 1, 1, 1]]
