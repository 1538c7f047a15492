"""The live demo: snapshots arrive one after another while Dagster's daemon watches, and somebody looks on.

Belongs here: servers up, sensor on, files put down whole, runs followed, everything stopped. Does not: what became of a snapshot
(`live_chapter`), or how it is shown (`cli`).

Nothing is started by hand: a file is put into the source folder, and what follows is what would follow in production. This module only
watches, through the same instance that the web page reads.
"""

import json
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from synth_pipeline.errors import SpecError, SynthPipelineError, TableError
from synth_pipeline.integrations.stores import Home, partition_key
from synth_pipeline.orchestration.abandoned import give_back_abandoned
from synth_pipeline.orchestration.code_location import load_specs
from synth_pipeline.orchestration.failures import EndedRun, failure_of
from synth_pipeline.orchestration.keys import LOCATION, DatasetKeys
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.orchestration.live_chapter import Chapter, read_chapter
from synth_pipeline.orchestration.live_news import Moment, RunNews, Watcher
from synth_pipeline.orchestration.quarantine import quarantined
from synth_pipeline.orchestration.web import tracking_pages, web_server
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.spec import Spec

_SECONDS_BETWEEN_LOOKS = 0.5
_SERVER_PATIENCE_SECONDS = 300.0
_START_PATIENCE_SECONDS = 420.0
_RUN_PATIENCE_SECONDS = 900.0
_CANCEL_PATIENCE_SECONDS = 30.0
_NEXT_ARRIVES_AT = 0.5
_WILL_RETRY = "dagster/will_retry"
_START_SENSOR = """mutation Start($name: String!, $location: String!) {
  startSensor(sensorSelector: {sensorName: $name, repositoryName: "__repository__", repositoryLocationName: $location}) {
    __typename
  }
}"""


