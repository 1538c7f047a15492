"""Walks over the marked table with injected faults, all in this process: `python -m synth_pipeline_tests.marked_faults`.

Every fault says all markers at once, in the way in which libraries say values: in messages, causes, notes, prints, warnings,
log lines. Prints what each walk ended with, as JSON, to `faults.json` in the working folder.
"""

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from synth_pipeline import walk as stages
from synth_pipeline.cli.entry import main
from synth_pipeline.errors import TableError
from synth_pipeline.integrations import great_expectations
from synth_pipeline.integrations import mlflow as tracker
from synth_pipeline.orchestration import asset_options
from synth_pipeline.privacy.gate import Released
from synth_pipeline.report import internal_page
from synth_pipeline_tests import marked_walk as marked

WORDS = (
    f"{marked.RARE_CITY}; {marked.PERSON}; {marked.NOTE}; {marked.INCOME}; {marked.RATIO!r}; {marked.MOMENT:%Y-%m-%d %H:%M:%S}; "
    f"{marked.BAD_WARD}; {marked.BAD_INCOME}; {marked.ROWS} {marked.PEOPLE} {marked.DROPPED} {marked.CLIPPED} {marked.NULLS} "
    f"{marked.WARD_B} {marked.BAD_ROWS}"
)
WALK = ["run", "marked", "--snapshot", "raw/first.parquet"]


class RustPanic(BaseException):
    """As `pyo3_runtime.PanicException`: no `Exception`."""


def raising(kind: type[BaseException] = ValueError) -> Callable[..., Any]:
    """A function that fails as libraries do, with causes, contexts and notes."""

    def fail(*_: object, **__: object) -> None:
        try:
            try:
                raise KeyError(WORDS)
            except KeyError as first:
                raise OSError(WORDS) from first
        except OSError:
            error = kind(WORDS)
            error.add_note(WORDS)
            raise error  # noqa: B904

    return fail


def refusing(*_: object, **__: object) -> None:
    """Fail as our own checks do: counts of rows in an error of the family."""
    raise TableError(
        f"data: {marked.ROWS} rows, {marked.ROWS:,} rows of {marked.PEOPLE} people, {marked.NULLS} rows are null"
    )


def talking(stage: Callable[..., Any]) -> Callable[..., Any]:
    """The stage, but it says everything in every way on the way."""

    def talk(*args: object, **options: object) -> object:
        print(WORDS)  # noqa: T201
        sys.stderr.write(WORDS)
        os.write(1, WORDS.encode())
        os.write(2, WORDS.encode())
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(WORDS, stacklevel=1)
        logging.getLogger("pyarrow").warning("%s", WORDS)
        logging.getLogger("synth_pipeline.profile").error(WORDS, exc_info=(ValueError, ValueError(WORDS), None))
        return stage(*args, **options)

    return talk


def wrong_ward(suite: Callable[..., Any]) -> Callable[..., Any]:
    """The suite, on rows of a ward that is not declared, which no release may hold."""
    return lambda table, *args, **options: suite(Released(table.value.assign(ward="Z")), *args, **options)


# In this order: a walk that was cut off is gone on with by the next, so a snapshot is taken at the start, and again after four runs.
FAULTS: dict[str, tuple[list[str], list[tuple[Any, str, Any]]]] = {
    "snapshot cannot be stored": (WALK, [(np, "savez", raising(TypeError))]),
    "snapshot cannot be read back": (WALK, [(np, "load", raising(EOFError))]),
    "profile raises": (WALK, [(stages, "profile", raising())]),
    "generator panics": (WALK, [(stages, "train", raising(RustPanic))]),
    "generator exits": (WALK, [(stages, "train", raising(SystemExit))]),
    "benchmark runs out of memory": (WALK, [(stages, "score", raising(MemoryError))]),
    "benchmark refuses": (WALK, [(stages, "score", refusing)]),
    "tracker raises": (WALK, [(tracker, "log_facts", raising(ConnectionError)), (stages, "score", refusing)]),
    "check fails": (WALK, [(great_expectations, "run_suite", wrong_ward(great_expectations.run_suite))]),
    "libraries talk": (
        WALK,
        [
            (stages, "profile", talking(stages.profile)),
            (stages, "train", talking(stages.train)),
            (stages, "score", talking(stages.score)),
            (stages, "attack", talking(stages.attack)),
            (stages, "publish_score", talking(stages.publish_score)),
            (internal_page, "internal_report", talking(raising())),  # no walk fails with it
        ],
    ),
    "published score crashes": (
        WALK,
        [(stages, "publish_score", talking(raising(RustPanic))), (stages, "score", refusing)],
    ),
    "held-out rows are refused": (WALK, [(stages, "predictions", refusing), (stages, "score", refusing)]),
    "fit crashes": (
        ["fit", "--spec", "marked.yaml", "--data", "raw/first.parquet", "--out", "model"],
        [(stages, "profile", talking(raising()))],
    ),
    "budget is refused": (
        ["fit", "--spec", "marked.yaml", "--data", "raw/first.parquet", "--out", "model", "--epsilon", "49"],
        [],
    ),
}


_AUDIT = stages.audit
_AUDITED: list[Any] = []


def audit_once(*args: object, **options: object) -> object:
    """The audit of released rows, the first time; later walks are about the same specification, and get the same answer."""
    if not _AUDITED:
        _AUDITED.append(_AUDIT(*args, **options))
    return _AUDITED[0]


@contextmanager
def injected(faults: list[tuple[Any, str, Any]]) -> Generator[None]:
    """Faults in place for the length of a block."""
    with ExitStack() as stack:
        for owner, name, replacement in faults:
            stack.enter_context(patch.object(owner, name, replacement))
        yield


def watch_arrivals() -> None:
    """What the sensor says of a folder in which the table has arrived, on two looks."""
    import dagster as dg

    from synth_pipeline.integrations.stores import Home
    from synth_pipeline.orchestration.launch import open_instance
    from synth_pipeline.orchestration.sensors import arrival_sensor
    from synth_pipeline.spec import Spec

    place = Home.at()
    with open_instance(place) as instance:
        cursor = None
        for _ in range(2):
            context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"home": place})
            found = arrival_sensor(Spec.model_validate(marked.SPEC))(context)
            cursor = found.cursor
            print(found)  # noqa: T201


def run_all() -> None:
    """Every faulty walk in the home that is set, then two looks of the sensor."""
    codes = {}
    for name, (argv, faults) in FAULTS.items():
        with injected([*faults, (stages, "audit", audit_once)]):
            codes[name] = main(argv)
    watch_arrivals()
    Path("faults.json").write_text(json.dumps(codes), encoding="utf-8")


def run_ungated() -> None:
    """A walk whose stages are not private ones, and which must therefore leak."""
    open_stage = lambda *_, **__: nullcontext()  # noqa: E731
    with injected([(asset_options, "private_stage", open_stage), (stages, "profile", talking(raising()))]):
        main(WALK)


if __name__ == "__main__":
    {"faults": run_all, "ungated": run_ungated}[sys.argv[1]]()
