"""The chain behind a release, every hop of it checked against what an installation holds.

    snapshot ─► ledger ─► certificate ─► generator in MLflow ─► synthetic table ─► bundle

A hop is *verified* where what is stored says the same, *missing* where nothing is stored to compare with (another installation made the
release, or a later walk took the place of its values), and *contradicts* where what is stored says something else.

Belongs here: comparing. Does not: what a release says of itself (release.lineage) or drawing (report.lineage_page).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from synth_pipeline.errors import LedgerError, SynthPipelineError, TableError
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.integrations.mlflow_registry import RecordedWalk, recorded_walk
from synth_pipeline.integrations.release_place import ReleaseBundle
from synth_pipeline.integrations.stores import Home
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.ledger import Head, Ledger, WalkRecord, open_ledger
from synth_pipeline.release.charge_record import event_of
from synth_pipeline.release.lineage import table_digest
from synth_pipeline.release.statement import DATA
from synth_pipeline.release.verify import verify_digests
from synth_pipeline.reserve import root_walk_id

State = Literal["verified", "missing", "contradicts"]
_ROUNDING = 1e-6
_DIGEST_LETTERS = 36  # of a digest that MLflow keeps


@dataclass(frozen=True)
class Hop:
    """One link of the chain.

    Attributes:
        source: what it leads from.
        target: what it leads to.
        state: what comparing found.
        detail: the same in a line; public and released facts only.
    """

    source: str
    target: str
    state: State
    detail: str

    def to_json(self) -> dict[str, str]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class ReleaseChain:
    """A release's lineage and what an installation says of it.

    Attributes:
        lineage: content of its lineage.json.
        hops: the links, from the snapshot on.
        entries: the ledger's entries about its walk, in short.
        links: where its runs and pages are, by name.
    """

    lineage: Mapping[str, Any]
    hops: tuple[Hop, ...]
    entries: tuple[Mapping[str, Any], ...]
    links: Mapping[str, str]

    @property
    def contradictions(self) -> tuple[Hop, ...]:
        """Links at which what is stored says something else."""
        return tuple(hop for hop in self.hops if hop.state == "contradicts")

    def to_json(self) -> dict[str, Any]:
        """Plain data: the release's lineage, and `hops`, `ledger_entries` and `stored_links` beside it."""
        return {
            **self.lineage,
            "hops": [hop.to_json() for hop in self.hops],
            "ledger_entries": [dict(entry) for entry in self.entries],
            "stored_links": dict(self.links),
        }


def release_chain(bundle: ReleaseBundle, home: Home, tracking: Tracking | None) -> ReleaseChain:
    """Check every link between a release and its snapshot.

    Args:
        bundle: the release.
        home: the installation.
        tracking: where MLflow keeps runs; None: nowhere.
    """
    lineage = bundle.lineage
    ledger = open_ledger(home.ledger)
    walks, faults = _walks(ledger, lineage)
    recorded = _recorded(tracking, lineage)
    hops = (
        _snapshot_hop(home, lineage),
        _chain_hop(ledger, lineage, faults),
        *_charge_hops(ledger, bundle, walks, faults),
        *_model_hops(tracking, recorded, lineage),
        _table_hop(home, lineage),
        _bundle_hop(bundle),
    )
    return ReleaseChain(lineage, hops, _entries(ledger, walks), _links(home, tracking, recorded, lineage))


def _snapshot_hop(home: Home, lineage: Mapping[str, Any]) -> Hop:
    """The released profile's origin names the snapshot's fingerprint; the snapshot itself is not opened."""
    source, target = f"snapshot {lineage['snapshot']['name']}", "profile"
    found = _origin(home, lineage, "profile")
    if found is None:
        return Hop(source, target, "missing", "no profile of this snapshot is stored here")
    if root_walk_id(found["walk"]["walk_id"]) != lineage["walk"]["id"]:
        return Hop(source, target, "missing", "a later walk of the snapshot took the place of the stored profile")
    if found["fingerprint"] != lineage["snapshot"]["hmac"]:
        return Hop(source, target, "contradicts", "the stored profile is of a snapshot with another fingerprint")
    return Hop(source, target, "verified", f"keyed fingerprint {found['fingerprint'][:16]}…")


def _chain_hop(ledger: Ledger, lineage: Mapping[str, Any], faults: str | None) -> Hop:
    """The ledger's chain is intact, and still holds the head that the certificate noted."""
    source, target, head = "ledger", "its chain", lineage["ledger"]["head"]
    if not ledger.head().entries:
        return Hop(source, target, "missing", "there is no ledger here, or it is empty")
    anchors = [] if head is None else [Head(head["entries"], head["digest"])]
    report = ledger.verify(anchors)
    if faults is not None or not report.is_intact:
        return Hop(source, target, "contradicts", "; ".join([*report.faults, *([faults] if faults else [])]))
    if head is None:
        return Hop(source, target, "verified", f"{report.entries} entries are intact; the release names no head")
    held = f"{report.entries} entries are intact, and entry {head['entries']} is still what the certificate noted as their head"
    return Hop(source, target, "verified", held)


