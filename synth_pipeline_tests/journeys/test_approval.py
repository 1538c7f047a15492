"""A release from candidate to withdrawn, through the command line, Dagster's instance and a real MLflow store."""

import json
from datetime import UTC, datetime
from functools import partial

import dagster as dg
import pytest
from mlflow import MlflowClient

from synth_pipeline.cli import main
from synth_pipeline.errors import ApprovalRefused
from synth_pipeline.integrations.approvals import reservation_of
from synth_pipeline.integrations.mlflow import walk_run
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.orchestration.approval_events import catch_up
from synth_pipeline.orchestration.approval_sensor import LONGEST_REST, approval_sensor, is_settled
from synth_pipeline.orchestration.code_location import build_defs, load_specs
from synth_pipeline.orchestration.codecs import CODECS
from synth_pipeline.orchestration.failures import failure_of
from synth_pipeline.orchestration.io_managers import load_approved, save_made
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.made import Made, Origin
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.approval import ApprovedRelease
from synth_pipeline_tests.approval_example import make_world
from synth_pipeline_tests.dagster_example import make_place
from synth_pipeline_tests.dagster_walks import KEYS, approved_alias, check_of
from synth_pipeline_tests.signed_example import PASSPHRASE

FIRST, SECOND = "visits_2024", "visits_2025"


@pytest.fixture
def walked(tmp_path):
    """Two signed releases of two snapshots, as walks leave them, their generators in MLflow, and the keys of three people."""
    place = make_place(tmp_path)
    world = make_world(place.home.folder)
    home, partitions = world.home, [FIRST, SECOND]
    client = MlflowClient(home.tracking_uri, home.tracking_uri)
    client.create_registered_model("clinic-generator")
    with open_instance(home) as instance:
        instance.add_dynamic_partitions(KEYS.partitions_name, partitions)
    for number, snapshot in enumerate(partitions):
        release = world.add_release(snapshot, created=f"2026-05-0{number + 1}")
        made = Made(release.place, Origin(release.walk, reservation_of(home, release), release.fingerprint))
        home.released.write(partial(save_made, CODECS["release"], made), "clinic", snapshot, "release")
        run = walk_run(tracking_of(home), dataset="clinic", walk_id=release.walk.walk_id, snapshot=snapshot)
        client.create_model_version("clinic-generator", f"runs:/{run.run_id}/model", run_id=run.run_id)
    for who in ("requester", "approver", "stranger"):
        (home.folder / "keys" / f"{who}.passphrase").touch(mode=0o600)
        (home.folder / "keys" / f"{who}.passphrase").write_text(PASSPHRASE)
    return place, [f"clinic/{snapshot}-1" for snapshot in partitions]


@pytest.fixture
def run(walked, capsys, monkeypatch):
    """A command of a second person, or of another key; its JSON, or the line it was refused with."""
    place, _ = walked
    monkeypatch.setenv("SYNTH_PIPELINE_DEFS", str(place.own))

    def call(*argv, code=0, who="approver"):
        files = place.home.folder / "keys" / f"{who}.key", place.home.folder / "keys" / f"{who}.passphrase"
        key = [] if "--statement" in argv else ["--key", str(files[0]), "--passphrase-file", str(files[1])]
        capsys.readouterr()
        found = main([*map(str, argv), *key, "--home", str(place.home.folder), "--json"])
        said = capsys.readouterr()
        assert found == code, said.err
        return said.err if code else json.loads(said.out)

    return call


def tracking_of(home):
    return Tracking(home.tracking_uri, home.tracking_artifacts.as_uri())


def downstream(place, partition):
    """What an asset of somebody else's, after the approval, makes of it."""
    seen = []

    @dg.asset(
        key=["clinic", "handed_out"],
        ins={"approval": dg.AssetIn(key=KEYS.asset("approval"), dagster_type=dg.Any)},
        partitions_def=KEYS.partitions,
    )
    def handed_out(approval) -> None:
        seen.append(approval)

    defs = dg.Definitions.merge(build_defs(home=place.home.folder, own=place.own), dg.Definitions(assets=[handed_out]))
    with open_instance(place.home) as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=instance,
            partition_key=partition,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(["clinic", "handed_out"])],
        )
    return result, seen


