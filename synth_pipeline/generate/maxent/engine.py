"""MaxEnt-Gibbs from end to end: SCREEN → (SELECT → MEASURE → FIT)* → SAMPLE.

Noisy multi-resolution tables of pairs are fitted by a maximum-entropy Markov random field through persistent Gibbs chains; there is no
junction tree, so no limit on treewidth, and the chains are the rows.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from synth_pipeline.encode.condition import Condition
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ModelError
from synth_pipeline.generate.maxent.config import MaxentConfig, RoundPlan
from synth_pipeline.generate.maxent.dependency import Dependency
from synth_pipeline.generate.maxent.evidence import draw_dependent, make_evidence
from synth_pipeline.generate.maxent.field import Field, start_field
from synth_pipeline.generate.maxent.fit import FitResult, Fitter, Measurement, OneWays, make_targets, table_key
from synth_pipeline.generate.maxent.impute import FieldImputer
from synth_pipeline.generate.maxent.planning import PROFILE_SHARE, make_config, plan
from synth_pipeline.generate.maxent.ranks import RankModel, fit_ranks
from synth_pipeline.generate.maxent.refresh import Earlier, EarlierModel, take_over
from synth_pipeline.generate.maxent.sample import Sampler
from synth_pipeline.generate.maxent.select import PairJoints
from synth_pipeline.generate.maxent.structure import forbid, forbid_codes
from synth_pipeline.generate.maxent.transcript import Transcript, renumbered
from synth_pipeline.generate.measured import MeasuredPair, measured_arrays, measured_from
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator, EncodedView
from synth_pipeline.privacy.events import Event, event_from_dict
from synth_pipeline.profile.signal import VERY_WEAK
from synth_pipeline.table.encoded import Domain, EncodedTable
from synth_pipeline.table.profile import NumericProfile, Profile

__all__ = ["PROFILE_SHARE", "Maxent", "fit", "load", "make_config", "plan", "refresh"]

_LOG = logging.getLogger(__name__)
_POOR_RESIDUAL = 1.5
_LARGEST_MISFIT = 0.1
_MOST_EXTRA_FITS = 3
_RANKED_BINS = 5
_CHUNK_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class Maxent:
    """A fitted MaxEnt-Gibbs generator; everything in it is released.

    Attributes:
        domain: all encoded columns.
        active: domain indices of the columns in the field.
        field: factors, and the chains of the fit.
        joint: the model's pair marginals (S, S).
        dependencies: columns drawn from others.
        numeric: domain index of each numeric column, and whether it has a null code.
        config: constants of the mechanism.
        events: DP events of the whole training, profile included.
        facts: released facts about the fit.
        measured: the noisy tables that it was fitted to; empty where it was saved without them.
    """

    domain: Domain
    active: tuple[int, ...]
    field: Field
    joint: torch.Tensor
    dependencies: tuple[Dependency, ...]
    numeric: tuple[int, ...]
    config: MaxentConfig
    events: tuple[Event, ...]
    facts: dict[str, Any]
    measured: tuple[MeasuredPair, ...] = ()

    kind = "maxent"

    def sample(self, rows: int, *, where: Condition | None = None, rng: np.random.Generator) -> EncodedTable:
        """Encoded rows; under a condition every row satisfies it and they follow the model's conditional law.

        Raises:
            ConstraintError: if no particle reached the condition.
        """
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        sampler = Sampler(self.field, self.joint, rng, generator)
        parts = [
            self._sample(sampler, min(_CHUNK_ROWS, rows - start), where, rng)
            for start in range(0, max(rows, 1), _CHUNK_ROWS)
        ]
        joined = {name: [getattr(part, name) for part in parts] for name in ("regions", "ranks")}
        merged = {
            name: {key: np.concatenate([d[key] for d in dicts]) for key in dicts[0]} for name, dicts in joined.items()
        }
        return EncodedTable(
            np.concatenate([part.codes for part in parts]), self.domain, merged["regions"], merged["ranks"]
        )

    def impute(self, table: EncodedTable, *, rng: np.random.Generator) -> EncodedTable:
        """The rows with every unknown cell (code -1) drawn from the field's law given the row's known cells."""
        imputer = FieldImputer(self.field, self.active, self.dependencies, self.domain)
        return EncodedTable(imputer.impute(table.codes, rng), self.domain)

    def save(self, folder: Path) -> None:
        """Write `maxent.safetensors` and `maxent.json` into an existing folder."""
        tables, records = measured_arrays(self.measured)
        arrays = {
            **tables,
            "weights": self.field.weights.cpu().numpy(),
            "bias": self.field.bias.cpu().numpy(),
            "states": self.field.states.cpu().numpy().astype(np.int32),
            "joint": self.joint.cpu().numpy(),
            **{f"conditional_{item.column}": item.conditional for item in self.dependencies},
        }
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()}, str(folder / "maxent.safetensors")
        )
        content = {
            "names": self.domain.names,
            "sizes": self.domain.sizes,
            "active": self.active,
            "numeric": self.numeric,
            "dependencies": [[item.column, item.parent] for item in self.dependencies],
            "config": self.config.to_json(),
            "events": [event.to_dict() for event in self.events],
            "facts": self.facts,
            "measured": records,
        }
        (folder / "maxent.json").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _sample(self, sampler: Sampler, rows: int, where: Condition | None, rng: np.random.Generator) -> EncodedTable:
        regions: dict[int, np.ndarray] = {}
        if where is None:
            states = sampler.rows(rows)
        else:
            states, found = sampler.rows_where(rows, make_evidence(where, self.active, self.dependencies))
            regions = {
                sub.column: found[:, axis].cpu().numpy().astype(np.int32) for axis, sub in enumerate(where.subdomains)
            }
        codes = np.empty((rows, len(self.domain)), dtype=np.int32)
        codes[:, list(self.active)] = (states - self.field.offsets).cpu().numpy()
        subs = {sub.column: sub for sub in where.subdomains} if where else {}
        for item in self.dependencies:
            codes[:, item.column] = draw_dependent(
                item, codes[:, item.parent], subs.get(item.column), regions.get(item.column), rng
            )
        ranks = self._rank_model()
        return EncodedTable(codes, self.domain, regions, ranks.draw(codes, rng) if ranks else {})

    def _rank_model(self) -> RankModel | None:
        ranked = [
            (self.active.index(i), i) for i in self.numeric if i in self.active and self.domain.sizes[i] > _RANKED_BINS
        ]
        return fit_ranks(self.joint.double().cpu().numpy(), list(self.field.slices), ranked)


def fit(curator: Curator, profile: Profile, config: MaxentConfig, *, budget: Budget, runtime: RuntimeConfig) -> Maxent:
    """Spend what is left of the budget on pairs of columns and fit the field to the answers.

    Args:
        curator: holder of the private rows; its earlier answers (the profile's) count.
        profile: the released profile.
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: device, seed and progress.

    Privacy:
        Only discrete-Gaussian answers through the curator: scores of dependencies, and a score vector and tables a round. Everything
        else is post-processing.
    """
    return _Trainer(curator, profile, config, budget, runtime).run()


def refresh(  # noqa: PLR0913  a fit's arguments, and what it starts from
    curator: Curator,
    profile: Profile,
    config: MaxentConfig,
    *,
    budget: Budget,
    runtime: RuntimeConfig,
    prior: Maxent,
    changed: frozenset[str],
) -> Maxent:
    """Fit the field to a fresh snapshot, with an earlier release's noisy tables as measurements beside fresh ones.

    Args:
        curator: holder of the fresh rows.
        profile: their profile, unchanged columns on the codes of the earlier one (`profile.refresh`).
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: device, seed and progress.
        prior: the earlier generator.
        changed: columns that were measured anew; earlier tables with them are left out.

    Privacy:
        The same questions as a fit; what is known of the earlier snapshot is its release, so all that it adds is post-processing.

    Raises:
        ModelError: if the earlier generator was saved without its tables.
    """
    if not prior.measured and len(prior.active) > 1:
        raise ModelError("maxent: the release before was saved without its noisy tables; use refit")
    joints = PairJoints(prior.joint.double().cpu().numpy(), dict(zip(prior.active, prior.field.slices, strict=True)))
    model = EarlierModel(prior.domain, prior.measured, prior.dependencies, joints)
    return _Trainer(curator, profile, config, budget, runtime, take_over(model, profile, changed)).run()


class _Trainer:
    """Holds what one training passes from step to step."""

    def __init__(
        self,
        curator: Curator,
        profile: Profile,
        config: MaxentConfig,
        budget: Budget,
        runtime: RuntimeConfig,
        earlier: Earlier | None = None,
    ) -> None:
        self.view: EncodedView = curator.encoded(Encoder(profile))
        self.profile, self.config, self.runtime = profile, config, runtime
        self.budget = budget
        self.rng = runtime.generator()
        self.generator = torch.Generator(device=runtime.device).manual_seed(int(self.rng.integers(2**62)))
        self.transcript = Transcript(self.view, profile, config, earlier)
        self.theta: dict[str, np.ndarray] = {}
        self.plan: RoundPlan = self.transcript.plan

    def run(self) -> Maxent:
        """The whole training."""
        self.screen()
        for number in range(self.plan.rounds):
            self.round(number)
        return self.finish()

    def screen(self) -> None:
        """Find dependencies and start the field of independent columns, fitted to an earlier release's tables where there are any."""
        self.runtime.report("maxent: functional dependencies", 0.0)
        self.transcript.screen(walk_cost=self.budget.cost)
        shares = self.transcript.shares
        self.field = start_field(self.transcript.domain, shares, self.config.chains, self.rng)
        self.forbidden = forbid(self.field, self.runtime.rules, self.profile, self.transcript.active)
        for item in self.transcript.dependencies:
            forbid_codes(self.field, self.transcript.active.index(item.parent), item.impossible)
        flat = torch.tensor(np.concatenate(shares), device=self.runtime.device)
        self.fitted = FitResult(torch.outer(flat, flat), 0.0)
        if self.transcript.earlier:
            self._fit_well()

    def round(self, number: int) -> None:
        """Select, measure, fit."""
        self.runtime.report(
            f"maxent: round {number + 1} of {self.plan.rounds}", (number + 0.5) / (self.plan.rounds + 1)
        )
        before = self.transcript.earlier
        if not self.transcript.ask(number, self.fitted.joint.double().cpu().numpy()):
            return
        used = self.transcript.used
        self._forget([renumbered(item, self.transcript.active) for key, item in before.items() if key not in used])
        is_last = number == self.plan.rounds - 1
        if is_last:
            self._fit_well()
        else:
            self._fit(self.config.sweeps)

    def finish(self) -> Maxent:
        """The fitted generator.

        Raises:
            ModelError: if the field is far from the tables it was fitted to, however long it was fitted.
        """
        self._check_converged()
        numeric = tuple(i for i, column in enumerate(self.profile.columns) if isinstance(column, NumericProfile))
        names, dependencies = self.view.domain.names, self.transcript.dependencies
        facts = {
            "rounds": self.plan.rounds,
            "tables": len(self.transcript.used),
            "residual": round(self.fitted.residual, 3),
            "is_converged": self.fitted.residual <= _POOR_RESIDUAL,
            "forbidden_pairs": self.forbidden,
            "drawn_columns": {names[item.column]: names[item.parent] for item in dependencies},
            **self.transcript.refresh_facts(),
        }
        return Maxent(
            self.view.domain, self.transcript.active, self.field, self.fitted.joint.float(), dependencies, numeric, self.config,
            self.view.events, facts, self.transcript.released(),
        )  # fmt: skip

    def _check_converged(self) -> None:
        """Refuse a field that misses its tables; warn of one that is near them, but not to within their noise.

        Where the profile says that the tables are mostly noise no field can match them, and missing them says nothing.
        """
        if self.fitted.misfit > _LARGEST_MISFIT and self.profile.noise <= VERY_WEAK:
            raise ModelError(
                f"maxent: the fit did not converge: its tables differ from the measured ones by {self.fitted.misfit:.2f} on average beyond "
                "their noise (0.1 is allowed); nothing is released, and what was read stays charged; use generator.kind: mixture or aim"
            )
        if self.fitted.residual > _POOR_RESIDUAL:
            _LOG.warning(
                "maxent: the fit ends %.1f noise standard deviations from its tables (1.5 is usual at most); "
                "total variation beyond noise %.4f",
                self.fitted.residual,
                self.fitted.misfit,
            )

    def _fit_well(self) -> None:
        """Fit to the end: again while the field is farther from its tables than their noise."""
        self._fit(self.config.final_sweeps)
        for _ in range(_MOST_EXTRA_FITS):
            if self.fitted.residual > _POOR_RESIDUAL:
                self._fit(self.config.final_sweeps)

    def _forget(self, tables: Sequence[Measurement]) -> None:
        """Take the factors of tables (over the active columns) that are no longer used out of the field."""
        for item in tables:
            part = item.partition
            first, second = self.field.slices[part.first], self.field.slices[part.second]
            block = torch.as_tensor(self.theta.pop(table_key(part))[part.labels], dtype=torch.float32)
            self.field.weights[first, second] -= block
            self.field.weights[second, first] -= block.T

    def _fit(self, sweeps: int) -> None:
        measurements = self.transcript.measurements()
        targets = make_targets(self.field, measurements, self.profile.rows, self.theta)
        values, noise = (
            torch.tensor(part, dtype=torch.float32, device=self.runtime.device) for part in self.transcript.one_ways()
        )
        fitter = Fitter(
            self.field, targets, OneWays(values, noise), ridge=self.config.ridge, rng=self.rng, generator=self.generator
        )
        self.fitted = fitter.run(sweeps)
        self.theta = _theta_by_table(measurements, targets.theta.cpu().numpy())


def load(folder: Path) -> Maxent:
    """The generator that `Maxent.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    try:
        content = json.loads((folder / "maxent.json").read_text(encoding="utf-8"))
        arrays = load_file(str(folder / "maxent.safetensors"))
        active = tuple(content["active"])
        domain = Domain(tuple(content["names"]), tuple(content["sizes"]))
        active_domain = Domain(tuple(domain.names[i] for i in active), tuple(domain.sizes[i] for i in active))
        states = torch.tensor(arrays["states"].astype(np.int64))
        field = Field(active_domain, torch.tensor(arrays["weights"]), torch.tensor(arrays["bias"]), states)
        drawn = tuple(Dependency(c, p, arrays[f"conditional_{c}"]) for c, p in content["dependencies"])
        events = tuple(event_from_dict(item) for item in content["events"])
        config = MaxentConfig.from_json(content["config"])
        measured = measured_from(arrays, content.get("measured", ()))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ModelError(f"{folder}: not a readable maxent model ({type(error).__name__}); fit it again") from None
    return Maxent(
        domain,
        active,
        field,
        torch.tensor(arrays["joint"]),
        drawn,
        tuple(content["numeric"]),
        config,
        events,
        content["facts"],
        measured,
    )


def _theta_by_table(measurements: Sequence[Measurement], theta: np.ndarray) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    start = 0
    for item in measurements:
        found[table_key(item.partition)] = theta[start : start + item.partition.size]
        start += item.partition.size
    return found
