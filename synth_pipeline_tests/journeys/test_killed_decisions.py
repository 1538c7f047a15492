"""An approval or a withdrawal whose process is killed between any two of its writes, and several people who decide at once.

Whenever it dies, a decision is made or it is not: a release that was withdrawn is never handed on, and the same command, or the sensor,
completes what was left.
"""

import itertools
from datetime import date, timedelta

import pytest
from mlflow import MlflowClient

from synth_pipeline.errors import ApprovalRefused
from synth_pipeline.integrations import approvals
from synth_pipeline.integrations.mlflow import walk_run
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.orchestration.approval_events import catch_up
from synth_pipeline.orchestration.io_managers import load_approved
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.approval import Wish
from synth_pipeline_tests.approval_example import make_world
from synth_pipeline_tests.dagster_example import make_place
from synth_pipeline_tests.dagster_walks import KEYS, approved_alias, check_of
from synth_pipeline_tests.killed_decisions import NEVER, WINDOWS, Task, run_all
from synth_pipeline_tests.object_server import CREDENTIALS, running_object_server

BUCKET = "synth-released-zone"
WISHES = {"approve": Wish("approve", "teaching"), "withdraw": Wish("withdraw", "described wrongly")}
STATES = {"approve": "approved", "withdraw": "withdrawn"}
LEDGERS = ("folder", "s3", "postgresql")
ROUNDS = 6
FIRST = date(2026, 1, 1)


class World:
    """A home with an MLflow registry, in which every test makes releases of its own."""

    def __init__(self, folder, environment):
        self.example = make_world(make_place(folder).home.folder)
        self.home, self.environment, self.numbers = self.example.home, environment, itertools.count(1)
        self.tracking = Tracking(self.home.tracking_uri, self.home.tracking_artifacts.as_uri())
        self.client = MlflowClient(self.home.tracking_uri, self.home.tracking_uri)
        self.client.create_registered_model("clinic-generator")

    def new_release(self):
        """A release newer than all before, its generator registered."""
        number = next(self.numbers)
        release = self.example.add_release(f"s{number:03}", created=str(FIRST + timedelta(days=number)))
        run = walk_run(self.tracking, dataset="clinic", walk_id=release.walk.walk_id, snapshot=release.walk.snapshot)
        made = self.client.create_model_version("clinic-generator", f"runs:/{run.run_id}/model", run_id=run.run_id)
        return release, str(made.version)

    def task(self, release, kind, *, window=NEVER, who="approver"):
        key = getattr(self.example.keys, who).key_path
        return Task(self.home.folder, release.name, WISHES[kind], key, window, self.environment)

    def state(self, release):
        return approvals.standing(self.home, release).state

    def follow(self):
        with open_instance(self.home) as instance:
            return catch_up(instance, self.home, self.tracking, "clinic")

    def alias(self):
        return approved_alias(self.home)

    def records(self, release):
        entries = open_ledger(self.home.ledger).history("clinic")
        return [e.body["what"] for e in entries if e.kind == "record" and e.body["release"] == release.name]

    def check(self):
        return check_of(self.home, KEYS.approval_check)


@pytest.fixture(scope="module", params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def world(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "folder":
        yield World(folder, {})
        return
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SYNTH_PIPELINE_LEDGER", url)
            yield World(folder, {"SYNTH_PIPELINE_LEDGER": url})
        return
    with pytest.MonkeyPatch.context() as patch, running_object_server(BUCKET) as server:
        environment = {
            **CREDENTIALS,
            "SYNTH_PIPELINE_S3_ENDPOINT": server.endpoint,
            "SYNTH_PIPELINE_RELEASED_STORE": f"s3://{BUCKET}/{folder.name}",
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        yield World(folder, environment)


def require_whole(world, release, kind, version, told="withdrawn by key"):
    """Everything that follows from a decision is there, and nothing is left to do."""
    assert world.state(release) == STATES[kind]
    assert world.follow().completed == ()
    statement = approvals.standing(world.home, release).decision.envelope
    assert world.home.release_file(release.place, "approval") == statement
    assert world.check().passed is (kind == "approve")
    assert world.alias() == (version if kind == "approve" else None)
    if kind == "approve":
        assert load_approved(world.home, "clinic", release.walk.snapshot).version == release.version
    else:
        with pytest.raises(ApprovalRefused, match=told):
            load_approved(world.home, "clinic", release.walk.snapshot)
    assert open_ledger(world.home.ledger).verify().is_intact


def check_killed(world, window, *, is_completed_by_sensor):
    release, version = world.new_release()
    for kind in ("approve", "withdraw"):
        ended = run_all([world.task(release, kind, window=window)])
        if ended == ["done"]:  # there is no such write: of a bucket's copy in a folder, and the other way round
            assert window in ("writing", "uploaded", "valued", "told 2")
        else:
            assert ended == ["killed"]
            if window == "signed":
                assert world.records(release) == (["approve"] if kind == "withdraw" else [])
            else:
                assert world.state(release) == STATES[kind]
            if world.state(release) == "withdrawn":
                with pytest.raises(ApprovalRefused):
                    load_approved(world.home, "clinic", release.walk.snapshot)
            if is_completed_by_sensor and window != "signed":
                assert world.follow().problem == ""
            else:
                assert run_all([world.task(release, kind)]) in (["done"], ["refused"])
        require_whole(world, release, kind, version)
    assert world.records(release) == ["approve", "withdraw"]


@pytest.mark.slow
def test_a_decision_that_is_killed_after_it_was_kept_holds_and_is_completed(world):
    check_killed(world, "recorded", is_completed_by_sensor=True)


@pytest.mark.slow
@pytest.mark.parametrize("completed_by", ["command", "sensor"])
@pytest.mark.parametrize("window", WINDOWS)
def test_a_decision_that_is_killed_between_any_two_writes_is_made_or_not_and_is_completed(world, window, completed_by):
    check_killed(world, window, is_completed_by_sensor=completed_by == "sensor")


@pytest.mark.slow
@pytest.mark.parametrize("world", LEDGERS, indirect=True)
def test_two_people_who_approve_at_once_leave_one_approval(world):
    for _ in range(ROUNDS):
        release, version = world.new_release()
        ended = run_all([world.task(release, "approve", who=who) for who in ("approver", "stranger")])
        assert sorted(ended) == ["done", "refused"]
        assert world.records(release) == ["approve"]
        world.follow()
        require_whole(world, release, "approve", version)
        assert run_all([world.task(release, "withdraw")]) == ["done"]


@pytest.mark.slow
@pytest.mark.parametrize("world", LEDGERS, indirect=True)
def test_of_an_approval_and_a_withdrawal_at_once_the_withdrawal_holds_and_everything_follows_it(world):
    for _ in range(ROUNDS):
        release, version = world.new_release()
        ended = run_all([world.task(release, "approve"), world.task(release, "withdraw", who="requester")])
        assert ended in (["done", "done"], ["refused", "done"])
        assert world.records(release) in (["approve", "withdraw"], ["withdraw"])
        # Withdrawn before anything was stored for the snapshot, there is no release to tell of.
        require_whole(world, release, "withdraw", version, told="withdrawn by key|no release of it was approved")
