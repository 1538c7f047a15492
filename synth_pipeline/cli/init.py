"""`init`: a proposed spec from a file's schema; what only a person can know is left to be confirmed."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from synth_pipeline.cli.options import json_option
from synth_pipeline.cli.output import answer
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import SpecError

if TYPE_CHECKING:
    from rich.console import Console

_EPILOG = """\b
Examples:
  synth-pipeline init --data people.parquet --out people.yaml
  $EDITOR people.yaml            fill in every line that says CONFIRM
  synth-pipeline plan --spec people.yaml

Only names and types are read, never a value: bounds and categories taken from the rows would leak them. State them from what the
columns mean. Until all of them are stated the spec is refused, with a line that names what is missing.

\b
For walks through Dagster put the same keys, indented, into DEFS/people/defs.yaml, and let $SYNTH_PIPELINE_DEFS name the folder DEFS:
  type: synth_pipeline.orchestration.SyntheticDataset
  attributes:
    dataset: people ..."""


@click.command(epilog=_EPILOG, short_help="Propose a spec from a file's schema.")
@click.option(
    "--data", required=True, type=click.Path(), help="The private table: .parquet or .csv; its rows are not read."
)
@click.option("--out", required=True, type=click.Path(), help="Spec file to write; an existing one is left alone.")
@json_option
@refusing
def init(*, data: str, out: str, as_json: bool) -> None:
    """Propose a spec from a file's schema: names and types only; bounds and categories are yours to state."""
    from synth_pipeline.cli.proposal import propose, read_fields

    target = Path(out)
    if target.exists():
        raise SpecError(f"--out: {target}: exists; give another path, or remove it first")
    proposal = propose(read_fields(Path(data)), dataset=Path(data).stem)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(proposal.text)
    except OSError as fault:
        raise SpecError(f"--out: {target}: cannot be written ({type(fault).__name__}); check the folder") from None

    def render(console: "Console") -> None:
        console.print(
            f"{target}: {len(proposal.kinds)} columns proposed, {proposal.to_confirm} lines to confirm.\n"
            f"Fill in every line that says CONFIRM, then: synth-pipeline plan --spec {target}",
            soft_wrap=True,
        )

    answer({"spec": str(target), "columns": proposal.kinds, "to_confirm": proposal.to_confirm}, render, as_json=as_json)
