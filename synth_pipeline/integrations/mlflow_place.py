"""Where MLflow keeps runs, and its client there.

Belongs here: places and the client. Does not: what is recorded (mlflow), or asked of the registry (mlflow_registry).
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    from mlflow import MlflowClient

SERVER_VARIABLE = "SYNTH_PIPELINE_MLFLOW"
PAGES_VARIABLE = "SYNTH_PIPELINE_MLFLOW_PAGES"
WALK_TAG = "dagster_root_run_id"
"""Tag of a run that says whose walk it is."""


@dataclass(frozen=True)
class Tracking:
    """Where MLflow keeps runs.

    Attributes:
        uri: tracking and registry store: `sqlite:///…`, `postgresql://…` or a server's `http://…`.
        artifacts: folder or URI of artifacts of new experiments; None lets the server decide.
        interface: address at which people open MLflow's pages; empty: the server's own, else this machine's port 5000.
    """

    uri: str
    artifacts: str | None = None
    interface: str = ""

    def link(self, run: "TrackedRun") -> str:
        """The page of a run."""
        own = self.uri if self.uri.startswith(("http://", "https://")) else "http://127.0.0.1:5000"
        root = self.interface or own
        return f"{root.rstrip('/')}/#/experiments/{run.experiment_id}/runs/{run.run_id}"


@dataclass(frozen=True)
class TrackedRun:
    """A run of MLflow."""

    run_id: str
    experiment_id: str


def named_server() -> Tracking | None:
    """The server at `$SYNTH_PIPELINE_MLFLOW`, whose pages people open at `$SYNTH_PIPELINE_MLFLOW_PAGES`; None where none is named."""
    server = os.environ.get(SERVER_VARIABLE)
    return Tracking(server, interface=os.environ.get(PAGES_VARIABLE, "")) if server else None


def keep_mlflow_offline() -> None:
    """Turn MLflow's usage reports off, unless somebody has decided about them; they start when it is imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def tracking_client(tracking: Tracking) -> "MlflowClient":
    """MLflow's client of a place, whose local folders are made for their owner alone."""
    keep_mlflow_offline()
    from mlflow import MlflowClient

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # a new SQLite file is not news
    _keep_to_owner(tracking)
    return MlflowClient(tracking_uri=tracking.uri, registry_uri=tracking.uri)


def _keep_to_owner(tracking: Tracking) -> None:
    """Make local places before MLflow does, so that only their owner may read them."""
    if tracking.uri.startswith("sqlite:///"):
        file = Path(tracking.uri.removeprefix("sqlite:///"))
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
    if tracking.artifacts is not None and tracking.artifacts.startswith("file://"):
        Path(url2pathname(urlsplit(tracking.artifacts).path)).mkdir(parents=True, exist_ok=True, mode=0o700)
