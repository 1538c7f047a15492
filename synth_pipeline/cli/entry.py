"""The program: its commands, and what it exits with."""

import os
import sys
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import click

from synth_pipeline.cli.approve import approve, withdraw
from synth_pipeline.cli.audit import audit
from synth_pipeline.cli.demo import demo
from synth_pipeline.cli.evaluate import evaluate
from synth_pipeline.cli.fit import fit
from synth_pipeline.cli.frontier import frontier
from synth_pipeline.cli.init import init
from synth_pipeline.cli.keys import keys
from synth_pipeline.cli.ledger import ledger
from synth_pipeline.cli.lineage import lineage
from synth_pipeline.cli.plan import plan
from synth_pipeline.cli.rebalance import rebalance
from synth_pipeline.cli.refusal import EXIT_CRASHED, EXIT_INTERRUPTED, EXIT_TERMINATED, tell_refusal
from synth_pipeline.cli.run import run
from synth_pipeline.cli.sample import sample
from synth_pipeline.cli.schema import schema
from synth_pipeline.cli.signals import Heard, TerminatedError, heard_signals
from synth_pipeline.cli.ui import ui
from synth_pipeline.cli.verify import verify
from synth_pipeline.errors import EXIT_DONE

PROGRAM = "synth-pipeline"
_EPILOG = """\b
A first walk, from a file to a synthetic one:
  synth-pipeline init --data people.parquet --out people.yaml      then state the bounds where it says CONFIRM
  synth-pipeline plan --spec people.yaml                           what it will charge, before any row is read
  synth-pipeline fit --spec people.yaml --data people.parquet --out model
  synth-pipeline sample model --rows 10000 --out synthetic.parquet
  synth-pipeline ledger show people

\b
Or all of it on a real table, through Dagster:
  synth-pipeline demo

\b
Exit codes: 0 done; 1 crashed; 2 bad input; 3 budget refused; 4 a blocking check failed.
Everything it keeps lies in $SYNTH_PIPELINE_HOME, or in .synth_pipeline where that is not set."""

_ENDED = "{}; what was read stays charged: see `synth-pipeline ledger show`"


class _InWalkOrder(click.Group):
    """Lists the commands in the order in which a walk uses them, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; SIGTERM stays what it is where a library made Ctrl-C of it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if isinstance(ctx.obj, Heard) and ctx.obj.is_termination:
                raise TerminatedError from None
            raise


@click.group(
    cls=_InWalkOrder,
    invoke_without_command=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--version", is_flag=True, help="Print the version and exit.")
@click.pass_context
def program(context: click.Context, *, version: bool) -> None:
    """Turn a table you may not share into a synthetic one, with an end-to-end differential-privacy guarantee."""
    if version:
        click.echo(f"{PROGRAM} {_installed_version()}")
        context.exit()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (
    demo,
    init,
    schema,
    plan,
    run,
    fit,
    sample,
    rebalance,
    evaluate,
    frontier,
    audit,
    ledger,
    lineage,
    keys,
    approve,
    withdraw,
    verify,
    ui,
):
    program.add_command(_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments after the program's name; default: those of this process.

    Returns:
        The exit code: 0 done, 1 crashed, 2 bad input, 3 budget refused, 4 a blocking check failed.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with _quiet_libraries():
        try:
            with heard_signals() as heard:
                code = program.main(args=arguments, prog_name=PROGRAM, standalone_mode=False, obj=heard)
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            command = context.command_path if context is not None else PROGRAM
            tell_refusal(command, f"{error.format_message()} See `{command} --help`.")
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            tell_refusal(PROGRAM, _ENDED.format("interrupted"))
            return EXIT_INTERRUPTED
        except TerminatedError:
            tell_refusal(PROGRAM, _ENDED.format("terminated"))
            return EXIT_TERMINATED
        except BrokenPipeError:  # the reader of stdout has gone; nothing more can be said there
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_CRASHED
    return code if isinstance(code, int) else EXIT_DONE


def _installed_version() -> str:
    try:
        return metadata.version(PROGRAM)
    except metadata.PackageNotFoundError:
        return "unknown: run from its source files, without being installed"


@contextmanager
def _quiet_libraries() -> Generator[None]:
    """Keep libraries' warnings off stderr, as a warning may hold a value; `python -W` brings them back."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield
