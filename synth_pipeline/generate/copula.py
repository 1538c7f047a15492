"""A Gaussian copula under differential privacy: released margins, and one noisy matrix of correlations.

    MEASURE    margins (the profile); an order for unordered categories; noisy sums of products of normal scores;
    REPAIR     each sum turned into the correlation of the latent normals behind the codes; the matrix made positive definite;
    GENERATE   correlated normals, cut into codes at the quantiles of the margins.

Source:
    Li, Xiong & Jiang 2014, "Differentially Private Synthesization of Multi-Dimensional Data using Copula Functions" (DPCopula, EDBT),
    Algorithms 1–3. Polychoric correlation: Olsson 1979; the expansion in Hermite polynomials is Mehler's. Rows under a condition: the
    simulator of Geweke 1991, Hajivassiliou & McFadden 1998 and Keane 1994.

| paper | here |
|---|---|
| margins F̃ⱼ | the profile's one-way shares; `bounds` are their normal quantiles |
| P̃, noisy correlation matrix | `correlation` |
| ρ̂ᵢⱼ from Kendall's τ̂ᵢⱼ, sin(πτ/2) | ρ that gives the noisy E[sᵢsⱼ], by bisection in Mehler's series |
| ε₁ : ε₂ = k, margins to correlations | `PROFILE_SHARE`, `order_share` |

Deviations: Kendall's τ has sensitivity 4/(n+1) a pair, and m(m−1)/2 pairs share ε₂; here all sums of products of whole-number normal
scores are one discrete Gaussian answer of L2 sensitivity bound²/√2, a third of the noise at 15 columns. τ-based inversion needs continuous
margins; Mehler's series is exact for bins, atoms and binary columns. The paper leaves small categories to a hybrid with one copula each;
here an unordered column is ordered by a noisy table with the target (or by frequency, without one). Where a condition cuts through a bin,
its part is taken by released mass, whatever the row's other columns say about its place inside the bin.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file
from scipy.special import ndtr, ndtri

from synth_pipeline.encode.condition import Condition
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ModelError
from synth_pipeline.generate.autoregressive.conditional import Particles
from synth_pipeline.generate.engine_registry import EnginePlan, discovery_events
from synth_pipeline.generate.likelihood_weighting import Weighting, parts_of, rows_table
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.answer import JointPartition
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator, EncodedView
from synth_pipeline.privacy.events import Event, GaussianPoolEvent, event_from_dict
from synth_pipeline.privacy.ledger.contract import ChargeLine
from synth_pipeline.spec import Spec
from synth_pipeline.table.encoded import Domain, EncodedTable
from synth_pipeline.table.profile import Floats, NumericProfile, Profile

PROFILE_SHARE: float | None = 0.6
"""Margins are most of what this engine keeps, and the correlations are exact enough with little (see benchmarks/README.md)."""

_FURTHEST = 8.0
_TERMS = 24
_HIGHEST_CORRELATION = 0.98
_CHUNK_ROWS = 65_536

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CopulaConfig:
    """Constants of the mechanism.

    Attributes:
        target: public target column; unordered categories are ordered by it.
        order_share: share of what the profile leaves for those orders.
        score_unit: whole-number score of one standard deviation.
        bound_factor: a row's squared norm of scores is cut at this multiple of its released mean.
        smallest_eigenvalue: of the repaired correlation matrix.
    """

    target: str | None = None
    order_share: float = 0.3
    score_unit: int = 16
    bound_factor: float = 4.0
    smallest_eigenvalue: float = 0.01

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Latent:
    """The latent normals, as a chain that draws columns in a given order; its state holds the independent normals behind them.

    Attributes:
        order: columns in the order of drawing.
        factor: Cholesky factor of the correlation in that order.
        bounds: for each column (domain index), ascending normal quantiles of its cells' ends.
        orders: for each column, the code of each cell.
    """

    order: tuple[int, ...]
    factor: Floats
    bounds: tuple[Floats, ...]
    orders: tuple[Ints, ...]

    def blank(self, rows: int) -> Floats:
        """Rows of which nothing is drawn."""
        return np.zeros((rows, len(self.order)))

    def probabilities(self, column: int, state: Floats) -> Floats:
        """Probability of each code given the normals drawn so far (rows, codes)."""
        mean, deviation = self._given(state, self.order.index(column))
        below = ndtr((self.bounds[column][None, :] - mean[:, None]) / deviation)
        found = np.empty((len(state), len(self.orders[column])))
        found[:, self.orders[column]] = np.diff(below, axis=1)
        return found

    def learn(self, state: Floats, column: int, codes: npt.NDArray[np.integer], rng: np.random.Generator) -> None:
        """Draw the normal behind given codes, truncated to their cells, in place."""
        place = self.order.index(column)
        mean, deviation = self._given(state, place)
        cells = np.argsort(self.orders[column])[codes]
        low, high = ((ends[cells] - mean) / deviation for ends in (self.bounds[column][:-1], self.bounds[column][1:]))
        start, stop = ndtr(low), ndtr(high)
        drawn = ndtri(np.clip(start + (stop - start) * rng.random(len(state)), 1e-12, 1 - 1e-12))
        state[:, place] = np.clip(drawn, low, high)

    def draw(self, state: Floats, column: int, rng: np.random.Generator) -> npt.NDArray[np.integer]:
        """Draw a column's normal given the others, in place; its codes."""
        place = self.order.index(column)
        state[:, place] = rng.normal(size=len(state))
        return self.codes(column, state @ self.factor[place])

    def codes(self, column: int, normals: Floats) -> Ints:
        """Codes of a column's correlated normals."""
        cells = np.searchsorted(self.bounds[column][1:-1], normals, side="right")
        return self.orders[column][cells]

    def normals(self, state: Floats, column: int) -> Floats:
        """Correlated normals of a column."""
        return state @ self.factor[self.order.index(column)]

    def _given(self, state: Floats, place: int) -> tuple[Floats, float]:
        return state[:, :place] @ self.factor[place, :place], float(self.factor[place, place])


