"""MaxEnt-Gibbs from end to end: SCREEN → (SELECT → MEASURE → FIT)* → SAMPLE.

Noisy multi-resolution tables of pairs are fitted by a maximum-entropy Markov random field through persistent Gibbs chains; there is no
junction tree, so no limit on treewidth, and the chains are the rows.
"""

import json
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
from synth_pipeline.generate.maxent.config import MaxentConfig, RoundPlan, plan_rounds
from synth_pipeline.generate.maxent.dependency import Dependency, screen_dependencies
from synth_pipeline.generate.maxent.evidence import draw_dependent, make_evidence
from synth_pipeline.generate.maxent.field import Field, start_field
from synth_pipeline.generate.maxent.fit import FitResult, Fitter, Measurement, OneWays, make_targets, table_key
from synth_pipeline.generate.maxent.grouping import group_columns
from synth_pipeline.generate.maxent.planning import PROFILE_SHARE, make_config, plan
from synth_pipeline.generate.maxent.ranks import RankModel, fit_ranks
from synth_pipeline.generate.maxent.sample import Sampler
from synth_pipeline.generate.maxent.select import PairJoints, Selector
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator, EncodedView
from synth_pipeline.privacy.events import Event, event_from_dict
from synth_pipeline.table.encoded import Domain, EncodedTable
from synth_pipeline.table.profile import NumericProfile, Profile

__all__ = ["PROFILE_SHARE", "Maxent", "fit", "load", "make_config", "plan"]

_POOR_RESIDUAL = 1.5
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

    kind = "maxent"

    def sample(self, rows: int, *, where: Condition | None = None, rng: np.random.Generator) -> EncodedTable:
        """Encoded rows; under a condition every row satisfies it and they follow the model's conditional law.

        Raises:
            ConstraintError: if no particle reached the condition.
        """
        parts = [
            self._sample(min(_CHUNK_ROWS, rows - start), where, rng) for start in range(0, max(rows, 1), _CHUNK_ROWS)
        ]
        joined = {name: [getattr(part, name) for part in parts] for name in ("regions", "ranks")}
        merged = {
            name: {key: np.concatenate([d[key] for d in dicts]) for key in dicts[0]} for name, dicts in joined.items()
        }
        return EncodedTable(
            np.concatenate([part.codes for part in parts]), self.domain, merged["regions"], merged["ranks"]
        )

    def save(self, folder: Path) -> None:
        """Write `maxent.safetensors` and `maxent.json` into an existing folder."""
        arrays = {
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
        }
        (folder / "maxent.json").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _sample(self, rows: int, where: Condition | None, rng: np.random.Generator) -> EncodedTable:
        device = str(self.field.bias.device)
        generator = torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))
        sampler = Sampler(self.field, self.joint, rng, generator)
        regions: dict[int, np.ndarray] = {}
        if where is None:
            states = sampler.rows(rows)
        else:
            states, found = sampler.rows_where(rows, make_evidence(where, self.active, self.dependencies, device))
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
    trainer = _Trainer(curator, profile, config, budget, runtime)
    trainer.screen()
    for number in range(trainer.plan.rounds):
        trainer.round(number)
    return trainer.finish()


