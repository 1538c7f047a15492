"""Snapshot after snapshot of the small dataset with drift reports, through Dagster; what was decided, charged and stored."""

from pathlib import Path

import pandas as pd

from synth_pipeline.drift.decision import Decision
from synth_pipeline.orchestration.code_location import load_specs
from synth_pipeline.orchestration.in_force import in_force
from synth_pipeline.orchestration.io_managers import made_loader
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.dagster_example import Place, clinic_rows, make_place
from synth_pipeline_tests.dagster_walks import add_partition, materialize

_DRIFT = {"epsilon": 0.5, "on_drift": "refresh", "alpha": 1e-6, "pairs": 2}
_COLUMNS = {
    "age": {"kind": "integer", "min": 0, "max": 99},
    "ward": {"kind": "categorical", "categories": ["A", "B", "C"]},
    "insured": {"kind": "boolean"},
    "smoker": {"kind": "boolean"},
    "floor": {"kind": "integer", "min": 0, "max": 4},
}
_PRIVACY = {"epsilon": 2.0, "delta": 1e-5, "cap": {"epsilon": 4.0}}


def drifting_place(folder: Path, *, drift: dict[str, object] | None = None, **privacy: object) -> Place:
    """A fresh home whose dataset is compared snapshot by snapshot."""
    return make_place(
        folder,
        columns=_COLUMNS,
        constraints=[],
        benchmark=None,
        generator={"kind": "maxent"},
        drift={**_DRIFT, **(drift or {})},
        privacy={**_PRIVACY, **privacy},
    )


def visits(rows: int = 4000, seed: int = 0, *, moved: float = 0.0) -> pd.DataFrame:
    """Rows of one population, of which a share has moved to ward C."""
    frame = clinic_rows(rows, seed)[["age", "ward", "insured"]]
    frame.loc[: int(moved * rows), "ward"] = "C"
    return frame.assign(smoker=frame["age"] % 3 == 0, floor=frame["age"] % 5)


def walk(place: Place, name: str, frame: pd.DataFrame) -> Exception | None:
    """A snapshot arrives and is walked; why its run failed, or None."""
    place.put(name, frame)
    add_partition(place, name)
    return materialize(place, partition=name, runtime=StageRuntime(seed=1, audit_runs=200)).failure


def stored(place: Place, name: str, asset):
    """The released value of an asset of a snapshot."""
    return place.home.released.read(made_loader(asset), "clinic", name, asset).value


def decision(place: Place, name: str) -> Decision:
    """What the drift report of a snapshot decided."""
    return stored(place, name, "drift_report").decision


def reserved(place: Place) -> list[float]:
    """ε of every walk that was charged, in order."""
    walks = open_ledger(place.home.ledger).account("clinic").walks
    return [round(walk.reservation.charge.epsilon, 2) for walk in walks]


def standing(place: Place):
    """The release in force."""
    return in_force(place.home, load_specs(place.own)["clinic"])
