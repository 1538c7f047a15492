"""`schema`: the keys of a specification, as JSON Schema."""

import json

import click

from synth_pipeline.cli.options import json_option
from synth_pipeline.cli.refusal import refusing

_EPILOG = """\b
Examples:
  synth-pipeline schema
  synth-pipeline schema > spec.schema.json      for editors that complete YAML by a schema"""


@click.command(epilog=_EPILOG, short_help="Every key of a spec file, as JSON Schema.")
@json_option
@refusing
def schema(*, as_json: bool) -> None:  # noqa: ARG001  (JSON Schema is JSON either way)
    """Print the JSON Schema of a spec file: every key, its type, range and meaning."""
    from synth_pipeline.spec import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
