"""Passphrases of keys: in a file, in the environment, or asked for; never an argument, which other users of the machine would see."""

import os
import sys
from pathlib import Path

import click

from synth_pipeline.cli.keys import PASSPHRASE_VARIABLE
from synth_pipeline.errors import SigningError


def asked_passphrase(file: str | None, key: Path) -> str:
    """The passphrase of a key.

    Args:
        file: file that holds it; without one, `$SYNTH_PIPELINE_PASSPHRASE`, else it is asked for where somebody sits at a terminal.
        key: file of the key, for the question.

    Raises:
        SigningError: if it is in none of these, or the file cannot be read.
    """
    from synth_pipeline.release.signer import read_passphrase

    if file:
        return read_passphrase(Path(file))
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given
    if sys.stdin.isatty():
        return str(click.prompt(f"Passphrase of {key}", hide_input=True, err=True))
    raise SigningError(
        f"{key}: its passphrase is not known; give --passphrase-file, set ${PASSPHRASE_VARIABLE}, or run it at a terminal"
    )
