"""The profile of a fresh snapshot on the codes of an earlier release."""

from dataclasses import replace

import numpy as np
import pytest

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ModelError
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.recount import Counted, count_again
from synth_pipeline.profile.refresh import refresh_profile, with_prior
from synth_pipeline.snapshot.take import with_person_rows
from synth_pipeline.table.column import BooleanColumn, IntegerColumn
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.person import PERSON_ROWS, person_column
from synth_pipeline.table.profile import CategoryProfile, NumericProfile, Profile
from synth_pipeline_tests.seeded_noise import SeededNoise
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SPEC = toy_spec()
ROWS = 4000
NONE: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def prior() -> Profile:
    return build_profile(toy_curator(SPEC, toy_frame(ROWS)), SPEC.modelled)


def refreshed(prior: Profile, changed: frozenset[str] = NONE, *, rows: int = ROWS, fresh=None, **options) -> Profile:
    curator = toy_curator(SPEC, toy_frame(rows, seed=1), seed=7)
    counted = Noisy(np.array([float(rows)]), 10.0)
    return refresh_profile(curator, prior, SPEC.modelled, changed=changed, fresh=fresh or {}, rows=counted, **options)


def test_unchanged_columns_keep_their_codes(prior: Profile) -> None:
    found = refreshed(prior)
    assert Encoder(found).domain == Encoder(prior).domain
    for old, new in zip(prior.columns, found.columns, strict=True):
        if isinstance(old, NumericProfile) and isinstance(new, NumericProfile):
            assert np.array_equal(old.edges, new.edges)
        elif isinstance(old, CategoryProfile) and isinstance(new, CategoryProfile):
            assert old.categories == new.categories


def test_it_spends_less_than_a_new_profile_and_never_more_than_its_share(prior: Profile) -> None:
    for changed in (NONE, frozenset({"age"}), frozenset(SPEC.modelled)):
        curator = toy_curator(SPEC, toy_frame(ROWS, seed=1))
        rows = Noisy(np.array([4000.0]), 10.0)
        found = refresh_profile(curator, prior, SPEC.modelled, changed=changed, fresh={}, rows=rows, share=0.2)
        assert curator.spent_cost <= 0.2 * curator.budget.cost * (1 + 1e-9)
        assert found.cost == pytest.approx(curator.spent_cost)
        if not changed:
            assert curator.spent_cost < 0.15 * curator.budget.cost


def test_its_counts_are_of_fresh_rows(prior: Profile) -> None:
    found = refreshed(prior, rows=9000)
    assert found.rows == pytest.approx(9000, abs=6 * found.rows_sigma + 100)
    for column in found.columns:
        noise = 6 * float(np.sqrt((column.sigma**2).sum()))
        assert float(column.counts.sum()) == pytest.approx(9000, abs=noise)


def test_old_counts_make_one_ways_less_noisy_and_closer(prior: Profile) -> None:
    truth_curator = toy_curator(SPEC, toy_frame(ROWS, seed=1), seed=3)
    grade = prior.column("grade")
    truth = count_again(truth_curator, grade, None, cost=0.99 * truth_curator.left_cost).values
    alone, together = [], []
    for seed in range(12):
        curator = toy_curator(SPEC, toy_frame(ROWS, seed=1), seed=seed)
        fresh = count_again(curator, grade, None, cost=1e-4 * curator.budget.cost)
        alone.append(np.abs(fresh.values - truth).sum())
        together.append(np.abs(with_prior(fresh, grade, scale=1.0).values - truth).sum())
    assert np.mean(together) < 0.8 * np.mean(alone)


def test_the_sampling_of_both_snapshots_is_in_the_weight_of_old_counts(prior: Profile) -> None:
    grade = replace(prior.column("grade"), counts=np.array([1000.0, 2000.0, 900.0, 100.0]), sigma=np.full(4, 1.0))
    fresh = Counted(grade.counts * 2, np.full(4, 400.0))
    found = with_prior(fresh, grade, scale=2.0)
    share = grade.counts / grade.counts.sum()
    variance = 2.0**2 + 3.0 * 8000 * share * (1 - share)
    assert found.variance == pytest.approx(1 / (1 / 400 + 1 / variance))


def test_old_counts_that_do_not_fit_lose_their_weight() -> None:
    old = CategoryProfile("g", ("a", "b"), False, False, False, np.array([3000.0, 1000.0]), np.full(2, 5.0))
    fresh = Counted(np.array([1000.0, 3000.0]), np.full(2, 100.0))
    assert with_prior(fresh, old, scale=1.0).values == pytest.approx([1000, 3000], abs=10)


def test_a_changed_column_forgets_its_old_counts(prior: Profile) -> None:
    frame = toy_frame(ROWS, seed=1).assign(member=True)
    curator = toy_curator(SPEC, frame, seed=2)
    rows = Noisy(np.array([float(ROWS)]), 10.0)
    found = refresh_profile(curator, prior, SPEC.modelled, changed=frozenset({"member"}), fresh={}, rows=rows)
    assert found.shares([c.name for c in found.columns].index("member"))[1] > 0.95


