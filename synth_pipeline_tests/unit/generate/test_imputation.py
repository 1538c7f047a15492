"""Missing cells filled by `maxent` and `autoregressive`, checked against brute force on small domains."""

import numpy as np
import pytest

from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.autoregressive.engine import Autoregressive
from synth_pipeline.generate.autoregressive.features import Features
from synth_pipeline.generate.autoregressive.model import PairModel
from synth_pipeline.generate.maxent.engine import Maxent
from synth_pipeline.generate.protocol import Imputer
from synth_pipeline.table.encoded import EncodedTable
from synth_pipeline_tests.brute_force import Law, every_state, given, normalised, pearson
from synth_pipeline_tests.small_field import DOMAIN, SIZES, field_law, small_field

ROWS = 4000


@pytest.fixture(scope="module")
def field_model() -> Maxent:
    return small_field(spread=1.2)


@pytest.fixture(scope="module")
def network() -> Autoregressive:
    """A network with one feature a code and strong couplings."""
    rng = np.random.default_rng(3)
    width = sum(SIZES)
    factors = np.triu(rng.normal(0, 1.0, (width, width)), 1)
    couplings = (factors + factors.T).astype(np.float32)  # as trained: one weight for both directions of a pair
    for part in DOMAIN.slices():
        couplings[part, part] = 0.0
    model = PairModel(
        DOMAIN,
        Features(np.eye(width, dtype=np.float32), SIZES),
        couplings,
        rng.normal(0, 0.5, width).astype(np.float32),
    )
    return Autoregressive(model, (2, 0, 1, 3), np.full(width, 0.25), AutoregressiveConfig(), (), {})


def network_law(network: Autoregressive) -> Law:
    states = every_state(SIZES)
    logs = network.model.log_likelihood(np.array(states, dtype=np.int32), network.order)
    return normalised({state: float(np.exp(log)) for state, log in zip(states, logs, strict=True)})


def filled(generator: Imputer, row: tuple[int, ...], seed: int) -> np.ndarray:
    codes = np.tile(np.array(row, dtype=np.int32), (ROWS, 1))
    return generator.impute(EncodedTable(codes, DOMAIN), rng=np.random.default_rng(seed)).codes


def agrees(row: tuple[int, ...]):
    return lambda state: all(known in (-1, value) for known, value in zip(row, state, strict=True))


PATTERNS = [
    pytest.param((-1, -1, -1, -1), id="nothing known"),
    pytest.param((2, -1, -1, -1), id="one column known"),
    pytest.param((-1, 1, 0, -1), id="two columns known"),
    pytest.param((0, -1, -1, 4), id="first and last known"),
    pytest.param((1, 2, 1, -1), id="one column missing"),
]


@pytest.mark.parametrize("row", PATTERNS)
def test_a_field_fills_cells_by_its_law_given_the_known_ones(field_model: Maxent, row: tuple[int, ...]) -> None:
    rows = filled(field_model, row, seed=1)
    statistic, limit = pearson(rows, given(field_law(field_model), agrees(row)))
    assert statistic < limit


@pytest.mark.parametrize("row", PATTERNS)
def test_a_network_fills_cells_by_its_law_given_the_known_ones(network: Autoregressive, row: tuple[int, ...]) -> None:
    rows = filled(network, row, seed=2)
    statistic, limit = pearson(rows, given(network_law(network), agrees(row)))
    assert statistic < limit


@pytest.mark.parametrize("fixture", ["field_model", "network"])
def test_known_cells_stay_and_no_cell_is_left_open(fixture: str, request) -> None:
    generator, rng = request.getfixturevalue(fixture), np.random.default_rng(4)
    codes = np.column_stack([rng.integers(-1, size, 300) for size in SIZES]).astype(np.int32)
    table = generator.impute(EncodedTable(codes, DOMAIN), rng=rng)
    assert np.array_equal(table.codes[codes >= 0], codes[codes >= 0])
    assert (table.codes >= 0).all()
    assert (table.codes < np.array(SIZES)).all()


@pytest.mark.parametrize("fixture", ["field_model", "network"])
def test_the_same_seed_fills_the_same_cells(fixture: str, request) -> None:
    generator = request.getfixturevalue(fixture)
    assert np.array_equal(filled(generator, (-1, 2, -1, -1), 5), filled(generator, (-1, 2, -1, -1), 5))
