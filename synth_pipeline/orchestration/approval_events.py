"""What follows from decisions about releases: everything that is derived from the chain is brought up to it, however often it is asked.

Belongs here: the bundle's copy of a statement, the record of an expiry, what Dagster shows, the value that assets after the approval get,
and MLflow's alias. Does not: deciding (integrations.approvals). The command line, the asset and the sensor all call `catch_up`, so that
what one of them left undone the next one does.

Two of them may run at once, and the one that has read the chain first may write last. So each reads the chain again after it wrote, and
begins anew where a decision has come in between; and what counts of what Dagster was told is the last thing, not whether it ever was.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

import dagster as dg

from synth_pipeline.errors import ApprovalRefused, SigningError, TableError
from synth_pipeline.integrations import approvals
from synth_pipeline.integrations.approvals import KeptRelease
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.integrations.mlflow_registry import point_approved
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.codecs import CODECS
from synth_pipeline.orchestration.io_managers import made_loader, save_made
from synth_pipeline.orchestration.keys import APPROVAL, APPROVAL_CHECK, DatasetKeys
from synth_pipeline.orchestration.made import Made, Origin
from synth_pipeline.orchestration.metadata import (
    check_evaluation,
    latest_evaluation,
    materialization,
    metadata_value,
    observation,
    report_event,
)
from synth_pipeline.privacy.gate import Released
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.approval import ApprovedRelease, Standing

MARK = "mark"
_LOOKED_THROUGH = 25
_TURNS = 5
_HOLDS = f"while the check {APPROVAL_CHECK} passes; see Events"


@dataclass(frozen=True, eq=False)
class Stood:
    """A release, and where it stands."""

    release: KeptRelease
    standing: Standing

    @property
    def partition(self) -> str:
        """The snapshot that it was made from."""
        return self.release.walk.snapshot


@dataclass(frozen=True, eq=False)
class CaughtUp:
    """What `catch_up` found and did.

    Attributes:
        stood: the releases that were ever decided about, oldest first.
        completed: names of those of which something was missing.
        damaged: names of those whose bundle cannot be read; nobody can use them, and nothing is told of them.
        alias: version of the generator that MLflow's alias `approved` names now; None: none.
        problem: kind of the error that kept the alias as it was; empty: none, and the alias is right.
    """

    stood: tuple[Stood, ...]
    completed: tuple[str, ...]
    damaged: tuple[str, ...]
    alias: str | None
    problem: str

    @property
    def next_expiry(self) -> str | None:
        """The nearest last day of an approval that holds, as an ISO date."""
        days = [
            one.standing.approval.expires
            for one in self.stood
            if one.standing.state == "approved" and one.standing.approval
        ]
        return min((day.isoformat() for day in days if day is not None), default=None)


def catch_up(
    instance: dg.DagsterInstance,
    home: Home,
    tracking: Tracking,
    dataset: str,
    *,
    told_by_run: str = "",
    now: datetime | None = None,
) -> CaughtUp:
    """Bring everything that follows from the decisions about a dataset's releases up to the chain.

    Args:
        instance: where Dagster shows it.
        home: where releases and the ledger are.
        tracking: whose alias it is. An outage there is told, and loses nothing: the next call sets the alias.
        dataset: which dataset.
        told_by_run: name of a release of which the calling run itself tells Dagster.
        now: the time, in UTC; default: the clock's.
    """
    completed: dict[str, None] = {}
    turns_left = _TURNS
    while True:
        before = approvals.count_decisions(home, dataset)
        found = _brought_up(instance, home, tracking, dataset, told_by_run=told_by_run, now=now)
        completed |= dict.fromkeys(found.completed)
        turns_left -= 1
        if not turns_left or approvals.count_decisions(home, dataset) == before:
            return replace(found, completed=tuple(completed))


def _brought_up(
    instance: dg.DagsterInstance,
    home: Home,
    tracking: Tracking,
    dataset: str,
    *,
    told_by_run: str,
    now: datetime | None,
) -> CaughtUp:
    """One turn of `catch_up`: the chain read, and all that follows from what it holds."""
    releases, damaged = approvals.decided_releases(home, dataset)
    stood = tuple(Stood(release, approvals.standing(home, release, now=now)) for release in releases)
    _store_values(home, stood)
    completed: list[str] = []
    for one in stood:
        is_new = _followed(home, one, now)
        if one.release.name != told_by_run:
            is_new |= _tell(instance, home, one)
        completed += [one.release.name] * is_new
    completed += _tell_check(instance, home, stood, told_by_run=told_by_run)
    alias, problem = None, ""
    try:
        alias = point_approved(tracking, dataset=dataset, walks=Released(_walks_of(home, stood)))
    except Exception as error:  # noqa: BLE001  (whatever MLflow raises: the decision stands, and the alias follows)
        problem = type(error).__name__
    return CaughtUp(stood, tuple(completed), damaged, alias, problem)


def approved_of(stood: Sequence[Stood], partition: str | None = None) -> Stood | None:
    """The newest approved release of all, or of a snapshot."""
    found = [one for one in stood if one.standing.state == "approved" and partition in (None, one.partition)]
    return found[-1] if found else None


def shown(home: Home, one: Stood) -> dict[str, Released[Any]]:
    """What is shown of a release's standing: released facts, and the words of whoever decided.

    Dagster's overview of an asset goes on showing its latest materialization, whatever was observed since. So that of an approval tells
    what was decided, and sends on to the check for whether it holds; only what ends one tells a state.
    """
    decision = one.standing.decision
    is_approved = one.standing.state == "approved"
    entries: dict[str, Released[Any]] = {
        **({"decision": Released("approve"), "holds": Released(_HOLDS)} if is_approved else {}),
        **({} if is_approved else {"state": Released(one.standing.state)}),
        "release": Released(dg.MetadataValue.path(str(one.release.place))),
        "version": Released(one.release.version),
    }
    approval, withdrawal = one.standing.approval, one.standing.withdrawal
    if approval is not None:
        last = "until it is withdrawn" if approval.expires is None else approval.expires.isoformat()
        words = {
            "approver": approval.key_id,
            "purpose": approval.words,
            "conditions": approval.conditions or "none",
            "expires": last,
        }
        entries |= {name: Released(text) for name, text in words.items()}
    if withdrawal is not None:
        entries |= {"withdrawn_by": Released(withdrawal.key_id), "reason": Released(withdrawal.words)}
    if decision is not None:
        entries["requester"] = Released(decision.subject.requester)
        entries["ledger"] = Released(entry_words(home, one))
    return {**entries, MARK: Released(one.standing.mark)}


def value_of(home: Home, stood: Sequence[Stood], one: Stood) -> Made[ApprovedRelease]:
    """What is stored for a snapshot after a decision: its newest approved release, else the one that was decided about."""
    chosen = approved_of(stood, one.partition) or one
    decision = chosen.standing.approval or chosen.standing.decision
    if decision is None:
        raise ValueError(f"{one.release.name}: nothing was decided")
    release = chosen.release
    origin = Origin(release.walk, approvals.reservation_of(home, release), release.fingerprint)
    return Made(approvals.approved_release(release, decision), origin)


def verdict(stood: Sequence[Stood], one: Stood) -> tuple[bool, Released[str]]:
    """Whether assets after the approval of a snapshot may be made, and why, in a sentence."""
    chosen = approved_of(stood, one.partition) or one
    return chosen.standing.state == "approved", Released(
        f"{chosen.release.name}: {approvals.state_words(chosen.standing)}"
    )


def built_on(home: Home, release: KeptRelease) -> Iterator[KeptRelease]:
    """The releases whose generator or tables one goes on with, nearest first, as far as they lie here."""
    seen = {release.version}
    while True:
        before = release.certificate["predicate"].get("extra", {}).get("buildsOn", {}).get("release")
        if before is None or before in seen or before not in home.release_places(release.dataset):
            return
        seen.add(before)
        release = approvals.find_release(home, f"{release.dataset}/{before}")
        yield release


def entry_words(home: Home, one: Stood) -> str:
    """The entry of the chain that holds the newest statement; of one that was found in the bundle alone there is none."""
    digest = one.standing.decision.digest if one.standing.decision else ""
    entries = open_ledger(home.ledger).history(one.release.dataset)
    found = [entry for entry in entries if entry.kind == "record" and entry.body.get("statement") == digest]
    return f"entry {found[0].sequence} ({found[0].digest[:16]})" if found else "in the bundle alone"


def _followed(home: Home, one: Stood, now: datetime | None) -> bool:
    """File the statement, and record the expiry; whether either was missing."""
    decision, approval = one.standing.decision, one.standing.approval
    is_new = decision is not None and approvals.file_decision(home, one.release, decision)
    if one.standing.state == "expired" and approval is not None:
        is_new |= approvals.note_expiry(home, one.release, approval, now=now)
    return is_new


def _store_values(home: Home, stood: Sequence[Stood]) -> None:
    """Have what is stored for each snapshot be its newest approved release, whatever else was put there.

    Where none is approved the value stays: whoever loads it is told what became of the release.
    """
    for partition in dict.fromkeys(one.partition for one in stood):
        chosen = approved_of(stood, partition)
        if chosen is None:
            continue
        value, dataset = value_of(home, stood, chosen), chosen.release.dataset
        if not _is_stored(home, value, dataset, partition):
            save = partial(save_made, CODECS[APPROVAL], value)
            home.released.write(save, dataset, partition, APPROVAL)


def _is_stored(home: Home, value: Made[ApprovedRelease], dataset: str, partition: str) -> bool:
    place = (dataset, partition, APPROVAL)
    if not home.released.has(*place):
        return False
    try:
        found = home.released.read(made_loader(APPROVAL), *place)
    except (OSError, ValueError, KeyError, TypeError):  # half a value, or another one: it is written anew
        return False
    return (found.value, found.origin) == (value.value, value.origin)


def _tell(instance: dg.DagsterInstance, home: Home, one: Stood) -> bool:
    """Have Dagster show a standing of a snapshot's release, unless it does; whether it did not."""
    key, partition = DatasetKeys(one.release.dataset).asset(APPROVAL), one.partition
    if one.standing.state == "candidate" or _last_told(instance, key, one) == one.standing.mark:
        return False
    entries = shown(home, one)
    if one.standing.state == "approved":
        report_event(instance, materialization(key, partition=partition, entries=entries))
    else:
        words = Released(f"{one.release.name}: {approvals.state_words(one.standing)}")
        report_event(instance, observation(key, partition=partition, description=words, entries=entries))
    return True


