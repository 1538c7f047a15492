"""`ui`: Dagster's pages on the home folder's runs."""

import click

from synth_pipeline.cli.dagster_walk import PORT, serve
from synth_pipeline.cli.options import home_option
from synth_pipeline.cli.refusal import refusing

_EPILOG = """\b
Examples:
  synth-pipeline ui                   http://127.0.0.1:3000
  synth-pipeline ui --port 8080 --home /tmp/demo

Stop it with Ctrl-C. It has no login of its own: it listens on this machine only."""


@click.command(epilog=_EPILOG, short_help="Dagster's pages: runs, asset graph, checks, metadata.")
@home_option
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65535), help="Port on this machine.")
@refusing
def ui(*, home: str | None, port: int) -> None:
    """Serve Dagster's web pages with the home's runs, asset graph, checks and metadata."""
    from synth_pipeline.integrations.stores import Home

    serve(Home.at(home), port, ready=lambda address: click.echo(f"Dagster: {address} (Ctrl-C stops it)"))
