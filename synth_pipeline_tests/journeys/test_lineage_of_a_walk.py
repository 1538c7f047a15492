"""The lineage of a real walk: every hop verified, column lineage in Dagster's log, links both ways; what is tampered with is told."""

import json
import shutil
import sqlite3
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from synth_pipeline.cli import main
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.integrations.mlflow_registry import recorded_walk
from synth_pipeline.integrations.release_chain import release_chain
from synth_pipeline.integrations.release_place import opened_release
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.launch import run_walk
from synth_pipeline_tests.dagster_example import MARKER_NAME, clinic_rows, make_place
from synth_pipeline_tests.dagster_walks import KEYS, materialization, metadata_of

pytestmark = pytest.mark.slow
COLUMNS = ("age", "ward", "town", "fee", "insured")


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENLINEAGE_DISABLED", raising=False)
        place = make_place(tmp_path_factory.mktemp("lineage"))
        place.put("visits_2024", clinic_rows(400))
        yield place.home, run_walk("clinic", home=place.home.folder, own=place.own)


@pytest.fixture
def copied(walked, tmp_path):
    """The home, to be tampered with."""
    folder = tmp_path / "home"
    shutil.copytree(walked[0].folder, folder, ignore=shutil.ignore_patterns("*.lock"))
    return Home.at(folder)


def chain_of(home, release="clinic"):
    with opened_release(release, home) as bundle:
        return release_chain(bundle, home, Tracking(home.tracking_uri))


def bundle_of(home) -> Path:
    (folder,) = (home.folder / "releases" / "clinic").iterdir()
    return folder


def told(capsys, *arguments):
    code = main(["lineage", *arguments])
    return code, capsys.readouterr()


def test_every_hop_of_a_fresh_release_is_verified(walked):
    hops = chain_of(walked[0]).hops
    assert [(hop.target, hop.detail) for hop in hops if hop.state != "verified"] == []
    assert [hop.target for hop in hops][-1] == "bundle"


def test_json_reaches_from_every_released_column_to_snapshot_and_charges(walked, capsys):
    code, out = told(capsys, f"clinic/{bundle_of(walked[0]).name}", "--home", str(walked[0].folder), "--json")
    content = json.loads(out.out)
    assert code == 0
    frame = pd.read_parquet(bundle_of(walked[0]) / "data.parquet")
    columns = {column["name"]: column for column in content["columns"]}
    assert list(columns) == list(frame.columns)
    for name in COLUMNS:
        numbers = columns[name]["own_charges"] + columns[name]["joint_charges"]
        assert columns[name]["source"] == name
        assert numbers
        assert {content["charges"][number - 1]["number"] for number in numbers} == set(numbers)
    assert columns["person"]["source"] is None
    assert all(charge["reach"] != "read from its words" for charge in content["charges"])  # events name their columns
    assert content["guarantee"]["charges_compose_to"] <= content["guarantee"]["composed_epsilon"] * (1 + 1e-6)
    assert MARKER_NAME not in out.out


def test_a_bundles_folder_alone_shows_what_cannot_be_compared_as_missing(walked, tmp_path, capsys):
    code, out = told(capsys, str(bundle_of(walked[0])), "--home", str(tmp_path / "elsewhere"), "--json")
    states = {hop["target"]: hop["state"] for hop in json.loads(out.out)["hops"]}
    assert code == 0
    assert {states[name] for name in ("profile", "its chain", "ledger entries", "generator in MLflow", "release")} == {
        "missing"
    }
    assert states["bundle"] == states["certificate's ε"] == "verified"


def test_the_page_is_written_and_holds_no_private_value(walked, tmp_path, capsys):
    page = tmp_path / "lineage.html"
    code, out = told(capsys, "clinic", "--home", str(walked[0].folder), "--html", str(page))
    assert code == 0
    assert "columns: 6" in out.out
    text = page.read_text(encoding="utf-8")
    assert all(f"<h3>{name} " in text for name in COLUMNS)
    assert MARKER_NAME not in text


@pytest.mark.parametrize("release", ["clinic/none-12345678", "nobody", "../clinic", ""])
def test_an_unknown_release_is_bad_input(walked, capsys, release):
    code, out = told(capsys, release, "--home", str(walked[0].folder))
    assert code == 2
    assert "there is none" in out.err