def _tell_check(
    instance: dg.DagsterInstance, home: Home, stood: Sequence[Stood], *, told_by_run: str
) -> tuple[str, ...]:
    """Have the check tell of the release that was decided about last, unless it does; its name, if it did not."""
    last = _decided_last(home, stood)
    if last is None or last.release.name == told_by_run:
        return ()
    check = DatasetKeys(last.release.dataset).approval_check
    passed, words = verdict(stood, last)
    event = check_evaluation(check, passed=passed, description=words)
    if latest_evaluation(instance, check) == (event.passed, event.description):
        return ()
    report_event(instance, event)
    return (last.release.name,)


def _decided_last(home: Home, stood: Sequence[Stood]) -> Stood | None:
    """The release of the chain's latest decision or expiry; a withdrawal that lies in a bundle alone counts as later than the chain."""
    if not stood:
        return None
    entries = [entry for entry in open_ledger(home.ledger).history(stood[0].release.dataset) if entry.kind == "record"]
    kept = {entry.body.get("statement") for entry in entries}
    place = {entry.body.get("release"): entry.sequence for entry in entries}

    def order(one: Stood) -> tuple[bool, int]:
        decision = one.standing.decision
        return decision is not None and decision.digest not in kept, place.get(one.release.name, 0)

    return max(stood, key=order)


