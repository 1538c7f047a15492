"""Independent columns: released one-ways and nothing else, the baseline that every other engine must beat.

    MEASURE    all of the budget goes to the profile: row count, bins, one-way counts;
    GENERATE   rows drawn column by column, each from its released one-way shares.

Conditions are exact: the law is a product, so the regions of the named columns are drawn jointly from the product of their masses over the
allowed combinations, and each column inside its region. Marginals of one column are as good as the budget allows; every association is
absent, and this is the honest thing to show beside an engine that claims to keep some. Where people may have several rows, absent is also
how a column hangs on their number: its shares are those of people, each counted once, and not those of rows.

Source:
    Zhang, Cormode, Procopiuc, Srivastava & Xiao 2017 (PrivBayes), §6: the baseline with an empty network.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from synth_pipeline.encode.condition import Condition
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ConstraintError, ModelError
from synth_pipeline.generate.autoregressive.conditional import Particles
from synth_pipeline.generate.engine_registry import EnginePlan, discovery_events
from synth_pipeline.generate.likelihood_weighting import parts_of, rows_table
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.generate.stratified import systematic_counts
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import Event, GaussianPoolEvent, event_from_dict
from synth_pipeline.privacy.ledger.contract import ChargeLine
from synth_pipeline.spec import Spec
from synth_pipeline.table.encoded import Domain, EncodedTable
from synth_pipeline.table.profile import Floats, Profile

PROFILE_SHARE: float | None = 1.0
"""The profile is the whole measurement."""

_CHUNK_ROWS = 1 << 20


@dataclass(frozen=True)
class IndependentConfig:
    """Nothing beside the profile changes the mechanism."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Independent:
    """Released one-way shares; everything in it is released.

    Attributes:
        domain: the encoded columns.
        shares: for each column, the share of each code.
        config: constants of the mechanism.
        events: DP events of the profile.
        facts: released facts about the fit.
    """

    domain: Domain
    shares: tuple[Floats, ...]
    config: IndependentConfig
    events: tuple[Event, ...]
    facts: dict[str, Any]

    kind = "independent"

    def sample(self, rows: int, *, where: Condition | None = None, rng: np.random.Generator) -> EncodedTable:
        """Encoded rows; under a condition exactly the conditional law of the product of the one-ways.

        Raises:
            ConstraintError: if nothing can satisfy the condition.
        """
        return rows_table(self.domain, [self._draw(part, where, rng) for part in parts_of(rows, _CHUNK_ROWS)], where)

    def save(self, folder: Path) -> None:
        """Write `independent.safetensors` and `independent.json` into an existing folder."""
        arrays = {f"shares_{index}": np.ascontiguousarray(share) for index, share in enumerate(self.shares)}
        save_file(arrays, str(folder / "independent.safetensors"))
        content = {
            "names": self.domain.names,
            "sizes": self.domain.sizes,
            "events": [event.to_dict() for event in self.events],
            "facts": self.facts,
        }
        (folder / "independent.json").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _draw(self, rows: int, where: Condition | None, rng: np.random.Generator) -> Particles:
        codes = np.stack([spread(share, rows, rng) for share in self.shares], axis=1).astype(np.int32)
        if where is None:
            return Particles(codes, np.empty((rows, 0), dtype=np.int64), np.zeros(rows))
        # Weight of each subcode of each named column, then of each allowed combination of regions.
        weights = [self.shares[sub.column][sub.parent] * np.exp(sub.log_share) for sub in where.subdomains]
        joint = where.allowed.astype(np.float64)
        for axis, (sub, weight) in enumerate(zip(where.subdomains, weights, strict=True)):
            mass = np.bincount(sub.region, weights=weight, minlength=joint.shape[axis])
            joint *= mass.reshape([-1 if i == axis else 1 for i in range(joint.ndim)])
        if joint.sum() <= 0:
            raise ConstraintError(
                "condition: no row of the declared domain satisfies it; check the values it compares with"
            )
        cells = spread(joint.reshape(-1) / joint.sum(), rows, rng)
        regions = np.stack(np.unravel_index(cells, joint.shape), axis=1)
        for axis, (sub, weight) in enumerate(zip(where.subdomains, weights, strict=True)):
            for region in np.unique(regions[:, axis]):
                met, here = np.flatnonzero(regions[:, axis] == region), np.flatnonzero(sub.region == region)
                chosen = spread(weight[here] / weight[here].sum(), len(met), rng)
                codes[met, sub.column] = sub.parent[here][chosen]
        return Particles(codes, regions, np.zeros(rows))


def make_config(spec: Spec) -> IndependentConfig:  # noqa: ARG001  every engine is given the specification
    """The mechanism config for a specification."""
    return IndependentConfig()


def plan(spec: Spec, budget: Budget) -> EnginePlan:
    """One pool, all of it for the profile."""
    pool = GaussianPoolEvent(stage="profile", purpose="row count and one-way statistics", mu_squared=budget.cost)
    purpose = f"row count and one-way statistics of {len(spec.modelled)} columns"
    line = ChargeLine("profile", purpose, "discrete Gaussian", budget.epsilon)
    return EnginePlan((pool, *discovery_events(spec, budget)), (line,))


def fit(
    curator: Curator,
    profile: Profile,
    config: IndependentConfig,
    *,
    budget: Budget,  # noqa: ARG001  every engine is given it; this one spends what the curator has left
    runtime: RuntimeConfig,
) -> Independent:
    """Take the profile's shares; no row is asked about again.

    Privacy:
        Nothing beyond the profile.
    """
    runtime.report("independent: shares taken", 1.0)
    shares = tuple(profile.shares(index) for index in range(len(profile.columns)))
    facts = {"codes": sum(len(share) for share in shares)}
    return Independent(Encoder(profile).domain, shares, config, curator.events, facts)


def load(folder: Path) -> Independent:
    """The generator that `Independent.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    try:
        content = json.loads((folder / "independent.json").read_text(encoding="utf-8"))
        arrays = load_file(str(folder / "independent.safetensors"))
        domain = Domain(tuple(content["names"]), tuple(content["sizes"]))
        shares = tuple(arrays[f"shares_{index}"] for index in range(len(domain)))
        events = tuple(event_from_dict(item) for item in content["events"])
        facts = content["facts"]
    except Exception as error:  # noqa: BLE001  safetensors raises its own kind of exception for a damaged file
        raise ModelError(f"{folder}: not a readable independent model ({type(error).__name__}); fit it again") from None
    return Independent(domain, shares, IndependentConfig(), events, facts)


def spread(shares: Floats, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Codes in random order, each as often as its share says, rounded by chance (systematic sampling)."""
    return rng.permutation(np.repeat(np.arange(len(shares)), systematic_counts(shares, rows, rng)))
