"""The asset `approval`: a second person's word on a release, given from the launchpad; part of no walk.

Its value is the approved release, and whoever loads it is refused once the release is no longer approved. A run that withdraws makes
nothing and ends as failed: Dagster shows the snapshot's partition as failed, what was selected to come after it in the same run does not
start, and no automation takes it for a new approval.
"""

from contextlib import nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import dagster as dg
from pydantic import Field

from synth_pipeline.errors import CheckFailed, SigningError
from synth_pipeline.integrations import approvals
from synth_pipeline.integrations.approvals import KeptRelease
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.integrations.stores import Home, Place
from synth_pipeline.orchestration.approval_events import approved_of, catch_up, shown, value_of, verdict
from synth_pipeline.orchestration.asset_options import Result, gate, walk_asset
from synth_pipeline.orchestration.keys import APPROVAL, APPROVAL_CHECK, DatasetKeys
from synth_pipeline.orchestration.made import Made
from synth_pipeline.orchestration.metadata import check_result, event_log
from synth_pipeline.privacy.gate import Released
from synth_pipeline.release.approval import LONGEST_STATEMENT, Wish, parse_expiry, sign
from synth_pipeline.release.keys import read_private_key
from synth_pipeline.release.signer import read_passphrase
from synth_pipeline.spec import Spec


class Word(StrEnum):
    """What may be decided."""

    approve = "approve"
    withdraw = "withdraw"


class ApprovalConfig(dg.Config):
    """What is decided, and whose key signs it: a key file on this machine and its passphrase's file, or a statement made elsewhere."""

    decision: Word = Field(default=Word.approve, description="approve or withdraw.")
    release: str = Field(default="", description="Version of the release; empty: the newest of this snapshot.")
    key_file: str = Field(
        default="", description="Private key on the machine that runs this; made by `synth-pipeline keys new`."
    )
    passphrase_file: str = Field(
        default="", description="File that holds its passphrase, mode 0600. A passphrase is never written here."
    )
    statement: str = Field(
        default="",
        description="Instead of a key: a statement that `synth-pipeline approve … --sign-only` made, as text, or the path of its file.",
    )
    purpose: str = Field(default="", description="approve: what the release may be used for.")
    conditions: str = Field(default="", description="approve: under which conditions; empty: none.")
    expires: str = Field(
        default="", description="approve: the last day, such as 2026-12-31 (UTC); empty: until it is withdrawn."
    )
    reason: str = Field(default="", description="withdraw: why.")


def approval_asset(spec: Spec) -> dg.AssetsDefinition:
    """The asset of a dataset that a second person makes."""
    keys = DatasetKeys(spec.dataset)
    words = (
        "A second person's word on a release: approve or withdraw, with another key than the one that signed it. Or from a terminal: "
        f"`synth-pipeline approve {spec.dataset}/VERSION --key KEY --purpose TEXT`."
    )
    check = dg.AssetCheckSpec(
        APPROVAL_CHECK,
        asset=keys.asset(APPROVAL),
        description="After the latest decision, or expiry, the snapshot that it was about has an approved release.",
        blocking=True,
    )

    @walk_asset(spec, APPROVAL, description=words, kinds={"ed25519"}, upstream=["release"], check_specs=[check])
    def approval(
        context: dg.AssetExecutionContext,
        config: ApprovalConfig,
        release: Made[Place],
        home: dg.ResourceParam[Home],
        tracking: dg.ResourceParam[Tracking],
    ) -> Result:
        chosen = approvals.find_release(home, f"{spec.dataset}/{config.release or release.value.name}")
        if chosen.walk.snapshot != context.partition_key:
            raise SigningError(
                f"release: {chosen.name} is not of snapshot {context.partition_key}; choose its partition"
            )
        envelope = _envelope(config, home, chosen)
        kept = approvals.decide(home, chosen, envelope, approvers=spec.release.approvers)
        told_by_run = chosen.name if kept.body["what"] == Word.approve.value else ""
        found = catch_up(context.instance, home, tracking, spec.dataset, told_by_run=told_by_run)
        own = next(one for one in found.stood if one.release.name == chosen.name)
        passed, reason = verdict(found.stood, own)
        event_log(context)(reason)
        stands = own if own.standing.state == "approved" else approved_of(found.stood, own.partition)
        if stands is None:
            raise CheckFailed(f"{reason.value}; this run ends as failed, so that nothing is made after it")
        entries = {**shown(home, stands), **_alias(found.alias, found.problem)}
        result = check_result(APPROVAL_CHECK, passed=passed, is_blocking=True, description=reason.value, observed={})
        return gate(home, context).materialized(value_of(home, found.stood, own), entries, checks=[result])

    return approval


def _envelope(config: ApprovalConfig, home: Home, release: KeptRelease) -> bytes:
    """The statement that was given, or one that is signed here."""
    if bool(config.statement) == bool(config.key_file):
        raise SigningError("approval: give key_file with passphrase_file, or statement, and not both")
    if config.statement:
        return _given(config.statement)
    if not config.passphrase_file:
        raise SigningError(
            "passphrase_file: name the file that holds the key's passphrase; none is written into a configuration"
        )
    is_approval = config.decision is Word.approve
    wish = Wish(
        config.decision.value,
        config.purpose if is_approval else config.reason,
        config.conditions if is_approval else "",
        parse_expiry(config.expires) if is_approval and config.expires else None,
    )
    files = {"key_file": Path(config.key_file), "passphrase_file": Path(config.passphrase_file)}
    for field, path in files.items():
        if not path.is_file():  # a pipe would keep the run waiting for good
            raise SigningError(f"{field}: there is no such file on the machine that runs this; check the path")
    key = read_private_key(files["key_file"], read_passphrase(files["passphrase_file"]))
    return sign(approvals.require_signed(home, release), wish, key, now=datetime.now(UTC))


def _given(statement: str) -> bytes:
    if statement.lstrip().startswith("{"):
        return (statement.strip() + "\n").encode()  # a form may drop the line end that the envelope has
    path = Path(statement)
    try:
        with path.open("rb") if path.is_file() else nullcontext() as file:  # a pipe or a device may have no end
            content = b"" if file is None else file.read(LONGEST_STATEMENT)
    except (OSError, ValueError):
        content = b""
    if not content:
        raise SigningError("statement: is neither the text of one nor the path of a file with one on this machine")
    return content


def _alias(alias: str | None, problem: str) -> dict[str, Released[str]]:
    if problem:
        return {"mlflow_alias": Released(f"not moved yet ({problem}); the sensor tries again")}
    return {"mlflow_alias": Released(f"approved: version {alias}" if alias else "approved: names none")}