class _Trainer:
    """Holds what one training passes from step to step."""

    def __init__(
        self, curator: Curator, profile: Profile, config: MaxentConfig, budget: Budget, runtime: RuntimeConfig
    ) -> None:
        self.view: EncodedView = curator.encoded(Encoder(profile))
        self.profile, self.config, self.runtime = profile, config, runtime
        self.budget = budget
        self.rng = runtime.generator()
        self.generator = torch.Generator(device=runtime.device).manual_seed(int(self.rng.integers(2**62)))
        names = self.view.domain.names
        self.target = names.index(config.target) if config.target in names else None
        self.measured: dict[str, Measurement] = {}
        self.theta: dict[str, np.ndarray] = {}
        self.plan: RoundPlan = plan_rounds(columns=len(names), rows=profile.rows, cost=max(self.view.left_cost, 1e-12))

    def screen(self) -> None:
        """Find dependencies and start the field of independent columns."""
        self.runtime.report("maxent: functional dependencies", 0.0)
        self.dependencies = screen_dependencies(
            self.view, self.profile, target=self.target, cost=self.config.dependency_share * self.budget.cost
        )
        drawn = {item.column for item in self.dependencies}
        sizes, names = self.view.domain.sizes, self.view.domain.names
        self.active = tuple(index for index in range(len(sizes)) if index not in drawn)
        active_domain = Domain(tuple(names[i] for i in self.active), tuple(sizes[i] for i in self.active))
        shares = [self.profile.shares(index) for index in self.active]
        self.field = start_field(active_domain, shares, self.config.chains, self.rng, self.runtime.device)
        flat = torch.tensor(np.concatenate(shares), device=self.runtime.device)
        self.fitted = FitResult(torch.outer(flat, flat), 0.0)
        self.round_cost = self.view.left_cost / self.plan.rounds
        grouping = group_columns(self.profile, self.config.groups)
        self.selector = Selector(self.view, self.profile, grouping, self.config, self.plan, self.active, self.target)

    def round(self, number: int) -> None:
        """Select, measure, fit."""
        self.runtime.report(
            f"maxent: round {number + 1} of {self.plan.rounds}", (number + 0.5) / (self.plan.rounds + 1)
        )
        if len(self.active) < 2:
            return
        cost = min(self.round_cost, self.view.left_cost)
        for item in self.selector.run(number, self._joints(), self.measured, cost=cost):
            key = table_key(item.partition)
            self.measured[key] = self.measured[key].merged(item) if key in self.measured else item
        is_last = number == self.plan.rounds - 1
        self._fit(self.config.final_sweeps if is_last else self.config.sweeps)
        for _ in range(_MOST_EXTRA_FITS if is_last else 0):
            if self.fitted.residual > _POOR_RESIDUAL:
                self._fit(self.config.final_sweeps)

    def finish(self) -> Maxent:
        """The fitted generator."""
        numeric = tuple(i for i, column in enumerate(self.profile.columns) if isinstance(column, NumericProfile))
        names = self.view.domain.names
        facts = {
            "rounds": self.plan.rounds,
            "tables": len(self.measured),
            "residual": round(self.fitted.residual, 3),
            "is_converged": self.fitted.residual <= _POOR_RESIDUAL,
            "drawn_columns": {names[item.column]: names[item.parent] for item in self.dependencies},
        }
        return Maxent(
            self.view.domain, self.active, self.field, self.fitted.joint.float(), self.dependencies, numeric, self.config,
            self.view.events, facts,
        )  # fmt: skip

    def _joints(self) -> PairJoints:
        slices = dict(zip(self.active, self.field.slices, strict=True))
        return PairJoints(self.fitted.joint.double().cpu().numpy(), slices)

    def _fit(self, sweeps: int) -> None:
        keys = list(self.measured)
        measurements = [_in_field(self.measured[key], self.active) for key in keys]
        targets = make_targets(self.field, measurements, self.profile.rows, self.theta)
        one_ways = _one_ways(self.profile, self.active, self.runtime.device)
        fitter = Fitter(self.field, targets, one_ways, ridge=self.config.ridge, rng=self.rng, generator=self.generator)
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
    )


def _in_field(item: Measurement, active: tuple[int, ...]) -> Measurement:
    """The measurement with its columns numbered as in the field."""
    part = item.partition
    moved = PairPartition(active.index(part.first), active.index(part.second), part.labels, part.size, part.name)
    return Measurement(moved, item.values, item.sigma)


def _theta_by_table(measurements: Sequence[Measurement], theta: np.ndarray) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    start = 0
    for item in measurements:
        found[table_key(item.partition)] = theta[start : start + item.partition.size]
        start += item.partition.size
    return found


def _one_ways(profile: Profile, active: tuple[int, ...], device: str) -> OneWays:
    rows = max(profile.rows, 1.0)
    values = np.concatenate([profile.columns[index].counts for index in active]) / rows
    noise = np.concatenate([profile.columns[index].sigma for index in active]) / rows
    return OneWays(
        torch.tensor(values, dtype=torch.float32, device=device),
        torch.tensor(noise, dtype=torch.float32, device=device),
    )
