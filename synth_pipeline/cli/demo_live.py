"""`demo --live`: five snapshots arrive under Dagster's daemon; what the viewer sees meanwhile, and the table at the end.

Belongs here: words and layout. Does not: Dagster, which lives in `orchestration`, a sibling that is looked up when the demo starts.
"""

from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from synth_pipeline.cli.demo_keys import make_demo_keys, next_steps, render_steps
from synth_pipeline.cli.live_screen import say, screen
from synth_pipeline.cli.output import answer, number, table

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.integrations.stores import Home

_LIVE = "synth_pipeline.orchestration.live"
_LINEAGE = "/locations/synth-pipeline/asset-groups/{}/lineage"
_LEDGER_HINT = "synth-pipeline ledger show {} --home {}"


class Quality(Protocol):
    """Internal scores; see `orchestration.live_chapter.Quality`."""

    tvd_2way: float | None
    tvd_2way_floor: float | None
    tstr_auc: float | None
    trtr_auc: float | None


class Chapter(Protocol):
    """What became of a snapshot; `orchestration.live_chapter.Chapter` says what each attribute is."""

    snapshot: str
    run_id: str
    drifted: tuple[str, ...] | None
    decision: str | None
    reason: str | None
    drift_epsilon: float
    walk_epsilon: float
    spent_epsilon: float
    quality: Quality
    release: str | None
    waited_seconds: float
    walked_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        ...


def play(dataset: str, home: str | None, *, port: int, keep: bool, as_json: bool) -> None:
    """Let the snapshots of the demo arrive one after another, and say at the end what became of each.

    Args:
        dataset: the demo's dataset.
        home: a fresh home folder; None: a new one beside what the default home holds.
        port: of Dagster's pages on this machine.
        keep: whether the pages are served on after the table, until the process is interrupted.
        as_json: whether the table is printed as JSON.

    Raises:
        SynthPipelineError: what ended it before its time, with its exit code.
    """
    from synth_pipeline.integrations.demo_data import write_snapshots

    live: Any = import_module(_LIVE)
    place = _fresh_home(home)
    make_demo_keys(place)
    say(f"home: {place.folder}; starting Dagster's web server and daemon")
    with (
        live.waiting_files(place, write_snapshots) as files,
        live.live_dagster(dataset, home=place, port=port) as dagster,
    ):
        try:
            say(f"watch at {dagster.address}; the assets: {dagster.address}{_LINEAGE.format(dataset)}")
            with screen(len(files)) as watch:
                chapters = dagster.play(files, watch)
            show(dataset, chapters, place, as_json=as_json)
            if keep:
                say(f"still serving {dagster.address} (Ctrl-C stops it)")
                _serve_until_interrupted(dagster)
        finally:
            say("stopping Dagster's web server and daemon")
    say(f"to open the pages again: synth-pipeline ui --home {place.folder}")


def show(dataset: str, chapters: Sequence[Chapter], home: "Home", *, as_json: bool) -> None:
    """Print what became of each snapshot."""
    content = {
        "dataset": dataset,
        "home": str(home.folder),
        "quality_zone": "internal: computed on real rows without noise",
        "snapshots": [chapter.to_json() for chapter in chapters],
    }
    answer(content, lambda console: _render(console, dataset, chapters, home), as_json=as_json)


def _fresh_home(home: str | None) -> "Home":
    """The home that was asked for, or a new folder in the default one: every live demo starts with nothing spent."""
    from synth_pipeline.integrations.stores import Home

    if home is not None:
        return Home.at(home)
    return Home.at(Home.at().make().folder / f"live-{datetime.now().astimezone():%Y%m%d-%H%M%S}")


def _serve_until_interrupted(dagster: Any) -> None:
    try:
        dagster.serve()
    except KeyboardInterrupt:
        return


def _render(console: "Console", dataset: str, chapters: Sequence[Chapter], home: "Home") -> None:
    console.print()
    table(
        console,
        (
            "snapshot",
            "drift found in",
            "decision",
            "ε drift",
            "ε walk",
            "ε in all",
            "2-way TVD",
            "TSTR / TRTR AUC",
            "release",
            "s",
        ),
        [_row(chapter) for chapter in chapters],
        right=("ε drift", "ε walk", "ε in all", "2-way TVD", "s"),
        whole=("snapshot", "release"),
    )
    console.print()
    for chapter in chapters:
        if chapter.reason:
            console.print(f"{chapter.snapshot}: {chapter.decision}: {chapter.reason}", soft_wrap=True)
    console.print(
        "\nε as the ledger has it, on the people of that snapshot: "
        + _LEDGER_HINT.format(dataset, home.folder)
        + "\n2-way TVD (of held-out real rows in brackets) and AUC: computed on real rows without noise, so internal, in no release.",
        soft_wrap=True,
    )
    render_steps(console, _steps(dataset, chapters, home))


def _steps(dataset: str, chapters: Sequence[Chapter], home: "Home") -> dict[str, str]:
    """What to run on the release in force next; nothing where the home has no keys of its own."""
    from synth_pipeline.integrations.signing import APPROVER, key_files

    version = next((chapter.release for chapter in reversed(chapters) if chapter.release), None)
    if version is None or not key_files(home.folder, APPROVER)[0].exists():
        return {}
    return next_steps(home.releases / dataset / version, home)


def _row(chapter: Chapter) -> tuple[str, ...]:
    drifted = "first snapshot" if chapter.drifted is None else ", ".join(chapter.drifted) or "none"
    quality = chapter.quality
    return (
        chapter.snapshot,
        drifted,
        chapter.decision or "–",
        _epsilon(chapter.drift_epsilon),
        _epsilon(chapter.walk_epsilon),
        number(chapter.spent_epsilon),
        f"{_score(quality.tvd_2way)} ({_score(quality.tvd_2way_floor)})",
        f"{_score(quality.tstr_auc)} / {_score(quality.trtr_auc)}",
        chapter.release or "none",
        f"{chapter.walked_seconds:.0f}",
    )


def _epsilon(value: float) -> str:
    return number(value) if value else "–"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
