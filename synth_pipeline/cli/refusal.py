"""What a person sees when a command does not end well: one line on stderr, never a traceback, never a private value."""

import functools
import os
import secrets
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import click

from synth_pipeline.errors import SynthPipelineError

EXIT_CRASHED = 1
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def refusing(command: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """A command whose refusals and crashes end it with one line on stderr and an exit code.

    A refusal of our own family says what it says. Any other exception may hold a private value: its message and traceback go to
    `<home>/private/logs`, and the line names only its type and the place in our code.
    """

    @functools.wraps(command)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return command(*args, **kwargs)
        except SynthPipelineError as refusal:
            message, code = str(refusal), refusal.exit_code
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is, its message may hold a value)
            message, code = _crash(error), EXIT_CRASHED
        _stop(message, code)

    return call


def tell_refusal(command: str, message: str) -> None:
    """Write one line to stderr, whatever the message holds."""
    click.echo(" ".join(f"{command}: {message}".split()), err=True)


def _stop(message: str, code: int) -> NoReturn:
    context = click.get_current_context()
    tell_refusal(context.command_path, message)
    raise click.exceptions.Exit(code)


def _crash(error: Exception) -> str:
    what = f"stopped by an unexpected {type(error).__name__} at {_our_line(error)}"
    try:
        kept = f"the traceback is in {_keep(error)}"
    except (OSError, ImportError):  # a stranger who verifies has few libraries
        kept = "the traceback could not be kept, because the home folder cannot be written"
    return f"{what}; its message is withheld because it may hold real values; {kept}"


def _our_line(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "synth_pipeline" in Path(frame.filename).parts]
    last = (ours or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _keep(error: Exception) -> Path:
    """The traceback in the private zone, readable by its owner alone."""
    from synth_pipeline.integrations.stores import Home

    home = Home.at(click.get_current_context().params.get("home")).make()
    folder = home.folder / "private" / "logs"
    for place in (folder.parent, folder):
        place.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.txt"
    # The command line is left out: an option such as --where may be anything, and the traceback says where it was.
    text = f"python {sys.version.split()[0]}\n{''.join(traceback.format_exception(error))}"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path