@dataclass(frozen=True, eq=False)
class Copula:
    """Margins and a correlation matrix; everything in it is released.

    Attributes:
        domain: the encoded columns.
        bounds: for each column, normal quantiles of its cells' ends.
        orders: for each column, the code of each cell.
        correlation: of the latent normals.
        numeric: columns whose rows get a rank inside their bin.
        config: constants of the mechanism.
        events: DP events of the whole training, profile included.
        facts: released facts about the training.
    """

    domain: Domain
    bounds: tuple[Floats, ...]
    orders: tuple[Ints, ...]
    correlation: Floats
    numeric: tuple[int, ...]
    config: CopulaConfig
    events: tuple[Event, ...]
    facts: dict[str, Any]

    kind = "copula"

    def sample(self, rows: int, *, where: Condition | None = None, rng: np.random.Generator) -> EncodedTable:
        """Encoded rows; under a condition every row satisfies it and they follow the copula's conditional law.

        Raises:
            ConstraintError: if nothing can satisfy the condition, or it is too rare to be met by weighting.
        """
        named = [sub.column for sub in where.subdomains] if where else []
        order = (*named, *(column for column in range(len(self.domain)) if column not in named))
        factor = np.linalg.cholesky(self.correlation[np.ix_(order, order)]).astype(np.float64)
        latent = Latent(order, factor, self.bounds, self.orders)
        drawn = [self._draw(latent, part, where, rng) for part in parts_of(rows, _CHUNK_ROWS)]
        table = rows_table(self.domain, [part for _, part in drawn], where)
        state = np.concatenate([part for part, _ in drawn])
        ranks = {column: self._ranks(latent.normals(state, column), column) for column in self.numeric}
        return EncodedTable(table.codes, self.domain, table.regions, ranks)

    def save(self, folder: Path) -> None:
        """Write `copula.safetensors` and `copula.json` into an existing folder."""
        arrays: dict[str, np.ndarray] = {"correlation": self.correlation}
        for column in range(len(self.domain)):
            arrays |= {f"bounds_{column}": self.bounds[column], f"order_{column}": self.orders[column]}
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()}, str(folder / "copula.safetensors")
        )
        content = {
            "names": self.domain.names,
            "sizes": self.domain.sizes,
            "numeric": self.numeric,
            "config": self.config.to_json(),
            "events": [event.to_dict() for event in self.events],
            "facts": self.facts,
        }
        (folder / "copula.json").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _draw(
        self, latent: Latent, rows: int, where: Condition | None, rng: np.random.Generator
    ) -> tuple[Floats, Particles]:
        columns = len(self.domain)
        if where is not None:
            head = latent.order[: len(where.subdomains)]
            return Weighting(latent, where, head, latent.order[len(head) :], max(self.domain.sizes)).draw(rows, rng)
        state = rng.normal(size=(rows, columns))
        normals = state @ latent.factor.T
        codes = np.stack([latent.codes(column, normals[:, column]) for column in range(columns)], axis=1)
        return state, Particles(codes.astype(np.int32), np.empty((rows, 0), dtype=np.int64), np.zeros(rows))

    def _ranks(self, normals: Floats, column: int) -> Floats:
        """Position of each row inside its bin."""
        ends = ndtr(self.bounds[column])
        cells = np.searchsorted(self.bounds[column][1:-1], normals, side="right")
        return np.clip((ndtr(normals) - ends[cells]) / np.maximum(ends[cells + 1] - ends[cells], 1e-12), 0.0, 1.0)