def _charge_hops(
    ledger: Ledger, bundle: ReleaseBundle, walks: Sequence[WalkRecord], faults: str | None
) -> Iterator[Hop]:
    lineage = bundle.lineage
    events = [event_of(mechanism) for mechanism in bundle.predicate["mechanisms"]]
    yield _listed_hop(bundle)
    source, target = "mechanism events", "ledger entries"
    if faults is not None:
        yield Hop(source, target, "contradicts", "the ledger cannot be read")
    elif not walks:
        yield Hop(source, target, "missing", "this ledger holds no reservation of the walk")
    else:
        yield _events_hop(ledger, lineage, walks, Counter(events))
    together, claimed = composed_epsilon(events, lineage["guarantee"]["delta"]), bundle.predicate["composedEpsilon"]
    fits = together <= claimed * (1 + _ROUNDING)
    words = f"{len(events)} events compose to ε = {together:.6g}; the certificate claims {claimed:.6g}"
    yield Hop("ledger entries", "certificate's ε", "verified" if fits else "contradicts", words)


def _listed_hop(bundle: ReleaseBundle) -> Hop:
    """The charges of the lineage are the certificate's mechanisms, one by one."""
    listed = [(charge["stage"], charge["purpose"], charge["mechanism"]) for charge in bundle.lineage["charges"]]
    events = map(event_of, bundle.predicate["mechanisms"])
    stated = [(event.stage or "walk", event.purpose, event.mechanism) for event in events]
    if listed != stated:
        return Hop(
            "profile", "mechanism events", "contradicts", "lineage.json lists other charges than the certificate"
        )
    return Hop("profile", "mechanism events", "verified", f"{len(listed)} charges are those of the certificate")


def _events_hop(ledger: Ledger, lineage: Mapping[str, Any], walks: Sequence[WalkRecord], stated: "Counter[Any]") -> Hop:
    """What was committed is what is certified; what the walk built on may stand under earlier walks."""
    source, target = "mechanism events", "ledger entries"
    numbers = ", ".join(f"#{walk.reservation.number}" for walk in walks)
    own = Counter(event for walk in walks for event in walk.realised)
    earlier = Counter(
        event for walk in ledger.walks(lineage["dataset"]) if walk not in walks for event in walk.realised
    )
    unknown = stated - own - earlier
    unstated = own - stated
    if unknown or unstated:
        words = f"{unknown.total()} certified events are not in the ledger, {unstated.total()} charged ones are not certified"
        return Hop(source, target, "contradicts", f"reservation {numbers}: {words}")
    inherited = (stated - own).total()
    if inherited and not lineage["builds_on"] and not _is_watched(stated - own):
        return Hop(source, target, "contradicts", f"{inherited} events stand under other walks, and it builds on none")
    words = f", {inherited} under earlier walks that it builds on" if inherited else ""
    return Hop(source, target, "verified", f"{(stated & own).total()} events stand in reservation {numbers}{words}")


def _is_watched(events: "Counter[Any]") -> bool:
    """Whether events are those of an epoch, which are charged once for many snapshots."""
    return all(event.kind == "above_threshold" or event.stage == "drift_report" for event in events)


def _model_hops(tracking: Tracking | None, recorded: RecordedWalk | None, lineage: Mapping[str, Any]) -> Iterator[Hop]:
    source, target = "certificate's ε", "generator in MLflow"
    if recorded is None:
        where = "MLflow has no run of the walk" if tracking is not None else "there is no MLflow here"
        yield Hop(source, target, "missing", where)
        return
    claimed, digest = lineage["links"].get("mlflowModel"), recorded.model_tags.get("spec_digest")
    if recorded.model is None:
        kept = lineage["builds_on"] is not None
        words = "the generator of the release that it builds on was kept" if kept else "no version is registered"
        yield Hop(source, target, "missing", words)
    elif claimed not in (None, recorded.model):
        yield Hop(source, target, "contradicts", f"the release names {claimed}, MLflow {recorded.model}")
    elif digest is None or digest != lineage["walk"]["spec_digest"]:
        yield Hop(source, target, "contradicts", f"{recorded.model} was trained under another specification")
    else:
        yield Hop(source, target, "verified", f"{recorded.model}, under specification {digest[:16]}…")
    wanted = {"training": lineage["snapshot"]["hmac"], "synthetic": lineage["table"]["digest"]}
    short = {what: known[:_DIGEST_LETTERS] for what, known in wanted.items()}
    other = [what for what, known in short.items() if recorded.digests.get(what, known) != known]
    words = f"its run {recorded.run.run_id} recorded another digest of: {', '.join(other)}"
    state: State = "contradicts" if other else "verified" if recorded.digests else "missing"
    yield Hop("generator in MLflow", "synthetic table", state, words if other else f"run {recorded.run.run_id}")


