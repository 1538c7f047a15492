"""Walks through Dagster in processes of their own, killed with SIGKILL at a window or a random instant, and a count of what is left.

The processes are forked from a server that has the heavy libraries loaded, as the steps of the product's own runs are. A process kills
itself, so the instant is exact: nothing of Python runs after it.
"""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dagster as dg

from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration import launch
from synth_pipeline.orchestration.codecs import CODECS
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.orchestration.retries import journals_of
from synth_pipeline.privacy import journal
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.privacy.ledger.operations import StoredLedger
from synth_pipeline_tests.dagster_example import clinic_rows, make_place

ROWS = 150
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Window:
    """When a process dies.

    Attributes:
        after: "step" (an asset's step began), "made" (it ended), "asked" (an answer is on disk), "torn" (half of one is), "marked" (the
            ledger knows that a stage reads), "committed" (the ledger has what ran), "stored" (an asset's value is in its place),
            "bundled" (the release is in its folder, and nothing has noted it), "never".
        name: which asset or stage.
        answers: of "asked" and "torn": how many answers there were before.
        seconds: how long after.
    """

    after: str
    name: str = ""
    answers: int = 0
    seconds: float = 0.0


NEVER = Window("never")


def make_killed_place(folder: Path, **changes: object):
    """A home with a small table of which a walk takes seconds."""
    place = make_place(folder, generator={"kind": "mst"}, **changes)
    place.put("visits", clinic_rows(ROWS))
    return place


def run_killed(place, window: Window) -> str:
    """What the command `run` does, in a process that dies at the window; "killed", "done", or how it failed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["synth_pipeline.orchestration.preload", __name__])
    said = place.home.folder.parent / f"said-{time.monotonic_ns()}.txt"
    process = context.Process(target=_walk, args=(str(place.home.folder), str(place.own), window, str(said)))
    process.start()
    process.join(_PATIENCE_SECONDS)
    if process.is_alive():
        process.kill()
        raise AssertionError(f"a walk hangs at {window}")
    if process.exitcode == -signal.SIGKILL:
        return "killed"
    return said.read_text() if said.exists() else f"exit {process.exitcode}"


@dataclass(frozen=True)
class Left:
    """What a home holds.

    Attributes:
        releases: bundles.
        ledger: how many entries of each kind.
        spent_epsilon: what the account says.
        reserved_epsilon: what is held back for walks that have read nothing.
        faults: values that are stored in part, and other things that should not be.
        journals: journals that are there.
        runs: Dagster's runs, by status.
    """

    releases: int
    ledger: Counter
    spent_epsilon: float
    reserved_epsilon: float
    faults: tuple[str, ...]
    journals: int
    runs: Counter

    @classmethod
    def at(cls, place) -> "Left":
        """Look at a home."""
        ledger = open_ledger(place.home.ledger)
        account, folder = ledger.account("clinic"), place.home.releases / "clinic"
        with launch.open_instance(place.home) as instance:
            runs = Counter(run.status.value for run in instance.get_runs())
        return cls(
            releases=len([path for path in folder.iterdir() if not path.name.startswith(".")])
            if folder.is_dir()
            else 0,
            ledger=Counter(entry.kind for entry in ledger.history()),
            spent_epsilon=account.spent_epsilon,
            reserved_epsilon=account.reserved_epsilon,
            faults=(*ledger.verify().faults, *_half_written(place.home)),
            journals=len(list(journals_of(place.home).rglob("*.journal"))),
            runs=runs,
        )


def _half_written(home: Home) -> list[str]:
    """Values in their places that do not load."""
    faults = []
    for store in (home.private, home.released):
        for name, codec in CODECS.items():
            folder = store.root / "clinic" / "visits" / name
            if not folder.is_dir():
                continue
            try:
                json.loads((folder / "origin.json").read_text())
                codec.load(folder)
            except Exception as fault:  # noqa: BLE001
                faults.append(f"{name}: {type(fault).__name__}")
    return faults


def _walk(home: str, own: str, window: Window, said: str) -> None:
    _arm(window)
    launch.StageRuntime = partial(StageRuntime, audit_runs=300)
    try:
        launch.run_walk("clinic", home=home, own=own)
        words = "done"
    except BaseException as failure:  # noqa: BLE001
        words = f"{type(failure).__name__}: {failure}"
    Path(said).write_text(words, encoding="utf-8")


def _die(seconds: float = 0.0) -> None:
    if seconds:
        threading.Timer(seconds, _die).start()
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def _arm(window: Window) -> None:
    """Have this process die at a window."""
    match window.after:
        case "step":
            _after(dg.DagsterInstance, "handle_new_event", window, _tells("STEP_START", window.name))
        case "made":
            _after(dg.DagsterInstance, "handle_new_event", window, _tells("STEP_SUCCESS", window.name))
        case "marked" | "committed":
            kind = {"marked": "mark_read", "committed": "commit"}[window.after]
            _after(StoredLedger, kind, window, lambda *_, **asked: asked.get("stage", window.name) == window.name)
        case "asked" | "torn":
            _arm_answer(window)
        case "bundled":
            from synth_pipeline import walk

            _after(walk, "assemble", window, lambda *_, **__: True)
        case "stored":
            from synth_pipeline.integrations.stores import FolderStore

            _after(FolderStore, "write", window, lambda *asked, **_: asked[-1] == window.name)


def _tells(event_type: str, name: str):
    def tells(_, event, **__) -> bool:
        said = event.dagster_event
        return said is not None and said.event_type_value == event_type and said.step_key.endswith(f"__{name}")

    return tells


def _after(owner, method: str, window: Window, is_it) -> None:
    real = getattr(owner, method)

    def watched(*asked, **named):
        found = real(*asked, **named)
        if is_it(*asked, **named):
            _die(window.seconds)
        return found

    setattr(owner, method, watched)


def _arm_answer(window: Window) -> None:
    real = journal.AnswerJournal.answer

    def answer(self, question, draw):
        found = real(self, question, draw)
        if self.key.stage == window.name and self._place > window.answers:
            if window.after == "torn":
                os.ftruncate(self._file._descriptor, self._file._end - 9)
            _die()
        return found

    journal.AnswerJournal.answer = answer
