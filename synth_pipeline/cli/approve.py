"""`approve`, `withdraw`: a second person's word on a release, signed, kept in the ledger's chain, and shown by Dagster and MLflow."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from synth_pipeline.cli.options import home_option, json_option
from synth_pipeline.cli.output import answer, facts
from synth_pipeline.cli.passphrase import asked_passphrase
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import SigningError, SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.integrations.stores import Home
    from synth_pipeline.release.approval import Wish

_EVENTS = "synth_pipeline.orchestration.approval_command"
_Command = TypeVar("_Command", bound=Callable[..., Any])
_APPROVE = """\b
Examples:
  synth-pipeline approve gss --key officer.key --purpose "teaching, course 7"          the newest release
  synth-pipeline approve gss/gss_2011_2018-2a187061 --key officer.key --purpose "research" --expires 2026-12-31
  synth-pipeline approve bundle/ --key officer.key --purpose "research" --sign-only --out approval.json
  synth-pipeline approve gss --statement approval.json                                 what was signed on another machine

The key must be another one than that which signed the release (and in release.approvers, where that is given); refused: exit code 4.
The passphrase is in --passphrase-file, or $SYNTH_PIPELINE_PASSPHRASE, or is asked for."""
_WITHDRAW = """\b
Examples:
  synth-pipeline withdraw gss/gss_2011_2018-2a187061 --key officer.key --reason "a column was described wrongly"

