"""PrivBayes: a Bayesian network of low degree, chosen and measured under differential privacy.

    SELECT     add columns one by one; each time the exponential mechanism chooses a column and its parents (Algorithms 2, 4);
    MEASURE    one noisy joint table for each chosen family, turned into a conditional distribution (Algorithm 3);
    GENERATE   ancestral sampling; under a condition likelihood weighting over the ancestors of the named columns.

Source:
    Zhang, Cormode, Procopiuc, Srivastava & Xiao 2017, "PrivBayes: Private Data Release via Bayesian Networks" (ACM TODS 42(4)).

| paper | here |
|---|---|
| β, share of ε for the network | `selection_share` of the cost μ² that the profile leaves |
| θ, usefulness of a table | `theta`: a table has at most rows / (θ · mean noise of a cell) cells |
| k, degree; generalised parents (taxonomy trees) | `most_parents`; `groups`, the coarse maps of a column's codes |
| R(X, Π), half the L1 distance to independence | `EncodedView.choose_family` |
| N, the network | `Network`, one `Family` a column |

Deviations: discrete Gaussian noise on the tables in place of Laplace; R is taken against the released one-way of X (sensitivity 1 row in
place of 3); the root is the declared target where there is one and has its distribution from the profile; a noisy conditional is projected
on the simplex in place of clipped, and pulled towards the released one-way with the weight of `prior_sigmas` noise scales; when there are
too many parent sets, a random subset of the public list is tried; θ = 12, β = .15 where the paper has
4 and .3 (2-way TVD of the encoder's codes at ε = 1: adult .044 against .047, bank .038 against .046; see benchmarks/README.md).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, product
from math import pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from synth_pipeline.encode.condition import Condition
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ModelError
from synth_pipeline.generate.autoregressive.conditional import Particles
from synth_pipeline.generate.engine_registry import EnginePlan, discovery_events
from synth_pipeline.generate.likelihood_weighting import Weighting, parts_of, rows_table
from synth_pipeline.generate.maxent.grouping import group_columns
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.answer import JointPartition
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator, EncodedView
from synth_pipeline.privacy.events import Event, GaussianPoolEvent, event_from_dict
from synth_pipeline.privacy.ledger.contract import ChargeLine
from synth_pipeline.spec import Spec
from synth_pipeline.table.encoded import Codes, Domain, EncodedTable
from synth_pipeline.table.profile import Floats, Profile, project_simplex

PROFILE_SHARE: float | None = None
_NOMINAL_PROFILE = 0.16
_CHUNK_ROWS = 65_536

Map = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PrivBayesConfig:
    """Constants of the mechanism.

    Attributes:
        target: public target column, the root of the network; None: a random root.
        selection_share: the paper's β.
        theta: the paper's θ.
        most_parents: most parents of a column.
        groups: sizes of the coarse maps of a parent, beside the full one.
        most_families: most new families that one choice looks at.
        prior_sigmas: rows of the released one-way mixed into each conditional, in noise scales of its table.
    """

    target: str | None = None
    selection_share: float = 0.15
    theta: float = 12.0
    most_parents: int = 3
    groups: tuple[int, ...] = (12, 5)
    most_families: int = 1500
    prior_sigmas: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "PrivBayesConfig":
        """The config that `to_json` wrote."""
        plain: dict[str, Any] = {**content, "groups": tuple(content["groups"])}
        return cls(**plain)


@dataclass(frozen=True, eq=False)
class Family:
    """A column and how it is drawn from its parents.

    Attributes:
        column: index of the column.
        parents: indices of its parents, all drawn before it.
        maps: for each parent, the group of each of its codes.
        conditional: probabilities, combinations of the parents' groups × codes; rows sum to 1.
    """

    column: int
    parents: tuple[int, ...]
    maps: tuple[Map, ...]
    conditional: Floats

    def rows_of(self, codes: Codes) -> npt.NDArray[np.int64]:
        """Row of `conditional` that holds for each given row."""
        place = np.zeros(len(codes), dtype=np.int64)
        for parent, groups in zip(self.parents, self.maps, strict=True):
            place = place * (int(groups.max()) + 1) + groups[codes[:, parent]]
        return place


@dataclass(frozen=True, eq=False)
class Network:
    """The network, as a chain that draws its columns parents first.

    Attributes:
        families: one a column, parents before children.
    """

    families: tuple[Family, ...]

    def family(self, column: int) -> Family:
        """The family of a column."""
        return next(item for item in self.families if item.column == column)

    def blank(self, rows: int) -> Codes:
        """Rows of which nothing is drawn."""
        return np.zeros((rows, len(self.families)), dtype=np.int32)

    def probabilities(self, column: int, state: Codes) -> Floats:
        """Probability of each code given the parents' (rows, codes)."""
        family = self.family(column)
        return family.conditional[family.rows_of(state)]

    def learn(self, state: Codes, column: int, codes: npt.NDArray[np.integer], rng: np.random.Generator) -> None:
        """Write drawn codes into the rows, in place."""
        state[:, column] = codes

    def draw(self, state: Codes, column: int, rng: np.random.Generator) -> npt.NDArray[np.integer]:
        """Draw a column given its parents, in place: one search in all cumulative rows laid end to end."""
        family = self.family(column)
        width = family.conditional.shape[1]
        ends = np.cumsum(family.conditional, axis=1)
        ends = (ends / ends[:, -1:] + np.arange(len(ends))[:, None]).reshape(-1)
        place = family.rows_of(state)
        found = np.searchsorted(ends, place + rng.random(len(state)), side="right") - place * width
        state[:, column] = np.clip(found, 0, width - 1)
        return state[:, column]

    def ancestors(self, columns: Sequence[int]) -> tuple[int, ...]:
        """The columns and all that they hang on, in the order of drawing."""
        wanted = set(columns)
        for family in reversed(self.families):
            if family.column in wanted:
                wanted |= set(family.parents)
        return tuple(family.column for family in self.families if family.column in wanted)


