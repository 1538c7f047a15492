"""The generator protocol (design 5.3): what every engine offers, and what it is given.

An engine is a module with a frozen mechanism config, `fit(curator, profile, config, *, budget, runtime)` and `load(folder)`.
What can change the guarantee is in its config and is hashed into the certificate; what cannot is in `RuntimeConfig`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from synth_pipeline.encode.condition import Condition
from synth_pipeline.privacy.events import Event
from synth_pipeline.table.encoded import EncodedTable
from synth_pipeline.table.region import RegionTable


@dataclass(frozen=True)
class RuntimeConfig:
    """What cannot change the guarantee.

    Attributes:
        device: torch device of the fit, "cpu" or "cuda".
        seed: seed of post-processing (never of noise); None draws one from the operating system.
        progress: called with a message and the share of the work done.
        rules: the dataset's rules that compare columns with constants, as tables of allowed regions; public facts, which an engine may
            use in its training. Whether it does or not, rows are drawn under them.
    """

    device: str = "cpu"
    seed: int | None = None
    progress: Callable[[str, float], None] | None = None
    rules: tuple[RegionTable, ...] = ()

    def report(self, message: str, done: float) -> None:
        """Tell the caller how far the work is."""
        if self.progress is not None:
            self.progress(message, done)

    def generator(self) -> np.random.Generator:
        """The generator of post-processing randomness."""
        return np.random.default_rng(self.seed)


class MechanismConfig(Protocol):
    """Everything that can change the guarantee or the mechanism of an engine."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        ...


class Generator(Protocol):
    """A trained generator; holds released values only."""

    @property
    def kind(self) -> str:
        """Name of the engine."""
        ...

    @property
    def config(self) -> MechanismConfig:
        """The mechanism's constants."""
        ...

    @property
    def events(self) -> tuple[Event, ...]:
        """The DP events that the whole training ran, profile included."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """Released facts about the training worth showing (parameters, goodness of fit)."""
        ...

    def sample(self, rows: int, *, where: Condition | None = None, rng: np.random.Generator) -> EncodedTable:
        """Independent-looking encoded rows; with `where`, rows of the model's conditional law, every one satisfying it."""
        ...

    def save(self, folder: Path) -> None:
        """Write safetensors and JSON into an existing folder; never pickle."""
        ...


UNKNOWN = -1
"""The code of a cell that an imputer is asked to fill."""


@runtime_checkable
class Imputer(Protocol):
    """A generator that fills the missing cells of given rows; an optional capability of engines."""

    def impute(self, table: EncodedTable, *, rng: np.random.Generator) -> EncodedTable:
        """The same rows with every cell of code `UNKNOWN` drawn from the model's law given the row's known cells, which stay.

        Privacy:
            Post-processing of released values; the given rows are the caller's own and are not kept.
        """
        ...