def make_config(spec: Spec) -> CopulaConfig:
    """The mechanism config for a specification."""
    return CopulaConfig(target=spec.benchmark.target if spec.benchmark else None)


def plan(spec: Spec, budget: Budget) -> EnginePlan:
    """One pool: margins, orders of unordered categories, correlations."""
    share = PROFILE_SHARE or 0.0
    order = make_config(spec).order_share if spec.benchmark else 0.0
    shares = (
        ("profile", f"row count and one-way statistics of {len(spec.modelled)} columns", share),
        ("generator", "order of unordered categories", (1 - share) * order),
        ("generator", "correlations of normal scores", (1 - share) * (1 - order)),
    )
    lines = tuple(
        ChargeLine(stage, purpose, "discrete Gaussian", part * budget.epsilon)
        for stage, purpose, part in shares
        if part > 0
    )
    pool = GaussianPoolEvent(stage="walk", purpose="profile and generator", mu_squared=budget.cost)
    return EnginePlan((pool, *discovery_events(spec, budget)), lines)


def fit(
    curator: Curator,
    profile: Profile,
    config: CopulaConfig,
    *,
    budget: Budget,  # noqa: ARG001  every engine is given it; this one spends what the curator has left
    runtime: RuntimeConfig,
) -> Copula:
    """Order the categories, measure the correlations, with what the profile's share leaves of the budget.

    Privacy:
        One noisy table for each unordered column with the target; one noisy vector of sums of products of scores.
    """
    view = curator.encoded(Encoder(profile))
    shares = [profile.shares(index) for index in range(len(view.domain))]
    orders = order_codes(view, profile, config)
    runtime.report("copula: categories ordered", 0.5)
    bounds = tuple(_quantiles(share[order]) for share, order in zip(shares, orders, strict=True))
    correlation, facts = np.eye(len(bounds)), dict[str, Any]()
    if len(bounds) > 1:
        correlation, facts = measure_correlation(view, profile, config, bounds, orders)
    numeric = tuple(i for i, column in enumerate(profile.columns) if isinstance(column, NumericProfile))
    return Copula(view.domain, bounds, orders, correlation, numeric, config, view.events, facts)


