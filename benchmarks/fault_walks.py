"""Walks in processes of their own that tell when a stage begins, so that a fault can strike within it; for `faults.py`."""

import ctypes
import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection

import dagster as dg

from synth_pipeline.orchestration import launch
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline_tests.dagster_example import Place

_PATIENCE_SECONDS = 300.0
# of <linux/capability.h>: version 3; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_CAPABILITIES_3, _OVERRIDES = 0x20080522, 0b110


def _stage_told(place: Place, stage: str | None, fault: str, told: Connection) -> None:
    """The command `run`, in this process, that tells when a stage begins; then why it failed, or nothing."""
    if fault == "denied":
        _give_up_rights()
    real = dg.DagsterInstance.handle_new_event

    def watched(self: dg.DagsterInstance, event: dg.EventLogEntry, **more: object) -> object:
        found, said = real(self, event, **more), event.dagster_event  # pyright: ignore[reportArgumentType]
        if said is not None and said.event_type_value == "STEP_START" and str(said.step_key).endswith(f"__{stage}"):
            told.send("began")
        return found

    dg.DagsterInstance.handle_new_event = watched  # pyright: ignore[reportAttributeAccessIssue]
    launch.StageRuntime = partial(StageRuntime, audit_runs=300)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        launch.run_walk("clinic", home=place.home.folder, own=place.own)
        told.send("done")
    except BaseException as failure:  # noqa: BLE001  (whatever it is, it is counted)
        told.send(f"{type(failure).__name__}: {failure}")


def _give_up_rights() -> None:
    """What root may do to files in spite of their modes: given up by this thread, and by those that it starts."""
    libc, header = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets) == 0:
        sets[0] &= ~_OVERRIDES
        if libc.capset(header, sets):
            raise OSError(ctypes.get_errno(), "capset")


def start_walk(place: Place, stage: str | None, fault: str, strike: Callable[[int], None]) -> str:
    """Start a walk, strike once a stage has begun, and wait for its end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["synth_pipeline.orchestration.preload", "benchmarks.fault_walks"])
    here, there = context.Pipe()
    process = context.Process(target=_stage_told, args=(place, stage, fault, there))
    process.start()
    there.close()
    said = ""
    with suppress(EOFError):
        while not said or said == "began":
            if not here.poll(_PATIENCE_SECONDS):
                process.kill()
                return "hangs"
            said = here.recv()
            if said == "began":
                strike(process.pid or 0)
    process.join(_PATIENCE_SECONDS)
    return "killed" if process.exitcode == -signal.SIGKILL else said


def stage_under_way(place: Place) -> str:
    """The stage that the last run had begun and not ended."""
    with launch.open_instance(place.home) as instance:
        run = instance.get_runs(limit=1)[0]
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return "over"
    begun = [event.step_key for event in events if event.event_type_value == "STEP_START"]
    ended = {event.step_key for event in events if event.event_type_value in ("STEP_SUCCESS", "STEP_FAILURE")}
    return next((str(key).split("__")[-1] for key in begun if key not in ended), "between")
