"""The mixture of products from end to end: SCREEN → (SELECT → MEASURE → FIT)* → SAMPLE, CONDITION or IMPUTE, all three exact.

It asks the same questions as `maxent` and fits p(x) = Σ_k w_k Π_c p_k(x_c) to the answers. Rows are drawn in one pass without chains;
conditions and missing cells only reweigh the components, so their laws are exact however rare they are.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from synth_pipeline.encode.condition import Condition
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ModelError
from synth_pipeline.generate.maxent.dependency import Dependency
from synth_pipeline.generate.maxent.evidence import draw_dependent
from synth_pipeline.generate.maxent.refresh import Earlier, EarlierModel, take_over
from synth_pipeline.generate.maxent.select import PairJoints
from synth_pipeline.generate.maxent.transcript import Transcript
from synth_pipeline.generate.measured import MeasuredPair, measured_arrays, measured_from
from synth_pipeline.generate.mixture.conditional import condition_mixture
from synth_pipeline.generate.mixture.config import MixtureConfig
from synth_pipeline.generate.mixture.fit import MixtureFitter, make_table_targets
from synth_pipeline.generate.mixture.impute import impute_rows
from synth_pipeline.generate.mixture.planning import PROFILE_SHARE, make_config, plan
from synth_pipeline.generate.mixture.products import Products
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.generate.stratified import draw_by_label, draw_grouped, systematic_counts
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import Event, event_from_dict
from synth_pipeline.table.encoded import Codes, Domain, EncodedTable
from synth_pipeline.table.profile import Floats, Profile

__all__ = ["PROFILE_SHARE", "Mixture", "fit", "load", "make_config", "plan", "refresh"]

_CHUNK_ROWS = 262_144


@dataclass(frozen=True, eq=False)
class Mixture:
    """A fitted mixture of products; everything in it is released.

    Attributes:
        model: weights and tables.
        config: constants of the mechanism.
        events: DP events of the whole training, profile included.
        facts: released facts about the fit.
        measured: the noisy tables that it was fitted to; empty where it was saved without them.
    """

    model: Products
    config: MixtureConfig
    events: tuple[Event, ...]
    facts: dict[str, Any]
    measured: tuple[MeasuredPair, ...] = ()

    kind = "mixture"

    @property
    def domain(self) -> Domain:
        """The encoded columns."""
        return self.model.domain

    def sample(self, rows: int, *, where: Condition | None = None, rng: np.random.Generator) -> EncodedTable:
        """Encoded rows in random order; under a condition every row satisfies it and follows the model's exact conditional law.

        Raises:
            ConstraintError: if the condition has no probability under the model.
        """
        law = None if where is None else condition_mixture(self.model, where)
        codes, regions = np.empty((rows, len(self.domain)), dtype=np.int32), dict[int, npt.NDArray[np.int32]]()
        for start in range(0, rows, _CHUNK_ROWS):
            count = min(_CHUNK_ROWS, rows - start)
            order = rng.permutation(count)
            if where is None or law is None:
                codes[start : start + count] = self._rows(count, rng)[order]
                continue
            components, named, placed = law.draw(count, rng)
            by_column = {sub.column: placed[:, axis].astype(np.int32) for axis, sub in enumerate(where.subdomains)}
            drawn = self._complete(components, named, where, by_column, rng)
            codes[start : start + count] = drawn[order]
            for column, found in by_column.items():
                regions.setdefault(column, np.empty(rows, dtype=np.int32))[start : start + count] = found[order]
        return EncodedTable(codes, self.domain, regions)

    def impute(self, table: EncodedTable, *, rng: np.random.Generator) -> EncodedTable:
        """The rows with every unknown cell (code -1) drawn from the model's exact law given the row's known cells."""
        return EncodedTable(impute_rows(self.model, table.codes, rng), self.domain)

    def save(self, folder: Path) -> None:
        """Write `mixture.safetensors` and `mixture.json` into an existing folder."""
        model = self.model
        noisy, records = measured_arrays(self.measured)
        arrays = {
            **noisy,
            "weights": model.weights,
            "tables": model.tables,
            **{f"conditional_{item.column}": item.conditional for item in model.dependencies},
        }
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()}, str(folder / "mixture.safetensors")
        )
        content = {
            "names": model.domain.names,
            "sizes": model.domain.sizes,
            "active": model.active,
            "dependencies": [[item.column, item.parent] for item in model.dependencies],
            "config": self.config.to_json(),
            "events": [event.to_dict() for event in self.events],
            "facts": self.facts,
            "measured": records,
        }
        (folder / "mixture.json").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _rows(self, rows: int, rng: np.random.Generator) -> Codes:
        """Unconditional rows, component after component."""
        counts = systematic_counts(self.model.weights, rows, rng)
        codes = np.empty((rows, len(self.domain)), dtype=np.int32)
        for position, column in enumerate(self.model.active):
            codes[:, column] = draw_grouped(self.model.column(position), counts, rng)
        for item in self.model.dependencies:
            codes[:, item.column] = draw_by_label(item.conditional, codes[:, item.parent], rng)
        return codes

    def _complete(
        self,
        components: npt.NDArray[np.int64],
        named: dict[int, npt.NDArray[np.int32]],
        where: Condition,
        regions: dict[int, npt.NDArray[np.int32]],
        rng: np.random.Generator,
    ) -> Codes:
        """Rows whose components, named columns and regions are drawn already."""
        counts = np.bincount(components, minlength=self.model.components)
        subs = {sub.column: sub for sub in where.subdomains}
        codes = np.empty((len(components), len(self.domain)), dtype=np.int32)
        for position, column in enumerate(self.model.active):
            is_named = position in named
            codes[:, column] = named[position] if is_named else draw_grouped(self.model.column(position), counts, rng)
        for item in self.model.dependencies:
            column = item.column
            codes[:, column] = draw_dependent(item, codes[:, item.parent], subs.get(column), regions.get(column), rng)
        return codes


def fit(
    curator: Curator, profile: Profile, config: MixtureConfig, *, budget: Budget, runtime: RuntimeConfig
) -> Mixture:
    """Spend what is left of the budget on pairs of columns and fit the mixture to the answers.

    Args:
        curator: holder of the private rows; its earlier answers (the profile's) count.
        profile: the released profile.
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: seed of post-processing and progress; the fit runs on the CPU, where it takes seconds.

    Privacy:
        Only discrete-Gaussian answers through the curator (see `maxent.transcript`): scores of dependencies, and a score vector and
        tables a round. The fit is post-processing of them.
    """
    return _trained(curator, profile, config, budget, runtime, None)


def refresh(  # noqa: PLR0913  a fit's arguments, and what it starts from
    curator: Curator,
    profile: Profile,
    config: MixtureConfig,
    *,
    budget: Budget,
    runtime: RuntimeConfig,
    prior: Mixture,
    changed: frozenset[str],
) -> Mixture:
    """Fit the mixture to a fresh snapshot, with an earlier release's noisy tables as measurements beside fresh ones.

    Args:
        curator: holder of the fresh rows.
        profile: their profile, unchanged columns on the codes of the earlier one.
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: seed of post-processing and progress.
        prior: the earlier generator.
        changed: columns that were measured anew; earlier tables with them are left out.

    Privacy:
        The same questions as a fit; what is known of the earlier snapshot is its release.

    Raises:
        ModelError: if the earlier generator was saved without its tables.
    """
    if not prior.measured and len(prior.model.active) > 1:
        raise ModelError("mixture: the release before was saved without its noisy tables; use refit")
    old = prior.model
    active = Domain(tuple(old.domain.names[i] for i in old.active), tuple(old.domain.sizes[i] for i in old.active))
    joints = PairJoints(
        (old.tables * old.weights[:, None]).T @ old.tables, dict(zip(old.active, active.slices(), strict=True))
    )
    earlier = take_over(EarlierModel(old.domain, prior.measured, old.dependencies, joints), profile, changed)
    return _trained(curator, profile, config, budget, runtime, earlier)


def _trained(
    curator: Curator,
    profile: Profile,
    config: MixtureConfig,
    budget: Budget,
    runtime: RuntimeConfig,
    earlier: Earlier | None,
) -> Mixture:
    view = curator.encoded(Encoder(profile))
    transcript = Transcript(view, profile, config, earlier)
    runtime.report("mixture: functional dependencies", 0.0)
    transcript.screen(walk_cost=budget.cost)
    seed = int(runtime.generator().integers(2**62))
    fitter = MixtureFitter(transcript.domain, transcript.shares, config, rows=max(profile.rows, 1.0), seed=seed)
    flat = np.concatenate(transcript.shares)
    joint = np.outer(flat, flat)
    if transcript.earlier:
        targets = make_table_targets(transcript.domain, transcript.measurements(), max(profile.rows, 1.0))
        fitter.run(targets, transcript.one_ways(), config.final_steps)
        joint = fitter.joint().double().numpy()
    for number in range(transcript.plan.rounds):
        runtime.report(f"mixture: round {number + 1} of {transcript.plan.rounds}", number / transcript.plan.rounds)
        if not transcript.ask(number, joint):
            break
        is_last = number == transcript.plan.rounds - 1
        targets = make_table_targets(transcript.domain, transcript.measurements(), max(profile.rows, 1.0))
        fitter.run(targets, transcript.one_ways(), config.final_steps if is_last else config.steps)
        joint = fitter.joint().double().numpy()
    weights, tables = fitter.released() if transcript.measured or transcript.earlier else (np.ones(1), flat[None, :])
    for item in transcript.dependencies:
        start = transcript.domain.offsets[transcript.active.index(item.parent)]
        column = slice(start, start + view.domain.sizes[item.parent])
        tables[:, column] = _without(tables[:, column], item.impossible)
    model = Products(view.domain, transcript.active, weights, tables, transcript.dependencies)
    names = view.domain.names
    facts = {
        "rounds": transcript.plan.rounds,
        "tables": len(transcript.used),
        "components": model.components,
        "residual": round(fitter.residual, 3),
        "information_price": round(fitter.price, 4),
        "drawn_columns": {names[item.column]: names[item.parent] for item in transcript.dependencies},
        **transcript.refresh_facts(),
    }
    return Mixture(model, config, view.events, facts, transcript.released())


def _without(tables: Floats, impossible: Sequence[int]) -> Floats:
    """The shares of one column in each component (components × codes), its impossible codes at nought."""
    left = tables.copy()
    left[:, list(impossible)] = 0.0
    left[left.sum(1) <= 0] = left.sum(0)
    return left / left.sum(1, keepdims=True)


def load(folder: Path) -> Mixture:
    """The generator that `Mixture.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    try:
        content = json.loads((folder / "mixture.json").read_text(encoding="utf-8"))
        arrays = load_file(str(folder / "mixture.safetensors"))
        domain = Domain(tuple(content["names"]), tuple(content["sizes"]))
        drawn = tuple(Dependency(c, p, arrays[f"conditional_{c}"]) for c, p in content["dependencies"])
        model = Products(domain, tuple(content["active"]), arrays["weights"], arrays["tables"], drawn)
        events = tuple(event_from_dict(item) for item in content["events"])
        config, facts = MixtureConfig.from_json(content["config"]), content["facts"]
        measured = measured_from(arrays, content.get("measured", ()))
    except Exception as error:  # noqa: BLE001  safetensors raises its own kind of exception for a damaged file
        raise ModelError(f"{folder}: not a readable mixture model ({type(error).__name__}); fit it again") from None
    return Mixture(model, config, events, facts, measured)
