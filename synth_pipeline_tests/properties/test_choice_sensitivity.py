"""Replay of choices by error on neighbouring tables: every score moves by no more than the sensitivity that the choice is charged for."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate import aim, mst
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.accounting import bounded_range_mu
from synth_pipeline.privacy.answer import ExpectedTable, PairPartition
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import ExponentialEvent
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.table.native import NativeTable
from synth_pipeline_tests.seeded_noise import SeededNoise
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SPEC = toy_spec()
COST = 1e-3


class RecordingNoise(SeededNoise):
    """Seeded noise that keeps what it was asked to choose among."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.asked: list[tuple[NDArray[np.float64], float]] = []

    def exponential_choice(self, scores: NDArray[np.float64], scale: float) -> int:
        self.asked.append((scores.copy(), scale))
        return super().exponential_choice(scores, scale)


def neighbours(rows: int, seed: int, most_rows: int) -> list[tuple[Curator, RecordingNoise]]:
    """Curators over a table and the same table without its last person, with the same noise; people have 1 to `most_rows` rows."""
    table, _ = to_native(toy_frame(rows, seed), SPEC)
    budget = Budget.for_walk(epsilon=2.0, delta=1e-5, discovered_columns=1)
    unit = PrivacyUnit("id" if most_rows > 1 else None, most_rows)
    units = np.repeat(np.arange(rows), np.random.default_rng(seed).integers(1, most_rows + 1, rows))[:rows]
    found: list[tuple[Curator, RecordingNoise]] = []
    for stop in (rows, int((units < units[-1]).sum())):
        noise = RecordingNoise(seed)
        columns = {name: column[:stop] for name, column in table.columns.items()}
        found.append(
            (
                Curator(NativeTable(columns, units[:stop], table.vocabularies), unit=unit, budget=budget, noise=noise),
                noise,
            )
        )
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([5, 60, 400]), st.sampled_from([1, 4, 15]))
def test_scores_of_a_choice_by_error_move_by_at_most_the_unit(seed: int, rows: int, most_rows: int) -> None:
    profile = build_profile(toy_curator(SPEC, toy_frame(500, seed + 1), seed=seed % 7), SPEC.modelled)
    asked = []
    for curator, noise in neighbours(rows, seed, most_rows):
        view, rng = curator.encoded(Encoder(profile)), np.random.default_rng(seed)
        tables = []
        for _ in range(6):
            first, second = (int(index) for index in rng.choice(len(view.domain), 2, replace=False))
            labels = rng.integers(0, 6, (view.domain.sizes[first], view.domain.sizes[second]))
            counts, penalty = rng.integers(0, 50, 6), int(rng.integers(0, 90))
            part, weight = PairPartition(first, second, labels, 6, "random"), int(rng.integers(1, 4))
            tables.append(ExpectedTable(part, counts, penalty, weight))
        view.choose_by_error(tables, cost=COST, purpose="replay")
        event = view.events[-1]
        assert isinstance(event, ExponentialEvent)
        assert bounded_range_mu(event.epsilon) ** 2 <= COST
        scores, scale = noise.asked[-1]
        asked.append((scores, scale * event.epsilon / 2))
    (scores, charged), (other_scores, other_charged) = asked
    assert charged == other_charged
    assert np.abs(scores - other_scores).max() <= charged * (1 + 1e-12)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([mst, aim]))
def test_an_engine_asks_neighbours_the_same_question_until_an_answer_differs(seed: int, engine) -> None:
    """The first choice is among the same tables for both neighbours, and no score moves by more than it is charged for."""
    profile = build_profile(toy_curator(SPEC, toy_frame(500, seed + 1), seed=seed % 7), SPEC.modelled)
    firsts = []
    for curator, noise in neighbours(300, seed, 1):
        runtime = RuntimeConfig(seed=1)
        engine.fit(curator, profile, engine.make_config(SPEC), budget=curator.budget, runtime=runtime)
        firsts.append((noise.asked[0], next(e for e in curator.events if isinstance(e, ExponentialEvent))))
    (scores, scale), event = firsts[0]
    (other_scores, other_scale), other_event = firsts[1]
    assert event == other_event
    assert scale == other_scale
    assert np.abs(scores - other_scores).max() <= scale * event.epsilon / 2 * (1 + 1e-12)
