"""Bins in which marginals are compared."""

import numpy as np
import pytest

from synth_pipeline.benchmark.binning import by_frequency, fit_binning
from synth_pipeline.benchmark.scored_table import ScoredTable, ScoredTables


def tables_of(train: ScoredTable, synthetic: ScoredTable, sizes: dict[str, int]) -> ScoredTables:
    kinds = {**dict.fromkeys(train.numbers, "numeric"), **dict.fromkeys(train.categories, "categorical")}
    return ScoredTables(kinds, sizes, train, train, synthetic)


def numbers(*values: float) -> ScoredTable:
    return ScoredTable(len(values), {"x": np.array(values, dtype=float)}, {})


def categories(*codes: int) -> ScoredTable:
    return ScoredTable(len(codes), {}, {"k": np.array(codes, dtype=np.int64)})


def test_few_distinct_numbers_keep_a_bin_each_and_null_has_the_last():
    binning = fit_binning(tables_of(numbers(1, 2, 5, np.nan), numbers(1), {}))
    assert binning.sizes == {"x": 4}
    assert binning.codes(numbers(-9, 1, 2, 3, 5, 99, np.nan))["x"].tolist() == [0, 0, 1, 2, 2, 2, 3]


def test_many_distinct_numbers_are_cut_at_twentieths_of_train():
    train = numbers(*range(1, 1001))
    binning = fit_binning(tables_of(train, train, {}))
    assert binning.sizes["x"] == 21
    assert np.bincount(binning.codes(train)["x"])[:20] == pytest.approx(np.full(20, 50), abs=1)


def test_frequent_categories_keep_a_bin_and_the_rest_unseen_and_null_share_one_each():
    train = categories(*(code for code in range(60) for _ in range(100 - code)))
    binning = fit_binning(tables_of(train, train, {"k": 61}))
    assert binning.sizes["k"] == 52
    assert binning.codes(categories(0, 48, 49, 59, 60, -1))["k"].tolist() == [0, 48, 49, 49, 50, 51]


def test_a_column_without_a_value_has_bins_for_what_it_lacks():
    empty = ScoredTable(2, {"x": np.full(2, np.nan)}, {"k": np.full(2, -1)})
    binning = fit_binning(tables_of(empty, empty, {"k": 1}))
    assert binning.codes(empty) == {"x": pytest.approx([1, 1]), "k": pytest.approx([2, 2])}


def test_equally_frequent_categories_keep_the_order_of_the_vocabulary():
    assert by_frequency(np.array([3, 1, 1, 3, 0, -1]), 5).tolist() == [1, 3, 0]
