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

Sampling reads no private row, so it charges nothing: draw as often as you like. With --where every row meets the condition, drawn
from the model's conditional law; names with other letters than a-z, 0-9 and _ are quoted as in SQL."""


@click.command(epilog=_EPILOG, short_help="Draw synthetic rows from a trained model; free.")
@click.argument("model_dir", type=click.Path())
@click.option("--rows", required=True, type=int, help="Number of rows, at least 1.")
@click.option("--out", required=True, type=click.Path(), help="File to write: .parquet or .csv.")
@click.option("--where", default=None, help="SQL condition that every row meets.")
@click.option("--seed", default=None, type=click.IntRange(min=0), help="Seed of the draw. Default: a fresh one.")
@json_option
@refusing
def sample(model_dir: str, *, rows: int, out: str, where: str | None, seed: int | None, as_json: bool) -> None:
    """Draw synthetic rows from the model in MODEL_DIR, which `fit` wrote."""
    from synth_pipeline.cli.place import require_table_place
    from synth_pipeline.release.model import load_model
    from synth_pipeline.snapshot.read import write_table

    require_table_place(out)
    model = load_model(model_dir)
    drawn = model.sample(rows, where=where, seed=seed)
    write_table(drawn, out)
    content = {
        "out": str(Path(out)),
        "rows": len(drawn),
        "columns": [str(name) for name in drawn.columns],
        "where": where,
        "seed": seed,
    }
    answer(content, lambda console: console.print(f"{len(drawn):,} rows in {out}", soft_wrap=True), as_json=as_json)
