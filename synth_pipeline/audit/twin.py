"""Replay on neighbours: a walk on a table, then the same walk without one person, given the first one's answers.

With equal answers nothing that a mechanism does may differ: not the questions, not their noise, not what it releases at the end. What may
differ is the true answers, each by no more than it was charged for. Any other difference is a way around the charge.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from synth_pipeline.audit.choices import choice_loss
from synth_pipeline.audit.finding import Finding
from synth_pipeline.audit.neighbour import neighbours
from synth_pipeline.audit.watch import Asked, Diverged, Record, RepeatingDesk, TrainingBegins, WatchingDesk
from synth_pipeline.constrain.rules import Rules
from synth_pipeline.errors import SynthPipelineError
from synth_pipeline.generate.engine_registry import Engine, chosen_kind, engine_for
from synth_pipeline.generate.plan import budget_of
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import DiscreteGaussianEvent, Event, ExponentialEvent
from synth_pipeline.privacy.noise import NoiseSource, SecureNoise
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.person import profiled_columns
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import CategoricalColumn, ModelledColumn
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.profile import CategoryProfile, Profile

_ROUNDING = 1e-9


@dataclass(frozen=True, repr=False, eq=False)
class Replay:
    """Two walks with equal answers; private, but for the findings.

    Attributes:
        pairs: each question with what it was asked of the table and of its neighbour.
        findings: what was wrong.
        is_trained_apart: whether a training by DP-SGD begins after the last question; it is not replayed.
        events: what the first walk ran.
    """

    pairs: tuple[tuple[Asked, Asked], ...]
    findings: tuple[Finding, ...]
    is_trained_apart: bool
    events: tuple[Event, ...]

    @property
    def mu_squared(self) -> float:
        """Σ‖t − t′‖²/σ² over the noisy counts: what telling the two tables apart has to go by."""
        return sum(
            float(((first.numbers - second.numbers) ** 2).sum()) / first.scale**2
            for first, second in self.pairs
            if first.kind == "counts"
        )


def replay(
    spec: Spec,
    table: pd.DataFrame,
    without: int,
    *,
    seed: int = 0,
    engine: Engine | None = None,
    noise: NoiseSource | None = None,
) -> Replay:
    """Walk over a table, then over the table without one person with the same answers, and compare.

    Args:
        spec: the specification, which names the engine.
        table: the table that stands for the private one.
        without: position of a row of the person who is left out.
        seed: of post-processing; people are dealt to teachers alike in both walks.
        engine: the engine; default: the one that the specification names.
        noise: the source of noise; default: the secure one.

    Raises:
        SynthPipelineError: if the table does not fit the specification.
    """
    pair, engine = neighbours(spec, table, without), engine or engine_for(chosen_kind(spec))
    source = noise or SecureNoise()
    first, second = Record(), Record()
    ended = _walk(
        spec, engine, pair.larger, seed, lambda **desk: WatchingDesk(first, noise=_DealtNoise(source), **desk)
    )
    also_ended = _walk(
        spec, engine, pair.smaller, seed, lambda **desk: RepeatingDesk(second, first, noise=_DealtNoise(source), **desk)
    )
    pairs = tuple(zip(first.asked, second.asked, strict=False))
    findings = [*first.findings, *second.findings]
    if not isinstance(also_ended, Diverged):
        if len(second.asked) < len(first.asked):
            findings.append(_unasked(first.asked[len(second.asked)]))
        findings += _compare_ends(ended, also_ended)
    for asked, again in pairs:
        findings += compare_answers(asked, again)
    events = tuple(asked.event for asked in first.asked if asked.event is not None)
    return Replay(pairs, tuple(dict.fromkeys(findings)), isinstance(ended, TrainingBegins), events)


def compare_answers(first: Asked, second: Asked) -> list[Finding]:
    """What two true answers to one question say about its charge."""
    stage, purpose = first.label
    event = first.event
    if first.kind == "counts" and isinstance(event, DiscreteGaussianEvent):
        moved = float(np.linalg.norm(first.numbers - second.numbers))
        allowed = event.sensitivity * float(np.sqrt(event.count))
        if moved > allowed * (1 + _ROUNDING):
            detail = f"by {moved:.6g} in L2, charged for {allowed:.6g}"
            return [Finding("moved too far", stage, purpose, detail)]
    if first.kind == "choice" and isinstance(event, ExponentialEvent):
        loss, spread = choice_loss(first.numbers, second.numbers, epsilon=event.epsilon, sensitivity=first.scale)
        if max(loss, spread) > event.epsilon * (1 + _ROUNDING) + 1e-9:
            detail = f"log probabilities move by {loss:.6g} over a range of {spread:.6g}, charged for ε = {event.epsilon:.6g}"
            return [Finding("choice too telling", stage, purpose, detail)]
    if first.kind == "keys" and event is not None:
        return _compare_keys(first, second)
    return []


def _compare_keys(first: Asked, second: Asked) -> list[Finding]:
    """Counts of the keys that occur may move by the unit's rows in all."""
    if not isinstance(first.truth, dict) or not isinstance(second.truth, dict):
        return []
    names = {*first.truth, *second.truth}
    moved = sum(abs(first.truth.get(name, 0) - second.truth.get(name, 0)) for name in names)
    allowed = getattr(first.event, "sensitivity", 0)
    if moved > allowed:
        return [Finding("moved too far", *first.label, f"by {moved} rows in all, charged for {allowed}")]
    return []


