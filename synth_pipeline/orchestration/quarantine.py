"""Snapshots that cannot be taken: set apart with a reason that holds no value, shown beside their partition, blocking nobody.

Belongs here: what is said of them, and where. Does not: what makes a table unfit (snapshot), or a name (integrations.sources).

A snapshot leaves the quarantine when it is taken after all, say because its specification was corrected; another content under its name
is another snapshot, which is tried like any.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import TypeVar

import dagster as dg

from synth_pipeline.errors import SynthPipelineError, TableError
from synth_pipeline.integrations.sources.book import book_lock, read_json, write_json
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.arrivals import Fetched, fetched, note_taken
from synth_pipeline.orchestration.keys import DatasetKeys
from synth_pipeline.orchestration.metadata import observation, report_observation
from synth_pipeline.privacy.gate import Released, tellable
from synth_pipeline.spec import Spec

_PLACE, _FILE = "arrivals.quarantine", "quarantine.json"
Value = TypeVar("Value")


def quarantined(home: Home, dataset: str) -> Mapping[str, str]:
    """The snapshots of a dataset that are in quarantine, with the reason."""
    if not home.private.has(dataset, _PLACE):
        return {}
    return home.private.read(lambda folder: read_json(folder / _FILE), dataset, _PLACE)


def quarantine(spec: Spec, home: Home, partition: str, reason: str) -> dg.AssetObservation:
    """Set a snapshot apart.

    Args:
        spec: its dataset.
        home: where it is noted.
        partition: which snapshot.
        reason: why, in words that hold no value of it.

    Returns:
        What is to be shown beside the partition.
    """
    _change(home, spec.dataset, lambda kept: {**kept, partition: reason})
    return _observation(spec, partition, reason, {"reason": Released(reason)})


@contextmanager
def taking(spec: Spec, home: Home, partition: str, *, instance: dg.DagsterInstance) -> Generator[Fetched]:
    """The content of a snapshot for the length of the block that takes it; if the block refuses its table, it is set apart.

    A source that cannot be reached, or a file that changes meanwhile, is no fault of the snapshot's: it is not set apart.

    Raises:
        SourceError: as `fetched` does.
        TableError: the block's own, without counts of rows.
    """
    with fetched(spec, home, partition) as found:
        try:
            yield found
        except TableError as error:
            found.confirm()  # what was read of a file that changes meanwhile is no table, and that is no fault of it
            reason = tellable(error, home.private).replace(str(found.path), found.shown)
            findings = _findings(spec, found)
            _change(home, spec.dataset, lambda kept: {**kept, partition: reason})
            shown = {"reason": Released(reason)} | ({"columns": Released(findings)} if findings else {})
            report_observation(instance, _observation(spec, partition, reason, shown))
            raise TableError(reason) from None
    note_taken(spec, home, partition, found.stamp)
    _change(home, spec.dataset, lambda kept: {name: why for name, why in kept.items() if name != partition})


def _observation(spec: Spec, partition: str, reason: str, shown: Mapping[str, Released[str]]) -> dg.AssetObservation:
    return observation(
        DatasetKeys(spec.dataset).asset("real_snapshot"),
        partition=partition,
        description=Released(f"Quarantined: {reason}"),
        entries=shown,
    )


def _findings(spec: Spec, found: Fetched) -> str:
    """What is not as declared about the columns, one line each; empty for a file that is no table."""
    from synth_pipeline.snapshot.read import read_table
    from synth_pipeline.snapshot.schema_drift import schema_findings

    with suppress(SynthPipelineError):
        return "\n".join(str(one) for one in schema_findings(read_table(found.path), spec))
    return ""


def _change(home: Home, dataset: str, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
    with book_lock(home, dataset):
        before = quarantined(home, dataset)
        after = change(before)
        if after != before:
            home.private.write(lambda folder: write_json(folder / _FILE, after), dataset, _PLACE)
