"""What a Dagster run says while it goes, as lines for somebody who watches the live demo.

Belongs here: reading a run's event log from where the last look ended. Does not: waiting, or showing.

Everything in the event log has passed the gate (`metadata`), so it may be shown as it is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import dagster as dg

from synth_pipeline.orchestration.keys import ASSET_NAMES

_SHARE = re.compile(r"(?P<stage>\w+): (?P<share>\d+)%")


@dataclass(frozen=True)
class Moment:
    """Something that the viewer is told.

    Attributes:
        snapshot: partition key of the snapshot that it is about.
        text: what happened; released or public facts, or marked as internal.
        done: share of the snapshot's stages that are done.
        is_news: whether it happens once; otherwise it is a stage's own progress.
    """

    snapshot: str
    text: str
    done: float
    is_news: bool = True


Watcher = Callable[[Moment], None]


@dataclass
class RunNews:
    """One run's event log, read once from front to back.

    Attributes:
        snapshot: partition key of the run's snapshot.
        run_id: Dagster's run.
    """

    snapshot: str
    run_id: str
    _cursor: str | None = field(default=None, repr=False)
    _begun: dict[str, float] = field(default_factory=dict[str, float], repr=False)
    _done: int = field(default=0, repr=False)

    def since(self, instance: dg.DagsterInstance) -> list[Moment]:
        """What the log has got since the last look."""
        found: list[Moment] = []
        while True:
            page = instance.get_records_for_run(self.run_id, cursor=self._cursor)
            self._cursor = page.cursor
            told = (self._told(record.event_log_entry) for record in page.records)
            found += [moment for moment in told if moment is not None]
            if not page.has_more:
                return found

    def _told(self, entry: dg.EventLogEntry) -> Moment | None:
        event, stage = entry.dagster_event, _stage(entry.step_key)
        if event is None:
            progress = _SHARE.fullmatch(entry.message) if entry.message else None
            if progress is None:
                return None
            part = int(progress["share"]) / 100
            return Moment(self.snapshot, entry.message, (self._done + 0.9 * part) / len(ASSET_NAMES), is_news=False)
        match event.event_type:
            case dg.DagsterEventType.STEP_START:
                self._begun[stage] = entry.timestamp
                return self._moment(f"{stage} …", is_news=False)
            case dg.DagsterEventType.STEP_SUCCESS:
                self._done += 1
                return self._moment(f"{stage} ({entry.timestamp - self._begun.get(stage, entry.timestamp):.1f} s)")
            case dg.DagsterEventType.ASSET_MATERIALIZATION:
                words = _words(stage, event.step_materialization_data.materialization.metadata)
                return self._moment(words) if words else None
            case dg.DagsterEventType.STEP_FAILURE:
                return self._moment(f"{stage} failed")
            case _:
                return None

    def _moment(self, text: str, *, is_news: bool = True) -> Moment:
        return Moment(self.snapshot, text, min(self._done / len(ASSET_NAMES), 1.0), is_news)


def _words(stage: str, shown: Mapping[str, dg.MetadataValue]) -> str | None:
    """What an asset's metadata says that a viewer waits for."""
    facts = {name: value.value for name, value in shown.items()}
    if stage == "drift_report":
        found = f"drift in: {facts['drifted']}; " if "drifted" in facts else "nothing to compare with; "
        return f"{found}decision: {facts.get('decision')} ({facts.get('reason')})"
    if stage == "release" and "version" in facts:
        return f"release in force: {facts['version']}"
    return None


def _stage(step_key: str | None) -> str:
    """The stage of a step: its key is `<dataset>__<stage>`."""
    return (step_key or "").rpartition("__")[2]
