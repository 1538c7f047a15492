"""`release.approval: auto` in Dagster walks: approved by the installation's own key where all holds, else a candidate that says why."""

import json

import pytest
import yaml

from synth_pipeline.cli import main
from synth_pipeline.errors import ApprovalRefused
from synth_pipeline.integrations.approvals import find_release, standing
from synth_pipeline.integrations.signing import APPROVER, REQUESTER, key_files, make_home_key
from synth_pipeline.orchestration.automatic_approval import AUTOMATIC
from synth_pipeline.orchestration.io_managers import load_approved
from synth_pipeline.orchestration.launch import open_instance, run_walk
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.dagster_example import Place, clinic_rows, make_place
from synth_pipeline_tests.dagster_walks import KEYS, SNAPSHOT, approved_alias, check_of, materialization, materialize

pytestmark = pytest.mark.slow  # a walk takes twenty seconds


def automatic(floor: float) -> dict[str, object]:
    return {
        "generator": {"kind": "independent"},
        "benchmark": {"target": "insured", "publish": {"epsilon": 0.4}},
        "release": {"approval": "auto", "floors": {"accuracy": floor}},
    }


def walk(folder, floor: float):
    place = make_place(folder, **automatic(floor))
    place.put(SNAPSHOT, clinic_rows())
    for who in (REQUESTER, APPROVER):
        make_home_key(place.home.folder, who)
    return place, run_walk("clinic", home=place.home.folder, own=place.own)


@pytest.fixture(scope="module")
def approved(tmp_path_factory):
    """A walk whose release all conditions hold for."""
    return walk(tmp_path_factory.mktemp("automatic"), 0.3)


def declare(place: Place, floor: float) -> None:
    """Change the floor of a dataset that is declared."""
    file = place.own / "clinic" / "defs.yaml"
    content = yaml.safe_load(file.read_text())
    content["attributes"] |= automatic(floor)
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def release_again(place: Place) -> str:
    """The release asset, made once more; what it shows of its approval."""
    made = materialize(place, ["release"])
    assert made.failure is None
    return str(made.metadata["release"]["approval"])


def decisions(place: Place) -> list[dict[str, object]]:
    return [entry.body for entry in open_ledger(place.home.ledger).history("clinic") if entry.kind == "record"]


def test_the_walk_ends_with_an_approved_release_and_all_that_follows(approved):
    place, report = approved
    assert report.approval.startswith("approved automatically by key ")
    assert "floor 0.3 reached" in report.approval
    [decision] = decisions(place)
    assert (decision["what"], decision["release"]) == ("approve", f"clinic/{report.release.name}")
    assert open_ledger(place.home.ledger).verify().is_intact
    assert approved_alias(place.home) == "1"
    assert materialization(place.home, "approval").partition == SNAPSHOT
    assert check_of(place.home, KEYS.approval_check).passed
    kept = load_approved(place.home, "clinic", SNAPSHOT)
    assert kept.purpose.startswith(AUTOMATIC)
    assert "nobody looked at" in kept.conditions


def test_the_bundle_verifies_with_both_public_keys(approved, capsys):
    place, report = approved
    public = [f"{key_files(place.home.folder, who)[0]}.pub" for who in (REQUESTER, APPROVER)]
    capsys.readouterr()
    assert main(["verify", str(report.release), "--key", public[0], "--approver", public[1], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["approval"]["purpose"].startswith(AUTOMATIC)


def test_dagster_notes_the_approval_after_the_release_so_that_it_is_not_out_of_date(approved):
    place, _ = approved
    with open_instance(place.home) as instance:
        noted = [
            instance.fetch_materializations(KEYS.asset(name), limit=1).records[0].storage_id
            for name in ("release", "approval")
        ]
    assert noted == sorted(noted)


def test_released_again_it_stays_approved_by_the_same_statement(approved):
    place, report = approved
    before = decisions(place)
    assert release_again(place) == report.approval
    assert decisions(place) == before


def test_a_floor_that_is_too_high_then_the_requesters_key_leave_a_candidate_until_all_holds(tmp_path, monkeypatch):
    place, report = walk(tmp_path, 0.99)
    assert report.approval.startswith("candidate: not approved automatically: ")
    assert "floor 0.99 not reached" in report.approval
    assert (decisions(place), approved_alias(place.home)) == ([], None)
    with pytest.raises(ApprovalRefused, match="no release of it was approved"):
        load_approved(place.home, "clinic", SNAPSHOT)

    declare(place, 0.3)
    requester = key_files(place.home.folder, REQUESTER)
    monkeypatch.setenv("SYNTH_PIPELINE_APPROVER_KEY", str(requester[0]))
    monkeypatch.setenv("SYNTH_PIPELINE_APPROVER_PASSPHRASE_FILE", str(requester[1]))
    assert "signed this release itself" in release_again(place)
    assert (decisions(place), approved_alias(place.home)) == ([], None)

    monkeypatch.delenv("SYNTH_PIPELINE_APPROVER_KEY")
    assert release_again(place).startswith("approved automatically by key ")
    assert approved_alias(place.home) == "1"

    # Withdrawn by a person it stays, however often it is released again.
    monkeypatch.setenv("SYNTH_PIPELINE_DEFS", str(place.own))
    approver = [str(path) for path in key_files(place.home.folder, APPROVER)]
    withdraw = ["withdraw", f"clinic/{report.release.name}", "--reason", "described wrongly", "--key", approver[0]]
    assert main([*withdraw, "--passphrase-file", approver[1], "--home", str(place.home.folder)]) == 0
    assert release_again(place).startswith("withdrawn by key ")
    assert [decision["what"] for decision in decisions(place)] == ["approve", "withdraw"]
    assert approved_alias(place.home) is None
    assert standing(place.home, find_release(place.home, "clinic")).state == "withdrawn"
    assert open_ledger(place.home.ledger).verify().is_intact
