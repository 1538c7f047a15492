"""Replay of whole walks on random neighbouring tables: with equal answers every engine asks the same and releases the same, bit by bit.

Tables are small and ragged: nulls, categories that one person holds alone, declared dependencies, rules, and people with several rows.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_pipeline import walk
from synth_pipeline.audit.twin import Replay, replay
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.spec import Spec
from synth_pipeline_tests.audited_table import ENGINES, TRAINED, audited_frame, audited_spec, small_engine
from synth_pipeline_tests.seeded_noise import SeededNoise

TABLES = st.tuples(
    st.sampled_from([12, 60, 180]), st.integers(0, 10_000), st.sampled_from([1, 3]), st.sampled_from([0.5, 3.0, 10.0])
)
SLOW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def replayed(kind: str, rows: int, seed: int, max_rows: int, epsilon: float) -> Replay:
    spec = audited_spec(kind, epsilon=epsilon, max_rows=max_rows)
    table = audited_frame(rows, seed, max_rows=max_rows)
    without = int(np.random.default_rng(seed).integers(rows))
    return replay(spec, table, without, engine=small_engine(kind), seed=seed, noise=SeededNoise(seed))


def check(kind: str, found: Replay) -> None:
    assert found.findings == ()
    assert found.is_trained_apart == (kind in TRAINED) or len(found.pairs) < 8  # refused before the training
    assert found.mu_squared > 0
    assert any((one.numbers.size != two.numbers.size) or (one.numbers != two.numbers).any() for one, two in found.pairs)


@pytest.mark.parametrize("max_rows", [1, 3])
@pytest.mark.parametrize("kind", ENGINES)
def test_every_engine_asks_neighbours_the_same_and_releases_the_same(kind: str, max_rows: int) -> None:
    check(kind, replayed(kind, 120, 5, max_rows, 3.0))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENGINES)
@SLOW
@given(TABLES)
def test_every_engine_asks_random_neighbours_the_same_and_releases_the_same(
    kind: str, table: tuple[int, int, int, float]
) -> None:
    check(kind, replayed(kind, *table))


@settings(max_examples=8, deadline=None)
@given(TABLES)
def test_the_profile_asks_random_neighbours_the_same(table: tuple[int, int, int, float]) -> None:
    check("independent", replayed("independent", *table))


def test_a_person_who_holds_a_category_alone_moves_no_question() -> None:
    table = audited_frame(120, 1)
    table.loc[7, "city"] = "Unique"
    found = replay(audited_spec("mst"), table, 7, noise=SeededNoise(0))
    assert found.findings == ()
    assert found.pairs[-1] is not None


def test_putting_a_person_in_is_replayed_as_leaving_that_person_out() -> None:
    table = audited_frame(100, 2)
    stranger = table.iloc[[0]].assign(person=10_000, age=40, city="Emden", ward="D", floor=1)
    both = pd.concat([table, stranger], ignore_index=True)
    assert replay(audited_spec("aim"), both, 100, noise=SeededNoise(0)).findings == ()


@pytest.mark.parametrize("max_rows", [1, 3])
def test_a_replay_walks_as_a_walk_does(max_rows: int, tmp_path: Path) -> None:
    """Where no question hangs on an answer, the walk's events and the replay's are the same, sizes and scales included."""
    unit = {"unit": {"column": "person", "max_rows": max_rows}} if max_rows > 1 else {}
    spec = Spec.from_mapping(
        {
            "dataset": "plain",
            "columns": {
                "person": {"kind": "identifier"},
                "ward": {"kind": "categorical", "categories": ["A", "B", "C", "D"], "nullable": True},
                "ill": {"kind": "boolean"},
            },
            "privacy": {"epsilon": 3.0, "delta": 1e-5, **unit},
            "generator": {"kind": "independent"},
        }
    )
    table = audited_frame(200, 1, max_rows=max_rows)[["person", "ward", "ill"]]
    walked = walk.fit(spec, table, ledger=open_ledger(tmp_path / "ledger.sqlite"), key=b"0" * 32)
    assert replay(spec, table, 3, noise=SeededNoise(0)).events == walked.events