def load(folder: Path) -> Copula:
    """The generator that `Copula.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    try:
        content = json.loads((folder / "copula.json").read_text(encoding="utf-8"))
        arrays = load_file(str(folder / "copula.safetensors"))
        domain = Domain(tuple(content["names"]), tuple(content["sizes"]))
        bounds = tuple(arrays[f"bounds_{column}"] for column in range(len(domain)))
        orders = tuple(arrays[f"order_{column}"] for column in range(len(domain)))
        events = tuple(event_from_dict(item) for item in content["events"])
        config, facts = CopulaConfig(**content["config"]), content["facts"]
        numeric = tuple(content["numeric"])
        correlation = arrays["correlation"]
    except Exception as error:  # noqa: BLE001  safetensors raises its own kind of exception for a damaged file
        raise ModelError(f"{folder}: not a readable copula model ({type(error).__name__}); fit it again") from None
    return Copula(domain, bounds, orders, correlation, numeric, config, events, facts)


def order_codes(view: EncodedView, profile: Profile, config: CopulaConfig) -> tuple[Ints, ...]:
    """For each column its codes in latent order: as they are where ordered, by the target's mean code, or by frequency.

    Privacy:
        One noisy table of the column with the target for each unordered column of three or more codes, `order_share` of what is left.
    """
    names = view.domain.names
    orders = [np.arange(size, dtype=np.int64) for size in view.domain.sizes]
    unordered = [i for i, column in enumerate(profile.columns) if not column.is_ordered and column.codes > 2]
    target = names.index(config.target) if config.target in names else None
    asked = [index for index in unordered if index != target] if target is not None else []
    cost = config.order_share * view.left_cost / max(len(asked), 1)
    for index in unordered:
        orders[index] = np.argsort(-profile.shares(index), kind="stable")
    for index in asked:
        pair = (index, target or 0)
        part = JointPartition(pair, tuple(np.arange(view.domain.sizes[column]) for column in pair), "full")
        purpose = f"order of {names[pair[0]]} by {names[pair[1]]}"
        noisy = view.joint_counts(part, cost=cost, stage="generator", purpose=purpose)
        orders[index] = _by_target(noisy.values.reshape(part.shape), orders[pair[1]])
    return tuple(orders)


def measure_correlation(
    view: EncodedView, profile: Profile, config: CopulaConfig, bounds: Sequence[Floats], orders: Sequence[Ints]
) -> tuple[Floats, dict[str, Any]]:
    """The latent correlation matrix, and released facts about its measurement.

    Privacy:
        One vector of sums of products of released whole-number scores; see `EncodedView.score_products`.
    """
    masses = [np.diff(ndtr(ends)) for ends in bounds]
    cell_scores = [_scores(ends, mass, config.score_unit) for ends, mass in zip(bounds, masses, strict=True)]
    scores = [cells[np.argsort(order)] for cells, order in zip(cell_scores, orders, strict=True)]
    mean_norm = sum(float(mass @ cells**2) for mass, cells in zip(masses, cell_scores, strict=True))
    bound = max(int(sqrt(config.bound_factor * mean_norm)), 1)
    cost = view.left_cost * (1 - 1e-9)
    noisy = view.score_products(scores, bound=bound, cost=cost, stage="generator", purpose="correlations of scores")
    moments = noisy.values / max(profile.rows, 1.0)
    expansions = np.stack([_expand(cells, ends) for cells, ends in zip(cell_scores, bounds, strict=True)])
    upper = np.triu_indices(len(bounds), 1)
    correlation = np.eye(len(bounds))
    correlation[upper] = _invert(moments, expansions[upper[0]] * expansions[upper[1]])
    repaired = _repair(correlation + correlation.T - np.eye(len(bounds)), config.smallest_eigenvalue)
    noise = noisy.sigma / max(profile.rows, 1.0) / config.score_unit**2
    facts = {"noise_of_a_moment": noise, "bound": bound, "repair": float(np.abs(repaired - correlation)[upper].max())}
    return repaired, facts


def _by_target(table: Floats, order: Ints) -> Ints:
    """Codes by the mean place of the target, each mean pulled towards the overall one where its rows are few."""
    counts = np.maximum(table, 0.0)
    places = np.argsort(order).astype(np.float64)
    overall = counts.sum(0) @ places / max(float(counts.sum()), 1.0)
    weight = 0.002 * counts.sum() + 1e-9
    return np.argsort((counts @ places + weight * overall) / (counts.sum(1) + weight), kind="stable")


def _quantiles(shares: Floats) -> Floats:
    """Normal quantiles of the ends of cells with the given shares, far ends included."""
    inner = ndtri(np.clip(np.cumsum(shares)[:-1], 1e-12, 1 - 1e-12))
    return np.concatenate([[-_FURTHEST], inner, [_FURTHEST]])


def _scores(bounds: Floats, masses: Floats, unit: int) -> Ints:
    """Mean of the normal inside each cell, as a number of units."""
    density = np.exp(-(bounds**2) / 2) / np.sqrt(2 * np.pi)
    means = (density[:-1] - density[1:]) / np.maximum(masses, 1e-12)
    return np.rint(unit * np.clip(means, bounds[:-1], bounds[1:])).astype(np.int64)


def _expand(scores: Ints, bounds: Floats) -> Floats:
    """Coefficients of a step function of a normal in normalised Hermite polynomials."""
    density = np.exp(-(bounds**2) / 2) / np.sqrt(2 * np.pi)
    found = [float(np.diff(ndtr(bounds)) @ scores)]
    before, now = np.zeros_like(bounds), np.ones_like(bounds)
    for degree in range(1, _TERMS):
        found.append(float(scores @ -np.diff(now * density)) / sqrt(degree))
        before, now = now, (bounds * now - sqrt(degree - 1) * before) / sqrt(degree)
    return np.array(found)


def _invert(moments: Floats, coefficients: Floats) -> Floats:
    """The ρ of each pair for which Σₖ coefficientₖ ρᵏ is its moment (Mehler), within ±`_HIGHEST_CORRELATION`."""
    low, high = np.full(len(moments), -_HIGHEST_CORRELATION), np.full(len(moments), _HIGHEST_CORRELATION)
    powers = np.arange(coefficients.shape[1])
    for _ in range(40):
        middle = (low + high) / 2
        is_below = (coefficients * middle[:, None] ** powers).sum(axis=1) < moments
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return (low + high) / 2


def _repair(correlation: Floats, smallest: float) -> Floats:
    """The matrix with its eigenvalues raised to `smallest`, and a unit diagonal again."""
    values, vectors = np.linalg.eigh(correlation)
    raised = (vectors * np.maximum(values, smallest)) @ vectors.T
    scale = np.sqrt(np.diag(raised))
    return raised / np.outer(scale, scale)
