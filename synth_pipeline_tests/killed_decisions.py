"""Approvals and withdrawals in processes of their own, killed with SIGKILL between two of the writes that they make.

A process kills itself, so the instant is exact: nothing of Python runs after it.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_pipeline.errors import SynthPipelineError
from synth_pipeline.integrations import folder_store
from synth_pipeline.integrations.approvals import find_release
from synth_pipeline.integrations.folder_store import FolderStore
from synth_pipeline.integrations.s3_objects import S3Objects
from synth_pipeline.integrations.s3_store import S3Store
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration import approval_command, approval_events
from synth_pipeline.privacy.ledger.operations import StoredLedger
from synth_pipeline.release.approval import Wish
from synth_pipeline.release.keys import read_private_key
from synth_pipeline_tests.signed_example import PASSPHRASE

WINDOWS = ("signed", "recorded", "valued", "writing", "uploaded", "filed", "told 1", "told 2", "pointed")
"""After which write a process dies, in their order: nothing written; the chain; the stored value; half of the bundle's copy, in a folder
or a bucket; all of it; the first and the second event of Dagster; MLflow's alias."""

NEVER = "never"
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Task:
    """A decision that somebody makes.

    Attributes:
        home: folder of the home.
        release: `<dataset>/<version>`.
        wish: what is decided.
        key: file of the private key.
        window: when the process dies.
        environment: variables of the process.
    """

    home: Path
    release: str
    wish: Wish
    key: Path
    window: str
    environment: Mapping[str, str]


def run_all(tasks: Sequence[Task]) -> list[str]:
    """Make decisions at once, each in a process: "killed", "done", "refused", or how it failed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["synth_pipeline.orchestration.preload", __name__])
    together = context.Barrier(len(tasks))
    processes = [context.Process(target=_live, args=(task, together)) for task in tasks]
    for process in processes:
        process.start()
    for process in processes:
        process.join(_PATIENCE_SECONDS)
        if process.is_alive():
            process.kill()
            raise AssertionError("a decision hangs")
    words = {-signal.SIGKILL: "killed", 0: "done", 4: "refused"}
    return [words.get(process.exitcode or 0, f"exit {process.exitcode}") for process in processes]


def _live(task: Task, together: Any) -> None:
    os.environ.update(task.environment)
    key, home = read_private_key(task.key, PASSPHRASE), Home.at(task.home)
    release = find_release(home, task.release)
    _arm(task.window, release.version)
    with suppress(OSError):
        together.wait(_PATIENCE_SECONDS)
    try:
        approval_command.decide(home, release, task.wish, key, approvers=())
    except SynthPipelineError as refusal:
        os._exit(refusal.exit_code)
    os._exit(0)


def _arm(window: str, version: str) -> None:
    """Have this process die at a window."""
    match window.split():
        case ["signed"]:
            _after(approval_command, "sign")
        case ["recorded"]:
            _after(StoredLedger, "record")
        case ["valued"]:
            for store in (FolderStore, S3Store):
                _after(store, "write", lambda *asked, **_: asked[-1] == "approval")
        case ["writing"]:
            _after(folder_store, "_flush", lambda path: path.is_file() and version in path.name)
        case ["uploaded"]:
            _after(S3Objects, "upload", lambda *asked: asked[2].name == version)
        case ["filed"]:
            _after(Home, "add_to_release")
        case ["told", number]:
            left = iter(range(int(number)))
            _after(approval_events, "report_event", lambda *_, **__: next(left, None) == int(number) - 1)
        case ["pointed"]:  # once before the decision, and once after it
            calls = iter(range(2))
            _after(approval_events, "point_approved", lambda *_, **__: next(calls, None) == 1)


def _after(owner: Any, name: str, is_it: Callable[..., bool] = lambda *_, **__: True) -> None:
    real = getattr(owner, name)

    def watched(*asked: Any, **named: Any) -> Any:
        found = real(*asked, **named)
        if is_it(*asked, **named):
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, watched)