def stopped(place, partition):
    """Why that asset did not start."""
    result, seen = downstream(place, partition)
    assert not result.success
    assert not seen
    return str(failure_of(result))


def materialized_here(place, partition, config):
    """The asset, made from the launchpad."""
    defs = build_defs(home=place.home.folder, own=place.own)
    with open_instance(place.home) as instance:
        return defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            partition_key=partition,
            raise_on_error=False,
            asset_selection=[KEYS.asset("approval")],
            run_config={"ops": {"clinic__approval": {"config": config}}},
        )


def test_a_release_from_candidate_to_withdrawn(walked, run, tmp_path):
    place, (first, second) = walked
    home = place.home

    # A candidate is of no use to anybody.
    assert "no release of it was approved" in stopped(place, FIRST)

    # Nor does its own key approve it, nor a statement about another release.
    assert "signed this release itself" in run("approve", first, "--purpose", "x", code=4, who="requester")
    statement = tmp_path / "second.json"
    run("approve", home.folder / "releases" / second, "--purpose", "research", "--sign-only", "--out", statement)
    assert f"about release {second}" in run("approve", first, "--statement", statement, code=4)
    own = ("--sign-only", "--out", tmp_path / "own.json")  # refused where it is signed, not only where it is handed in
    assert "signed this release itself" in run("approve", second, "--purpose", "x", *own, code=4, who="requester")
    assert open_ledger(home.ledger).verify().is_intact
    assert approved_alias(home) is None

    # A second person's does, and what comes after it goes ahead.
    told = run("approve", first, "--purpose", "teaching", "--conditions", "not to be linked", "--expires", "2999-12-31")
    assert (told["state"], told["purpose"], told["expires"]) == ("approved", "teaching", "2999-12-31")
    assert approved_alias(home) == "1"
    assert check_of(place.home, KEYS.approval_check).passed
    result, seen = downstream(place, FIRST)
    assert result.success
    assert isinstance(seen[0], ApprovedRelease)
    assert (f"{seen[0].dataset}/{seen[0].version}", seen[0].conditions) == (first, "not to be linked")
    assert "approved already" in run("approve", first, "--purpose", "again", code=4)

    # The newest approved one is the one that the alias names; the statement was made elsewhere.
    assert run("approve", second, "--statement", statement)["mlflow"].endswith("version 2")
    assert approved_alias(home) == "2"

    # Withdrawn by the requester: downstream refused, alias moved back, check failed, for good.
    assert (
        run("withdraw", second, "--reason", "a column was described wrongly", who="requester")["state"] == "withdrawn"
    )
    assert approved_alias(home) == "1"
    assert not check_of(place.home, KEYS.approval_check).passed
    assert "described wrongly" in check_of(place.home, KEYS.approval_check).description
    assert "withdrawn by key" in stopped(place, SECOND)
    assert "which is final" in run("approve", second, "--statement", statement, code=4)
    assert "which is final" in run("withdraw", second, "--reason", "once more", code=4)

    # The first still is in force, until its last day is over.
    assert load_approved(home, "clinic", FIRST).conditions == "not to be linked"
    with open_instance(home) as instance:
        late = datetime(3000, 1, 1, tzinfo=UTC)
        assert catch_up(instance, home, tracking_of(home), "clinic", now=late).completed == (first,)
        assert catch_up(instance, home, tracking_of(home), "clinic", now=late).completed == ()
    assert approved_alias(home) is None
    assert not check_of(place.home, KEYS.approval_check).passed
    kinds = [entry.body["what"] for entry in open_ledger(home.ledger).history("clinic") if entry.kind == "record"]
    assert kinds == ["approve", "approve", "withdraw", "expire"]
    # The chain is in the year 3000 now, so a clock that is put back brings nothing back.
    with pytest.raises(ApprovalRefused, match="expired: its approval held until 2999-12-31"):
        load_approved(home, "clinic", FIRST)
    assert open_ledger(home.ledger).verify().is_intact
    assert open_ledger(home.ledger).account("clinic").entries[-1].kind == "record"


