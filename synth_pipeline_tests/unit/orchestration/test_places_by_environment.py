"""Where things are kept in production is said by the environment alone."""

from synth_pipeline.integrations.mlflow_place import TrackedRun, Tracking
from synth_pipeline.integrations.stores import FolderStore, Home, S3Store
from synth_pipeline.orchestration.code_location import home_resources
from synth_pipeline.orchestration.resources import TrackingResource


def test_without_variables_everything_is_in_the_home(tmp_path, monkeypatch):
    for name in ("PRIVATE_STORE", "RELEASED_STORE", "MLFLOW", "MLFLOW_PAGES", "DAGSTER_HOME", "KEY_FILE"):
        monkeypatch.delenv(f"SYNTH_PIPELINE_{name}", raising=False)
    home = Home.at(tmp_path)
    assert home.private == FolderStore(tmp_path / "private", is_private=True)
    assert home.released == FolderStore(tmp_path / "released", is_private=False)
    assert home.dagster == tmp_path / "dagster"
    assert TrackingResource.of(home).uri == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_tracking_server_keeps_runs_and_files_and_pages_may_be_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_MLFLOW", "http://mlflow:5000")
    made = TrackingResource.of(Home.at(tmp_path))
    assert (made.uri, made.artifacts) == ("http://mlflow:5000", None)
    run = TrackedRun("r", "7")
    assert Tracking(made.uri).link(run) == "http://mlflow:5000/#/experiments/7/runs/r"
    monkeypatch.setenv("SYNTH_PIPELINE_MLFLOW_PAGES", "https://mlflow.example/")
    shown = TrackingResource.of(Home.at(tmp_path))
    assert Tracking(shown.uri, None, shown.interface).link(run) == "https://mlflow.example/#/experiments/7/runs/r"
    assert Tracking("sqlite:///x").link(run).startswith("http://127.0.0.1:5000/")


def test_each_zone_goes_where_its_variable_says_and_the_other_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_RELEASED_STORE", "s3://open/zone")
    monkeypatch.delenv("SYNTH_PIPELINE_PRIVATE_STORE", raising=False)
    home = Home.at(tmp_path)
    assert isinstance(home.private, FolderStore)
    assert isinstance(home.released, S3Store)
    assert home.released.root == tmp_path / "private"  # what is on its way is on the worker's own private disk
    assert not home.released.is_private


def test_dagsters_folder_is_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_DAGSTER_HOME", str(tmp_path / "dagster-home"))
    assert Home.at(tmp_path).dagster == tmp_path / "dagster-home"


def test_the_definitions_load_without_asking_any_server(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_PRIVATE_STORE", "s3://nowhere-private/zone")
    monkeypatch.setenv("SYNTH_PIPELINE_RELEASED_STORE", "s3://nowhere-released/zone")
    monkeypatch.setenv("SYNTH_PIPELINE_S3_ENDPOINT", "http://127.0.0.1:9")
    assert set(home_resources(Home.at(tmp_path))) >= {"home", "tracking", "private_io", "released_io"}