_End = dict[str, str] | str | Exception


def _walk(spec: Spec, engine: Engine, table: NativeTable, seed: int, make_desk: Callable[..., WatchingDesk]) -> _End:
    """Profile and train as a walk does; what came of it: digests of everything released, a refusal, or a signal."""
    budget = budget_of(spec)
    unit = PrivacyUnit(spec.privacy.unit.column, spec.privacy.unit.max_rows)
    desk = make_desk(unit=unit, budget=budget, spent=(), before_first_answer=None)
    try:
        columns = profiled_columns(spec, table.columns)
        profile = build_profile(Curator.at_desk(table, desk), columns, share=engine.profile_share)
        later = make_desk(unit=unit, budget=budget, spent=desk.events, before_first_answer=None)
        rules = Rules.from_spec(spec).compile(_resolved(spec, profile))
        generator = engine.fit(
            Curator.at_desk(table, later),
            profile,
            engine.make_config(spec),
            budget=budget,
            runtime=RuntimeConfig(seed=seed, rules=rules.tables),
        )
    except (Diverged, TrainingBegins) as signal:
        return signal
    except SynthPipelineError as refusal:
        return f"{type(refusal).__name__}: {refusal}"
    with tempfile.TemporaryDirectory() as folder:
        generator.save(Path(folder))
        digests = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }
    digests["profile"] = hashlib.sha256(json.dumps(profile.to_json(), sort_keys=True).encode()).hexdigest()
    digests["events"] = hashlib.sha256(repr(generator.events).encode()).hexdigest()
    return digests


def _resolved(spec: Spec, profile: Profile) -> dict[str, ModelledColumn]:
    """The modelled columns, discovered ones with the categories that were found."""
    columns: dict[str, ModelledColumn] = {}
    for released in profile.table_columns:
        column = spec.modelled[released.name]
        if isinstance(column, CategoricalColumn) and column.discover and isinstance(released, CategoryProfile):
            found = tuple(category for category in released.categories if not isinstance(category, bool))
            column = column.model_copy(update={"categories": found or ("other",), "discover": False})
        columns[released.name] = column
    return columns


class _DealtNoise:
    """A noise source whose rows are dealt alike to a table and to the table without its last person.

    Words come from a seed and the number of the call; the k-th word of a call is the same however many are drawn.
    """

    def __init__(self, source: NoiseSource, seed: int = 0) -> None:
        self._source, self._seed, self._calls = source, seed, 0

    def discrete_gaussian(self, size: int, sigma: float) -> np.ndarray:
        return self._source.discrete_gaussian(size, sigma)

    def exponential_choice(self, scores: np.ndarray, scale: float) -> int:
        return self._source.exponential_choice(scores, scale)

    def words(self, size: int) -> np.ndarray:
        self._calls += 1
        return np.random.default_rng([self._seed, self._calls]).integers(2**64, size=size, dtype=np.uint64)


def _unasked(asked: Asked) -> Finding:
    return Finding("other question", *asked.label, "asked of one table only; its neighbour's walk ended before")


def _compare_ends(first: _End, second: _End) -> list[Finding]:
    if isinstance(first, dict) and isinstance(second, dict):
        differing = sorted(name for name in {*first, *second} if first.get(name) != second.get(name))
        if differing:
            return [Finding("other release", "generator", "", f"with equal answers {', '.join(differing)} differ")]
        return []
    if type(first) is not type(second) or (isinstance(first, str) and first != second):
        return [Finding("other release", "generator", "", "with equal answers one walk ended otherwise than the other")]
    return []
