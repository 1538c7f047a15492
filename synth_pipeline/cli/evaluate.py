"""`evaluate`: a synthetic table scored against real rows."""

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from synth_pipeline.cli.options import json_option, read_spec, spec_option
from synth_pipeline.cli.output import answer, facts, table
from synth_pipeline.cli.progress import progress
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import TableError

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.audit.attack import AttackReport
    from synth_pipeline.benchmark.scorecard import Scorecard

_SCORECARD, _REPORT = "scorecard.json", "report.html"
_ATTACKS, _ATTACK_PAGE = "attacks.json", "attacks.html"
_EPILOG = """\b
Examples:
  synth-pipeline evaluate --spec people.yaml --train train.parquet --holdout holdout.parquet \\
      --synthetic synthetic.parquet --out scores
  synth-pipeline evaluate ... --quick --json
  synth-pipeline evaluate ... --attacks      membership, inference, linkability, singling out, copies; diagnostics, not a gate

--train is what the generator saw, --holdout rows of the same kind that it did not see. `fit` trains on every row of its file, so keep the
holdout out of it beforehand, all rows of a person together; a walk through Dagster (`run`) does this by itself.

Scores are computed on real rows without noise
and no ε covers them: what is written to --out is internal and readable by you alone."""


@click.command(epilog=_EPILOG, short_help="Score a synthetic table against real rows.")
@spec_option
@click.option("--train", required=True, type=click.Path(), help="Real rows that the generator saw.")
@click.option("--holdout", required=True, type=click.Path(), help="Real rows that it did not see.")
@click.option("--synthetic", required=True, type=click.Path(), help="The rows to score.")
@click.option("--out", required=True, type=click.Path(), help="Folder for scorecard.json and report.html.")
@click.option("--attacks", is_flag=True, help="Attack the table too: attacks.json and attacks.html.")
@click.option("--quick", is_flag=True, help="Smaller subsamples, fewer trees and resamples.")
@json_option
@refusing
def evaluate(  # noqa: PLR0913  (each option is an argument)
    spec_path: str, *, train: str, holdout: str, synthetic: str, out: str, attacks: bool, quick: bool, as_json: bool
) -> None:
    """Score a synthetic table: fidelity, two-sample test, and train-on-synthetic-test-on-real, each with an interval."""
    from synth_pipeline.audit.attack import attack_table
    from synth_pipeline.benchmark.measure import score
    from synth_pipeline.cli.place import require_folder_place
    from synth_pipeline.report.evaluation_page import evaluation_report
    from synth_pipeline.snapshot.read import read_table

    spec = read_spec(spec_path)
    require_folder_place(out)
    paths = {"--train": train, "--holdout": holdout, "--synthetic": synthetic}
    seen, unseen, drawn = (read_table(path, spec, what=option) for option, path in paths.items())
    with progress(f"evaluate: {spec.dataset}") as tell:
        card = score(seen, unseen, drawn, spec, quick=quick, progress=lambda message: tell(message, 0.0))
        tell("report: pages", 0.9)
        page = evaluation_report(card, seen, unseen, drawn, spec)
        attacked = attack_table(seen, unseen, drawn, spec, progress=lambda what: tell(what, 0.95)) if attacks else None
    places = _written(Path(out), card, page)
    content = {"scorecard": str(places[0]), "report": str(places[1]), **card.to_dict()}
    if attacked is not None:
        content["attacks"] = {"page": str(_attacks_written(Path(out), attacked)), **attacked.to_dict()}
    answer(content, lambda console: _render(console, card, attacked, places), as_json=as_json)


def _written(folder: Path, card: "Scorecard", page: str) -> tuple[Path, Path]:
    """Both files, each whole or not at all, readable by their owner alone."""
    scorecard, report = folder / _SCORECARD, folder / _REPORT
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        card.write_scorecard(scorecard)
    except OSError as fault:
        raise _unwritable(folder, fault) from None
    return scorecard, _own_file(report, page)


def _attacks_written(folder: Path, attacked: "AttackReport") -> Path:
    """Findings and page of the attacks, in the same folder."""
    from synth_pipeline.report.attack_page import attack_page

    _own_file(folder / _ATTACKS, json.dumps(attacked.to_dict(), indent=1))
    return _own_file(folder / _ATTACK_PAGE, attack_page(attacked))


def _own_file(path: Path, text: str) -> Path:
    """A file that its owner alone can read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as fault:
        raise _unwritable(path.parent, fault) from None
    finally:
        draft.unlink(missing_ok=True)
    return path


def _unwritable(folder: Path, fault: OSError) -> TableError:
    return TableError(f"--out: {folder}: cannot be written ({type(fault).__name__}); check its permissions and space")


def _render(console: "Console", card: "Scorecard", attacked: "AttackReport | None", places: tuple[Path, Path]) -> None:
    from synth_pipeline.audit.attack import headline
    from synth_pipeline.audit.attack import summary_lines as attack_lines
    from synth_pipeline.benchmark.summary import summary_lines

    console.print(
        f"{card.dataset}: {card.rows['synthetic']:,} synthetic rows against {card.rows['train']:,} real ones\n"
    )
    table(console, ("score", "value [95 % interval]", "how to read it"), summary_lines(card))
    if attacked is not None:
        console.print(f"\n{headline(attacked)}\n", soft_wrap=True)
        table(console, ("attack", "value [95 % interval]", "how to read it"), attack_lines(attacked))
    facts(
        console,
        {
            "scorecard": str(places[0]),
            "report": str(places[1]),
            "zone": "internal: computed on real rows without noise",
        },
    )