def test_a_changed_number_gets_new_bins_where_its_law_moved_far_and_keeps_them_where_not(prior: Profile) -> None:
    frame = toy_frame(ROWS, seed=1)
    frame["age"] = (frame["age"] // 3).astype(np.int64)
    rows, age = Noisy(np.array([float(ROWS)]), 10.0), prior.column("age")
    for table, is_far in ((frame, True), (toy_frame(ROWS, seed=2), False)):
        curator = toy_curator(SPEC, table, seed=4)
        counted = count_again(curator, age, None, cost=0.05 * curator.budget.cost)
        fresh = {"age": Noisy(counted.values, float(np.sqrt(counted.variance[0])))}
        found = refresh_profile(curator, prior, SPEC.modelled, changed=frozenset({"age"}), fresh=fresh, rows=rows)
        assert np.array_equal(found.column("age").edges, age.edges) is not is_far


def test_new_categories_are_discovered_in_a_changed_column(prior: Profile) -> None:
    frame = toy_frame(ROWS, seed=1)
    frame["city"] = frame["city"].str.replace("Bonn", "Ulm")
    curator = toy_curator(SPEC, frame, seed=4)
    rows = Noisy(np.array([float(ROWS)]), 10.0)
    found = refresh_profile(curator, prior, SPEC.modelled, changed=frozenset({"city"}), fresh={}, rows=rows)
    city = found.column("city")
    assert isinstance(city, CategoryProfile)
    assert "Ulm" in city.categories
    assert "Bonn" not in city.categories
    assert 0 < found.discovery_delta <= curator.budget.discovery_delta


def test_calendar_parts_follow_their_column(prior: Profile) -> None:
    for changed in (NONE, frozenset({"visit"})):
        found = refreshed(prior, changed)
        assert "weekday" in found.parts("visit")
        part = found.columns[found.parts("visit")["weekday"]]
        assert float(part.counts.sum()) == pytest.approx(ROWS, abs=6 * float(np.sqrt((part.sigma**2).sum())))


def test_the_drift_reports_counts_are_used(prior: Profile) -> None:
    sharp = {column.name: Noisy(np.maximum(column.counts, 0), 0.5) for column in prior.columns}
    plain, told = refreshed(prior), refreshed(prior, fresh=sharp)
    for before, after in zip(plain.columns, told.columns, strict=True):
        assert (after.sigma < before.sigma).all()
        assert (after.sigma <= 0.5).all()


def test_other_columns_are_refused_in_words(prior: Profile) -> None:
    columns = {name: column for name, column in SPEC.modelled.items() if name != "age"}
    curator = toy_curator(SPEC, toy_frame(ROWS))
    with pytest.raises(ModelError, match="use refit"):
        refresh_profile(curator, prior, columns, changed=NONE, fresh={}, rows=Noisy(np.array([1.0]), 1.0))


def panel(seed: int) -> NativeTable:
    rng = np.random.default_rng(seed)
    units = np.repeat(np.arange(2000), rng.choice(3, 2000, p=[0.5, 0.3, 0.2]) + 1)
    columns = {"born": rng.integers(0, 40, 2000)[units], "member": rng.integers(0, 2, len(units))}
    return with_person_rows(NativeTable(columns, units), 3)


@pytest.mark.parametrize("changed", [NONE, frozenset({PERSON_ROWS})])
def test_people_with_several_rows_are_refreshed_too(changed: frozenset[str]) -> None:
    columns = {"born": IntegerColumn(min=0, max=39), "member": BooleanColumn(), PERSON_ROWS: person_column(3)}
    budget = Budget.for_walk(epsilon=3.0, delta=1e-6, discovered_columns=0)
    first, second = (
        Curator(panel(seed), unit=PrivacyUnit("id", 3), budget=budget, noise=SeededNoise(seed)) for seed in (0, 1)
    )
    prior = build_profile(first, columns)
    found = refresh_profile(second, prior, columns, changed=changed, fresh={}, rows=Noisy(np.array([2000.0]), 20.0))
    assert found.people is not None
    assert found.people.several == pytest.approx(1000, abs=6 * found.people.sigma + 100)
    assert found.mean_person_rows == pytest.approx(1.7, abs=0.2)
    asked = {event.purpose for event in second.events}
    assert any("within a person" in purpose for purpose in asked) is bool(changed)


def test_null_blocks_are_asked_again_only_where_a_nullable_column_changed(prior: Profile) -> None:
    known = replace(prior, null_blocks=((1, 5),))
    assert refreshed(known).null_blocks == ((1, 5),)
    assert refreshed(known, frozenset({"age"})).null_blocks == ((1, 5),)
    assert refreshed(known, frozenset({"grade"})).null_blocks == ()
