"""Drift reports on a small table: what is asked, what it costs, and what is found."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.drift.baseline import Baseline, baseline_of
from synth_pipeline.drift.measure import measure_drift
from synth_pipeline.drift.report import DriftReport, SchemaFinding
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.measured import measured_pair
from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import DiscoveryEvent
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.snapshot.take import with_person_rows
from synth_pipeline.spec import Spec
from synth_pipeline.spec.sections import Drift
from synth_pipeline.table.person import PERSON_ROWS, person_column
from synth_pipeline.table.profile import CategoryProfile
from synth_pipeline_tests.seeded_noise import SeededNoise
from synth_pipeline_tests.toy_table import toy_frame, toy_spec, toy_units

SPEC = toy_spec(epsilon=5.0)
DRIFT = Drift(epsilon=1.0, pairs=3)


def curator(frame: pd.DataFrame, epsilon: float, *, seed: int = 0, max_rows: int = 1, spec: Spec = SPEC) -> Curator:
    """A curator over a frame; people have so many rows each where that is more than one."""
    table, _ = to_native(frame, spec)
    if max_rows > 1:
        table = with_person_rows(replace(table, units=toy_units(len(frame), max_rows)), max_rows)
    unit = PrivacyUnit("id" if max_rows > 1 else None, max_rows)
    budget = Budget.for_walk(epsilon=epsilon, delta=1e-5, discovered_columns=1)
    return Curator(table, unit=unit, budget=budget, noise=SeededNoise(seed))


def released(frame: pd.DataFrame, *, max_rows: int = 1) -> Baseline:
    """A profile, and the tables of age with grade, member and city."""
    held = curator(frame, 5.0, max_rows=max_rows)
    columns = SPEC.modelled | ({PERSON_ROWS: person_column(max_rows)} if max_rows > 1 else {})
    profile = build_profile(held, columns)
    names, view, measured = [column.name for column in profile.columns], held.encoded(Encoder(profile)), []
    for other in ("grade", "member", "city"):
        first, second = names.index("age"), names.index(other)
        shape = (profile.columns[first].codes, profile.columns[second].codes)
        part = PairPartition(first, second, np.arange(shape[0] * shape[1]).reshape(shape), shape[0] * shape[1], "full")
        noisy = view.pair_counts(part, cost=held.left_cost / 4, stage="generator", purpose=other)
        measured.append(measured_pair(part, noisy.values, noisy.sigma, rows=profile.rows))
    return baseline_of(profile, measured)


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return released(toy_frame(4000))


def test_a_fresh_sample_of_the_same_people_raises_no_alarm(baseline: Baseline) -> None:
    report = measure_drift(curator(toy_frame(4000, 1), 1.0), baseline, DRIFT)
    assert not report.is_alarm
    assert report.drifted == report.changed == ()
    assert [column.name for column in report.columns] == [column.name for column in baseline.profile.columns]
    assert len(report.pairs) == 3
    assert report.rows.values[0] == pytest.approx(4000, abs=6 * report.rows.sigma)


def test_a_column_that_moved_is_named_with_the_size_of_its_move(baseline: Baseline) -> None:
    moved = toy_frame(4000, 1)
    moved["age"] = np.minimum(moved["age"] + 10, 99)
    report = measure_drift(curator(moved, 1.0), baseline, DRIFT)
    age = next(column for column in report.columns if column.name == "age")
    assert report.is_alarm
    assert "age" in report.drifted
    assert "gain" not in report.drifted
    assert age.wasserstein is not None
    assert age.wasserstein.low <= 10 <= age.wasserstein.high * 1.1
    assert age.psi.value > 0.1
    assert all(pair.explained_by for pair in report.pairs if pair.is_drifted)


def test_a_change_of_how_columns_belong_together_is_found_in_their_pair(baseline: Baseline) -> None:
    untied = toy_frame(4000, 1)
    untied["member"] = np.random.default_rng(0).permutation(untied["member"].to_numpy())
    report = measure_drift(curator(untied, 1.0), baseline, DRIFT)
    found = [pair for pair in report.pairs if pair.is_association]
    assert [(pair.first, pair.second) for pair in found] == [("age", "member")]
    assert report.drifted == ("age", "member")
    assert not any(column.is_drifted for column in report.columns)


def test_columns_that_may_move_raise_no_alarm_and_are_measured_anew(baseline: Baseline) -> None:
    moved = toy_frame(4000, 1)
    moved["visit"] -= pd.to_timedelta(np.where(moved["visit"] > "2021-01-01", 30, 0), unit="D")
    moved["age"] = np.minimum(moved["age"] + 10, 99)
    ignoring = DRIFT.model_copy(update={"ignore": ("age", "visit")})
    report = measure_drift(curator(moved, 1.0), baseline, ignoring)
    assert not report.is_alarm
    assert report.drifted == ()
    assert set(report.changed) == {"age", "visit", "visit:month", "visit:weekday"} & {
        column.name for column in report.columns
    }
    assert next(column for column in report.columns if column.name == "age").adjusted_p < 0.001
    assert report.pairs == ()


def test_a_new_category_is_a_finding_of_its_own(baseline: Baseline) -> None:
    grown = toy_frame(4000, 1)
    grown["city"] = grown["city"].where(np.arange(4000) % 4 > 0, "Essen")
    report = measure_drift(curator(grown, 1.0), baseline, DRIFT)
    assert [(finding.kind, finding.column, finding.categories) for finding in report.schema] == [
        ("new category", "city", ("Essen",))
    ]
    assert "Essen" not in report.schema[0].detail
    assert "city" in report.drifted


def test_a_category_that_the_old_discovery_missed_is_not_new(baseline: Baseline) -> None:
    """It was part of the rest before, and the rest did not grow."""
    missed = toy_frame(4000).assign(city=lambda frame: frame["city"].replace("Dresden", "Essen"))
    blind = released(missed)
    city = blind.profile.column("city")
    assert isinstance(city, CategoryProfile)
    kept = [index for index, name in enumerate(city.categories) if name != "Essen"]
    rest = city.counts[[city.categories.index("Essen"), city.known]].sum()
    narrower = replace(
        city,
        categories=tuple(city.categories[index] for index in kept),
        counts=np.append(city.counts[kept], rest),
        sigma=city.sigma[: len(kept) + 1],
    )
    columns = tuple(narrower if column.name == "city" else column for column in blind.profile.columns)
    old = Baseline(replace(blind.profile, columns=columns))
    fresh = toy_frame(4000, 1).assign(city=lambda frame: frame["city"].replace("Dresden", "Essen"))
    report = measure_drift(curator(fresh, 5.0), old, Drift(epsilon=5.0, pairs=0))
    assert report.schema == ()
    assert not report.is_alarm


def test_all_that_the_budget_has_is_spent_and_no_more(baseline: Baseline) -> None:
    held = curator(toy_frame(500), 1.0)
    report = measure_drift(held, baseline, DRIFT)
    assert held.left_cost == pytest.approx(0, abs=1e-6 * held.budget.cost)
    assert report.events == held.events
    assert {event.stage for event in report.events} == {"drift_report"}
    assert sum(isinstance(event, DiscoveryEvent) for event in report.events) == 1
    held.count_rows(cost=held.left_cost, stage="profile", purpose="the last crumb")
    with pytest.raises(PrivacyError, match="nothing is left"):
        measure_drift(held, baseline, DRIFT)


def test_without_delta_for_discoveries_new_categories_are_not_looked_for(baseline: Baseline) -> None:
    table, _ = to_native(toy_frame(500), SPEC)
    held = Curator(table, unit=PrivacyUnit(), budget=Budget(1.0, 1e-5), noise=SeededNoise(0))
    report = measure_drift(held, baseline, DRIFT)
    assert not any(isinstance(event, DiscoveryEvent) for event in report.events)
    assert any("New categories" in warning for warning in report.warnings)


def test_a_report_is_read_back_as_it_was_written(baseline: Baseline) -> None:
    report = measure_drift(curator(toy_frame(800, 1), 1.0), baseline, DRIFT)
    report = report.with_schema((SchemaFinding("new column", "extra", "not declared"),))
    text = json.dumps(report.to_json())
    again = DriftReport.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert again.columns == report.columns
    assert again.schema == report.schema
    assert again.events == report.events
    assert again.is_alarm == report.is_alarm


def test_few_people_are_warned_of(baseline: Baseline) -> None:
    weak = measure_drift(curator(toy_frame(200, 1), 0.05), baseline, DRIFT)
    assert any("Weak test" in warning for warning in weak.warnings)
    assert not weak.is_alarm
    bare = measure_drift(curator(toy_frame(4000, 1), 1.0), Baseline(baseline.profile), DRIFT)
    assert any("single columns" in warning for warning in bare.warnings)


def test_people_with_several_rows_are_compared_by_weight() -> None:
    old = released(toy_frame(4000), max_rows=4)
    same = measure_drift(curator(toy_frame(4000, 1), 1.0, max_rows=4), old, DRIFT)
    fewer = measure_drift(curator(toy_frame(4000, 1), 1.0, max_rows=2), old, DRIFT)
    assert not same.is_alarm
    assert same.rows.values[0] == pytest.approx(1000, abs=6 * same.rows.sigma)
    assert PERSON_ROWS in fewer.drifted


def test_progress_is_told_by_column(baseline: Baseline) -> None:
    told: list[str] = []
    measure_drift(curator(toy_frame(300), 1.0), baseline, DRIFT, progress=lambda text, _: told.append(text))
    assert told == [f"drift: {column.name}" for column in baseline.profile.columns]
