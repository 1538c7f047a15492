"""A small dataset through Dagster from end to end, and what is left in its home."""

import json
import re
import shutil
import sqlite3

import dagster as dg
import pandas as pd
import pytest

from synth_pipeline.errors import (
    BudgetRefused,
    CheckFailed,
    LedgerError,
    ModelError,
    SpecError,
    SynthPipelineError,
    TableError,
)
from synth_pipeline.integrations.signing import REQUESTER, key_files, make_home_key
from synth_pipeline.integrations.stores import Home, is_owner_only
from synth_pipeline.orchestration.code_location import load_specs
from synth_pipeline.orchestration.keys import ASSET_NAMES
from synth_pipeline.orchestration.launch import open_instance, run_walk
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.keys import public_path
from synth_pipeline.release.verify import verify_bundle
from synth_pipeline.validate.planned import planned_checks
from synth_pipeline_tests.dagster_example import MARKER_NAME, Place, clinic_rows, make_place
from synth_pipeline_tests.dagster_walks import KEYS, materialization, materialize

SNAPSHOT = "visits_2024"
WALKED = [
    name for name in ASSET_NAMES if name not in ("drift_report", "published_score")
]  # the specification asks for neither


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """One walk, on which most tests only look."""
    place = make_place(tmp_path_factory.mktemp("walked"), validation={"severity": {"fidelity": "block"}})
    place.put(SNAPSHOT, clinic_rows())
    make_home_key(place.home.folder, REQUESTER)
    told = []
    report = run_walk("clinic", home=place.home.folder, own=place.own, progress=lambda *words: told.append(words))
    return place, report, told


def test_every_asset_is_materialized_for_the_snapshot(walked):
    place, _, _ = walked
    for name in WALKED:
        assert materialization(place.home, name).partition == SNAPSHOT


def test_every_expectation_of_the_spec_was_checked_and_passed_where_it_blocks(walked):
    place, report, _ = walked
    spec = load_specs(place.own)["clinic"]
    keys = [dg.AssetCheckKey(KEYS.asset("validation_suite"), check.name) for check in planned_checks(spec)]
    with open_instance(place.home) as instance:
        records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert set(records) == set(keys)
    assert len(report.outcomes) == len(keys)
    assert not [outcome.expectation.name for outcome in report.outcomes if outcome.is_blocking_failure]


def test_the_report_leads_to_everything_the_walk_made(walked):
    _, report, _ = walked
    assert {path.name for path in report.release.iterdir()} >= {
        "data.parquet",
        "certificate.json",
        "schema.json",
        "report.html",
    }
    assert report.data_docs.is_file()
    assert json.loads(report.scorecard_path.read_text())["zone"] == "internal"
    assert "INTERNAL" in report.internal_report_path.read_text()
    frame = pd.read_parquet(report.synthetic)
    assert list(frame.columns) == ["person", "age", "ward", "town", "fee", "insured"]
    assert frame.loc[frame["age"] < 18, "insured"].all()
    assert report.epsilon == pytest.approx(2.0, rel=1e-3)  # the plan's, whatever the answers' scales came to
    assert 0.95 * report.epsilon < report.account.spent_epsilon <= report.epsilon * (1 + 1e-9)


