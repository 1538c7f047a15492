"""The engines by kind, and the rule of `auto`. Engines are imported when first needed (torch takes a second)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from synth_pipeline.errors import SpecError
from synth_pipeline.generate.protocol import Generator, MechanismConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.ledger.contract import ChargeLine
from synth_pipeline.spec import Spec


@dataclass(frozen=True)
class EnginePlan:
    """What an engine will charge, from public facts alone.

    Attributes:
        events: what is reserved for the profile and the training together.
        lines: the same, line by line, for readers.
    """

    events: tuple[Event, ...]
    lines: tuple[ChargeLine, ...]


@dataclass(frozen=True)
class Engine:
    """An engine's functions.

    Attributes:
        kind: its name in a specification.
        profile_share: share of μ² that the profile gets; None: decided from the noisy row count.
        make_config: the mechanism config for a specification.
        plan: what it will charge.
        fit: trains a generator.
        load: reads a saved one.
        refresh: trains one on a fresh snapshot, from an earlier generator's noisy tables; None where the engine cannot.
    """

    kind: str
    profile_share: float | None
    make_config: Callable[[Spec], MechanismConfig]
    plan: Callable[[Spec, Budget], EnginePlan]
    fit: Callable[..., Generator]
    load: Callable[[Path], Generator]
    refresh: Callable[..., Generator] | None = None


def chosen_kind(spec: Spec) -> str:
    """The engine that a specification asks for.

    `auto` is `hybrid` where a benchmark target is declared, else `maxent`: the hybrid is the same field, with 8 % of the budget kept for
    the target's conditional. The rule reads public facts only, so choosing costs nothing; the measurements behind it are in
    docs/adr/0011.
    """
    if spec.generator.kind != "auto":
        return spec.generator.kind
    return "maxent" if spec.benchmark is None else "hybrid"


def engine_for(kind: str) -> Engine:
    """The engine of a kind.

    Raises:
        SpecError: if there is none.
    """
    modules = {
        "maxent": "synth_pipeline.generate.maxent.engine",
        "mixture": "synth_pipeline.generate.mixture.engine",
        "autoregressive": "synth_pipeline.generate.autoregressive.engine",
        "hybrid": "synth_pipeline.generate.hybrid.engine",
        "mst": "synth_pipeline.generate.mst",
        "aim": "synth_pipeline.generate.aim",
        "privbayes": "synth_pipeline.generate.privbayes",
        "copula": "synth_pipeline.generate.copula",
        "independent": "synth_pipeline.generate.independent",
        "vae": "synth_pipeline.generate.vae.engine",
        "gan": "synth_pipeline.generate.gan.engine",
        "diffusion": "synth_pipeline.generate.diffusion.engine",
        "pate_gan": "synth_pipeline.generate.pate_gan.engine",
    }
    if kind not in modules:
        raise SpecError(f"generator.kind: {kind}: no such engine; use {', '.join(modules)}")
    module: Any = import_module(modules[kind])
    return Engine(
        kind,
        module.PROFILE_SHARE,
        module.make_config,
        module.plan,
        module.fit,
        module.load,
        getattr(module, "refresh", None),
    )


def discovery_events(spec: Spec, budget: Budget) -> Sequence[Event]:
    """The δ′ of each discovered column; the Gaussian part of discovery is in the profile's pool."""
    from synth_pipeline.privacy.events import DiscoveryEvent
    from synth_pipeline.table.column import CategoricalColumn

    names = [
        name for name, column in spec.modelled.items() if isinstance(column, CategoricalColumn) and column.discover
    ]
    return [
        DiscoveryEvent(stage="profile", purpose=f"{name}: δ′ of discovery", sigma=1e9, sensitivity=spec.privacy.unit.max_rows,
                       threshold=1, delta=budget.delta_of_each(len(names)))
        for name in names
    ]  # fmt: skip
