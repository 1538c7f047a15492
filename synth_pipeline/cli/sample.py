"""`sample`: rows from a trained model."""

from pathlib import Path

import click

from synth_pipeline.cli.options import json_option
from synth_pipeline.cli.output import answer
from synth_pipeline.cli.refusal import refusing

_EPILOG = """\b
Examples:
  synth-pipeline sample model --rows 10000 --out synthetic.parquet
  synth-pipeline sample model --rows 500 --out young_rich.csv --where "income = '>50K' AND age < 30"
  synth-pipeline sample model --rows 500 --out x.parquet --where "\\"hours-per-week\\" BETWEEN 35 AND 45" --seed 7
  synth-pipeline sample model --given partial.csv --out filled.csv --null-token NA

Sampling reads no private row, so it charges nothing: draw as often as you like. With --where every row meets the condition, drawn
from the model's conditional law; names with other letters than a-z, 0-9 and _ are quoted as in SQL.

With --given the rows of your file come back in their order, known cells unchanged. A cell that is empty, or whose column is absent, is
unknown and is drawn from the model's law given the row's other cells. A null that is known is written as the --null-token. The given rows
are your own: nothing is charged for them, and nothing of them is kept. Engines that can do it: mixture
(exact), maxent, hybrid, autoregressive."""


@click.command(epilog=_EPILOG, short_help="Draw synthetic rows from a trained model; free.")
@click.argument("model_dir", type=click.Path())
@click.option("--rows", default=None, type=int, help="Number of rows, at least 1.")
@click.option("--out", required=True, type=click.Path(), help="File to write: .parquet or .csv.")
@click.option("--where", default=None, help="SQL condition that every row meets.")
@click.option("--given", default=None, type=click.Path(), help="Rows with missing cells to fill: .parquet or .csv.")
@click.option("--null-token", default=None, help="Text in the --given rows that marks a known null.")
@click.option("--seed", default=None, type=click.IntRange(min=0), help="Seed of the draw. Default: a fresh one.")
@json_option
@refusing
def sample(  # noqa: PLR0913  (each option is an argument)
    model_dir: str,
    *,
    rows: int | None,
    out: str,
    where: str | None,
    given: str | None,
    null_token: str | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Draw synthetic rows from the model in MODEL_DIR, which `fit` wrote, or fill the missing cells of given rows by it."""
    from synth_pipeline.cli.place import require_table_place
    from synth_pipeline.errors import TableError
    from synth_pipeline.release.model import load_model
    from synth_pipeline.snapshot.read import read_table, write_table

    if (rows is None) == (given is None):
        raise TableError("--rows, --given: give one of them: a number of rows to draw, or a file of rows to fill")
    if given is not None and where is not None:
        raise TableError("--where: does not go with --given, whose known cells are the condition; leave one out")
    if given is None and null_token is not None:
        raise TableError("--null-token: marks known nulls in the --given rows; give them too, or leave it out")
    require_table_place(out)
    model = load_model(model_dir)
    partial = None if given is None else read_table(given, what="--given", keep_text=True)
    drawn = model.sample(rows, where=where, seed=seed, given=partial, null_token=null_token)
    write_table(drawn, out)
    content = {
        "out": str(Path(out)),
        "rows": len(drawn),
        "columns": [str(name) for name in drawn.columns],
        "where": where,
        "given": given,
        "seed": seed,
    }
    answer(content, lambda console: console.print(f"{len(drawn):,} rows in {out}", soft_wrap=True), as_json=as_json)