@dataclass(frozen=True, eq=False)
class PrivBayes:
    """A measured network; everything in it is released.

    Attributes:
        domain: the encoded columns.
        network: the network.
        config: constants of the mechanism.
        events: DP events of the whole training, profile included.
        facts: released facts about the training.
    """

    domain: Domain
    network: Network
    config: PrivBayesConfig
    events: tuple[Event, ...]
    facts: dict[str, Any]

    kind = "privbayes"

    def sample(self, rows: int, *, where: Condition | None = None, rng: np.random.Generator) -> EncodedTable:
        """Encoded rows; under a condition every row satisfies it and they follow the network's conditional law.

        Raises:
            ConstraintError: if nothing can satisfy the condition, or it is too rare to be met by weighting.
        """
        return rows_table(self.domain, [self._draw(part, where, rng) for part in parts_of(rows, _CHUNK_ROWS)], where)

    def save(self, folder: Path) -> None:
        """Write `privbayes.safetensors` and `privbayes.json` into an existing folder."""
        arrays: dict[str, np.ndarray] = {}
        for family in self.network.families:
            arrays[f"conditional_{family.column}"] = np.ascontiguousarray(family.conditional)
            arrays |= {f"map_{family.column}_{i}": np.ascontiguousarray(m) for i, m in enumerate(family.maps)}
        save_file(arrays, str(folder / "privbayes.safetensors"))
        content = {
            "names": self.domain.names,
            "sizes": self.domain.sizes,
            "families": [[family.column, family.parents] for family in self.network.families],
            "config": self.config.to_json(),
            "events": [event.to_dict() for event in self.events],
            "facts": self.facts,
        }
        (folder / "privbayes.json").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _draw(self, rows: int, where: Condition | None, rng: np.random.Generator) -> Particles:
        order = [family.column for family in self.network.families]
        if where is None:
            state = self.network.blank(rows)
            for column in order:
                self.network.draw(state, column, rng)
            return Particles(state, np.empty((rows, 0), dtype=np.int64), np.zeros(rows))
        head = self.network.ancestors([sub.column for sub in where.subdomains])
        tail = tuple(column for column in order if column not in head)
        return Weighting(self.network, where, head, tail, max(self.domain.sizes)).draw(rows, rng)[1]


def make_config(spec: Spec) -> PrivBayesConfig:
    """The mechanism config for a specification."""
    return PrivBayesConfig(target=spec.benchmark.target if spec.benchmark else None)