A withdrawal is final: the release can never be approved again. Who asked for the release may withdraw it, too."""


def _signing_options(command: _Command) -> _Command:
    """RELEASE, the key, and where a statement goes or comes from."""
    for option in (
        click.option(
            "--key", "key_file", type=click.Path(), help="Your private key, as `synth-pipeline keys new` made it."
        ),
        click.option("--passphrase-file", type=click.Path(), help="File that holds its passphrase, mode 0600."),
        click.option(
            "--sign-only",
            is_flag=True,
            help="Only sign: write the statement to --out; RELEASE may be a bundle's folder.",
        ),
        click.option("--out", type=click.Path(), help="With --sign-only: file of the statement."),
        click.option("--statement", type=click.Path(), help="A statement that --sign-only wrote, instead of a key."),
    ):
        command = option(command)
    return click.argument("release", metavar="RELEASE")(home_option(json_option(command)))


@click.command(epilog=_APPROVE, short_help="Approve a release, as a second person.")
@click.option("--purpose", default="", help="What the release may be used for; kept for good.")
@click.option("--conditions", default="", help="Under which conditions. Default: none.")
@click.option(
    "--expires",
    default="",
    metavar="DATE",
    help="The last day, such as 2026-12-31 (UTC). Default: until it is withdrawn.",
)
@_signing_options
@refusing
def approve(*, release: str, purpose: str, conditions: str, expires: str, **given: Any) -> None:
    """Approve RELEASE, `<dataset>/<version>`, or `<dataset>` for its newest: from then on other assets may use it."""
    from synth_pipeline.release.approval import Wish, parse_expiry

    def wish() -> "Wish":
        return Wish("approve", purpose, conditions, parse_expiry(expires) if expires else None)

    _decide("approve", release, wish, given, is_worded=bool(purpose or conditions or expires))


@click.command(epilog=_WITHDRAW, short_help="Withdraw a release; it is final.")
@click.option("--reason", default="", help="Why; kept for good.")
@_signing_options
@refusing
def withdraw(*, release: str, reason: str, **given: Any) -> None:
    """Withdraw RELEASE, `<dataset>/<version>`, or `<dataset>` for its newest: from then on nothing more is made from it."""
    from synth_pipeline.release.approval import Wish

    _decide("withdraw", release, lambda: Wish("withdraw", reason), given, is_worded=bool(reason))


def _decide(kind: str, word: str, wish: Callable[[], "Wish"], given: Mapping[str, Any], *, is_worded: bool) -> None:
    from synth_pipeline.integrations.stores import Home

    _require_consistent(given, is_worded=is_worded)
    home = Home.at(given["home"])
    if given["sign_only"]:
        path = _write_statement(Path(given["out"]), _signed(home, word, wish(), given))
        answer(
            {"statement": str(path)},
            lambda console: console.print(f"signed: {path}", soft_wrap=True),
            as_json=given["as_json"],
        )
        return
    from synth_pipeline.integrations.approvals import find_release

    release = find_release(home, word)
    approvers = _approvers_of(release.dataset)
    command: Any = import_module(_EVENTS)
    if given["statement"]:
        content = command.hand_in(home, release, _read(Path(given["statement"])), kind=kind, approvers=approvers)
    else:
        content = command.decide(home, release, wish(), _key(given), approvers=approvers)
    answer(content, lambda console: _render(console, content), as_json=given["as_json"])


def _require_consistent(given: Mapping[str, Any], *, is_worded: bool) -> None:
    if given["statement"] and (given["key_file"] or given["sign_only"] or is_worded):
        raise SigningError("--statement: is signed already and says everything; leave the other options out")
    if not given["statement"] and not given["key_file"]:
        raise SigningError("--key: name your private key; make one with `synth-pipeline keys new --out FILE`")
    if given["sign_only"] != bool(given["out"]):
        raise SigningError("--sign-only and --out go together: --out names the file of the statement")


def _signed(home: "Home", word: str, wish: "Wish", given: Mapping[str, Any]) -> bytes:
    from synth_pipeline.integrations.approvals import find_release, release_in, require_signed
    from synth_pipeline.release.approval import (
        Standing,
        read_decision,
        require_acceptable,
        require_passed_checks,
        sign,
    )

    folder = Path(word)
    release = release_in(folder) if (folder / "certificate.json").is_file() else find_release(home, word)
    subject, now = require_signed(home, release), datetime.now(UTC)
    if wish.kind == "approve":
        require_passed_checks(release.certificate, name=release.name)
    envelope = sign(subject, wish, _key(given), now=now)
    decision = read_decision(envelope, where="--out")
    require_acceptable(
        decision, subject, Standing("candidate"), approvers=(), now=now
    )  # as far as it can be known here
    return envelope


def _key(given: Mapping[str, Any]) -> Any:
    from synth_pipeline.release.keys import read_private_key

    path = Path(given["key_file"])
    if not path.is_file():  # before a passphrase is asked for
        raise SigningError(f"{path}: no such key; give the file that `synth-pipeline keys new` wrote")
    return read_private_key(path, asked_passphrase(given["passphrase_file"], path))


def _approvers_of(dataset: str) -> tuple[str, ...]:
    """Who may approve, by the dataset's specification.

    Raises:
        SpecError: if nothing defines the dataset, so that nobody can say.
    """
    from synth_pipeline.cli.dataset import DEFS_VARIABLE, defined_specs

    specs = defined_specs()
    if dataset not in specs:
        raise SpecError(
            f"dataset {dataset!r}: no definition, which says who may approve; name its folder in ${DEFS_VARIABLE}"
        )
    return specs[dataset].release.approvers


def _read(path: Path) -> bytes:
    from synth_pipeline.release.approval import LONGEST_STATEMENT

    try:
        with path.open("rb") as file:  # a device may have no end
            return file.read(LONGEST_STATEMENT)
    except OSError as error:
        raise SigningError(f"--statement: {path}: cannot be read ({type(error).__name__}); check the path") from None


def _write_statement(path: Path, envelope: bytes) -> Path:
    from synth_pipeline.integrations.folder_store import replace_file

    if path.exists():
        raise SigningError(f"--out: {path}: exists; give another name, or move it away")
    if not path.parent.is_dir():
        raise SigningError(f"--out: {path.parent}: no such folder; create it, or give another path")
    replace_file(path, envelope)
    return path


def _render(console: "Console", content: Mapping[str, Any]) -> None:
    shown = {
        "release": content["release"],
        "state": content["state"],
        "by key": content["key"],
        "purpose": content["purpose"],
        "conditions": content["conditions"],
        "last day": content["expires"],
        "reason": content["reason"],
        "ledger": content["ledger"],
        "MLflow": content["mlflow"],
        "now": content["done"],
    }
    facts(console, {name: value for name, value in shown.items() if value})
