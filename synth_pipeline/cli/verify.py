"""`verify`: whether a bundle is what its requester signed and a second person approved, offline.

It loads click, rich, cryptography and pyarrow, so that a stranger needs no more than those beside this package.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pipeline.cli.options import json_option
from synth_pipeline.cli.output import answer, facts, number
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import EXIT_CHECK_FAILED

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.release.approval_check import PublicKey
    from synth_pipeline.release.verify import Verified

_EPILOG = """\b
Examples:
  synth-pipeline verify releases/gss/gss_2011_2018-5b2d1c --key requester.key.pub
  synth-pipeline verify bundle --key requester.key.pub --approver approver.key.pub

\b
Nothing but the bundle and the keys is read, and no network is used; it runs where only this package (pip install --no-deps),
cryptography, pyarrow, click and rich are installed. The keys must have come by another way than the bundle.
A release that was withdrawn later still verifies: ask its owner.

\b
Exit codes: 0 everything holds; 4 something is wrong, one line for each fault; 2 a key or the bundle cannot be read."""


@click.command(epilog=_EPILOG, short_help="Check a release's signature, files and approval, offline.")
@click.argument("bundle", metavar="BUNDLE", type=click.Path())
@click.option("--key", "key_path", required=True, type=click.Path(dir_okay=False), help="Public key of the requester.")
@click.option(
    "--approver",
    "approver_path",
    default=None,
    type=click.Path(dir_okay=False),
    help="Public key of the approver; the bundle must then hold their approval.",
)
@json_option
@refusing
def verify(bundle: str, *, key_path: str, approver_path: str | None, as_json: bool) -> int | None:
    """Check that BUNDLE, the folder of a release, is whole, signed by the owner of a key, and approved by that of another."""
    from synth_pipeline.release.verify import verify_bundle

    approver = None if approver_path is None else _key(approver_path)
    found = verify_bundle(Path(bundle), key=_key(key_path), approver=approver)
    answer(_content(bundle, found), lambda console: _render(console, bundle, found), as_json=as_json)
    return None if found.holds else EXIT_CHECK_FAILED


def _key(path: str) -> "PublicKey":
    from synth_pipeline.release.approval_check import PublicKey
    from synth_pipeline.release.keys import public_text

    return PublicKey(public_text(Path(path)), path)


def _content(bundle: str, found: "Verified") -> dict[str, Any]:
    certificate = found.certificate
    claimed: dict[str, Any] | None = None
    if certificate is not None:
        names = ("dataset", "version", "epsilon", "composedEpsilon", "delta", "unit", "neighbours", "rows")
        claimed = {name: certificate.predicate.get(name) for name in names} | {"signedBy": certificate.signed_by}
    return {
        "bundle": bundle,
        "holds": found.holds,
        "faults": [{"file": fault.file, "fault": fault.words} for fault in found.faults],
        "approval": {"state": found.approval_words, **(found.approval or {})},
        "certificate": claimed,
    }


def _render(console: "Console", bundle: str, found: "Verified") -> None:
    from synth_pipeline.release.statement import shown_name

    if not found.holds:
        for fault in found.faults:
            console.print(str(fault), soft_wrap=True)
        console.print(f"{bundle}: {len(found.faults)} fault(s); do not rely on it", soft_wrap=True)
        return
    if found.certificate is None:
        return
    claimed, unit = found.certificate.predicate, shown_name(str(found.certificate.predicate["unit"]))
    console.print(f"{bundle}: holds\n", soft_wrap=True)
    facts(
        console,
        {
            "release": shown_name(found.certificate.release),
            "guarantee": f"ε = {number(float(claimed['epsilon']))}, δ = {number(float(claimed['delta']))}; unit: {unit}",
            "files": f"{len(found.certificate.subjects)}, each as the certificate names it",
            "signed by": str(found.certificate.signed_by),
            "approval": _approval(found),
        },
    )


def _approval(found: "Verified") -> str:
    held = found.approval
    if held is None:
        return found.approval_words
    until = f"until {held['expires']}" if held.get("expires") else "without an end"
    if held.get("conditions"):
        until += f", under the conditions {held['conditions']!r}"
    return f"approved for {held['purpose']!r}, {until}; whether it was withdrawn since, only its owner knows"
