"""`rebalance`: rows from a trained model with asked shares of groups or classes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pipeline.cli.options import json_option
from synth_pipeline.cli.output import answer
from synth_pipeline.cli.refusal import refusing

if TYPE_CHECKING:
    from synth_pipeline.release.rebalance import Shares

_EPILOG = """\b
Examples:
  synth-pipeline rebalance model --rows 10000 --by income --out balanced.parquet           each class equally often
  synth-pipeline rebalance model --rows 10000 --by sex --by income --out cells.parquet     each combination equally often
  synth-pipeline rebalance model --rows 10000 --shares shares.yaml --out asked.parquet

\b
A --shares file (YAML or JSON) gives shares by column, which are multiplied out, or by SQL conditions that exclude one another:
  income: {"<=50K": 0.5, ">50K": 0.5}          - {where: "sex = 'Female' AND income = '>50K'", share: 0.25}
  sex: equal                                   - {where: "NOT (sex = 'Female' AND income = '>50K')", share: 0.75}

The numbers of rows are exact, rounded by largest remainders, and the order is random. Inside each group the rows follow the model's law
given the group; nothing else is kept, so statistics over the whole table move with the shares. Free: no private row is read."""


@click.command(epilog=_EPILOG, short_help="Draw rows with the shares of groups or classes that you ask for; free.")
@click.argument("model_dir", type=click.Path())
@click.option("--rows", required=True, type=int, help="Number of rows, at least 1.")
@click.option("--by", multiple=True, help="Column whose categories get equal shares; may be given several times.")
@click.option("--shares", "shares_path", default=None, type=click.Path(), help="File of shares: .yaml or .json.")
@click.option("--out", required=True, type=click.Path(), help="File to write: .parquet or .csv.")
@click.option("--seed", default=None, type=click.IntRange(min=0), help="Seed of the draw. Default: a fresh one.")
@json_option
@refusing
def rebalance(  # noqa: PLR0913  (each option is an argument)
    model_dir: str,
    *,
    rows: int,
    by: tuple[str, ...],
    shares_path: str | None,
    out: str,
    seed: int | None,
    as_json: bool,
) -> None:
    """Draw rows from the model in MODEL_DIR, which `fit` wrote, with given shares of groups or classes."""
    from synth_pipeline.cli.place import require_table_place
    from synth_pipeline.release.model import load_model
    from synth_pipeline.snapshot.read import write_table

    shares = _asked(by, None if shares_path is None else _read_shares(Path(shares_path)))
    require_table_place(out)
    drawn = load_model(model_dir).rebalance(rows, shares=shares, seed=seed)
    write_table(drawn, out)
    content = {
        "out": str(Path(out)),
        "rows": len(drawn),
        "columns": [str(name) for name in drawn.columns],
        "by": list(by),
        "shares": shares_path,
        "seed": seed,
    }
    answer(content, lambda console: console.print(f"{len(drawn):,} rows in {out}", soft_wrap=True), as_json=as_json)


def _asked(by: tuple[str, ...], given: "Shares | None") -> "Shares":
    """The shares of --by and --shares together."""
    from synth_pipeline.errors import TableError

    if not by and given is None:
        raise TableError("--by, --shares: give a column, or a file of shares")
    equal: dict[str, Any] = dict.fromkeys(by, "equal")
    if given is None:
        return equal
    if not by:
        return given
    if not isinstance(given, dict):
        raise TableError("--by: does not go with --shares by conditions; put the column into the conditions")
    twice = [name for name in by if name in given]
    if twice:
        raise TableError(f"--by: {', '.join(twice)} is in --shares too; name it in one of them")
    return {**equal, **given}


def _read_shares(path: Path) -> "Shares":
    """The shares in a file: a mapping by column, or conditions with shares.

    Raises:
        TableError: if the file cannot be read or holds neither.
    """
    import yaml

    from synth_pipeline.errors import TableError

    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise TableError(
            f"--shares: {path}: cannot be read as YAML or JSON ({type(fault).__name__}); see `synth-pipeline rebalance --help`"
        ) from None
    if isinstance(content, dict) and content:
        return content
    if isinstance(content, list) and content and all(_is_condition(item) for item in content):
        return [(item["where"], item["share"]) for item in content]
    raise TableError(
        f"--shares: {path}: holds neither shares by column nor a list of {{where: CONDITION, share: NUMBER}};"
        " see `synth-pipeline rebalance --help`"
    )


def _is_condition(item: object) -> bool:
    return isinstance(item, dict) and set(item) == {"where", "share"} and isinstance(item["where"], str)
