import mlflow
import pytest
from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY

from synth_pipeline.errors import PrivacyError
from synth_pipeline.integrations.mlflow import Lineage, finish_run, log_artifacts, log_facts, log_lineage, walk_run
from synth_pipeline.integrations.mlflow_place import Tracking, keep_mlflow_offline
from synth_pipeline.integrations.stores import Home, is_owner_only
from synth_pipeline.privacy.gate import Internal, Released


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    home = Home.at(tmp_path_factory.mktemp("home"))
    return Tracking(home.tracking_uri, home.tracking_artifacts.as_uri(), "http://tracker:5000/")


def released(values):
    return {name: Released(value) for name, value in values.items()}


def walk(tracking, walk_id, **tags):
    return walk_run(tracking, dataset="d", walk_id=walk_id, snapshot="s1", tags=released(tags))


def fetched(tracking, run):
    return mlflow.MlflowClient(tracking.uri, tracking.uri).get_run(run.run_id)


def test_a_walk_is_one_run_however_often_it_is_asked_for(tracking):
    first = walk(tracking, "walk-1", code="abc")
    assert walk(tracking, "walk-1") == first
    assert walk(tracking, "walk-2") != first
    tags = fetched(tracking, first).data.tags
    assert (tags["zone"], tags["snapshot"], tags["dagster_root_run_id"], tags["code"]) == (
        "released",
        "s1",
        "walk-1",
        "abc",
    )


def test_an_experiment_says_that_it_is_about_models_also_one_of_an_earlier_version(tracking):
    client = mlflow.MlflowClient(tracking.uri, tracking.uri)
    client.create_experiment("older")
    for name in ("newer", "older"):
        walk_run(tracking, dataset=name, walk_id="walk", snapshot="s1")
        assert client.get_experiment_by_name(name).tags["mlflow.experimentKind"] == "custom_model_development"
    assert "`newer`" in client.get_experiment_by_name("newer").tags["mlflow.note.content"]


def test_facts_beyond_one_batch_are_all_recorded(tracking):
    run = walk(tracking, "walk-3")
    log_facts(
        tracking,
        run,
        params=released({f"p{number}": number for number in range(120)}),
        metrics=released({f"m{number}": number / 7 for number in range(250)}),
        tags=released({"release": "s1-abc"}),
    )
    data = fetched(tracking, run).data
    assert len(data.params) == 120
    assert len(data.metrics) == 250
    assert data.metrics["m7"] == 1.0
    assert data.tags["release"] == "s1-abc"


def test_names_that_mlflow_refuses_are_recorded_with_other_letters(tracking):
    run = walk(tracking, "walk-4")
    log_facts(tracking, run, metrics=released({"auc(income>50K)": 0.5}), params=released({"a:b": "x" * 9000}))
    data = fetched(tracking, run).data
    assert data.metrics == {"auc_income_50K_": 0.5}
    assert len(data.params["a_b"]) == 5000


def test_lineage_holds_names_and_fingerprints_and_no_profile_of_the_rows(tracking):
    run = walk(tracking, "walk-5")
    log_lineage(tracking, run, Released(Lineage("d_s1", "f" * 64, "private snapshot s1", "training")))
    (entry,) = fetched(tracking, run).inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest, entry.tags[0].value) == ("d_s1", "f" * 36, "training")
    assert entry.dataset.profile is None
    assert entry.dataset.schema is None


@pytest.mark.parametrize("bare", [0.87, Internal(0.87), None])
@pytest.mark.parametrize("what", ["metrics", "params", "tags"])
def test_a_value_that_is_not_released_is_refused_and_nothing_is_recorded(tracking, what, bare):
    run = walk(tracking, "walk-10")
    with pytest.raises(PrivacyError, match=r"MLflow: 'auc': \w+ has no zone"):
        log_facts(tracking, run, **{"metrics": {"fine": Released(1.0)}, what: {"auc": bare}})
    data = fetched(tracking, run).data
    assert (data.metrics, data.params) == ({}, {})


def test_bare_lineage_and_bare_folders_are_refused(tracking, tmp_path):
    run = walk(tracking, "walk-11")
    with pytest.raises(PrivacyError, match="lineage: Lineage has no zone"):
        log_lineage(tracking, run, Lineage("d", "f", "s", "training"))
    with pytest.raises(PrivacyError, match="artifacts: PosixPath has no zone"):
        log_artifacts(tracking, run, tmp_path, "scores")


def test_a_finished_run_says_how_it_went(tracking):
    done, failed = walk(tracking, "walk-6"), walk(tracking, "walk-7")
    finish_run(tracking, done, has_succeeded=True)
    finish_run(tracking, failed, has_succeeded=False)
    assert [fetched(tracking, run).info.status for run in (done, failed)] == ["FINISHED", "FAILED"]


def test_a_link_leads_to_the_pages_of_a_store_and_to_a_server_itself(tracking):
    run = walk(tracking, "walk-8")
    page = f"/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    assert tracking.link(run) == f"http://tracker:5000{page}"
    assert Tracking("https://mlflow.example.org/").link(run) == f"https://mlflow.example.org{page}"


def test_the_runs_are_readable_by_their_owner_alone(tmp_path):
    home = Home.at(tmp_path)
    walk(Tracking(home.tracking_uri, home.tracking_artifacts.as_uri()), "walk-9")
    assert is_owner_only(tmp_path / "mlflow.db")
    assert is_owner_only(home.tracking_artifacts)


def test_mlflow_reports_nothing_to_its_makers_unless_somebody_says_so(monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    keep_mlflow_offline()
    assert MLFLOW_DISABLE_TELEMETRY.get() is True
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    keep_mlflow_offline()
    assert MLFLOW_DISABLE_TELEMETRY.get() is False
