"""A score that may be shown: what is counted, what one person moves, what it costs, and what its interval is worth."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline import reserve
from synth_pipeline import walk as stages
from synth_pipeline.benchmark.published import COLUMN, PublishedScore, measure_score, predictions
from synth_pipeline.errors import LedgerError, NothingToLearn, SpecError, TableError
from synth_pipeline.generate.plan import SCORE_STAGE, budget_of, make_plan
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.snapshot.take import take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.native import NULL
from synth_pipeline_tests.audited_table import audited_frame, audited_spec
from synth_pipeline_tests.seeded_noise import SeededNoise

PUBLISH = {"target": "ill", "publish": {"epsilon": 0.2}}


def publishing(**changes) -> Spec:
    content = audited_spec(kind="independent", epsilon=1.0).model_dump(mode="json", by_alias=True)
    return Spec.from_mapping({**content, "benchmark": PUBLISH, **changes})


SPEC = publishing()
MADE, HELD = audited_frame(600, seed=1), audited_frame(120, seed=2)
OUTCOMES = predictions(MADE, HELD, SPEC).columns[COLUMN]


def test_most_people_are_predicted_and_each_row_counts_once():
    assert set(np.unique(OUTCOMES)) == {0, 1}
    assert len(OUTCOMES) == len(HELD)
    assert (OUTCOMES == 1).mean() > 0.55


@settings(max_examples=8, deadline=None)
@given(row=st.integers(0, len(HELD) - 1), city=st.sampled_from(["Aachen", "nowhere else"]), ill=st.booleans())
def test_a_held_out_row_moves_nothing_but_itself(row, city, ill):
    """Whatever is added, be it of a category that nobody has, the others are predicted as they were."""
    added = HELD.iloc[[row]].assign(city=city, ill=ill)
    more = predictions(MADE, pd.concat([HELD, added], ignore_index=True), SPEC).columns[COLUMN]
    assert more[:-1].tolist() == OUTCOMES.tolist()
    fewer = predictions(MADE, HELD.drop(index=row).reset_index(drop=True), SPEC).columns[COLUMN]
    assert fewer.tolist() == np.delete(OUTCOMES, row).tolist()


def test_who_has_no_target_counts_nowhere_and_an_unknown_class_counts_as_wrong():
    spec = publishing(benchmark={"target": "ward", "publish": {"epsilon": 0.2}})
    held = HELD.assign(ward=["A", None, "D", *HELD["ward"][3:]])
    found = predictions(MADE.loc[MADE["ward"] != "D"], held, spec).columns[COLUMN]
    assert found[1] == NULL
    assert found[2] == 0
    assert ((found == NULL) == held["ward"].isna().to_numpy()).all()


def test_people_with_several_rows_weigh_one_person():
    spec = Spec.from_mapping(
        {
            **audited_spec(max_rows=3).model_dump(mode="json", by_alias=True),
            "benchmark": PUBLISH,
            "generator": {"kind": "independent"},
        }
    )
    held = audited_frame(200, seed=3, max_rows=1).assign(person=np.repeat(np.arange(100), 2))
    table = predictions(MADE, held, spec)
    curator = Curator(table, unit=PrivacyUnit("person", 3), budget=Budget(40.0, 1e-6), noise=SeededNoise(0))
    found = measure_score(curator, "ill", stage=SCORE_STAGE)
    assert found.right + found.wrong == pytest.approx(100, abs=2)


def test_the_plan_sets_the_score_aside_and_stays_within_the_walk():
    plan = make_plan(SPEC)
    assert plan.score is not None
    assert plan.epsilon == pytest.approx(1.0, rel=1e-6)
    assert plan.epsilon <= 1.0
    assert plan.score.epsilon == pytest.approx(0.2, rel=1e-3)
    assert budget_of(SPEC).epsilon < 1.0
    assert sum(line.epsilon for line in plan.all_lines) == pytest.approx(1.0, rel=1e-3)
    assert plan.all_lines[-1].stage == SCORE_STAGE


def test_drift_and_score_together_leave_the_rest():
    spec = publishing(drift={"epsilon": 0.3})
    plan = make_plan(spec)
    events = [event for side in plan.sides for event in side.events]
    assert composed_epsilon((*events, *plan.events), spec.privacy.delta) <= 1.0
    assert sum(line.epsilon for line in plan.all_lines) == pytest.approx(1.0, rel=1e-3)


def test_a_walk_publishes_charges_and_states_it(tmp_path):
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    done = stages.run_walk(
        SPEC, audited_frame(900, seed=4), snapshot="s1", ledger=ledger, key=b"k" * 32, releases=tmp_path / "out"
    )
    kinds = [(entry.kind, entry.reservation) for entry in ledger.history("audited")]
    assert [kind for kind, _ in kinds] == ["reserve", "read", "commit"] * 2
    account = ledger.account("audited")
    assert account.spent_epsilon == pytest.approx(1.0, rel=1e-3)
    assert account.spent_epsilon <= 1.0
    assert done.epsilon == pytest.approx(account.spent_epsilon, rel=1e-9)
    certificate = (done.release / "certificate.json").read_text()
    assert '"publishedScore"' in certificate
    assert '"stage": "published_score"' in certificate


def test_a_floor_is_reached_by_the_lower_end_only():
    score = PublishedScore("ill", right=800.0, wrong=200.0, sigma=5.0, events=())
    assert score.accuracy == pytest.approx(0.8)
    low, high = score.interval
    deviation = math.sqrt(25 * (0.04 + 0.64) / 1e6 + 0.16 / 1000)
    assert (low, high) == pytest.approx((0.8 - 1.96 * deviation, 0.8 + 1.96 * deviation))
    assert score.reaches(0.77)
    assert not score.reaches(0.79)


def test_noise_that_drowns_the_people_says_nothing_and_reaches_no_floor():
    score = PublishedScore("ill", right=30.0, wrong=-8.0, sigma=20.0, events=())
    assert score.accuracy is None
    assert score.interval is None
    assert not score.reaches(0.01)
    assert PublishedScore.from_json(score.to_json()) == score


def test_the_interval_holds_the_accuracy_of_the_population_nineteen_times_in_twenty():
    rng, held, noise = np.random.default_rng(5), 0, SeededNoise(6)
    for _ in range(2000):
        right = rng.binomial(400, 0.7)
        wrong_noise, right_noise = noise.discrete_gaussian(2, 15.0)
        low, high = PublishedScore(
            "ill", float(right + right_noise), float(400 - right + wrong_noise), 15.0, ()
        ).interval
        held += low <= 0.7 <= high
    assert 0.935 < held / 2000 < 0.97


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            {"benchmark": {"target": "age", "task": "regression", "publish": {"epsilon": 0.1}}},
            "goes with task: classification",
        ),
        ({"benchmark": {"target": "ill", "publish": {"epsilon": 0.6}}}, "at most half of it"),
        ({"benchmark": {"target": "ill"}, "release": {"approval": "auto"}}, "add benchmark.publish and release.floors"),
        ({"release": {"approval": "auto"}}, "add benchmark.publish and release.floors"),
    ],
)
def test_what_cannot_be_published_or_decided_is_refused_in_a_line(changes, said):
    with pytest.raises(SpecError, match=said):
        publishing(**changes)


def test_a_table_without_two_classes_is_refused():
    with pytest.raises(TableError, match="no two classes"):
        predictions(MADE.assign(ill=True), HELD, SPEC)


def test_publishing_does_not_part_releases_that_are_otherwise_alike():
    assert SPEC.learnt_digest == publishing(benchmark={"target": "ill"}).learnt_digest
    assert SPEC.digest != publishing(benchmark={"target": "ill"}).digest


def test_what_cannot_be_learnt_is_known_before_a_held_out_row_is_looked_at():
    """So the reason may be told: it is the same whatever the holdout is."""
    one_class = MADE.assign(ill=True)
    for held in (HELD, HELD.head(0), HELD.assign(fee=np.inf)):
        with pytest.raises(NothingToLearn, match="no two classes of 'ill'"):
            predictions(one_class, held, SPEC)


def test_what_is_refused_of_held_out_rows_is_no_reason_that_may_be_told():
    with pytest.raises(TableError, match="holdout: column 'fee' holds infinite values") as refused:
        predictions(MADE, HELD.assign(fee=np.inf), SPEC)
    assert not isinstance(refused.value, NothingToLearn)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_one_infinite_value_that_is_clipped_neither_stops_the_score_nor_moves_the_others(value):
    content = SPEC.model_dump(mode="json", by_alias=True)
    content["columns"]["fee"] |= {"on_outside": "clip"}
    spec = Spec.from_mapping(content)
    held = HELD.assign(fee=HELD["fee"].where(HELD.index != 7, value))
    bounded = take_snapshot(held, spec, key=b"k" * 32, holdout=False).train
    assert bounded["fee"].iloc[7] == (900.0 if value > 0 else 0.0)
    found = predictions(MADE, bounded, spec).columns[COLUMN]
    assert np.delete(found, 7).tolist() == np.delete(OUTCOMES, 7).tolist()


class Cut(BaseException):
    """The process is gone here."""


def cut(*_, **__) -> None:
    """What happens in its place."""
    raise Cut


@pytest.mark.parametrize("step", ["mark_read", "commit"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_score_that_was_cut_off_goes_on_with_the_answer_that_it_had_and_is_charged_once(
    tmp_path, monkeypatch, step, when
):
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    place = {"snapshot": "s1", "ledger": ledger, "walk_id": "w", "journals": tmp_path / "journals"}
    taken = take_snapshot(audited_frame(300, seed=8), SPEC, key=b"k" * 32, holdout=True)
    whole = getattr(type(ledger), step)

    def cut_off(*args, **options):
        if when == "after":
            whole(*args, **options)
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(type(ledger), step, cut_off)
        with pytest.raises(Cut):
            stages.publish_score(reserve.open_score(SPEC, **place), taken, MADE)
    if (step, when) != ("mark_read", "before"):  # another table is another question
        with pytest.raises(LedgerError):
            stages.publish_score(reserve.open_score(SPEC, **place), taken, MADE.assign(age=3))
    first, second = (stages.publish_score(reserve.open_score(SPEC, **place), taken, MADE) for _ in range(2))
    assert first == second
    [walk] = ledger.walks("audited")
    assert (walk.status, walk.stages_read) == ("committed", {SCORE_STAGE})
    journal = next((tmp_path / "journals").rglob("*.journal"))
    journal.unlink()
    with pytest.raises(LedgerError, match="stays charged"):
        stages.publish_score(reserve.open_score(SPEC, **place), taken, MADE)


def test_a_score_that_was_given_back_unread_is_measured_later_of_whatever_table(tmp_path, monkeypatch):
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    place = {"snapshot": "s1", "ledger": ledger, "walk_id": "w", "journals": tmp_path / "journals"}
    taken = take_snapshot(audited_frame(300, seed=8), SPEC, key=b"k" * 32, holdout=True)

    def attempt(table):
        walk = reserve.open_score(SPEC, **place)
        with reserve.given_back_unread(walk):
            return stages.publish_score(walk, taken, table)

    with monkeypatch.context() as patched:
        patched.setattr(type(ledger), "mark_read", cut)
        with pytest.raises(Cut):
            attempt(MADE)
    assert [walk.status for walk in ledger.walks("audited")] == ["released"]
    other = MADE.head(500).reset_index(drop=True)
    assert attempt(other) == attempt(other)
    assert [walk.status for walk in ledger.walks("audited")] == ["released", "committed"]


def test_a_score_whose_journal_is_gone_before_it_was_committed_is_not_asked_again(tmp_path, monkeypatch):
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    place = {"snapshot": "s1", "ledger": ledger, "walk_id": "w", "journals": tmp_path / "journals"}
    taken = take_snapshot(audited_frame(300, seed=8), SPEC, key=b"k" * 32, holdout=True)
    with monkeypatch.context() as patched:
        patched.setattr(type(ledger), "commit", cut)
        with pytest.raises(Cut):
            stages.publish_score(reserve.open_score(SPEC, **place), taken, MADE)
    next((tmp_path / "journals").rglob("*.journal")).unlink()
    with pytest.raises(LedgerError, match="has read its snapshot before"):
        stages.publish_score(reserve.open_score(SPEC, **place), taken, MADE)
