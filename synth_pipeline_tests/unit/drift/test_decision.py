"""What follows from a drift report: every rule by itself, then all combinations of facts at once."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.drift.calendar import next_renewal, renewal_words
from synth_pipeline.drift.decision import SPENDING, Decision, Kind, PriorFacts, decide, needs_columns
from synth_pipeline.drift.report import ColumnDrift, DriftReport, Effect, PairDrift, SchemaFinding
from synth_pipeline.errors import SpecError
from synth_pipeline.generate.engine_registry import chosen_kind
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.spec import Spec

NAMES = ("a", "b", "c", "d", "e")
SMALL, NONE = Effect(0.2, 0.1, 0.3), Effect(0.0, 0.0, 0.1)
REFUSAL = "the cap would be passed; the cap renews on 2027-01-01"


def spec_of(
    on_drift: str = "refit", *, mode: str = "test", rows: str | int = "match", ignore: tuple[str, ...] = ()
) -> Spec:
    drift = {"epsilon": 0.2, "on_drift": on_drift, "mode": mode, "ignore": list(ignore)}
    columns = {name: {"kind": "boolean"} for name in NAMES}
    return Spec.from_mapping(
        {"dataset": "d", "columns": columns, "privacy": {"epsilon": 1}, "drift": drift, "rows": rows}
    )


def prior_of(spec: Spec, *, rows: float = 1000.0, can_refresh: bool = True) -> PriorFacts:
    return PriorFacts("v3", "june", rows, spec.learnt_digest, chosen_kind(spec), can_refresh)


def report_of(
    *drifted: str,
    ignored: tuple[str, ...] = (),
    rows: float = 1000.0,
    joint: tuple[str, str] | None = None,
    schema: tuple[SchemaFinding, ...] = (),
) -> DriftReport:
    columns = tuple(
        ColumnDrift(
            name, 1e-6, 1e-5, is_drifted=name in drifted, is_ignored=name in ignored, psi=SMALL, js_distance=SMALL, tvd=SMALL
        )
        if name in drifted
        else ColumnDrift(name, 0.5, 1.0, is_drifted=False, is_ignored=name in ignored, psi=NONE, js_distance=NONE, tvd=NONE)
        for name in NAMES
    )  # fmt: skip
    pairs = (
        () if joint is None else (PairDrift(*joint, 1e-6, 1e-5, is_drifted=True, explained_by=(), tvd=SMALL, cells=4),)
    )
    is_alarm = bool(drifted or joint)
    return DriftReport(
        alpha=0.05, overall_p=1e-5 if is_alarm else 0.6, columns=columns, pairs=pairs, schema=schema,
        rows=Noisy(np.array([rows]), 5.0), prior_rows=Noisy(np.array([1000.0]), 5.0), fresh={}, events=(),
    )  # fmt: skip


def alarm_of(is_alarm: bool) -> DriftReport:
    return replace(report_of(), columns=(), mode="sparse_vector", overall_p=0.05 if is_alarm else 1.0)


def room_for(*kinds: Kind):
    return lambda kind: None if kind in kinds else REFUSAL


def everything(kind: Kind) -> None:
    return None


def test_the_first_snapshot_is_trained():
    decision = decide(spec_of("reuse"), prior=None, report=None, room=everything)
    assert (decision.kind, decision.reason) == ("refit", "First snapshot: there is no release yet.")


def test_another_specification_is_trained_anew_whatever_the_report_says():
    spec = spec_of("reuse")
    decision = decide(spec, prior=replace(prior_of(spec), spec_digest="old"), report=None, room=everything)
    assert decision.kind == "refit"
    assert decision.reason == "The specification changed since release v3."


def test_another_engine_is_trained_anew():
    spec = spec_of("reuse")
    decision = decide(spec, prior=replace(prior_of(spec), generator_kind="vae"), report=report_of(), room=everything)
    assert decision.kind == "refit"
    assert "from vae to" in decision.reason


def test_a_new_category_is_trained_anew_even_where_drift_is_only_reported():
    finding = SchemaFinding("new category", "a", "1 category that the profile does not know", ("x",))
    spec = spec_of("reuse")
    decision = decide(spec, prior=prior_of(spec), report=report_of(schema=(finding,)), room=everything)
    assert decision.kind == "refit"
    assert "new category 'a'" in decision.reason


def test_without_drift_the_release_in_force_stands():
    spec = spec_of()
    decision = decide(spec, prior=prior_of(spec), report=report_of(rows=1010.0), room=everything)
    assert decision == Decision("reuse", "No drift against june (overall p = 0.6, alarm at 0.05); release v3 stands.")


def test_a_moved_number_of_rows_asks_for_new_rows_of_the_old_generator():
    spec = spec_of()
    decision = decide(spec, prior=prior_of(spec), report=report_of(rows=1200.0), room=everything)
    assert decision.kind == "resample"
    assert "the number of rows went from 1000 to 1200 (noise ±7.07)" in decision.reason


@pytest.mark.parametrize("prior_rows, fresh", [(1000.0, 1028.0), (1e6, 1_009_000.0)])
def test_rows_within_noise_or_within_one_percent_have_not_moved(prior_rows: float, fresh: float):
    spec = spec_of()
    assert (
        decide(spec, prior=prior_of(spec, rows=prior_rows), report=report_of(rows=fresh), room=everything).kind
        == "reuse"
    )


def test_a_fixed_number_of_rows_is_not_resampled():
    spec = spec_of(rows=500)
    assert decide(spec, prior=prior_of(spec), report=report_of(rows=5000.0), room=everything).kind == "reuse"


@pytest.mark.parametrize("kind", ["reuse", "resample", "refresh", "refit"])
def test_drift_leads_to_what_the_specification_says(kind: Kind):
    spec = spec_of(kind)
    decision = decide(spec, prior=prior_of(spec), report=report_of("b"), room=everything)
    assert (decision.kind, decision.changed, decision.wanted) == (kind, ("b",), None)
    assert (
        "Drift against june (overall p = 1e-05, alarm at 0.05): b (p = 1e-05, 20.0% of the people moved, PSI 0.2)"
        in decision.reason
    )


def test_columns_that_are_expected_to_move_are_measured_anew_beside_those_that_drifted():
    spec = spec_of("refresh", ignore=("d",))
    decision = decide(spec, prior=prior_of(spec), report=report_of("b", ignored=("d",)), room=everything)
    assert decision.changed == ("b", "d")


def test_two_columns_that_go_together_otherwise_are_both_measured_anew():
    spec = spec_of("refresh")
    decision = decide(spec, prior=prior_of(spec), report=report_of(joint=("a", "e")), room=everything)
    assert decision.changed == ("a", "e")
    assert "how a and e go together" in decision.reason


def test_a_refresh_of_most_columns_is_a_refit():
    spec = spec_of("refresh")
    decision = decide(spec, prior=prior_of(spec), report=report_of("a", "b", "c"), room=everything)
    assert (decision.kind, decision.wanted) == ("refit", "refresh")
    assert "3 of 5 columns would be measured anew, more than 50%" in decision.reason


def test_a_prior_without_tables_is_trained_anew_instead_of_refreshed():
    spec = spec_of("refresh")
    decision = decide(spec, prior=prior_of(spec, can_refresh=False), report=report_of("a"), room=everything)
    assert (decision.kind, decision.wanted) == ("refit", "refresh")


def test_a_refused_refit_becomes_a_refresh_where_that_fits():
    spec = spec_of("refit")
    decision = decide(spec, prior=prior_of(spec), report=report_of("a"), room=room_for("refresh"))
    assert (decision.kind, decision.wanted, decision.changed) == ("refresh", "refit", ("a",))
    assert REFUSAL in decision.reason


def test_a_refused_refit_of_most_columns_does_not_become_a_refresh():
    spec = spec_of("refit")
    decision = decide(spec, prior=prior_of(spec), report=report_of(*NAMES), room=room_for("refresh"))
    assert (decision.kind, decision.wanted) == ("refuse", "refit")


def test_a_changed_schema_is_refused_rather_than_refreshed():
    finding = SchemaFinding("new category", "a", "1 category that the profile does not know", ("x",))
    spec = spec_of("refit")
    decision = decide(spec, prior=prior_of(spec), report=report_of(schema=(finding,)), room=room_for("refresh"))
    assert decision.kind == "refuse"


def test_a_refusal_is_told_in_the_ledgers_words():
    spec = spec_of("refresh")
    decision = decide(spec, prior=prior_of(spec), report=report_of("a"), room=room_for())
    assert (decision.kind, decision.wanted) == ("refuse", "refresh")
    assert decision.reason.endswith(f"a refresh is refused: {REFUSAL}.")


def test_an_alarm_without_columns_is_a_refit_and_a_refresh_first_measures():
    refit, refresh = spec_of("refit", mode="sparse_vector"), spec_of("refresh", mode="sparse_vector")
    assert decide(refit, prior=prior_of(refit), report=alarm_of(True), room=everything).kind == "refit"
    assert decide(refresh, prior=prior_of(refresh), report=alarm_of(True), room=everything).kind == "refit"
    assert needs_columns(refresh, prior=prior_of(refresh), report=alarm_of(True))
    assert not needs_columns(refresh, prior=prior_of(refresh), report=alarm_of(False))
    assert not needs_columns(refresh, prior=prior_of(refresh, can_refresh=False), report=alarm_of(True))
    assert not needs_columns(refresh, prior=prior_of(refresh), report=report_of("a"))
    assert not needs_columns(refit, prior=prior_of(refit), report=alarm_of(True))


def test_quiet_under_a_threshold_is_reuse_whatever_the_number_of_rows():
    spec = spec_of(mode="sparse_vector")
    assert decide(spec, prior=prior_of(spec, rows=10.0), report=alarm_of(False), room=everything).kind == "reuse"


@pytest.mark.parametrize("kind", ["refresh", "refit"])
def test_a_schedule_treats_every_snapshot_alike_and_takes_what_is_declared_to_move_as_changed(kind: Kind):
    spec = spec_of(kind, mode="schedule", ignore=("c",))
    decision = decide(spec, prior=prior_of(spec), report=None, room=everything)
    assert (decision.kind, decision.changed) == (kind, ("c",))


def test_a_missing_report_is_an_error_where_a_test_is_asked_for():
    spec = spec_of()
    with pytest.raises(SpecError, match="none was made though release v3 is in force"):
        decide(spec, prior=prior_of(spec), report=None, room=everything)


def test_without_a_drift_section_every_snapshot_is_trained():
    spec = spec_of().model_copy(update={"drift": None})
    assert decide(spec, prior=prior_of(spec), report=None, room=everything).kind == "refit"


reports = st.one_of(
    st.builds(
        lambda names, rows, new: report_of(
            *names, rows=rows, schema=(SchemaFinding("new category", "a", "one", ("x",)),) if new else ()
        ),
        st.sets(st.sampled_from(NAMES)).map(sorted),
        st.sampled_from([900.0, 1000.0, 5000.0]),
        st.booleans(),
    ),
    st.builds(alarm_of, st.booleans()),
)


@settings(max_examples=300)
@given(
    on_drift=st.sampled_from(["reuse", "resample", "refresh", "refit"]),
    is_scheduled=st.booleans(),
    report=reports,
    has_prior=st.booleans(),
    is_same_spec=st.booleans(),
    can_refresh=st.booleans(),
    allowed=st.sets(st.sampled_from(["refit", "refresh"])),
)
def test_whatever_the_facts_a_decision_spends_only_what_the_budget_allows(
    *, on_drift, is_scheduled, report, has_prior, is_same_spec, can_refresh, allowed
):
    is_scheduled = is_scheduled and on_drift in SPENDING
    spec = spec_of(on_drift, mode="schedule" if is_scheduled else report.mode)
    prior = prior_of(spec, can_refresh=can_refresh) if has_prior else None
    if prior is not None and not is_same_spec:
        prior = replace(prior, spec_digest="other")
    asked: list[Kind] = []

    def room(kind: Kind) -> str | None:
        asked.append(kind)
        return None if kind in allowed else REFUSAL

    decision = decide(spec, prior=prior, report=None if is_scheduled else report, room=room)
    assert set(asked) <= set(SPENDING)
    assert decision.spends == (decision.kind in SPENDING)
    if decision.spends:
        assert decision.kind in allowed
    if decision.kind == "refresh":
        assert prior is not None
        assert can_refresh
        assert is_same_spec
        assert set(decision.changed) <= set(NAMES)
        assert len(decision.changed) <= 0.5 * len(NAMES)
    if decision.kind in ("reuse", "resample"):
        assert prior is not None
        assert not asked
    if decision.kind == "refuse":
        assert REFUSAL in decision.reason
        assert decision.wanted in SPENDING
    if prior is None or not is_same_spec:
        assert decision.kind in ("refit", "refuse")
    assert decision.reason.endswith(".")
    assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


def test_the_calendar_says_when_budget_is_free_again():
    columns = {"x": {"kind": "boolean"}}

    def capped(**cap: object) -> Spec:
        return Spec.from_mapping({"dataset": "d", "columns": columns, "privacy": {"epsilon": 1, "cap": cap}})

    assert next_renewal(capped(), date(2026, 5, 17)) is None
    assert next_renewal(capped(period="month"), date(2026, 12, 31)) == date(2027, 1, 1)
    assert next_renewal(capped(period="month"), date(2027, 1, 1)) == date(2027, 2, 1)
    assert renewal_words(capped(), date(2026, 5, 17)) == "the cap never renews"
    both = capped(period="year", epsilon=2, lifetime_epsilon=5)
    assert renewal_words(both, date(2026, 5, 17)) == "the cap renews on 2027-01-01, the lifetime's cap never"


@pytest.mark.parametrize("report", [None, report_of(), report_of("a"), alarm_of(False)])
@pytest.mark.parametrize("on_drift", ["reuse", "resample", "refresh", "refit"])
def test_after_a_withdrawal_everything_is_trained_anew_whatever_was_found_and_is_asked_for(on_drift, report):
    spec = spec_of(on_drift)
    decision = decide(spec, prior=replace(prior_of(spec), ended="withdrawn"), report=report, room=everything)
    assert decision == Decision("refit", "Release v3, the one in force, was withdrawn: nothing is built on it.")


def test_after_a_withdrawal_no_refresh_takes_the_place_of_a_training_that_the_cap_forbids():
    spec = spec_of("refresh")
    decision = decide(spec, prior=replace(prior_of(spec), ended="withdrawn"), report=None, room=room_for("refresh"))
    assert (decision.kind, decision.wanted) == ("refuse", "refit")


@pytest.mark.parametrize(
    "mode, report", [("test", report_of()), ("test", report_of("a")), ("sparse_vector", alarm_of(False))]
)
def test_instead_of_a_release_whose_approval_expired_new_rows_are_released(mode, report):
    spec = spec_of("reuse", mode=mode)
    decision = decide(spec, prior=replace(prior_of(spec), ended="expired"), report=report, room=room_for())
    assert decision.kind == "resample"
    assert decision.reason.endswith(
        "but the approval of release v3 expired: new rows of its generator make a release that can be approved."
    )


def test_an_approval_that_expired_changes_nothing_about_a_refresh_or_a_refit():
    for on_drift in ("refresh", "refit"):
        spec = spec_of(on_drift)
        expired = replace(prior_of(spec), ended="expired")
        assert decide(spec, prior=expired, report=report_of("a"), room=everything).kind == on_drift
