"""What cannot be run here is parsed: settings and launchers by Dagster's own schemas, the image and the composition by what they name."""

import json
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
PLACES = {
    "SYNTH_PIPELINE_DAGSTER_URL": "postgresql+psycopg2://u:p@db:5432/dagster",
    "SYNTH_PIPELINE_LOGS_BUCKET": "logs",
    "SYNTH_PIPELINE_CODE_HOST": "code",
    "SYNTH_PIPELINE_CODE_PORT": "4000",
    "SYNTH_PIPELINE_ECS_CONTAINER": "synth-pipeline",
    "SYNTH_PIPELINE_IMAGE": "registry.example/synth-pipeline:1",
    "SYNTH_PIPELINE_NAMESPACE": "synth",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_DEFAULT_REGION": "us-east-1",
}
VARIABLE = re.compile(r"\$\{(\w+)(?::[-?][^}]*)?\}")


def load(name):
    return yaml.safe_load((INFRA / name).read_text(encoding="utf-8"))


def named_variables(value):
    """Every variable that `{env: NAME}` names in a settings file."""
    if isinstance(value, dict):
        own = {value["env"]} if set(value) == {"env"} else set()
        return own.union(*(named_variables(part) for part in value.values()))
    return set().union(*(named_variables(part) for part in value)) if isinstance(value, list) else set()


@pytest.fixture
def places(monkeypatch, tmp_path):
    for name, value in PLACES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SYNTH_PIPELINE_LOGS_FOLDER", str(tmp_path / "steps"))


def made_whole(text, **sections):
    """The settings of an instance, checked by Dagster, as it checks those that it starts with."""
    from dagster._config import process_config, resolve_to_config_type
    from dagster._core.instance.config import dagster_instance_config_schema

    content = {**yaml.safe_load(text), **sections}
    checked = process_config(resolve_to_config_type(dagster_instance_config_schema()), content)
    assert checked.success, checked.errors
    return checked.value


def part_of(section):
    """A configurable class of a section, with its settings checked by its own schema and the environment filled in."""
    from dagster._config import process_config, resolve_to_config_type

    kind = getattr(import_module(section["module"]), section["class"])
    checked = process_config(resolve_to_config_type(kind.config_type()), section.get("config", {}))
    assert checked.success, checked.errors
    return kind, checked.value


def test_the_settings_of_production_are_dagsters_and_complete(places):
    settings = made_whole((INFRA / "dagster.yaml").read_text(encoding="utf-8"))
    kind, storage = part_of(
        {"module": "dagster_postgres", "class": "DagsterPostgresStorage", "config": settings["storage"]["postgres"]}
    )
    assert storage["postgres_url"] == PLACES["SYNTH_PIPELINE_DAGSTER_URL"]
    kind, logs = part_of(load("dagster.yaml")["compute_logs"])
    assert kind.__name__ == "S3ComputeLogManager"
    assert logs["bucket"] == "logs"
    for section in ("run_coordinator", "run_launcher"):
        part_of(load("dagster.yaml")[section])


def test_without_one_of_its_variables_dagster_says_which(places, monkeypatch):
    from dagster._config import process_config, resolve_to_config_type
    from dagster_aws.s3.compute_log_manager import S3ComputeLogManager

    monkeypatch.delenv("SYNTH_PIPELINE_LOGS_BUCKET")
    config = load("dagster.yaml")["compute_logs"]["config"]
    checked = process_config(resolve_to_config_type(S3ComputeLogManager.config_type()), config)
    assert not checked.success
    assert "SYNTH_PIPELINE_LOGS_BUCKET" in str(checked.errors)


def test_production_repeats_the_settings_of_a_home_folder_and_adds_places_only():
    home = yaml.safe_load((ROOT / "synth_pipeline" / "orchestration" / "instance.yaml").read_text(encoding="utf-8"))
    production = load("dagster.yaml")
    assert {name: production.get(name) for name in home} == home
    assert set(production) - set(home) == {"storage", "compute_logs"}


@pytest.mark.parametrize("name", ["ecs", "kubernetes"])
def test_the_settings_of_a_launcher_are_its_own_and_take_the_place_of_the_local_one(places, name):
    if name == "kubernetes" and find_spec("dagster_k8s") is None:
        pytest.skip("dagster-k8s is not installed")
    content = load(f"launchers/{name}.yaml")
    assert set(content) == {"run_launcher"}
    kind, config = part_of(content["run_launcher"])
    made_whole((INFRA / "dagster.yaml").read_text(encoding="utf-8"), **content)
    assert kind.__name__ == {"ecs": "EcsRunLauncher", "kubernetes": "K8sRunLauncher"}[name]
    if name == "kubernetes":  # what goes on to Kubernetes is checked by the names of its own models
        from dagster_k8s.job import UserDefinedDagsterK8sConfig

        job = UserDefinedDagsterK8sConfig.from_dict(config["run_k8s_config"])
        assert job.pod_spec_config["security_context"]["run_as_non_root"]
        assert job.job_spec_config["backoff_limit"] == 0


def test_the_workspace_names_the_code_server_by_the_environment(places):
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    (origin,) = location_origins_from_yaml_paths([str(INFRA / "workspace.yaml")])
    assert (origin.host, origin.port, origin.location_name) == ("code", 4000, "synth-pipeline")