def _table_hop(home: Home, lineage: Mapping[str, Any]) -> Hop:
    source, target, claimed = "synthetic table", "release", lineage["table"]["digest"]
    found = _origin(home, lineage, "synthetic_table")
    if found is None or root_walk_id(found["walk"]["walk_id"]) != lineage["walk"]["id"]:
        return Hop(source, target, "missing", "the walk's table is not stored here, or a later walk took its place")
    place = (lineage["dataset"], lineage["snapshot"]["name"], "synthetic_table")
    try:
        digest = home.released.read(_digest_of, *place)
    except (OSError, ValueError):
        return Hop(source, target, "contradicts", "the stored table cannot be read")
    if digest != claimed:
        return Hop(source, target, "contradicts", "the stored table holds other values than were released")
    return Hop(source, target, "verified", f"digest {claimed[:16]}… of every value")


def _bundle_hop(bundle: ReleaseBundle) -> Hop:
    faults = verify_digests(bundle.folder)
    if faults:
        return Hop("release", "bundle", "contradicts", "; ".join(faults))
    try:
        digest = _digest_of(bundle.folder)
    except (OSError, ValueError):
        return Hop("release", "bundle", "contradicts", f"{DATA} cannot be read")
    if digest != bundle.lineage["table"]["digest"]:
        return Hop("release", "bundle", "contradicts", f"{DATA} holds other values than its lineage says")
    return Hop("release", "bundle", "verified", "every file is the one that the certificate names")


def _digest_of(folder: Path) -> str:
    import pandas as pd

    return table_digest(pd.read_parquet(folder / DATA))


def _origin(home: Home, lineage: Mapping[str, Any], asset: str) -> dict[str, Any] | None:
    """Which walk made a stored value of the released zone."""
    place = (lineage["dataset"], lineage["snapshot"]["name"], asset)
    try:
        return home.released.read(lambda folder: json.loads((folder / "origin.json").read_text("utf-8")), *place)
    except (TableError, OSError, ValueError):
        return None


def _walks(ledger: Ledger, lineage: Mapping[str, Any]) -> tuple[tuple[WalkRecord, ...], str | None]:
    """The reservations of the release's walk, and why they could not be read."""
    try:
        found = ledger.walks(lineage["dataset"])
    except LedgerError as error:
        return (), str(error)
    own = [
        walk
        for walk in found
        if walk.status != "released"
        and walk.reservation.key.snapshot == lineage["snapshot"]["name"]
        and root_walk_id(walk.reservation.key.walk_id) == lineage["walk"]["id"]
    ]
    return tuple(own), None


def _entries(ledger: Ledger, walks: Sequence[WalkRecord]) -> tuple[Mapping[str, Any], ...]:
    numbers = {walk.reservation.number for walk in walks}
    shown = ("sequence", "at", "kind", "reservation", "cohort", "digest")
    return tuple(
        {name: getattr(entry, name) for name in shown}
        for entry in (ledger.history() if numbers else ())
        if entry.reservation in numbers
    )


def _recorded(tracking: Tracking | None, lineage: Mapping[str, Any]) -> RecordedWalk | None:
    """What MLflow holds; nothing where it cannot be asked, for a missing tracker takes nothing from a release."""
    if tracking is None:
        return None
    try:
        return recorded_walk(tracking, dataset=lineage["dataset"], walk_id=lineage["walk"]["id"])
    except SynthPipelineError:
        raise
    except Exception:  # noqa: BLE001  (whatever MLflow raises)
        return None


def _links(
    home: Home, tracking: Tracking | None, recorded: RecordedWalk | None, lineage: Mapping[str, Any]
) -> dict[str, str]:
    """Where the pages of a walk are."""
    docs = (lineage["dataset"], lineage["snapshot"]["name"], "data_docs")
    found: dict[str, str] = {}
    if recorded is not None and tracking is not None:
        found["mlflow_run"] = tracking.link(recorded.run)
        found |= {name: recorded.tags[name] for name in ("dagster.run", "openlineage.run") if name in recorded.tags}
    if home.released.has(*docs):
        found["data_docs"] = str(home.released.place(*docs))
    return found
