"""The gate (`privacy.gate`) as Dagster needs it: the only module that hands metadata, check results and log lines to Dagster.

Dagster keeps metadata, logs and tracebacks in an event log that everybody with the web page can read, so whatever reaches it is
released. A stage wraps each value in `Released` or `Internal` by hand, where its origin is known; a bare value is refused. Internal
values go to the private store, and only where they lie is shown.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import dagster as dg

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.gate import Internal, Place, PrivateStore, Released, opened, value_free_errors

Shown: TypeAlias = str | int | float | bool | dg.MetadataValue
Entry: TypeAlias = Released[Shown] | Released[str] | Released[int] | Released[float] | Internal
Entries: TypeAlias = Mapping[str, Entry]
_LONGEST_TEXT = 200_000


@dataclass(frozen=True)
class Gate:
    """What one asset of one snapshot may say.

    Attributes:
        store: the private store, which takes internal values.
        place: parts of the place of this asset's internal values in it.
        known_as: entries that every result of the asset shows after its own, such as the id that others know its step by.
    """

    store: PrivateStore
    place: tuple[str, ...] = field(default=())
    known_as: Mapping[str, Released[str]] = field(default_factory=dict[str, Released[str]])

    def materialized(
        self, value: Any, entries: Entries, *, checks: Sequence[dg.AssetCheckResult] = ()
    ) -> "dg.MaterializeResult[Any]":
        """The result of an asset: its value, which goes to its store, and what is shown of it.

        Args:
            value: what the next assets get.
            entries: what is shown, by name.
            checks: results of the asset's checks, from `check_result`.

        Raises:
            PrivacyError: as `pass_through` does.
        """
        shown = self.pass_through({**entries, **self.known_as})
        return dg.MaterializeResult(value=value, metadata=shown, check_results=list(checks))

    def pass_through(self, entries: Entries) -> dict[str, dg.MetadataValue]:
        """The entries as Dagster metadata; internal ones are written to the private store and replaced by a pointer.

        Raises:
            PrivacyError: for a value that is neither `Released` nor `Internal`, or a released one that is no plain value.
        """
        internal = {name: entry.value for name, entry in entries.items() if isinstance(entry, Internal)}
        if internal:
            with value_free_errors("metadata", self.store):
                kept = self.store.write(lambda folder: _write_json(folder / "internal.json", internal), *self.place)
        else:
            kept = self.store.place(*self.place)
        return {name: _shown(name, entry, kept / "internal.json") for name, entry in entries.items()}


def _shown(name: str, entry: Entry, kept: Place) -> dg.MetadataValue:
    if isinstance(entry, Internal):
        return dg.MetadataValue.text(
            f"internal: computed on real rows, kept in the private store ({kept}, key {name!r})"
        )
    return metadata_value(name, entry)


def check_result(
    name: str,
    *,
    passed: bool,
    is_blocking: bool,
    description: str,
    observed: Mapping[str, Released[float] | Released[dg.MetadataValue]],
) -> dg.AssetCheckResult:
    """What a check found, as Dagster shows it; like everything that is shown, it takes released figures only.

    Args:
        name: name of the check.
        passed: whether it holds.
        is_blocking: whether what follows is stopped if not.
        description: what was expected.
        observed: the figures that say so, and where there is more.
    """
    severity = dg.AssetCheckSeverity.ERROR if is_blocking else dg.AssetCheckSeverity.WARN
    shown = {key: metadata_value(f"{name}: {key}", entry) for key, entry in observed.items()}
    return dg.AssetCheckResult(
        check_name=name, passed=passed, severity=severity, description=description, metadata=shown
    )


def observation(
    key: dg.AssetKey, *, partition: str, description: Released[str], entries: Mapping[str, Released[str]]
) -> dg.AssetObservation:
    """What is noted beside a partition of an asset that was not made; like everything that is shown, it takes released texts only.

    Args:
        key: the asset.
        partition: its partition.
        description: in a sentence.
        entries: what is shown, by name.
    """
    shown = {name: metadata_value(name, entry) for name, entry in entries.items()}
    words = opened(description, where="observation")
    return dg.AssetObservation(asset_key=key, partition=partition, description=words, metadata=shown)


def materialization(key: dg.AssetKey, *, partition: str, entries: Entries) -> dg.AssetMaterialization:
    """What is told of a partition of an asset that was made outside a run.

    Args:
        key: the asset.
        partition: its partition.
        entries: what is shown, by name; released values only.
    """
    shown = {name: metadata_value(name, entry) for name, entry in entries.items() if not isinstance(entry, Internal)}
    return dg.AssetMaterialization(asset_key=key, partition=partition, metadata=shown)


def check_evaluation(check: dg.AssetCheckKey, *, passed: bool, description: Released[str]) -> dg.AssetCheckEvaluation:
    """What a blocking check finds outside a run; of no partition, since Dagster keeps one such result a partition, and refuses the second.

    Args:
        check: which.
        passed: whether it holds.
        description: in a sentence.
    """
    return dg.AssetCheckEvaluation(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=passed,
        description=opened(description, where="check"),
        blocking=True,
    )


def latest_evaluation(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> tuple[bool, str | None] | None:
    """What Dagster shows of a check now: whether it holds, and its words; None where it was never evaluated, or a run is at it."""
    record = instance.get_latest_asset_check_evaluation_record(check)
    event = record.event.dagster_event if record is not None and record.event is not None else None
    if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    found = event.asset_check_evaluation_data
    return found.passed, found.description


def report_event(
    instance: dg.DagsterInstance, told: dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation
) -> None:
    """Show an event of this module at once, as one of no run."""
    instance.report_runless_asset_event(told)


def report_observation(instance: dg.DagsterInstance, noted: dg.AssetObservation) -> None:
    """Show an observation at once: those of a step that fails are lost with it."""
    instance.report_runless_asset_event(noted)


def event_log(
    context: dg.AssetExecutionContext | dg.SensorEvaluationContext, *, is_warning: bool = False
) -> Callable[[Released[str]], None]:
    """A function that adds a released line to the log of a step, or of a sensor's tick."""
    write = context.log.warning if is_warning else context.log.info

    def log(line: Released[str]) -> None:
        write("%s", opened(line, where="log line"))

    return log


def metadata_value(name: str, entry: Released[Any]) -> dg.MetadataValue:
    """A released value as Dagster shows it.

    Raises:
        PrivacyError: for a bare value, or a released one that is no plain value.
    """
    value = opened(entry, where=f"metadata {name!r}")
    match value:
        case dg.MetadataValue():
            return value
        case bool():
            return dg.MetadataValue.bool(value)
        case int():
            return dg.MetadataValue.int(value)
        case float():
            return dg.MetadataValue.float(value)
        case str() if len(value) <= _LONGEST_TEXT:
            return dg.MetadataValue.text(value)
        case _:
            raise PrivacyError(
                f"metadata {name!r}: a {type(value).__name__} is not shown; use a number, a text or a MetadataValue"
            )


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
