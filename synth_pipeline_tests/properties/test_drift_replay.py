"""Replay of drift reports on neighbouring snapshots: with equal answers they ask and report the same, and no answer moves too far."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_pipeline.audit.twin import compare_answers
from synth_pipeline.audit.watch import Record, RepeatingDesk, WatchingDesk
from synth_pipeline.drift.baseline import Baseline, baseline_of
from synth_pipeline.drift.measure import measure_drift
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate.maxent.grouping import group_columns
from synth_pipeline.generate.measured import measured_pair
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.snapshot.take import with_person_rows
from synth_pipeline.spec.sections import Drift
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.person import PERSON_ROWS, person_column
from synth_pipeline_tests.seeded_noise import SeededNoise
from synth_pipeline_tests.toy_table import toy_frame, toy_spec

SPEC = toy_spec(epsilon=5.0)


def table(rows: int, seed: int, most_rows: int) -> NativeTable:
    """Rows of people who have up to `most_rows` each; the last person is the one to leave out."""
    native, rng = to_native(toy_frame(rows, seed), SPEC)[0], np.random.default_rng(seed)
    sizes = rng.integers(1, most_rows + 1, rows)
    units = np.unique(rng.permutation(np.repeat(np.arange(rows), sizes)[:rows]), return_inverse=True)[1].reshape(-1)
    return replace(native, units=units)


@cache
def baseline(most_rows: int) -> Baseline:
    """What was released of an earlier snapshot, with tables of pairs."""
    held = curator(
        table(1500, 99, most_rows), most_rows, lambda **asked: Desk(noise=SeededNoise(5), **asked), epsilon=5.0
    )
    columns = SPEC.modelled | ({PERSON_ROWS: person_column(most_rows)} if most_rows > 1 else {})
    profile = build_profile(held, columns)
    view, grouping, measured = held.encoded(Encoder(profile)), group_columns(profile, (6,)), []
    for first, second in [(0, 5), (0, 6), (1, 6), (2, 4)]:
        part = grouping.product(first, second, 1)
        noisy = view.pair_counts(part, cost=held.left_cost / 8, stage="generator", purpose=part.name)
        measured.append(measured_pair(part, noisy.values, noisy.sigma, rows=profile.rows))
    return baseline_of(profile, measured)


def curator(held: NativeTable, most_rows: int, make_desk: Callable[..., Desk], *, epsilon: float) -> Curator:
    unit = PrivacyUnit("id" if most_rows > 1 else None, most_rows)
    budget = Budget.for_walk(epsilon=epsilon, delta=1e-5, discovered_columns=1)
    desk = make_desk(unit=unit, budget=budget, spent=(), before_first_answer=None)
    return Curator.at_desk(with_person_rows(held, most_rows), desk)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10_000), st.sampled_from([8, 60, 400]), st.sampled_from([1, 4]), st.sampled_from([0.1, 5.0]))
def test_a_report_asks_neighbours_the_same_and_says_the_same(
    seed: int, rows: int, most_rows: int, epsilon: float
) -> None:
    whole = table(rows, seed, most_rows)
    units = whole.units if whole.units is not None else np.arange(rows)
    less = whole.take(np.flatnonzero(units < units.max()))
    drift, first, second = Drift(epsilon=epsilon, pairs=3, ignore=("visit",)), Record(), Record()
    desks: tuple[Callable[..., Desk], Callable[..., Desk]] = (
        lambda **asked: WatchingDesk(first, noise=SeededNoise(seed), **asked),
        lambda **asked: RepeatingDesk(second, first, noise=SeededNoise(seed), **asked),
    )
    reports = [
        measure_drift(curator(held, most_rows, desk, epsilon=epsilon), baseline(most_rows), drift)
        for held, desk in zip((whole, less), desks, strict=True)
    ]
    assert first.findings == second.findings == []
    assert len(first.asked) == len(second.asked)
    assert [found for pair in zip(first.asked, second.asked, strict=True) for found in compare_answers(*pair)] == []
    assert json.dumps(reports[0].to_json()) == json.dumps(reports[1].to_json())
    assert any(
        (one.numbers.size != two.numbers.size) or (one.numbers != two.numbers).any()
        for one, two in zip(first.asked, second.asked, strict=True)
    )


@pytest.mark.parametrize("most_rows", [1, 4])
def test_what_is_asked_does_not_hang_on_the_snapshot(most_rows: int) -> None:
    """Another snapshot of another size is asked the same, in the same order and with the same noise."""
    events = [
        measure_drift(
            curator(
                table(rows, seed, most_rows),
                most_rows,
                lambda **asked: Desk(noise=SeededNoise(1), **asked),
                epsilon=1.0,
            ),
            baseline(most_rows),
            Drift(epsilon=1.0),
        ).events
        for rows, seed in ((40, 1), (900, 2))
    ]
    assert events[0] == events[1]
