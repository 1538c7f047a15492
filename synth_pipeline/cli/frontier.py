"""`frontier`: what more or less budget would buy, measured on released rows alone."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pipeline.cli.options import home_option, json_option, read_spec
from synth_pipeline.cli.output import answer, facts, number, table
from synth_pipeline.cli.progress import progress
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import SpecError, TableError

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.frontier.released_rows import ReleasedRows
    from synth_pipeline.frontier.result import Frontier
    from synth_pipeline.release.model import ReleasedModel

_NAMES = ("frontier.json", "frontier.csv", "frontier.html")
_EPILOG = """\b
Examples:
  synth-pipeline frontier people                                of the release in force
  synth-pipeline frontier people --epsilons .3,1,3 --repeats 5 --out frontier
  synth-pipeline frontier --model model --rows 50000            of a model that `fit` wrote, for a table of 50,000 rows
  synth-pipeline frontier --table data.parquet --spec people.yaml        of a bundle's data

The walk (profile, training, sampling, scoring) is repeated on the released rows as if they were the private ones, at each ε. That is
post-processing of a release: no private row is read, nothing is charged, and the result may be shown to whoever may see the release.
What the ε of the grid would buy is an estimate from a table that has lost some structure already; docs/frontier.md says how good it is."""


def _grid(context: click.Context, option: click.Parameter, text: str) -> tuple[float, ...]:
    """The numbers between commas."""
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise click.BadParameter(
            "give numbers between commas, such as .1,.3,1,3,10", ctx=context, param=option
        ) from None


@click.command(epilog=_EPILOG, short_help="What more or less budget would buy; free.")
@click.argument("dataset", required=False)
@click.option("--model", default=None, type=click.Path(), help="Folder of a model, instead of a dataset's release.")
@click.option(
    "--table", "table_path", default=None, type=click.Path(), help="Released table, such as a bundle's data.parquet."
)
@click.option("--spec", "spec_path", default=None, type=click.Path(), help="Spec file of the --table.")
@click.option(
    "--released", "is_released", is_flag=True, help="The --table is released, though its file does not say so itself."
)
@click.option(
    "--epsilons", default=".1,.3,1,3,10", show_default=True, callback=_grid, help="The grid of ε, with commas."
)
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(2, 20), help="Walks for each ε.")
@click.option(
    "--rows", default=None, type=click.IntRange(min=1), help="Rows of the real table. Default: the released row count."
)
@click.option(
    "--out", default=None, type=click.Path(), help="Folder for frontier.json, frontier.csv and frontier.html."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of draws and learners, not of noise."
)
@home_option
@json_option
@refusing
def frontier(  # noqa: PLR0913  (each option is an argument)
    dataset: str | None,
    *,
    model: str | None,
    table_path: str | None,
    spec_path: str | None,
    is_released: bool,
    epsilons: tuple[float, ...],
    repeats: int,
    rows: int | None,
    out: str | None,
    seed: int,
    home: str | None,
    as_json: bool,
) -> None:
    """Estimate what more or less budget would buy for DATASET, from its release in force alone; charges nothing."""
    from synth_pipeline.cli.place import require_folder_place
    from synth_pipeline.frontier.duration import expected_minutes
    from synth_pipeline.frontier.measure import checked_grid, measure_frontier

    grid = checked_grid(epsilons)
    load = _source(dataset, model, table_path, spec_path, is_released=is_released)
    if out is not None:
        require_folder_place(out)
    released = load(home, rows, seed)
    walks = len(grid) * repeats
    minutes = expected_minutes(released, walks=walks)
    with progress(f"frontier: {released.spec.dataset}") as tell:
        tell(
            f"frontier: {walks} walks on {len(released.train):,} released rows, expected to take {_minutes(minutes)}",
            0.0,
        )
        found = measure_frontier(released, epsilons=grid, repeats=repeats, seed=seed, progress=tell)
    places = () if out is None else _written(Path(out), found)
    answer(_content(found, places), lambda console: _render(console, found, places), as_json=as_json)


def _source(
    dataset: str | None, model: str | None, table_path: str | None, spec_path: str | None, *, is_released: bool
) -> "Callable[[str | None, int | None, int], ReleasedRows]":
    """Which released rows are meant; loaded once the other options are known to be right.

    Raises:
        SpecError: unless exactly one of a dataset, a model and a table is named, and the table is said to be released.
    """
    if [dataset, model, table_path].count(None) != 2 or (table_path is None) != (spec_path is None):
        raise SpecError(
            "give a DATASET, or --model MODEL_DIR, or --table FILE with --spec SPEC; exactly one of the three"
        )
    if dataset is not None:
        return lambda home, rows, seed: _of_release(dataset, home, rows, seed)
    if model is not None:
        return lambda _, rows, seed: _of_model(model, rows, seed)
    if not is_released:
        _require_released(Path(str(table_path)))
    return lambda _, rows, seed: _of_table(str(table_path), str(spec_path), rows, seed)


def _of_release(dataset: str, home: str | None, rows: int | None, seed: int) -> "ReleasedRows":
    """The release in force of a dataset: rows of its generator."""
    from synth_pipeline.cli.dataset import defined_specs
    from synth_pipeline.frontier.released_rows import rows_from_model
    from synth_pipeline.integrations.stores import Home
    from synth_pipeline.release.model import load_model
    from synth_pipeline.release.origin import release_version

    store = Home.at(home).released
    if not store.has(dataset, "release.in_force"):
        specs = defined_specs()
        if dataset not in specs:
            raise SpecError(
                f"dataset {dataset!r}: unknown; the definitions hold: {', '.join(sorted(specs)) or 'none yet'}"
            )
        raise TableError(f"{dataset}: nothing is released yet; walk it first: synth-pipeline run {dataset}")
    note = store.read(lambda folder: _json(folder / "release.json"), dataset, "release.in_force")

    def load(folder: Path) -> "ReleasedModel":
        walk = _json(folder / "origin.json")["walk"]
        if release_version(walk["snapshot"], walk["walk_id"]) != note["version"]:
            raise TableError(
                f"{dataset}: a later walk of snapshot {note['snapshot']!r} replaced the generator of release {note['version']}; walk it to "
                "its release first"
            )
        return load_model(folder / "model")

    model = store.read(load, dataset, str(note["snapshot"]), "generator")
    return rows_from_model(model, rows=rows, seed=seed, origin=f"of release {note['version']}")


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _of_model(folder: str, rows: int | None, seed: int) -> "ReleasedRows":
    from synth_pipeline.frontier.released_rows import rows_from_model
    from synth_pipeline.release.model import load_model

    return rows_from_model(load_model(folder), rows=rows, seed=seed, origin="of a released generator")


def _require_released(path: Path) -> None:
    """Refuse a table that may be private: what is computed of it here is said to be free and fit to be shown.

    Raises:
        SpecError: if the file does not state a release's guarantee, as a bundle's data.parquet does.
    """
    from synth_pipeline.cli.released_file import states_release

    if not states_release(path):
        raise SpecError(
            f"--table: {path}: does not state that it is released, as a bundle's data.parquet does; of a private table every score"
            " would be exact and uncharged. Add --released if it is released"
        )


def _of_table(path: str, spec_path: str, rows: int | None, seed: int) -> "ReleasedRows":
    from synth_pipeline.frontier.released_rows import rows_from_table
    from synth_pipeline.snapshot.read import read_table

    spec = read_spec(spec_path)
    return rows_from_table(
        read_table(path, spec, what="--table"), spec, rows=rows, seed=seed, origin=f"of the table {Path(path).name}"
    )


def _content(found: "Frontier", places: tuple[Path, ...]) -> dict[str, Any]:
    from synth_pipeline.frontier.summary import sentences

    return {**found.to_dict(), "sentences": list(sentences(found)), "files": [str(place) for place in places]}


def _written(folder: Path, found: "Frontier") -> tuple[Path, ...]:
    """JSON, CSV and page, each whole or not at all.

    Raises:
        TableError: if the folder cannot be written.
    """
    from synth_pipeline.frontier.page import frontier_page

    texts = (json.dumps(_content(found, ()), indent=1), found.to_csv(), frontier_page(found))
    places = tuple(folder / name for name in _NAMES)
    for place, text in zip(places, texts, strict=True):
        draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            draft.write_text(text, encoding="utf-8")
            draft.replace(place)
        except OSError as fault:
            raise TableError(
                f"--out: {folder}: cannot be written ({type(fault).__name__}); check its permissions and space"
            ) from None
        finally:
            draft.unlink(missing_ok=True)
    return places


def _render(console: "Console", found: "Frontier", places: tuple[Path, ...]) -> None:
    from synth_pipeline.frontier.summary import NOT_GRANTED, WHY_FREE, sentences

    console.print(
        f"{found.dataset}: expected scores of a walk on {found.rows:,} rows, from {found.repeats} walks at each ε on "
        f"{found.simulated_rows:,} released rows {found.origin}\n",
        soft_wrap=True,
    )
    figures = found.figures
    rows = [(f"{point.epsilon:g}", *(point.scores[figure.key].brief() for figure in figures)) for point in found.points]
    table(console, ("ε", *(figure.label for figure in figures)), rows, right=("ε",))
    console.print("\nMeans ± half of the 95 % interval of the expectation; of one walk the spread is wider.\n")
    for sentence in sentences(found):
        console.print(f"- {sentence}", soft_wrap=True)
    console.print(
        f"\n{WHY_FREE} {NOT_GRANTED} (ε = {number(found.epsilon)}, cap {number(found.cap_epsilon)})", soft_wrap=True
    )
    if places:
        console.print()
        facts(console, dict(zip(("figures", "table", "page"), map(str, places), strict=True)))


def _minutes(minutes: float) -> str:
    return f"about {minutes:.0f} min" if minutes >= 1.5 else "about a minute" if minutes > 0.7 else "less than a minute"
