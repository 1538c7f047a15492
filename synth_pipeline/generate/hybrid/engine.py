"""The hybrid from end to end: maxent's rows → SCORE the target → MATCH a correction → SAMPLE the target anew; and its files."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from synth_pipeline.encode.condition import Condition
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ModelError
from synth_pipeline.generate.autoregressive.conditional import Particles
from synth_pipeline.generate.autoregressive.features import make_features
from synth_pipeline.generate.autoregressive.model import draw_codes
from synth_pipeline.generate.hybrid.conditional import TargetModel, carried_over, field_conditional
from synth_pipeline.generate.hybrid.config import HybridConfig
from synth_pipeline.generate.hybrid.planning import PROFILE_SHARE, make_config, plan
from synth_pipeline.generate.hybrid.score import TargetScore, match_scores
from synth_pipeline.generate.maxent import engine as maxent
from synth_pipeline.generate.maxent.refresh import unchanged_places
from synth_pipeline.generate.measured import MeasuredPair
from synth_pipeline.generate.protocol import UNKNOWN, RuntimeConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import Event, event_from_dict
from synth_pipeline.privacy.view import VECTOR_UNITS
from synth_pipeline.profile.signal import WEAK
from synth_pipeline.table.encoded import Domain, EncodedTable
from synth_pipeline.table.profile import Profile

__all__ = ["PROFILE_SHARE", "Hybrid", "fit", "load", "make_config", "plan", "refresh"]

_POOL_FACTOR = 2
_MOST_POOLS = 6
_COMPLETIONS = 8
_CHUNK_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class Hybrid:
    """A maxent generator and, where a target is declared, a conditional model that draws it; everything in it is released.

    Attributes:
        base: the maxent generator.
        model: P(target | the other columns), or None without a target in the field.
        config: constants of the mechanism.
        events: DP events of the whole training, profile included.
        facts: released facts about the training.
    """

    base: maxent.Maxent
    model: TargetModel | None
    config: HybridConfig
    events: tuple[Event, ...]
    facts: dict[str, Any]

    kind = "hybrid"

    @property
    def domain(self) -> Domain:
        """The encoded columns."""
        return self.base.domain

    @property
    def measured(self) -> tuple[MeasuredPair, ...]:
        """The noisy tables that the field was fitted to."""
        return self.base.measured

    def sample(self, rows: int, *, where: Condition | None = None, rng: np.random.Generator) -> EncodedTable:
        """Encoded rows of p_maxent(others) · p(target | others); under a condition of its conditional law, every one satisfying it.

        A condition that does not name the target is met by the field's rows, whose target is then drawn. One that names it is met by
        rows of the field, resampled by p(target | others) over the field's own conditional: the two laws differ in that factor alone.

        Raises:
            ConstraintError: if no row of the field reached the condition.
        """
        model = self.model
        if model is None:
            return self.base.sample(rows, where=where, rng=rng)
        if where is not None and model.target in {sub.column for sub in where.subdomains}:
            parts = [
                self._resampled(model, min(_CHUNK_ROWS, rows - start), where, rng)
                for start in range(0, max(rows, 1), _CHUNK_ROWS)
            ]
            return joined(parts)
        table = self.base.sample(rows, where=where, rng=rng)
        codes = table.codes.copy()
        for start in range(0, rows, _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            codes[part, model.target] = draw_codes(model.probabilities(codes[part]), rng)
        return EncodedTable(codes, table.domain, table.regions, table.ranks)

    def save(self, folder: Path) -> None:
        """Write maxent's files, `hybrid.json` and, where there is a target, `hybrid.safetensors` into an existing folder."""
        self.base.save(folder)
        content = {
            "target": None if self.model is None else self.model.target,
            "config": self.config.to_json(),
            "events": [event.to_dict() for event in self.events],
            "facts": self.facts,
        }
        (folder / "hybrid.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
        if self.model is not None:
            save_file({"block": self.model.block, "bias": self.model.bias}, str(folder / "hybrid.safetensors"))

    def impute(self, table: EncodedTable, *, rng: np.random.Generator) -> EncodedTable:
        """The rows with every unknown cell (code -1) drawn from the hybrid's law given the row's known cells.

        Where the target is unknown the field fills the rest and the target is drawn anew; where it is known, each row takes one of
        several of the field's completions, by p(target | others) over the field's own conditional.
        """
        model = self.model
        if model is None or table.rows == 0:
            return self.base.impute(table, rng=rng)
        is_open = table.codes[:, model.target] == UNKNOWN
        own = field_conditional(self.base, model.target)
        filled = [self.base.impute(table, rng=rng).codes for _ in range(_COMPLETIONS)]
        weights = np.stack([model.log_chosen(codes) - own.log_chosen(codes) for codes in filled], axis=1)
        weights[is_open] = 0.0
        chosen = np.argmax(weights + rng.gumbel(size=weights.shape), axis=1)
        codes = np.stack(filled, axis=1)[np.arange(table.rows), chosen]
        codes[is_open, model.target] = draw_codes(model.probabilities(codes), rng)[is_open]
        return EncodedTable(codes, self.domain)

    def _resampled(self, model: TargetModel, rows: int, where: Condition, rng: np.random.Generator) -> EncodedTable:
        """Rows under a condition that names the target; the pool grows until its effective size is that of the rows."""
        own = field_conditional(self.base, model.target)
        pool = self.base.sample(_POOL_FACTOR * max(rows, 1), where=where, rng=rng)
        weighed = _weighed(model, own, pool)
        for _ in range(_MOST_POOLS - 1):
            if weighed.effective >= rows:
                break
            pool = joined([pool, self.base.sample(_POOL_FACTOR * max(rows, 1), where=where, rng=rng)])
            weighed = _weighed(model, own, pool)
        return pool.taken(weighed.resampled(rows, rng).regions[:, 0])


def fit(curator: Curator, profile: Profile, config: HybridConfig, *, budget: Budget, runtime: RuntimeConfig) -> Hybrid:
    """Fit the field with what the scores' share leaves, then correct the target's conditional by one noisy sum of scores.

    Args:
        curator: holder of the private rows; the profile's answers must have been given by it, or be among its `spent`.
        profile: the released profile.
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: device, seed of post-processing and progress.

    Privacy:
        Discrete-Gaussian answers through the curator, one pool: maxent's, and one sum of clipped vectors. All else is
        post-processing.
    """

    def train() -> maxent.Maxent:
        return maxent.fit(curator, profile, config.maxent, budget=budget, runtime=runtime)

    return _scored(curator, profile, config, budget, runtime, train)


def refresh(  # noqa: PLR0913  a fit's arguments, and what it starts from
    curator: Curator,
    profile: Profile,
    config: HybridConfig,
    *,
    budget: Budget,
    runtime: RuntimeConfig,
    prior: Hybrid,
    changed: frozenset[str],
) -> Hybrid:
    """Refresh the field (see `maxent.refresh`), then correct the target's conditional by a noisy sum of scores of the fresh rows.

    The correction of the release before is where the new one starts, for the columns that did not change.

    Args:
        curator: holder of the fresh rows.
        profile: their profile, unchanged columns on the codes of the earlier one.
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: device, seed of post-processing and progress.
        prior: the earlier generator.
        changed: columns that were measured anew.

    Privacy:
        The same questions as a fit.

    Raises:
        ModelError: if the earlier generator was saved without its tables.
    """

    def train() -> maxent.Maxent:
        return maxent.refresh(
            curator, profile, config.maxent, budget=budget, runtime=runtime, prior=prior.base, changed=changed
        )

    def start(base: maxent.Maxent, target: int) -> TargetModel:
        return carried_over(prior.model, prior.base, base, target, unchanged_places(prior.domain, profile, changed))

    return _scored(curator, profile, config, budget, runtime, train, start)


def _scored(  # noqa: PLR0913, PLR0917  those of a fit, and how a field is made
    curator: Curator,
    profile: Profile,
    config: HybridConfig,
    budget: Budget,
    runtime: RuntimeConfig,
    train: Callable[[], maxent.Maxent],
    start: Callable[[maxent.Maxent, int], TargetModel] = field_conditional,
) -> Hybrid:
    """The field, trained on what the scores' share leaves, and its target's conditional corrected."""
    names = [column.name for column in profile.columns]
    target = names.index(config.target) if config.target in names else None
    share = config.weak_score_share if profile.noise > WEAK else config.score_share
    kept = 0.0 if target is None else min(share * budget.cost, 0.5 * curator.left_cost)
    with curator.hold_back(kept):
        base = train()
    if target is None or kept <= 0 or target not in base.active or len(base.active) < 2:
        return Hybrid(base, None, config, curator.events, {**base.facts, "scored_target": None})
    runtime.report(f"hybrid: scores of {config.target}", 0.95)
    rng = runtime.generator()
    rows = base.sample(config.fit_rows, rng=rng)
    score = _target_score(start(base, target), base, profile, config, rows)
    view = curator.encoded(Encoder(profile))
    noisy = view.clipped_sum(
        score, cost=curator.left_cost, stage="generator", purpose=f"clipped scores of {config.target}"
    )
    answer = (noisy.values / VECTOR_UNITS, noisy.sigma / VECTOR_UNITS)
    weights = match_scores(score, rows.codes, answer, rows=profile.rows, prior=config.prior, steps=config.fit_steps)
    model = score.model.corrected(*score.effects(weights)).calibrated(rows.codes, profile.shares(target))
    facts = {
        **base.facts,
        "scored_target": config.target,
        "score_weights": int(weights.size),
        "largest_weight": round(float(np.abs(weights).max()), 3),
    }
    return Hybrid(base, model, config, curator.events, facts)


def load(folder: Path) -> Hybrid:
    """The generator that `Hybrid.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    base = maxent.load(folder)
    try:
        content = json.loads((folder / "hybrid.json").read_text(encoding="utf-8"))
        model = None
        if content["target"] is not None:
            arrays = load_file(str(folder / "hybrid.safetensors"))
            own = field_conditional(base, content["target"])
            model = TargetModel(own.target, own.active, own.offsets, arrays["block"], arrays["bias"])
        events = tuple(event_from_dict(item) for item in content["events"])
        config, facts = HybridConfig.from_json(content["config"]), content["facts"]
    except Exception as error:  # noqa: BLE001  safetensors raises its own kind of exception for a damaged file
        raise ModelError(f"{folder}: not a readable hybrid model ({type(error).__name__}); fit it again") from None
    return Hybrid(base, model, config, events, facts)


def joined(tables: list[EncodedTable]) -> EncodedTable:
    """Tables of one domain, one after another."""
    first = tables[0]
    return EncodedTable(
        np.concatenate([table.codes for table in tables]),
        first.domain,
        {key: np.concatenate([table.regions[key] for table in tables]) for key in first.regions},
        {key: np.concatenate([table.ranks[key] for table in tables]) for key in first.ranks},
    )


def _weighed(model: TargetModel, own: TargetModel, table: EncodedTable) -> Particles:
    """Rows of the field, their numbers as the one region, weighted by the hybrid's law over the field's."""
    return Particles(
        table.codes, np.arange(table.rows)[:, None], model.log_chosen(table.codes) - own.log_chosen(table.codes)
    )


def _target_score(
    model: TargetModel, base: maxent.Maxent, profile: Profile, config: HybridConfig, rows: EncodedTable
) -> TargetScore:
    features = make_features(profile, config)
    centre = np.concatenate(
        [features.block(base.domain, column)[rows.codes[:, column]].mean(axis=0) for column in range(len(base.domain))]
    )
    return TargetScore(base.domain, model, features, centre, config.clip_norm)
