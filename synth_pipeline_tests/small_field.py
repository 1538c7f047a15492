"""A maximum-entropy field of three columns with strong pair factors and a fourth that is drawn from the second; its law by enumeration."""

import numpy as np
import torch

from synth_pipeline.generate.maxent.config import MaxentConfig
from synth_pipeline.generate.maxent.dependency import Dependency
from synth_pipeline.generate.maxent.engine import Maxent
from synth_pipeline.generate.maxent.field import start_field, sweep
from synth_pipeline.table.encoded import Domain
from synth_pipeline_tests.brute_force import Law, every_state, normalised

SIZES = (3, 4, 2, 5)
DOMAIN = Domain(("a", "b", "c", "d"), SIZES)


def small_field(*, spread: float = 1.0) -> Maxent:
    """The model; `spread` is the standard deviation of its pair factors."""
    rng = np.random.default_rng(5)
    shares = [rng.dirichlet(np.full(size, 2.0)) for size in SIZES[:3]]
    field = start_field(Domain(DOMAIN.names[:3], SIZES[:3]), shares, 4096, rng)
    factors = rng.normal(0, spread, (9, 9))
    weights = np.triu(factors, 1) + np.triu(factors, 1).T
    for part in field.slices:
        weights[part, part] = 0.0
    field.weights = torch.tensor(weights, dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    joint = torch.stack([sweep(field, rng, generator) for _ in range(60)])[20:].mean(0)
    depends_on_b = Dependency(3, 1, rng.dirichlet(np.full(5, 0.7), size=4))
    return Maxent(DOMAIN, (0, 1, 2), field, joint, (depends_on_b,), (), MaxentConfig(), (), {"residual": 1.0})


def field_law(model: Maxent) -> Law:
    """Probability of each of the 120 states."""
    weights, bias, offsets = model.field.weights.numpy(), model.field.bias.numpy(), model.field.domain.offsets
    found: Law = {}
    for state in every_state(SIZES):
        hot = [offsets[i] + state[i] for i in range(3)]
        energy = sum(bias[h] for h in hot) + sum(weights[hot[i], hot[j]] for i in range(3) for j in range(i))
        found[state] = float(np.exp(energy) * model.dependencies[0].conditional[state[1], state[3]])
    return normalised(found)
