"""Dagster resources: the home folder, MLflow, and how stages run."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from synth_pipeline.integrations.mlflow_place import PAGES_VARIABLE, SERVER_VARIABLE, Tracking
from synth_pipeline.integrations.stores import Home
from synth_pipeline.privacy.gate import Released
from synth_pipeline.walk import AUDIT_RUNS

Progress = Callable[[str, float], None]


class HomeResource(dg.ConfigurableResource[Home]):
    """The home folder: ledger, key, stores.

    Attributes:
        folder: its path.
    """

    folder: str

    def create_resource(self, context: dg.InitResourceContext) -> Home:
        """The home, created on first use."""
        return Home.at(self.folder).make()


class TrackingResource(dg.ConfigurableResource[Tracking]):
    """Where MLflow keeps runs; by default SQLite and a folder, both in the home.

    Attributes:
        uri: tracking and registry store.
        artifacts: folder or URI of artifacts of new experiments; None lets a tracking server decide.
        interface: address at which people open MLflow's pages, for links; empty: the server's own, else this machine's port 5000.
    """

    uri: str
    artifacts: str | None = None
    interface: str = ""

    def create_resource(self, context: dg.InitResourceContext) -> Tracking:
        """The tracking place."""
        return Tracking(self.uri, self.artifacts, self.interface)

    @classmethod
    def of(cls, home: Home) -> "TrackingResource":
        """The server at `$SYNTH_PIPELINE_MLFLOW`, whose pages people open at `$SYNTH_PIPELINE_MLFLOW_PAGES`; else SQLite in a home."""
        server, pages = os.environ.get(SERVER_VARIABLE), os.environ.get(PAGES_VARIABLE, "")
        if server:
            return cls(uri=server, interface=pages)
        return cls(uri=home.tracking_uri, artifacts=home.tracking_artifacts.as_uri(), interface=pages)


@dataclass(frozen=True)
class StageRuntime:
    """How stages run; nothing here can change the guarantee.

    Attributes:
        device: torch device of training.
        seed: seed of post-processing; None draws one from the operating system.
        audit_runs: transcripts, or canaries, of a privacy audit.
        progress: called with a message and the share of a stage's work that is done, in this process.
    """

    device: str = "cpu"
    seed: int | None = None
    audit_runs: int = AUDIT_RUNS
    progress: Progress | None = None

    def teller(self, stage: str, log: Callable[[Released[str]], None]) -> Progress:
        """A callback for one stage: to `progress`, and to Dagster's log a line for each new tenth of the work.

        The log is read by everybody with the web page, so it gets the share alone, never the stage's words.
        """
        told = -1

        def tell(message: str, done: float) -> None:
            nonlocal told
            if self.progress is not None:
                self.progress(f"{stage}: {message}", done)
            if int(done * 10) > told:
                told = int(done * 10)
                log(Released(f"{stage}: {done:.0%}"))

        return tell