def plan(spec: Spec, budget: Budget) -> EnginePlan:
    """One pool, spread as at 16 % for the profile; the noisy row count moves that share between 12 % and 35 %."""
    left, beta = 1 - _NOMINAL_PROFILE, make_config(spec).selection_share
    shares = (
        ("profile", f"row count and one-way statistics of {len(spec.modelled)} columns", "discrete Gaussian", _NOMINAL_PROFILE),
        ("generator", "network: choices of a column and its parents", "exponential mechanism", left * beta),
        ("generator", "tables of the chosen families", "discrete Gaussian", left * (1 - beta)),
    )  # fmt: skip
    lines = tuple(
        ChargeLine(stage, purpose, mechanism, share * budget.epsilon) for stage, purpose, mechanism, share in shares
    )
    pool = GaussianPoolEvent(stage="walk", purpose="profile and generator", mu_squared=budget.cost)
    return EnginePlan((pool, *discovery_events(spec, budget)), lines)


def fit(
    curator: Curator,
    profile: Profile,
    config: PrivBayesConfig,
    *,
    budget: Budget,  # noqa: ARG001  every engine is given it; this one spends what the curator has left
    runtime: RuntimeConfig,
) -> PrivBayes:
    """Choose the network, measure its families, all with what the profile left of the budget.

    Privacy:
        d − 1 choices by the exponential mechanism (a person moves a score by at most 1), covered by Gaussians; d − 1 noisy tables.
    """
    view = curator.encoded(Encoder(profile))
    cost, columns = view.left_cost * (1 - 1e-9), len(view.domain)
    network_cost = config.selection_share * cost
    table_cost = (cost - network_cost) / max(columns - 1, 1)
    mean_noise = curator.sigma_for(table_cost) * sqrt(2 / pi)
    most_cells = profile.rows / (config.theta * mean_noise)
    search = Search(view, profile, config, most_cells, runtime.generator())
    root = search.root()
    chosen = search.run(root, cost=network_cost, runtime=runtime)
    families = [Family(root, (), (), profile.shares(root)[None, :])]
    for done, part in enumerate(chosen):
        runtime.report(f"privbayes: table {done + 1} of {len(chosen)}", 0.8 + 0.2 * done / max(len(chosen), 1))
        noisy = view.joint_counts(part, cost=table_cost, stage="generator", purpose=f"table {part.name}")
        table = noisy.values.reshape(part.shape[0], -1).T
        conditional = make_conditional(table, profile.shares(part.columns[0]), config.prior_sigmas * noisy.sigma)
        families.append(Family(part.columns[0], part.columns[1:], part.maps[1:], conditional))
    facts = {"network": [part.name for part in chosen], "most_cells": round(most_cells), "mean_noise": mean_noise}
    return PrivBayes(view.domain, Network(tuple(families)), config, view.events, facts)


