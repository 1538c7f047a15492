"""The frontier measured: for each ε and repeat one whole walk on released rows, scored against released rows that it did not see.

The ledger of these walks is a file of its own in a temporary folder: the real one is neither opened nor named here.
"""

import logging
import math
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from synth_pipeline.benchmark.measure import score
from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.benchmark.summary import flat_metrics
from synth_pipeline.errors import SpecError
from synth_pipeline.frontier.released_rows import LARGEST_EPSILON, ReleasedRows
from synth_pipeline.frontier.result import Frontier, Point, expectations
from synth_pipeline.generate.engine_registry import chosen_kind
from synth_pipeline.generate.plan import make_plan
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.privacy.ledger.contract import ALL_COHORTS
from synth_pipeline.reserve import open_walk
from synth_pipeline.spec import Spec
from synth_pipeline.walk import profile, take, train

EPSILONS = (0.1, 0.3, 1.0, 3.0, 10.0)
MOST_EPSILONS = 12
_LEARNER = "gradient_boosting"
_KEPT = (
    *(f"tvd_{order}way{part}" for order in (1, 2, 3) for part in ("", "_floor", "_ratio_to_floor")),
    "c2st_auc",
    "c2st_auc_floor",
)


def checked_grid(epsilons: Sequence[float]) -> tuple[float, ...]:
    """A grid of ε in rising order.

    Raises:
        SpecError: if it has fewer than two values or more than a dozen, one twice, or one out of range.
    """
    grid = tuple(sorted(epsilons))
    if not 2 <= len(grid) <= MOST_EPSILONS or len(set(grid)) < len(grid):
        raise SpecError(f"--epsilons: give 2 to {MOST_EPSILONS} different numbers, such as .1,.3,1,3,10")
    if not all(0 < epsilon <= LARGEST_EPSILON for epsilon in grid):
        raise SpecError(
            f"--epsilons: each is above 0 and at most {LARGEST_EPSILON:g}, the most that a specification may ask for"
        )
    return grid


def measure_frontier(
    released: ReleasedRows,
    *,
    epsilons: Sequence[float] = EPSILONS,
    repeats: int = 3,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> Frontier:
    """Repeat the walk on released rows over a grid of ε.

    Args:
        released: the rows in the place of the private ones.
        epsilons: the grid; two to a dozen values.
        repeats: walks for each of them, 2 or more.
        seed: of draws, learners and subsamples; the noise of a walk is fresh, as it is in every release.
        progress: told what is done and the share of it that is.

    Raises:
        SpecError: if the grid is not one, or an ε is too small to carry the charges of a walk.

    Privacy:
        Post-processing of released values; no private row is read and nothing is charged.
    """
    grid = checked_grid(epsilons)
    if repeats < 2:
        raise SpecError("--repeats: 2 or more: an interval needs them")
    plans = {epsilon: released.spec_at(epsilon) for epsilon in grid}
    for spec in plans.values():
        make_plan(spec)  # one that carries no charges is refused before anything runs
    found: dict[float, list[Mapping[str, float]]] = {epsilon: [] for epsilon in grid}
    began, total = time.monotonic(), len(grid) * repeats
    metric = ""
    for repeat in range(repeats):
        for epsilon, spec in plans.items():
            done = sum(map(len, found.values()))
            if progress is not None:
                progress(_state(repeat, epsilon, began, done / total), done / total)
            card = repeated_walk(released, spec, seed=seed + repeat)
            metric = metric or metric_of(card)
            found[epsilon].append(figures_of(card))
    spec, task = released.spec, released.spec.benchmark
    return Frontier(
        dataset=spec.dataset,
        spec_digest=spec.digest,
        generator=chosen_kind(spec),
        epsilon=spec.privacy.epsilon,
        delta=spec.privacy.delta,
        cap_epsilon=spec.privacy.cap.epsilon,
        rows=released.rows,
        simulated_rows=len(released.train),
        origin=released.origin,
        target=task.target if task is not None and metric else "",
        metric=metric,
        repeats=repeats,
        seed=seed,
        points=_points(released, found),
    )


def repeated_walk(released: ReleasedRows, spec: Spec, *, seed: int) -> Scorecard:
    """One walk on released rows, from the reservation in a ledger of its own to the scores of what it makes."""
    runtime = RuntimeConfig(seed=seed)
    with tempfile.TemporaryDirectory(prefix="synth_pipeline.frontier.") as scratch, _quiet_walk():
        ledger = open_ledger(Path(scratch) / "ledger.sqlite")
        walk = open_walk(spec, snapshot="frontier", ledger=ledger, walk_id=uuid.uuid4().hex, cohort=ALL_COHORTS)
        snapshot = take(walk, released.train.copy(), key=uuid.uuid4().bytes + uuid.uuid4().bytes, holdout=False)
        model = train(walk, snapshot, profile(walk, snapshot, runtime=runtime), runtime=runtime)
    drawn = model.sample(len(released.train), seed=seed)
    return score(released.train, released.holdout, drawn, spec, seed=seed, quick=True)


def figures_of(card: Scorecard) -> dict[str, float]:
    """The figures of one walk that a frontier follows: distances with floors, the two-sample test, the prediction of the target."""
    flat, metric = flat_metrics(card), metric_of(card)
    kept = {name: flat[name] for name in _KEPT if name in flat}
    names = {
        "tstr": f"tstr_{_LEARNER}_{metric}",
        "trtr": f"trtr_{_LEARNER}_{metric}",
        "tstr_ratio": f"ratio_{_LEARNER}_{metric}",
    }
    return {**kept, **{short: flat[name] for short, name in names.items() if metric and name in flat}}


def metric_of(card: Scorecard) -> str:
    """The metric of the prediction task that is followed; empty where nothing is predicted."""
    learners = card.tstr.learners if card.tstr is not None else {}
    measured = learners[_LEARNER].trtr if _LEARNER in learners else {}
    return next((name for name in ("auc", "r2", "macro_f1", "accuracy") if name in measured), "")


def _points(released: ReleasedRows, found: Mapping[float, Sequence[Mapping[str, float]]]) -> tuple[Point, ...]:
    """Expectations, at every ε, of the figures that every walk has."""
    walks = [one for scores in found.values() for one in scores]
    expected = {
        name: expectations(
            [[one[name] for one in scores] for scores in found.values()],
            is_distance=name.startswith("tvd"),
            most=math.inf if "ratio" in name else 1.0,
        )
        for name in walks[0]
        if all(name in one for one in walks)
    }
    return tuple(
        Point(epsilon, released.simulated_epsilon(epsilon), {name: of[place] for name, of in expected.items()})
        for place, epsilon in enumerate(found)
    )


def _state(repeat: int, epsilon: float, began: float, share: float) -> str:
    left = (time.monotonic() - began) * (1 - share) / share if share > 0 else 0.0
    more = f", about {max(left / 60, 0.1):.1f} min left" if share > 0 else ""
    return f"frontier: walk {repeat + 1} at ε = {epsilon:g}{more}"


@contextmanager
def _quiet_walk() -> Generator[None]:
    """Keep a walk's advice about too little budget off the log: a simulation asks for little budget on purpose."""
    logger = logging.getLogger("synth_pipeline.walk")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
