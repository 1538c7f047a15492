"""How the value of each asset is written to a folder and read back: Parquet for rows, JSON and safetensors for the rest, never pickle."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.benchmark.published import PublishedScore
from synth_pipeline.benchmark.scorecard import Scorecard, read_scorecard
from synth_pipeline.drift.decision import Decision, PriorFacts
from synth_pipeline.drift.report import DriftReport
from synth_pipeline.integrations.stores import Place, place_of
from synth_pipeline.orchestration.keys import AssetName
from synth_pipeline.outcome import DriftOutcome, Profiled, ScoreOutcome
from synth_pipeline.privacy.events import event_from_dict
from synth_pipeline.release.approval import ApprovedRelease
from synth_pipeline.release.model import ReleasedModel, load_model
from synth_pipeline.snapshot.take import PrivateCounts, Snapshot
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.profile import Profile
from synth_pipeline.validate.expectation import Expectation, Outcome

Outcomes = tuple[Outcome, ...]

REPORT_PAGE = "internal_report.html"
"""File of the internal report in its value's folder."""


@dataclass(frozen=True)
class Codec:
    """Writes one kind of value into a folder, and reads it back."""

    save: Callable[[Any, Path], None]
    load: Callable[[Path], Any]


def _save_snapshot(snapshot: Snapshot, folder: Path) -> None:
    _save_rows(snapshot.train, folder / "train.parquet")
    if snapshot.holdout is not None:
        _save_rows(snapshot.holdout, folder / "holdout.parquet")
    native = snapshot.native
    units = {} if native.units is None else {"units": native.units}
    np.savez(
        folder / "native.npz",
        allow_pickle=False,
        **{f"c{at}": codes for at, codes in enumerate(native.columns.values())},
        **units,
    )
    facts = {
        "columns": list(native.columns),
        "vocabularies": {name: list(values) for name, values in native.vocabularies.items()},
        "fingerprint": snapshot.fingerprint,
        "dtypes": dict(snapshot.dtypes),
        "counts": {**vars(snapshot.counts), "clipped_rows": dict(snapshot.counts.clipped_rows)},
    }
    _write_json(folder / "snapshot.json", facts)


def _load_snapshot(folder: Path) -> Snapshot:
    facts = _read_json(folder / "snapshot.json")
    with np.load(folder / "native.npz", allow_pickle=False) as arrays:
        columns = {name: arrays[f"c{at}"] for at, name in enumerate(facts["columns"])}
        units = arrays["units"] if "units" in arrays.files else None
    vocabularies = {name: tuple(values) for name, values in facts["vocabularies"].items()}
    has_holdout = (folder / "holdout.parquet").exists()
    return Snapshot(
        train=_load_rows(folder / "train.parquet"),
        holdout=_load_rows(folder / "holdout.parquet") if has_holdout else None,
        native=NativeTable(columns, units, vocabularies),
        fingerprint=facts["fingerprint"],
        dtypes=facts["dtypes"],
        counts=PrivateCounts(**facts["counts"]),
    )


def _save_profiled(profiled: Profiled, folder: Path) -> None:
    _write_json(folder / "profile.json", profiled.profile.to_json())
    _write_json(folder / "events.json", [event.to_dict() for event in profiled.events])


def _load_profiled(folder: Path) -> Profiled:
    profile = Profile.from_json(_read_json(folder / "profile.json"))
    return Profiled(profile, tuple(event_from_dict(event) for event in _read_json(folder / "events.json")))


def _save_drift(outcome: DriftOutcome, folder: Path) -> None:
    content = {
        "decision": outcome.decision.to_json(),
        "report": None if outcome.report is None else outcome.report.to_json(),
        "prior": None if outcome.prior is None else asdict(outcome.prior),
    }
    _write_json(folder / "drift.json", content)


def _load_drift(folder: Path) -> DriftOutcome:
    content = _read_json(folder / "drift.json")
    return DriftOutcome(
        report=DriftReport.from_json(content["report"]) if content["report"] else None,
        decision=Decision.from_json(content["decision"]),
        prior=PriorFacts(**content["prior"]) if content["prior"] else None,
    )


def _save_model(model: ReleasedModel, folder: Path) -> None:
    model.save(folder / "model")


def _load_model(folder: Path) -> ReleasedModel:
    return load_model(folder / "model")


def _save_table(frame: pd.DataFrame, folder: Path) -> None:
    _save_rows(frame, folder / "data.parquet")


def _load_table(folder: Path) -> pd.DataFrame:
    return _load_rows(folder / "data.parquet")


def _save_outcomes(outcomes: Outcomes, folder: Path) -> None:
    rows = [
        {"expectation": vars(item.expectation), "passed": item.passed, "observed": dict(item.observed)}
        for item in outcomes
    ]
    _write_json(folder / "outcomes.json", rows)


def _load_outcomes(folder: Path) -> Outcomes:
    rows = _read_json(folder / "outcomes.json")
    return tuple(Outcome(Expectation(**row["expectation"]), row["passed"], row["observed"]) for row in rows)


def _save_scorecard(scorecard: Scorecard, folder: Path) -> None:
    scorecard.write_scorecard(folder / "scorecard.json")


def _load_scorecard(folder: Path) -> Scorecard:
    return read_scorecard(folder / "scorecard.json")


def _save_score(outcome: ScoreOutcome, folder: Path) -> None:
    score = None if outcome.score is None else outcome.score.to_json()
    _write_json(folder / "score.json", {"score": score, "reason": outcome.reason, "table": outcome.table})


def _load_score(folder: Path) -> ScoreOutcome:
    content = _read_json(folder / "score.json")
    score = None if content["score"] is None else PublishedScore.from_json(content["score"])
    return ScoreOutcome(score, content["reason"], content["table"])


def _save_audit(audit: MechanismAudit, folder: Path) -> None:
    (folder / "audit.json").write_text(audit.to_json(), encoding="utf-8")


def _load_audit(folder: Path) -> MechanismAudit:
    return MechanismAudit.from_json((folder / "audit.json").read_text(encoding="utf-8"))


def _save_page(page: str, folder: Path) -> None:
    (folder / REPORT_PAGE).write_text(page, encoding="utf-8")


def _load_page(folder: Path) -> str:
    return (folder / REPORT_PAGE).read_text(encoding="utf-8")


def _save_place(place: Place, folder: Path) -> None:
    (folder / "place.txt").write_text(str(place), encoding="utf-8")


def _load_place(folder: Path) -> Place:
    return place_of((folder / "place.txt").read_text(encoding="utf-8"))


def _save_approved(release: ApprovedRelease, folder: Path) -> None:
    _write_json(folder / "approval.json", asdict(release))


def _load_approved(folder: Path) -> ApprovedRelease:
    return ApprovedRelease(**_read_json(folder / "approval.json"))


CODECS: Mapping[AssetName, Codec] = {
    "real_snapshot": Codec(_save_snapshot, _load_snapshot),
    "drift_report": Codec(_save_drift, _load_drift),
    "profile": Codec(_save_profiled, _load_profiled),
    "generator": Codec(_save_model, _load_model),
    "synthetic_table": Codec(_save_table, _load_table),
    "validation_suite": Codec(_save_outcomes, _load_outcomes),
    "tstr_benchmark": Codec(_save_scorecard, _load_scorecard),
    "published_score": Codec(_save_score, _load_score),
    "privacy_audit": Codec(_save_audit, _load_audit),
    "internal_report": Codec(_save_page, _load_page),
    "release": Codec(_save_place, _load_place),
    "approval": Codec(_save_approved, _load_approved),
}


def _save_rows(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False)


def _load_rows(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