def load(folder: Path) -> PrivBayes:
    """The generator that `PrivBayes.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    try:
        content = json.loads((folder / "privbayes.json").read_text(encoding="utf-8"))
        arrays = load_file(str(folder / "privbayes.safetensors"))
        families = tuple(
            Family(
                column,
                tuple(parents),
                tuple(arrays[f"map_{column}_{i}"] for i in range(len(parents))),
                arrays[f"conditional_{column}"],
            )
            for column, parents in content["families"]
        )
        domain = Domain(tuple(content["names"]), tuple(content["sizes"]))
        config = PrivBayesConfig.from_json(content["config"])
        events, facts = tuple(event_from_dict(item) for item in content["events"]), content["facts"]
    except Exception as error:  # noqa: BLE001  safetensors raises its own kind of exception for a damaged file
        raise ModelError(f"{folder}: not a readable privbayes model ({type(error).__name__}); fit it again") from None
    return PrivBayes(domain, Network(families), config, events, facts)


class Search:
    """The greedy search for a network (Algorithm 2, with the maximal generalised parent sets of Algorithm 4).

    Args:
        view: the encoded private rows.
        profile: the released profile.
        config: constants of the mechanism.
        most_cells: most cells of a family's table.
        rng: post-processing randomness, for the root and for which parent sets are tried.
    """

    def __init__(
        self, view: EncodedView, profile: Profile, config: PrivBayesConfig, most_cells: float, rng: np.random.Generator
    ) -> None:
        self.view, self.profile, self.config, self.most_cells, self.rng = view, profile, config, most_cells, rng
        self.maps = [_distinct(maps) for maps in group_columns(profile, config.groups).maps]
        self.pools: dict[int, list[JointPartition]] = {}

    def root(self) -> int:
        """The target, or a random column."""
        names = self.view.domain.names
        if self.config.target in names:
            return names.index(self.config.target)
        return int(self.rng.integers(len(names)))

    def run(self, root: int, *, cost: float, runtime: RuntimeConfig) -> list[JointPartition]:
        """The chosen families, parents before children; the first column of each is the child."""
        columns = len(self.view.domain)
        self.pools = {column: [self._family(column, (), ())] for column in range(columns) if column != root}
        drawn, chosen = [root], list[JointPartition]()
        while self.pools:
            runtime.report(f"privbayes: {len(drawn)} of {columns} columns in the network", 0.8 * len(drawn) / columns)
            for column in self.pools:
                self.pools[column] += self._new_families(column, drawn)
            families = [family for pool in self.pools.values() for family in pool]
            pick = self.view.choose_family(
                families,
                [self.profile.shares(family.columns[0]) for family in families],
                cost=cost / (columns - 1),
                purpose=f"network: column {len(drawn) + 1}",
            )
            chosen.append(families[pick])
            drawn.append(families[pick].columns[0])
            del self.pools[drawn[-1]]
        return chosen

    def _new_families(self, column: int, drawn: Sequence[int]) -> list[JointPartition]:
        """Families of a column whose parents include the newest one, each at its finest useful levels."""
        *older, newest = drawn
        sets = [(*others, newest) for size in range(self.config.most_parents) for others in combinations(older, size)]
        most = max(self.config.most_families // len(self.pools), 2)
        tried = [sets[i] for i in self.rng.permutation(len(sets))[:most]]
        found = [(parents, levels) for parents in tried for levels in self._levels(column, parents)]
        return [self._family(column, *found[i]) for i in self.rng.permutation(len(found))[:most]]

    def _levels(self, column: int, parents: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Combinations of the parents' levels whose table is small enough, and none of whose levels can be finer."""
        sizes = [[int(groups.max()) + 1 for groups in self.maps[parent]] for parent in parents]
        most = self.most_cells / self.view.domain.sizes[column]
        fitting = {
            levels
            for levels in product(*(range(len(options)) for options in sizes))
            if np.prod([options[level] for options, level in zip(sizes, levels, strict=True)]) <= most
        }
        return [
            levels
            for levels in sorted(fitting)
            if not any((*levels[:i], level - 1, *levels[i + 1 :]) in fitting for i, level in enumerate(levels))
        ]

    def _family(self, column: int, parents: tuple[int, ...], levels: tuple[int, ...]) -> JointPartition:
        names = self.view.domain.names
        maps = [self.maps[parent][level] for parent, level in zip(parents, levels, strict=True)]
        described = ", ".join(f"{names[p]} in {int(m.max()) + 1}" for p, m in zip(parents, maps, strict=True))
        return JointPartition(
            (column, *parents), (self.maps[column][0], *maps), f"{names[column]} | {described or 'nothing'}"
        )


def make_conditional(table: Floats, shares: Floats, prior: float) -> Floats:
    """Conditional distributions from noisy joint counts (combinations × codes), each pulled towards the one-way by `prior` rows."""
    weights = np.ones(table.shape[1])
    rows = [
        project_simplex(counts, float(counts.sum()), weights) if counts.sum() > 0 else np.zeros_like(counts)
        for counts in table
    ]
    mixed = np.stack(rows) + max(prior, 1e-9) * shares
    return mixed / mixed.sum(axis=1, keepdims=True)


def _distinct(maps: tuple[Map, ...]) -> list[Map]:
    """The maps of a column, finest first, each with fewer groups than the one before."""
    kept = [maps[0]]
    for groups in maps[1:]:
        if groups.max() < kept[-1].max():
            kept.append(groups)
    return kept