def test_the_release_is_signed_with_the_homes_key_whose_passphrase_is_nowhere_else(walked):
    place, report, _ = walked
    key, passphrase = key_files(place.home.folder, REQUESTER)
    assert verify_bundle(report.release, key=public_path(key).read_bytes()).holds
    words = passphrase.read_bytes().strip()
    files = [path for path in place.home.folder.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert [path for path in files if words in path.read_bytes()] == [passphrase]


def test_progress_was_told_for_every_stage_that_takes_time(walked):
    _, _, told = walked
    stages = {words[0].split(":")[0] for words in told}
    assert stages >= {"profile", "generator", "synthetic_table", "validation_suite", "tstr_benchmark"}
    assert all(0 <= words[1] <= 1 for words in told)


def test_what_real_rows_gave_is_private_and_what_was_released_is_not(walked):
    place, _, _ = walked
    private = list((place.home.folder / "private").rglob("*"))
    assert {path.parts[-2] for path in private if path.name == "origin.json"} == {
        "real_snapshot",
        "tstr_benchmark",
        "internal_report",
    }
    assert all(is_owner_only(path) for path in private)
    released = {path.parts[-2] for path in (place.home.folder / "released").rglob("origin.json")}
    assert released == {"profile", "generator", "synthetic_table", "privacy_audit", "validation_suite", "release"}


def test_scores_and_exact_counts_are_not_in_the_metadata(walked):
    place, report, _ = walked
    benchmark = materialization(place.home, "tstr_benchmark").metadata
    assert benchmark["scores"].value.startswith("internal")
    assert materialization(place.home, "real_snapshot").metadata["counts"].value.startswith("internal")
    shown = json.dumps(
        {
            name: {key: str(value.value) for key, value in materialization(place.home, name).metadata.items()}
            for name in WALKED
        }
    )
    auc = report.scorecard.tstr.learners["gradient_boosting"].tstr["auc"].value
    assert f"{auc:.3f}" not in shown


def test_the_ledger_lines_and_the_plan_are_in_the_metadata(walked):
    place, _, _ = walked
    opened, released = (
        materialization(place.home, "real_snapshot").metadata,
        materialization(place.home, "release").metadata,
    )
    assert opened["epsilon_reserved"].value == pytest.approx(2.0, rel=1e-3)
    assert "profile" in opened["plan"].value
    assert all(word in released["ledger"].value for word in ("reserve", "read", "commit"))


def test_mlflow_has_one_run_of_the_walk_and_samples_from_the_registered_generator(walked):
    import mlflow

    place, report, _ = walked
    client = mlflow.MlflowClient(place.home.tracking_uri, place.home.tracking_uri)
    (run,) = client.search_runs([client.get_experiment_by_name("clinic").experiment_id])
    assert run.data.tags["dagster_root_run_id"] == report.run_id
    assert run.info.run_id in report.mlflow_run
    assert run.info.status == "FINISHED"
    assert float(run.data.params["epsilon"]) == 2.0
    # no score on real rows, no count of them
    assert set(run.data.metrics) == {"epsilon_composed", "delta", "audit.lower_bound"}
    assert run.data.tags["scores"].startswith("internal")
    assert {item.tags[0].value for item in run.inputs.dataset_inputs} == {"training", "synthetic"}
    assert all(item.dataset.profile is None for item in run.inputs.dataset_inputs)
    mlflow.set_tracking_uri(place.home.tracking_uri)
    mlflow.set_registry_uri(place.home.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/clinic-generator@candidate")
    rows = model.predict(None, params={"num_rows": 7, "where": "ward = 'B'", "seed": 1})
    assert len(rows) == 7
    assert set(rows["ward"]) == {"B"}
    assert model.predict(pd.DataFrame(), params={"num_rows": 7, "where": "ward = 'B'", "seed": 1}).equals(rows)
    with pytest.raises(ModelError, match=r"no parameter 'were'; there are num_rows, where"):
        model.predict(None, params={"num_rows": 7, "were": "ward = 'B'"})


def test_the_page_of_the_registered_generator_leads_to_release_report_and_certificate(walked):
    import mlflow

    place, report, _ = walked
    client = mlflow.MlflowClient(place.home.tracking_uri, place.home.tracking_uri)
    assert "@approved" in client.get_registered_model("clinic-generator").description
    words = client.get_model_version_by_alias("clinic-generator", "candidate").description
    assert words.startswith(f"`{report.release.name}`: ")
    assert f"{report.mlflow_run}/artifacts/report/report.html" in words
    assert f"`{report.release}/certificate.json`" in words
    assert f"/runs/{report.run_id})" in words
    assert re.search(r"ε = [12]\.?\d*, δ = 1e-05", words)


def test_no_marker_of_the_raw_table_is_outside_the_private_store(walked):
    """Every file of the home but the arrivals and the private store: ledger, events, logs, MLflow, docs, bundle."""
    place, _, _ = walked
    outside = [
        path
        for path in place.home.folder.rglob("*")
        if path.is_file() and not {"private", "arrivals"} & set(path.relative_to(place.home.folder).parts[:1])
    ]
    assert len(outside) > 40
    marker = MARKER_NAME.encode()
    assert [path for path in outside if marker in path.read_bytes()] == []
    inside = (place.home.folder / "private" / "clinic" / SNAPSHOT / "real_snapshot").rglob("*.parquet")
    assert (
        any(marker in path.read_bytes() for path in inside)
        or marker in (place.arrivals / "visits_2024.parquet").read_bytes()
    )


def test_dagsters_event_records_hold_no_marker(walked):
    place, report, _ = walked
    with open_instance(place.home) as instance:
        events = instance.all_logs(report.run_id)
    assert len(events) > 50
    assert not [event for event in events if MARKER_NAME in str(event)]


def test_a_second_walk_beyond_the_cap_is_refused_before_the_file_is_opened(walked):
    place, _, _ = walked
    ledger = open_ledger(place.home.ledger)
    before = ledger.head()
    place.put("visits_2025", clinic_rows(seed=1)).write_bytes(b"not a table: opening it would be another error")
    with pytest.raises(BudgetRefused):
        run_walk("clinic", home=place.home.folder, own=place.own)
    assert ledger.head() == before
    (place.arrivals / "visits_2025.parquet").unlink()


def test_a_stage_of_a_spent_walk_says_where_to_start(walked):
    place, _, _ = walked
    failure = materialize(place, ["profile"], partition=SNAPSHOT).failure
    assert isinstance(failure, LedgerError)
    assert "clinic/real_snapshot" in str(failure)


def test_what_follows_training_can_be_made_again_for_free(walked):
    place, _, _ = walked
    before = open_ledger(place.home.ledger).head()
    assert materialize(place, ["synthetic_table", "validation_suite"], partition=SNAPSHOT).failure is None
    assert open_ledger(place.home.ledger).head() == before


def test_a_failed_blocking_check_stops_the_release_and_the_budget_stays_spent(walked, tmp_path):
    home = Home.at(shutil.copytree(walked[0].home.folder, tmp_path / "home", symlinks=True))
    place = Place(home, walked[0].own)
    # The stored table is damaged: every ward becomes A, so its shares are not the released ones.
    table = place.home.released.place("clinic", SNAPSHOT, "synthetic_table") / "data.parquet"
    pd.read_parquet(table).assign(ward="A").to_parquet(table, index=False)
    released = set((place.home.releases / "clinic").iterdir())
    failure = materialize(place, ["validation_suite", "release"], partition=SNAPSHOT).failure
    assert isinstance(failure, CheckFailed)
    assert "shares__ward" in str(failure)
    assert set((place.home.releases / "clinic").iterdir()) == released
    assert open_ledger(place.home.ledger).account("clinic").spent_epsilon > 0


def test_a_refused_table_gives_its_budget_back_and_its_counts_stay_private(tmp_path):
    place = make_place(tmp_path)
    frame = clinic_rows(300)
    frame.loc[:6, "age"] = 1234
    place.put("visits", frame)
    with pytest.raises(TableError, match=r"column 'age': some rows outside the declared range 0 to 99"):
        run_walk("clinic", home=place.home.folder, own=place.own)
    account = open_ledger(place.home.ledger).account("clinic")
    assert (account.spent_epsilon, account.reserved_epsilon) == (0.0, 0.0)
    with sqlite3.connect(place.home.dagster / "history" / "runs.db") as runs:
        assert runs.execute("select count(*) from runs").fetchone() == (1,)


def test_one_line_says_what_is_missing(tmp_path):
    place = make_place(tmp_path)
    with pytest.raises(SpecError, match=r"dataset 'clinics': unknown; there are clinic, gss"):
        run_walk("clinics", home=place.home.folder, own=place.own)
    with pytest.raises(TableError, match="no snapshot in"):
        run_walk("clinic", home=place.home.folder, own=place.own)
    with pytest.raises(TableError, match="no such file"):
        run_walk("clinic", snapshot=tmp_path / "x.parquet", home=place.home.folder, own=place.own)
    with pytest.raises(SynthPipelineError, match="no such folder"):
        load_specs(tmp_path / "nowhere")
