"""Dagster's web page over a home folder, with the daemon that runs sensors and schedules, and MLflow's pages; as child processes."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from synth_pipeline.errors import SynthPipelineError
from synth_pipeline.integrations.stores import HOME_VARIABLE, Home
from synth_pipeline.orchestration.code_location import DEFS_VARIABLE
from synth_pipeline.orchestration.keys import LOCATION
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.resources import SERVER_VARIABLE

_WORKSPACE = f"""load_from:
  - python_module: {{module_name: synth_pipeline.definitions, location_name: {LOCATION}}}
"""
_LOG = "web.log"
_GRACE_SECONDS = 15.0


def serve_ui(
    home: str | Path | None = None,
    *,
    port: int = 3000,
    ready: Callable[[str], None] | None = None,
    own: str | Path | None = None,
) -> None:
    """Serve Dagster's web page until the process is interrupted, and MLflow's at port 5000 if that is free.

    Args:
        home: the home folder; default `$SYNTH_PIPELINE_HOME`, else `.synth_pipeline`.
        port: port on this machine.
        ready: called with the address once the page answers.
        own: folder of your own datasets; default `$SYNTH_PIPELINE_DEFS`.

    Raises:
        SynthPipelineError: if the port is taken, or the server does not come up or stops by itself.
    """
    try:
        with (
            _stoppable(),
            tracking_pages(Home.at(home).make()),
            web_server(home, port=port, own=own) as (address, server),
        ):
            if ready is not None:
                ready(address)
            code = server.wait()
    except KeyboardInterrupt:
        return
    raise SynthPipelineError(f"the web server stopped by itself (exit {code}); see {Home.at(home).dagster / _LOG}")


@contextmanager
def web_server(
    home: str | Path | None = None, *, port: int = 3000, own: str | Path | None = None, patience_seconds: float = 180.0
) -> Generator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Dagster's web server and daemon over a home; the address and the process. Both end with the block.

    Raises:
        SynthPipelineError: if the port is taken, or the page does not answer in time.
    """
    place = Home.at(home).make()
    _require_free(port)
    with open_instance(place):
        pass  # writes the settings that the server reads
    workspace = place.dagster / "workspace.yaml"
    workspace.write_text(_WORKSPACE, encoding="utf-8")
    command = ["-m", "dagster", "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]
    server = _start(command, place, own)
    try:
        address = f"http://127.0.0.1:{port}"
        _await(address, server, patience_seconds, place.dagster / _LOG)
        yield address, server
    finally:
        _stop(server)


@contextmanager
def tracking_pages(home: Home, *, port: int = 5000) -> Generator[None]:
    """MLflow's pages over the home's runs, at the address that Dagster's metadata links to.

    Nothing where the port is taken, or a server of its own keeps the runs.
    """
    if os.environ.get(SERVER_VARIABLE) or not _is_free(port):
        yield
        return
    place = ["--backend-store-uri", home.tracking_uri, "--default-artifact-root", home.tracking_artifacts.as_uri()]
    listen = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    server = _start(["-m", "mlflow", "server", *place, *listen], home, None)
    try:
        yield
    finally:
        _stop(server)


@contextmanager
def _stoppable() -> Generator[None]:
    """Let SIGTERM and SIGINT end the block as Ctrl-C does, so that what was started is stopped; elsewhere than in the main thread, not."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(command: list[str], home: Home, own: str | Path | None) -> "subprocess.Popen[bytes]":
    with (home.dagster / _LOG).open("ab") as log:
        return subprocess.Popen(  # noqa: S603  (our own interpreter, no shell)
            [sys.executable, *command],
            env=_environment(home, own),
            cwd=home.dagster,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a server has children of its own; they are stopped as one group
        )


def _environment(home: Home, own: str | Path | None) -> dict[str, str]:
    settings = {
        "DAGSTER_HOME": str(home.dagster),
        HOME_VARIABLE: str(home.folder),
        "PYTHONWARNINGS": "ignore",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven workers of 250 MB each, for jobs that nothing here asks for
    }
    folder = own or os.environ.get(DEFS_VARIABLE)
    if folder:
        settings[DEFS_VARIABLE] = str(Path(folder).resolve())
    return {**os.environ, **settings}


def _require_free(port: int) -> None:
    if not _is_free(port):
        raise SynthPipelineError(f"port {port} is taken; give another with --port")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _await(address: str, server: "subprocess.Popen[bytes]", patience_seconds: float, log: Path) -> None:
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SynthPipelineError(f"the web server stopped by itself (exit {server.returncode}); see {log}")
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=5):  # noqa: S310  (our own address)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise SynthPipelineError(f"the web server did not answer within {patience_seconds:.0f} s; see {log}")


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """Ask the whole group to stop, then make it."""
    for signal_number, patience_seconds in (
        (signal.SIGINT, _GRACE_SECONDS),
        (signal.SIGTERM, 5.0),
        (signal.SIGKILL, 5.0),
    ):
        _signal_group(server.pid, signal_number)
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline and _group_lives(server):
            time.sleep(0.1)
        if not _group_lives(server):
            return


def _signal_group(group: int, signal_number: int) -> None:
    try:
        os.killpg(group, signal_number)
    except ProcessLookupError:
        return


def _group_lives(server: "subprocess.Popen[bytes]") -> bool:
    server.poll()  # collects the leader, which would else count as alive
    try:
        os.killpg(server.pid, 0)
    except ProcessLookupError:
        return False
    return True
