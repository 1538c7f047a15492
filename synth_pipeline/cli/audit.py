"""`audit`: a measured lower bound on the ε of what a specification plans, beside the claim."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from synth_pipeline.cli.options import json_option, read_spec, spec_option
from synth_pipeline.cli.output import answer, facts, number, table
from synth_pipeline.cli.progress import progress
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import EXIT_CHECK_FAILED

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.audit.verdict import MechanismAudit

_UNSTATED = "internal, unless the rows are released: the file does not state that they are, and nothing was charged (--released says so)"

_EPILOG = """\b
Examples:
  synth-pipeline audit --spec people.yaml                                a table is invented from the spec
  synth-pipeline audit --spec people.yaml --data release/data.parquet    rows that were released already
  synth-pipeline audit --spec people.yaml --data synthetic.csv --released
  synth-pipeline audit --spec people.yaml --generator aim --epsilon 3 --runs 20000 --json

The walk's own mechanism is run on neighbouring tables, and its answers are guessed apart; what is shown to be lost cannot be more than what
is claimed. --data is treated as if it were private but is not protected by this command: give rows that need no protection, such as
a synthetic table. Of private rows the result would be exact and uncharged: where the file does not state that it is released, the
answer says that it is internal. Nothing is charged. Exit code 4: the claim is contradicted."""


@click.command(epilog=_EPILOG, short_help="A measured lower bound on ε, beside the claim.")
@spec_option
@click.option("--data", type=click.Path(), help="Rows that need no protection. Default: rows invented from the spec.")
@click.option(
    "--released",
    "is_released",
    is_flag=True,
    help="The rows are released, though the file does not state it (CSV, `sample`).",
)
@click.option("--generator", help="Audit another kind of generator than the spec names.")
@click.option("--epsilon", type=float, help="Audit another ε than the spec's.")
@click.option("--delta", type=float, help="Audit another δ than the spec's.")
@click.option(
    "--runs",
    type=click.IntRange(100, 1_000_000),
    default=10_000,
    show_default=True,
    help="Transcripts (or canaries, for DP-SGD) that the bound rests on.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of who is left out; noise is never seeded.")
@json_option
@refusing
def audit(  # noqa: PLR0913  (each option is an argument)
    spec_path: str,
    *,
    data: str | None,
    is_released: bool,
    generator: str | None,
    epsilon: float | None,
    delta: float | None,
    runs: int,
    seed: int,
    as_json: bool,
) -> int | None:
    """Try to show that a walk loses more than the ε it claims; a lower bound with its confidence."""
    import json

    from synth_pipeline.audit.public_table import invent_table
    from synth_pipeline.cli.released_file import states_release
    from synth_pipeline.snapshot.read import read_table
    from synth_pipeline.walk import AUDITED_ROWS
    from synth_pipeline.walk import audit as audit_walk

    spec = read_spec(spec_path, generator=generator, epsilon=epsilon, delta=delta)
    rows = invent_table(spec, AUDITED_ROWS, seed=seed) if data is None else read_table(data, spec, what="--data")
    with progress(f"audit: {spec.dataset}") as tell, _without_warnings():
        found = audit_walk(spec, rows, runs=runs, seed=seed, progress=tell)
    audited = "rows invented from the specification" if data is None else str(data)
    zone = "released" if data is None or is_released or states_release(data) else _UNSTATED
    content = {"dataset": spec.dataset, "table": audited, "zone": zone, **json.loads(found.to_json())}
    answer(content, lambda console: _render(console, spec.dataset, found, (audited, zone)), as_json=as_json)
    return EXIT_CHECK_FAILED if found.is_contradiction else None


@contextmanager
def _without_warnings() -> Generator[None]:
    """Keep log lines about the audited table, such as that it has too few rows, off the screen: it stands for another one."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _render(console: "Console", dataset: str, found: "MechanismAudit", table_and_zone: tuple[str, str]) -> None:
    bound, (audited, zone) = found.lower_bound, table_and_zone
    verdict = "the claim is CONTRADICTED" if found.is_contradiction else "nothing contradicts the claim"
    console.print(f"{dataset}: {verdict}.\n", soft_wrap=True)
    facts(
        console,
        {
            "engine": found.engine,
            "claimed": f"ε = {number(found.claimed_epsilon)} at δ = {number(found.claimed_delta)}, for {found.unit}",
            "shown": f"ε ≥ {number(bound.epsilon)} with {bound.confidence:.0%} confidence ({bound.method}, {bound.runs:,} runs)",
            "left out": found.canary,
            "table": audited,
            "zone": zone,
        },
    )
    if found.findings:
        console.print()
        rows = [(one.kind, "/".join(filter(None, (one.stage, one.purpose))), one.detail) for one in found.findings]
        table(console, ("finding", "where", "measured"), rows)
    console.print(
        "\nA low bound does not show that a mechanism is private; a bound above the claim shows that it is not."
    )