def test_every_variable_that_the_settings_name_is_set_by_the_composition_or_the_image():
    services = load("compose.yaml")["services"]
    image = "\n".join(argument for word, argument in instructions() if word == "ENV")
    wanted = named_variables(load("dagster.yaml")) | named_variables(load("workspace.yaml"))
    assert wanted >= {"SYNTH_PIPELINE_DAGSTER_URL", "SYNTH_PIPELINE_CODE_HOST"}
    for name in ("code", "daemon", "web"):
        given = set(services[name]["environment"]) | set(re.findall(r"(\w+)=", image))
        assert wanted <= given, f"{name} lacks {wanted - given}"


def test_every_variable_of_ours_in_the_files_is_one_that_the_code_reads():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "synth_pipeline").rglob("*.py"))
    settings = "".join((INFRA / name).read_text(encoding="utf-8") for name in ("dagster.yaml", "workspace.yaml"))
    launchers = "".join(path.read_text(encoding="utf-8") for path in (INFRA / "launchers").glob("*.yaml"))
    texts = (INFRA / "compose.yaml").read_text(encoding="utf-8") + (INFRA / "Dockerfile").read_text(encoding="utf-8")
    named = set(re.findall(r"SYNTH_PIPELINE_[A-Z0-9_]+", texts))
    assert {name for name in named if name not in code + settings + launchers} == set()


def test_the_composition_holds_together():
    content = load("compose.yaml")
    services, volumes = content["services"], set(content["volumes"])
    assert {"postgres", "s3", "mlflow", "code", "daemon", "web"} <= set(services)
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for {other}, which says nothing of its health"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in volumes or source.startswith("./"), f"{name}: {volume}"
        assert set(service.get("secrets", [])) <= set(content["secrets"])
        assert "command" in service or name == "postgres"


def test_pages_are_shown_to_this_machine_only_and_nothing_else_is():
    shown = {name: service["ports"] for name, service in load("compose.yaml")["services"].items() if "ports" in service}
    assert set(shown) == {"web", "mlflow"}
    assert all(port.startswith("127.0.0.1:") for ports in shown.values() for port in ports)


def test_passwords_come_from_a_file_that_is_not_there_yet():
    text = (INFRA / "compose.yaml").read_text(encoding="utf-8")
    example = dict(
        line.split("=", 1)
        for line in (INFRA / "example.env").read_text(encoding="utf-8").splitlines()
        if line[:1] not in ("#", "")
    )
    assert set(VARIABLE.findall(text)) <= set(example)
    assert not re.search(r"(PASSWORD|SECRET\w*): *(?!\$\{)[\w\"']", text)
    for name, value in example.items():
        assert "PASSWORD" not in name or value.startswith("change-me")


def instructions():
    """The instructions of the Dockerfile: word and argument, continued lines joined, comments left out."""
    lines = [
        line for line in (INFRA / "Dockerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def test_the_image_is_built_in_stages_from_files_that_are_there():
    found = instructions()
    known = {"FROM", "ENV", "WORKDIR", "RUN", "COPY", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in found} <= known
    stages = [argument.split() for word, argument in found if word == "FROM"]
    assert len(stages) == 2
    names = {words[2] for words in stages if len(words) == 3}
    for word, argument in found:
        if word != "COPY":
            continue
        words = shlex.split(argument)
        origin = [part.removeprefix("--from=") for part in words if part.startswith("--from=")]
        assert not origin or origin[0] in names
        for source in [part for part in words if not part.startswith("--")][:-1]:
            assert origin or (ROOT / source).exists(), source


def test_the_image_runs_as_nobody_in_particular_and_holds_no_secret():
    found = instructions()
    last_stage = found[max(at for at, (word, _) in enumerate(found) if word == "FROM") :]
    users = [argument for word, argument in last_stage if word == "USER"]
    assert users
    assert users[-1].isdigit()
    assert int(users[-1]) > 0
    for word, argument in found:
        if word in ("ENV", "ARG"):
            assert not re.search(r"PASSWORD|SECRET|TOKEN|_KEY_ID|://\w+:", argument)
    assert [json.loads(argument) for word, argument in last_stage if word in ("ENTRYPOINT", "CMD")]


def test_the_builder_is_sent_what_the_image_is_made_of_and_nothing_else():
    lines = [
        line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] not in ("#", "")
    ]
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    for word, argument in instructions():
        if word == "COPY" and "--from" not in argument:
            sources = [part.removeprefix("./") for part in shlex.split(argument)[:-1]]
            assert set(sources) <= allowed
    assert not any("secret" in name or name.endswith(".env") for name in allowed)


def test_the_image_takes_its_versions_from_the_lock_and_nothing_for_development():
    runs = " ".join(argument for word, argument in instructions() if word == "RUN")
    assert "--constraint constraints.txt" in runs
    assert "[dev]" not in runs
    assert "pip check" in runs


def test_the_page_on_deployment_names_every_variable_that_anything_reads_and_no_other():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "synth_pipeline").rglob("*.py")]
    texts += [path.read_text(encoding="utf-8") for path in INFRA.rglob("*") if path.suffix in (".yaml", ".py")]
    read = set(re.findall(r"SYNTH_PIPELINE_[A-Z0-9_]+", "".join(texts)))
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert set(re.findall(r"SYNTH_PIPELINE_[A-Z0-9_]+", page)) == read
