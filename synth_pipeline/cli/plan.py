"""`plan`: what a walk will charge, line by line, before any row is read."""

from typing import TYPE_CHECKING

import click

from synth_pipeline.cli.options import json_option, read_spec, spec_option
from synth_pipeline.cli.output import aligned, answer, number, table
from synth_pipeline.cli.refusal import refusing

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.generate.plan import Plan
    from synth_pipeline.spec import Spec

_EPILOG = """\b
Examples:
  synth-pipeline plan --spec people.yaml
  synth-pipeline plan --spec people.yaml --json | jq .epsilon

The total is composed over everything that will run, exactly as the ledger composes it. The specification's ε is its upper end."""


@click.command(epilog=_EPILOG, short_help="What a run will charge, before any row is read.")
@spec_option
@json_option
@refusing
def plan(spec_path: str, *, as_json: bool) -> None:
    """Show what a run will charge, line by line, before any row is read."""
    from synth_pipeline.generate.plan import make_plan

    spec = read_spec(spec_path)
    made = make_plan(spec)
    answer(made.to_json(), lambda console: _render(console, spec, made), as_json=as_json)


def _render(console: "Console", spec: "Spec", made: "Plan") -> None:
    console.print(f"{made.dataset}: one walk with the {made.generator} generator")
    figures = aligned([line.epsilon for line in made.all_lines])
    lines = zip(made.all_lines, figures, strict=True)
    rows = [(line.stage, line.purpose, line.mechanism, figure) for line, figure in lines]
    table(console, ("stage", "purpose", "mechanism", "ε alone"), rows, right=("ε alone",))
    console.print(
        f"Together: ε = {number(made.epsilon)} at δ = {number(made.budget.delta)}, composed. No row was read."
    )
    unit, columns = spec.privacy.unit, f"the {len(spec.modelled)} modelled columns"
    if unit.max_rows > 1:
        console.print(
            f"It covers all rows of a person ({unit.column}), of which at most {unit.max_rows} are used; counts are of people, not rows."
        )
        columns += " and the number of a person's rows"
    console.print(
        f"This ε carries {columns} from about {made.wanted:,} {made.counted} on; a table of fewer gets a warning."
    )
