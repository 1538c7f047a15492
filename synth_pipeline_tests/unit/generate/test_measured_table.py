from types import SimpleNamespace

import numpy as np
import pytest

from synth_pipeline.generate.graphical.compress import Compression
from synth_pipeline.generate.measured import MeasuredPair
from synth_pipeline.generate.measured_table import MeasuredTable, measured_tables
from synth_pipeline.generate.privbayes import Family
from synth_pipeline.privacy.events import DiscreteGaussianEvent
from synth_pipeline.privacy.unit import WEIGHT_UNITS
from synth_pipeline.table.encoded import Domain

DOMAIN = Domain(("a", "b", "c"), (4, 3, 2))


def map_of(*groups):
    return np.array(groups, dtype=np.int64)


def event(purpose, sigma, **more):
    return DiscreteGaussianEvent(stage="generator", purpose=purpose, sigma=sigma, **more)


def test_a_kept_pair_becomes_a_table_in_table_order():
    labels = np.array([[0, 1, 1, 2], [0, 1, 1, 2], [3, 3, 3, 3]])
    kept = MeasuredPair(1, 0, labels, 4, np.zeros(4), 5.0, 100.0, "level 0")
    (table,) = measured_tables(SimpleNamespace(measured=(kept,)), domain=DOMAIN, rows=90.0)
    assert (table.columns, table.cells, table.rows) == ((0, 1), 4, 100.0)
    assert table.cells_of(np.array([[0, 0, 0], [3, 1, 0], [1, 2, 1]], dtype=np.int32)).tolist() == [0, 2, 3]
    assert table.over((0,)) is None


def test_a_pair_that_was_measured_twice_has_the_noise_of_both():
    compression = Compression((map_of(0, 1, 2, 2), map_of(0, 1, 2), map_of(0, 1)), (np.ones(4), np.ones(3), np.ones(2)))
    events = [event("table a × b", 30.0), event("table a × b", 40.0), event("choice among 3 pairs", 9.0)]
    (table,) = measured_tables(SimpleNamespace(events=events, compression=compression), domain=DOMAIN, rows=50.0)
    assert table.columns == (0, 1)
    assert table.sigmas == pytest.approx(np.full(9, 24.0))
    assert table.cells_of(np.array([[3, 2, 0]], dtype=np.int32)).tolist() == [8]


def test_names_that_read_alike_are_no_evidence_of_a_table():
    domain = Domain(("a", "b × c", "a × b", "c"), (2, 2, 2, 2))
    compression = Compression(tuple(map_of(0, 1) for _ in range(4)), tuple(np.ones(2) for _ in range(4)))
    found = measured_tables(
        SimpleNamespace(events=[event("table a × b × c", 3.0)], compression=compression), domain=domain, rows=9.0
    )
    assert found == ()


def test_a_family_covers_its_pairs_with_noise_that_adds_in_squares():
    network = SimpleNamespace(
        families=(
            Family(2, (), (), np.full((1, 2), 0.5)),
            Family(0, (2, 1), (map_of(0, 1), map_of(0, 1, 1)), np.full((4, 4), 0.25)),
        )
    )
    weighed = event("table a | c in 2, b in 2", 6.0 * WEIGHT_UNITS, sensitivity=WEIGHT_UNITS)
    (table,) = measured_tables(SimpleNamespace(events=[weighed], network=network), domain=DOMAIN, rows=10.0)
    assert (table.columns, table.cells) == ((0, 1, 2), 16)
    assert table.sigmas == pytest.approx(np.full(16, 6.0))
    pair = table.over((0, 2))
    assert (pair.columns, pair.cells) == ((0, 2), 8)
    assert pair.sigmas == pytest.approx(np.full(8, 6.0 * np.sqrt(2)))


def test_a_network_whose_events_are_not_its_own_tells_nothing():
    network = SimpleNamespace(
        families=(Family(2, (), (), np.ones((1, 2))), Family(0, (2,), (map_of(0, 1),), np.ones((2, 4))))
    )
    assert measured_tables(SimpleNamespace(events=[], network=network), domain=DOMAIN, rows=10.0) == ()


def test_an_engine_that_learns_from_no_table_has_none():
    assert measured_tables(SimpleNamespace(events=[event("steps", 2.0)]), domain=DOMAIN, rows=10.0) == ()


def test_cells_are_numbered_with_the_last_column_fastest():
    table = MeasuredTable((0, 2), (map_of(0, 0, 1, 1), map_of(0, 1)), None, np.ones(4), 10.0)
    assert table.cells_of(np.array([[0, 0, 1], [2, 0, 0]], dtype=np.int32)).tolist() == [1, 2]