@dataclass(frozen=True, eq=False)
class Live:
    """Dagster over a home, with the dataset's sensor on.

    Attributes:
        spec: the dataset.
        home: the home folder.
        address: of the web page.
        instance: Dagster's instance of the home.
        server: the process of the web page and the daemon.
    """

    spec: Spec
    home: Home
    address: str
    instance: dg.DagsterInstance = field(repr=False)
    server: "subprocess.Popen[bytes]" = field(repr=False)

    def play(self, files: Sequence[Path], watch: Watcher) -> tuple[Chapter, ...]:
        """Let snapshot files arrive one after another, and watch until the run of the last one has ended.

        A file arrives when the table of the one before is drawn, as the sensor needs two looks to know that a file is complete; its run
        stands in the queue until the one before has ended, as two walks of a dataset never go at once.

        Raises:
            SynthPipelineError: why a run failed, or that none was started.
        """
        arrived: dict[Path, float] = {}

        def arrive(file: Path) -> None:
            if file not in arrived:
                arrived[file] = time.monotonic()
                _put_whole(file, _source_folder(self.spec, self.home))
                watch(Moment(partition_key(file.stem), f"{file.name} put into the source folder", 0.0))

        chapters: list[Chapter] = []
        for file, following in zip(files, [*files[1:], None], strict=True):
            arrive(file)
            followed_by = partial(arrive, following) if following is not None else _nothing
            chapters.append(self._walked(file, arrived[file], watch, followed_by))
        return tuple(chapters)

    def serve(self) -> None:
        """Wait until the web page ends, or the process is interrupted."""
        self.server.wait()

    def _walked(self, file: Path, arrived: float, watch: Watcher, followed_by: Callable[[], None]) -> Chapter:
        """What became of a file, once its run has ended."""
        partition = partition_key(file.stem)
        first, started = self._started(partition), time.monotonic()
        text = f"seen by the sensor: run {first.run_id[:8]} started {started - arrived:.0f} s after the file arrived"
        watch(Moment(partition, text, 0.0))
        run = self._followed(partition, watch, followed_by)
        self._require_success(run)
        chapter = read_chapter(
            self.spec, self.home, run, waited_seconds=started - arrived, walked_seconds=time.monotonic() - started
        )
        for line in chapter.lines:
            watch(Moment(partition, line, 1.0))
        return chapter

    def _started(self, partition: str) -> dg.DagsterRun:
        """The run of a snapshot, once its worker has begun."""
        deadline = time.monotonic() + _START_PATIENCE_SECONDS
        while time.monotonic() < deadline:
            run = self._newest_run(partition)
            if run is not None and (run.is_finished or run.status == dg.DagsterRunStatus.STARTED):
                return run
            apart = quarantined(self.home, self.spec.dataset)
            if partition in apart:
                raise TableError(f"snapshot {partition!r}: in quarantine: {apart[partition]}")
            self._pause()
        keys = DatasetKeys(self.spec.dataset)
        raise SynthPipelineError(
            f"snapshot {partition!r}: no run began within {_START_PATIENCE_SECONDS:.0f} s;"
            f" see the ticks of the sensor {keys.sensor} on Dagster's pages"
        )

    def _followed(self, partition: str, watch: Watcher, followed_by: Callable[[], None]) -> dg.DagsterRun:
        """The run of a snapshot, once it has ended and no repeat of it is on its way."""
        deadline = time.monotonic() + _RUN_PATIENCE_SECONDS
        news: dict[str, RunNews] = {}
        while time.monotonic() < deadline:
            run = self._newest_run(partition)
            if run is not None:
                for moment in news.setdefault(run.run_id, RunNews(partition, run.run_id)).since(self.instance):
                    watch(moment)
                    if moment.done >= _NEXT_ARRIVES_AT:
                        followed_by()
                if run.is_finished and run.tags.get(_WILL_RETRY) != "true":
                    return run
            self._pause()
        raise SynthPipelineError(
            f"snapshot {partition!r}: its run did not end within {_RUN_PATIENCE_SECONDS:.0f} s; see {self.address}/runs"
        )

    def _newest_run(self, partition: str) -> dg.DagsterRun | None:
        keys = DatasetKeys(self.spec.dataset)
        wanted = dg.RunsFilter(job_name=keys.job, tags={"dagster/partition": partition})
        return next(iter(self.instance.get_runs(wanted, limit=1)), None)

    def _require_success(self, run: dg.DagsterRun) -> None:
        logs = self.instance.all_logs(run.run_id)
        events = [entry.dagster_event for entry in logs if entry.dagster_event is not None]
        failure = failure_of(EndedRun(run.run_id, run.is_success, events))
        if failure is not None:
            raise failure

    def _pause(self) -> None:
        code = self.server.poll()
        if code is not None:
            raise SynthPipelineError(
                f"the web server stopped by itself (exit {code}); see {self.home.dagster / 'web.log'}"
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)


@contextmanager
def live_dagster(dataset: str, *, home: Home, port: int, own: str | Path | None = None) -> Generator[Live]:
    """Dagster's web page and daemon over a fresh home with the dataset's sensor on; all of it ends with the block.

    A run that is still going when the block ends is canceled, and what it reserved and did not read is given back.

    Args:
        dataset: name of a dataset of the code location.
        home: a home in which the dataset has neither snapshots nor charges yet.
        port: of the web page on this machine.
        own: folder of your own datasets; default `$SYNTH_PIPELINE_DEFS`.

    Raises:
        SpecError: if there is no such dataset, or its source is no folder.
        TableError: if the home is not fresh, or its Dagster instance has runs of the dataset (it may be set to lie elsewhere).
        SynthPipelineError: if the port is taken, or the servers do not come up.
    """
    specs = load_specs(own)
    if dataset not in specs:
        raise SpecError(f"dataset {dataset!r}: unknown; there are {', '.join(sorted(specs))}")
    spec = specs[dataset]
    _require_fresh(spec, home)
    _source_folder(spec, home).mkdir(parents=True, exist_ok=True, mode=0o700)
    stack = ExitStack()
    try:
        instance = stack.enter_context(open_instance(home))
        _require_no_runs(instance, spec)
        stack.callback(_give_back, instance, spec, home)
        stack.enter_context(tracking_pages(home))
        address, server = stack.enter_context(
            web_server(home.folder, port=port, own=own, patience_seconds=_SERVER_PATIENCE_SECONDS)
        )
        stack.callback(_cancel_all, instance, spec)
        _turn_on(DatasetKeys(dataset).sensor, address)
        yield Live(spec, home, address, instance, server)
    finally:
        with _undisturbed():
            stack.close()


