"""Light processes that decide about the same release at once: started once, then sent round after round to the same line."""

import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Self

from synth_pipeline.errors import SynthPipelineError
from synth_pipeline.integrations.approvals import decide, find_release
from synth_pipeline.integrations.stores import Home
from synth_pipeline_tests.approval_example import NOW

_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Ended:
    """How a decision ended.

    Attributes:
        code: the exit code that a command would have; 0: it was kept.
        line: what a refusal says.
    """

    code: int
    line: str


class Deciders:
    """Processes, each of which hands in one signed statement a round.

    Args:
        home: folder of the home.
        ledger: path or URL of its ledger.
        count: how many.
    """

    def __init__(self, home: Path, ledger: str, count: int = 2) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._line = context.Barrier(count)
        self._deciders: list[tuple[Any, Connection]] = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(home, ledger, theirs, self._line), daemon=True)
            process.start()
            theirs.close()
            self._deciders.append((process, ours))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process, ours in self._deciders:
            ours.close()
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()

    def race(self, release: str, envelopes: Sequence[bytes]) -> list[Ended]:
        """Have every process hand in its statement about a release at once; how each ended, in order.

        Raises:
            TimeoutError: when one does not come back, which is what a deadlock looks like.
        """
        for (_, ours), envelope in zip(self._deciders, envelopes, strict=True):
            ours.send((release, envelope))
        ended: list[Ended] = []
        for _, ours in self._deciders:
            if not ours.poll(_PATIENCE_SECONDS):
                raise TimeoutError("a decision hangs")
            ended.append(ours.recv())
        return ended


def _serve(folder: Path, ledger: str, theirs: Connection, line: Barrier) -> None:
    os.environ["SYNTH_PIPELINE_LEDGER"] = ledger
    home = Home.at(folder)
    while True:
        try:
            name, envelope = theirs.recv()
        except EOFError:
            return
        release = find_release(home, name)
        line.wait(_PATIENCE_SECONDS)
        try:
            decide(home, release, envelope, approvers=(), now=NOW)
        except SynthPipelineError as refusal:
            theirs.send(Ended(refusal.exit_code, str(refusal)))
        else:
            theirs.send(Ended(0, ""))