def test_the_launchpad_approves_and_withdraws_with_the_key_of_the_server(walked):
    place, (first, _) = walked
    keys = place.home.folder / "keys"
    own = {"key_file": str(keys / "approver.key"), "passphrase_file": str(keys / "approver.passphrase")}
    requester = {"key_file": str(keys / "requester.key"), "passphrase_file": str(keys / "requester.passphrase")}

    refused = materialized_here(place, FIRST, {**requester, "purpose": "teaching"})
    assert "signed this release itself" in str(failure_of(refused))
    assert "not both" in str(failure_of(materialized_here(place, FIRST, {"purpose": "teaching"})))

    made = materialized_here(place, FIRST, {**own, "purpose": "teaching", "expires": "2999-12-31"})
    assert made.success
    (event,) = made.asset_materializations_for_node("clinic__approval")
    shown = {name: value.value for name, value in event.metadata.items()}
    assert (
        shown.items()
        >= {"decision": "approve", "purpose": "teaching", "conditions": "none", "expires": "2999-12-31"}.items()
    )
    assert shown["ledger"].startswith("entry 7 (")
    assert approved_alias(place.home) == "1"
    result, seen = downstream(place, FIRST)
    assert result.success
    assert seen[0].version == first.partition("/")[2]
    assert PASSPHRASE not in json.dumps({name: str(value) for name, value in shown.items()})

    withdrawn = materialized_here(place, FIRST, {**own, "decision": "withdraw", "reason": "described wrongly"})
    assert not withdrawn.success  # its blocking check failed, as it should
    assert not check_of(place.home, KEYS.approval_check).passed
    assert approved_alias(place.home) is None
    assert not downstream(place, FIRST)[0].success
    with open_instance(place.home) as instance:  # nothing is left to tell
        assert catch_up(instance, place.home, tracking_of(place.home), "clinic").completed == ()


def test_the_sensor_completes_what_a_command_left_undone_and_then_looks_no_more(walked, run):
    place, (first, _) = walked
    home = place.home
    run("approve", first, "--purpose", "teaching")
    home.released.write(lambda folder: (folder / "x").touch(), "clinic", FIRST, "approval")
    (home.releases / first / "approval").unlink()
    MlflowClient(home.tracking_uri, home.tracking_uri).delete_registered_model_alias("clinic-generator", "approved")
    sensor = approval_sensor(load_specs(place.own)["clinic"])

    def tick(cursor, tracking):
        with open_instance(home) as instance:
            resources = {"home": home, "tracking": tracking}
            with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
                return sensor(context)

    away = tick(None, Tracking("http://127.0.0.1:9"))  # MLflow is out: nothing is lost, and the next look tries again
    assert away.cursor is None
    assert (home.releases / first / "approval").is_file()
    done = tick(away.cursor, tracking_of(home))
    assert approved_alias(home) == "1"
    assert load_approved(home, "clinic", FIRST).purpose == "teaching"  # what was put in the place of its value is gone
    entries = open_ledger(home.ledger).head().entries
    assert is_settled(done.cursor, entries=entries, now=datetime.now(UTC))
    assert not is_settled(done.cursor, entries=entries, now=datetime.now(UTC) + LONGEST_REST)
    assert not is_settled(done.cursor, entries=entries + 1, now=datetime.now(UTC))


def test_options_that_do_not_go_together_are_refused(walked, run, capsys):
    place, _ = walked
    for argv, told in (
        (("approve", "clinic"), "--key: name your private key"),
        (("approve", "clinic", "--key", "k", "--sign-only"), "--sign-only and --out go together"),
        (("approve", "clinic", "--statement", "s", "--purpose", "x"), "says everything"),
        (("withdraw", "clinic", "--statement", "nowhere.json"), "cannot be read"),
    ):
        assert main([*argv, "--home", str(place.home.folder)]) == 2, argv
        assert told in capsys.readouterr().err