def test_a_changed_ledger_entry_is_told(copied, capsys):
    with sqlite3.connect(copied.folder / "ledger.sqlite") as connection:
        connection.execute("DROP TRIGGER entry_is_never_changed")
        connection.execute("UPDATE entry SET body = replace(body, 'age: one-way', 'age: nothing')")
    code, out = told(capsys, "clinic", "--home", str(copied.folder))
    assert code == 4
    assert "was changed after it was written" in out.err


def test_a_changed_stored_table_is_told(copied, capsys):
    stored = next((copied.folder / "released" / "clinic" / "visits_2024").rglob("synthetic_table/**/data.parquet"))
    frame = pd.read_parquet(stored)
    frame.loc[3, "age"] = 99 - frame.loc[3, "age"]
    frame.to_parquet(stored, index=False)
    code, out = told(capsys, "clinic", "--home", str(copied.folder))
    assert code == 4
    assert "the stored table holds other values than were released" in out.err


def test_a_changed_bundle_is_told(copied, capsys):
    path = bundle_of(copied) / "lineage.json"
    content = json.loads(path.read_text())
    content["charges"] = content["charges"][1:]
    path.write_text(json.dumps(content))
    code, out = told(capsys, "clinic", "--home", str(copied.folder))
    assert code == 4
    assert "lineage.json" in out.err


def test_a_ledger_that_was_put_back_to_an_earlier_day_is_told_by_the_head_in_the_certificate(copied, walked):
    for suffix in ("", "-wal", "-shm"):
        (copied.folder / f"ledger.sqlite{suffix}").unlink(missing_ok=True)
    from synth_pipeline.privacy.events import GaussianPoolEvent
    from synth_pipeline.privacy.ledger import Cap, Charge, WalkKey, open_ledger

    charge = Charge((GaussianPoolEvent(mu_squared=0.01),), 1.0, 1e-5)
    open_ledger(copied.ledger).reserve(WalkKey("clinic", "other", "s", "c", "w"), charge, cap=Cap(2.5, 1e-5))
    hops = {hop.target: hop for hop in chain_of(copied).hops}
    assert hops["its chain"].state == "contradicts"
    assert "no longer holds the head" in hops["its chain"].detail


def test_column_lineage_is_in_dagsters_event_log(walked):
    lineages = {
        asset: materialization(walked[0], asset).metadata["dagster/column_lineage"].value.deps_by_column
        for asset in ("profile", "generator", "synthetic_table", "release")
    }
    assert dg.TableColumnDep(KEYS.asset("real_snapshot"), "age") in lineages["profile"]["age"]
    assert {dep.column_name for dep in lineages["generator"]["age"]} == set(COLUMNS)
    assert {dep.column_name for dep in lineages["synthetic_table"]["age"]} == {"age", "insured"}  # a rule names both
    assert list(lineages["release"]["person"]) == [dg.TableColumnDep(KEYS.asset("synthetic_table"), "person")]
    assert list(lineages["synthetic_table"]["person"]) == []


def test_runs_pages_and_events_link_to_one_another(walked):
    home, report = walked
    shown = metadata_of(home, "release")
    recorded = recorded_walk(Tracking(home.tracking_uri), dataset="clinic", walk_id=report.run_id)
    assert recorded is not None
    assert recorded.run.run_id in shown["mlflow_run"]
    assert recorded.tags["dagster.run"].endswith(f"/runs/{report.run_id}")
    assert recorded.tags["release"] == report.release.name
    assert recorded.tags["report"] == (report.release / "report.html").as_uri()
    assert shown["report"] == str(report.release / "report.html")
    assert recorded.tags["data_docs"] == Path(shown["data_docs"]).as_uri()
    claimed = json.loads((report.release / "certificate.json").read_text())["predicate"]["links"]
    assert claimed == {"dagsterRun": report.run_id, "mlflowRun": recorded.run.run_id, "mlflowModel": recorded.model}
    events = [json.loads(line) for line in (home.folder / "openlineage" / "events.jsonl").read_text().splitlines()]
    assert shown["openlineage_run"] in {event["run"]["runId"] for event in events}
    assert {event["run"]["facets"]["parent"]["run"]["runId"] for event in events} == {report.run_id}
    assert not any(MARKER_NAME in json.dumps(event) for event in events)