@contextmanager
def waiting_files(home: Home, write: Callable[[Path], Sequence[Path]]) -> Generator[tuple[Path, ...]]:
    """Snapshot files that have not arrived yet, in a folder of the home that goes with the block.

    Args:
        home: where.
        write: writes the files into a folder.
    """
    with tempfile.TemporaryDirectory(prefix=".waiting-", dir=home.make().folder) as folder:
        yield tuple(write(Path(folder)))


def _nothing() -> None:
    """No file follows the last one."""


def _require_fresh(spec: Spec, home: Home) -> None:
    folder = _source_folder(spec, home)
    has_snapshots = folder.is_dir() and any(folder.iterdir())
    if has_snapshots or open_ledger(home.ledger).walks(spec.dataset):
        raise TableError(f"{home.folder}: holds snapshots or charges of {spec.dataset} already; give a fresh --home")


def _require_no_runs(instance: dg.DagsterInstance, spec: Spec) -> None:
    """Whatever runs at the end is canceled, so all of it must be ours."""
    if instance.get_runs(dg.RunsFilter(job_name=DatasetKeys(spec.dataset).job), limit=1):
        raise TableError(
            f"Dagster's instance at {instance.root_directory} has runs of {spec.dataset} already; use another"
        )


def _source_folder(spec: Spec, home: Home) -> Path:
    if spec.source is None or "://" in spec.source.uri:
        raise SpecError(f"{spec.dataset}: its source is no folder, so no file can be put there")
    return home.resolve(spec.source.uri)


def _put_whole(file: Path, folder: Path) -> None:
    """Copy under a hidden name, then rename: whoever looks sees the whole file or none."""
    temporary = folder / f".{file.name}.{secrets.token_hex(6)}"
    shutil.copyfile(file, temporary)
    temporary.chmod(0o600)
    temporary.replace(folder / file.name)


def _turn_on(sensor: str, address: str) -> None:
    """Turn a sensor on, as the switch on its page does."""
    body = {"query": _START_SENSOR, "variables": {"name": sensor, "location": LOCATION}}
    request = urllib.request.Request(  # noqa: S310  (our own address)
        f"{address}/graphql", data=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310
        answer: Any = json.load(reply)
    kind = (answer.get("data") or {}).get("startSensor", {}).get("__typename")
    if kind != "Sensor":
        raise SynthPipelineError(
            f"sensor {sensor}: could not be turned on ({kind}); see web.log in the home's dagster folder"
        )


def _cancel_all(instance: dg.DagsterInstance, spec: Spec) -> None:
    """Cancel what is still running, while there is still a server that can."""
    deadline, asked = time.monotonic() + _CANCEL_PATIENCE_SECONDS, set[str]()
    while (running := _unfinished(instance, spec)) and time.monotonic() < deadline:
        for run in running:
            if run.run_id not in asked and instance.run_coordinator is not None:
                asked.add(run.run_id)
                with suppress(Exception):  # its server may be gone; the run is then ended by `_give_back`
                    instance.run_coordinator.cancel_run(run.run_id)
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _give_back(instance: dg.DagsterInstance, spec: Spec, home: Home) -> None:
    """Once every process is gone: end the runs that were still going, and give their unread reservations back."""
    for run in _unfinished(instance, spec):
        instance.report_run_canceled(run, message="The live demo was stopped.")
    give_back_abandoned(open_ledger(home.ledger), instance, dataset=spec.dataset)


def _unfinished(instance: dg.DagsterInstance, spec: Spec) -> list[dg.DagsterRun]:
    runs = instance.get_runs(dg.RunsFilter(job_name=DatasetKeys(spec.dataset).job))
    return [run for run in runs if not run.is_finished]


@contextmanager
def _undisturbed() -> Generator[None]:
    """Let no second Ctrl-C interrupt the stopping of processes; elsewhere than in the main thread, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
