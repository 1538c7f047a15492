"""`run`: one full walk of a defined dataset through Dagster."""

from pathlib import Path

import click

from synth_pipeline.cli.dagster_walk import render_report, report_json, walk_through_dagster
from synth_pipeline.cli.options import home_option, json_option
from synth_pipeline.cli.output import answer
from synth_pipeline.cli.progress import progress
from synth_pipeline.cli.refusal import refusing

_EPILOG = """\b
Examples:
  synth-pipeline run gss                                     the newest snapshot of the dataset's source
  synth-pipeline run people --snapshot people_2024.parquet
  SYNTH_PIPELINE_DEFS=./datasets synth-pipeline run people   your own: ./datasets/people/defs.yaml

The budget is reserved before the file is opened. What does not fit under the cap ends with exit code 3 and an unchanged ledger."""


@click.command(epilog=_EPILOG, short_help="One full walk of a dataset through Dagster.")
@click.argument("dataset")
@click.option(
    "--snapshot",
    default=None,
    type=click.Path(),
    help="Snapshot file. Default: the newest snapshot of the dataset's source.",
)
@home_option
@json_option
@refusing
def run(dataset: str, *, snapshot: str | None, home: str | None, as_json: bool) -> None:
    """Run one full walk of DATASET, from a snapshot to a release, through Dagster."""
    from synth_pipeline.integrations.stores import Home

    file = Path(snapshot) if snapshot is not None else None
    with progress(f"run: {dataset}") as tell:
        report = walk_through_dagster(dataset, snapshot=file, home=Home.at(home), tell=tell)
    answer(report_json(report), lambda console: render_report(console, report), as_json=as_json)