def _last_told(instance: dg.DagsterInstance, key: dg.AssetKey, one: Stood) -> str | None:
    """The mark of the last thing that Dagster was told of a release."""
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[one.partition])
    made = instance.fetch_materializations(wanted, limit=_LOOKED_THROUGH).records
    noted = instance.fetch_observations(wanted, limit=_LOOKED_THROUGH).records
    events = [(record.storage_id, record.asset_materialization) for record in made]
    events += [(record.storage_id, record.event_log_entry.asset_observation) for record in noted]
    version = metadata_value("version", Released(one.release.version))
    told = [
        (number, str(event.metadata[MARK].value))
        for number, event in events
        if event is not None and MARK in event.metadata and event.metadata.get("version") == version
    ]
    return max(told)[1] if told else None


def _walks_of(home: Home, stood: Sequence[Stood]) -> tuple[str, ...]:
    """Walks among whose generators the newest approved release's is: its own, then those that it builds on.

    The generator of a release that was withdrawn is not served for one that goes on with it.
    """
    newest = approved_of(stood)
    if newest is None:
        return ()
    walks = [newest.release.walk.walk_id]
    with suppress(
        ApprovalRefused, SigningError, TableError
    ):  # a damaged bundle below must not keep the alias where it was
        for release in islice(built_on(home, newest.release), _LOOKED_THROUGH):
            if approvals.is_withdrawn(home, release.name):
                break
            walks.append(release.walk.walk_id)
    return tuple(walks)
