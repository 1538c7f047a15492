"""`keys`: make the pair of keys that signs or approves releases, and name a public one."""

import os
import sys
from pathlib import Path

import click

from synth_pipeline.cli.options import json_option
from synth_pipeline.cli.output import answer, facts
from synth_pipeline.cli.refusal import refusing

PASSPHRASE_VARIABLE = "SYNTH_PIPELINE_PASSPHRASE"  # noqa: S105  (a name)
_EPILOG = """\b
Examples:
  synth-pipeline keys new --out ~/keys/requester.key       asks for a passphrase twice
  synth-pipeline keys new --out ~/keys/approver.key --passphrase-file ~/keys/approver.passphrase
  synth-pipeline keys show ~/keys/requester.key.pub

\b
A home signs its releases with the key in $SYNTH_PIPELINE_SIGNING_KEY, whose passphrase is in the file
$SYNTH_PIPELINE_SIGNING_PASSPHRASE_FILE (mode 0600); without them with keys/requester.key and keys/requester.passphrase in the home.
Whoever approves has a key of his own, elsewhere. Give the .pub file to those who verify, by another way than the bundle."""


@click.group(epilog=_EPILOG, short_help="Make and name the keys that sign and approve releases.")
def keys() -> None:
    """Make and name the keys that sign and approve releases."""


@keys.command(epilog=_EPILOG, short_help="Make a pair of keys under a passphrase.")
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False), help="File of the private half; .pub goes beside it."
)
@click.option(
    "--passphrase-file",
    default=None,
    type=click.Path(dir_okay=False),
    help=f"File that holds the passphrase, mode 0600. Default: ${PASSPHRASE_VARIABLE}, else asked for.",
)
@json_option
@refusing
def new(*, out: str, passphrase_file: str | None, as_json: bool) -> None:
    """Make a pair of Ed25519 keys: the private half encrypted under a passphrase (mode 0600), the public half beside it."""
    from synth_pipeline.release.keys import key_id, new_key, read_public_key, require_key_place

    path = Path(out).expanduser()
    require_key_place(path)
    public = new_key(path, _passphrase(passphrase_file))
    name = key_id(read_public_key(public))
    content = {"key_id": name, "private": str(path), "public": str(public)}
    answer(
        content,
        lambda console: facts(
            console,
            {
                "key": name,
                "private": f"{path}  (keep it, and its passphrase elsewhere: neither can be made again)",
                "public": f"{public}  (give it to those who verify)",
            },
        ),
        as_json=as_json,
    )


@keys.command(epilog=_EPILOG, short_help="The id of a public key.")
@click.argument("public_key", metavar="FILE.pub", type=click.Path(dir_okay=False))
@json_option
@refusing
def show(public_key: str, *, as_json: bool) -> None:
    """Print the id of a public key: the beginning of its SHA-256, as certificates and approvals name it."""
    from synth_pipeline.release.keys import key_id, read_public_key

    name = key_id(read_public_key(Path(public_key)))
    answer({"key_id": name, "public": public_key}, lambda console: console.print(name), as_json=as_json)


def _passphrase(file: str | None) -> str:
    """A new passphrase, from a file, the environment, or the keyboard (twice, unseen).

    Raises:
        SigningError: if the file cannot be used, or there is nobody to ask.
    """
    from synth_pipeline.errors import SigningError
    from synth_pipeline.release.signer import read_passphrase

    if file is not None:
        return read_passphrase(Path(file).expanduser())
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given
    if not sys.stdin.isatty():
        raise SigningError(
            f"passphrase: there is no terminal to ask at; give --passphrase-file FILE, or set ${PASSPHRASE_VARIABLE}"
        )
    return click.prompt("Passphrase", hide_input=True, confirmation_prompt="Once more", type=str, err=True)
