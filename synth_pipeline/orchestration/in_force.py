"""The release in force of a dataset: which one it is, noted when it was released, and what a later walk uses of it.

Belongs here: the note, reading released values by it, and that nothing is built on a release that was withdrawn. Does not: deciding what
follows (drift), or approving (a release's own matter).
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pandas import DataFrame

from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.drift.decision import PriorFacts
from synth_pipeline.errors import ApprovalRefused, LedgerError
from synth_pipeline.generate.measured import measured_by
from synth_pipeline.integrations.approvals import how_it_ended, is_withdrawn
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.codecs import CODECS
from synth_pipeline.orchestration.io_managers import read_origin
from synth_pipeline.orchestration.keys import AssetName
from synth_pipeline.outcome import Prior
from synth_pipeline.privacy.ledger import WalkKey
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.release.origin import release_version
from synth_pipeline.spec import Spec

_NOTE, _FILE = "release.in_force", "release.json"


def note_in_force(home: Home, model: ReleasedModel, *, walk: WalkKey, rows: float) -> PriorFacts:
    """Note the release that a walk has just made as the one in force.

    Args:
        home: whose release it is.
        model: what it was made with.
        walk: the walk; its values are stored under its snapshot.
        rows: noisy number of people (of rows, where each is one) that its table was sized by.
    """
    facts = PriorFacts(
        version=release_version(walk.snapshot, walk.walk_id),
        snapshot=walk.snapshot,
        rows=rows,
        spec_digest=model.spec.learnt_digest,
        generator_kind=model.generator.kind,
        can_refresh=bool(measured_by(model.generator)),
    )
    text = json.dumps(asdict(facts))
    home.released.write(lambda folder: (folder / _FILE).write_text(text, encoding="utf-8"), model.spec.dataset, _NOTE)
    return facts


def in_force(home: Home, spec: Spec) -> PriorFacts | None:
    """Which release of a dataset is in force; None before the first."""
    if not home.released.has(spec.dataset, _NOTE):
        return None
    facts = home.released.read(_read_note, spec.dataset, _NOTE)
    return replace(facts, ended=how_it_ended(home, f"{spec.dataset}/{facts.version}"))


def require_not_withdrawn(home: Home, spec: Spec, facts: PriorFacts) -> None:
    """Stop a walk that builds on a release which was withdrawn after the walk decided so.

    Raises:
        ApprovalRefused: if it was.
    """
    if is_withdrawn(home, f"{spec.dataset}/{facts.version}"):
        raise ApprovalRefused(
            f"{spec.dataset}/{facts.version}: was withdrawn since this walk decided to build on it; start again from"
            f" {spec.dataset}/real_snapshot, which then trains anew"
        )


def load_prior(home: Home, spec: Spec, facts: PriorFacts, *, is_built_on: bool = True) -> Prior:
    """Profile and generator of the release in force.

    Args:
        home: whose release it is.
        spec: the dataset's specification.
        facts: which release it is.
        is_built_on: whether something new is made from them; else a fresh snapshot is only compared with them.

    Raises:
        TableError: if they are no longer stored.
        LedgerError: if a later walk of its snapshot has put others in their place.
        ApprovalRefused: if something is to be made from them, and the release was withdrawn.
    """
    if is_built_on:
        require_not_withdrawn(home, spec, facts)
    return Prior(facts, _value(home, spec, facts, "profile"), _value(home, spec, facts, "generator"))


def prior_table(home: Home, spec: Spec, facts: PriorFacts) -> DataFrame:
    """The synthetic table of the release in force, which still stands."""
    require_not_withdrawn(home, spec, facts)
    return _value(home, spec, facts, "synthetic_table")


def prior_audit(home: Home, spec: Spec, facts: PriorFacts) -> MechanismAudit:
    """The audit of the release in force."""
    return _value(home, spec, facts, "privacy_audit")


def prior_release(home: Home, spec: Spec, facts: PriorFacts) -> Path:
    """Where the bundle of the release in force lies, which still stands."""
    require_not_withdrawn(home, spec, facts)
    return _value(home, spec, facts, "release")


def _value(home: Home, spec: Spec, facts: PriorFacts, name: AssetName) -> Any:
    def load(folder: Path) -> Any:
        walk = read_origin(folder).walk
        if release_version(walk.snapshot, walk.walk_id) != facts.version:
            raise LedgerError(
                f"{spec.dataset}/{name}: a later walk of snapshot {facts.snapshot!r} replaced what release {facts.version} was made with; "
                f"walk snapshot {facts.snapshot!r} to its release first"
            )
        return CODECS[name].load(folder)

    return home.released.read(load, spec.dataset, facts.snapshot, name)


def _read_note(folder: Path) -> PriorFacts:
    return PriorFacts(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
