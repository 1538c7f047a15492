"""The generator that every engine of this family returns: a law, its calibrated biases, its records; and its files."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from synth_pipeline.encode.condition import Condition
from synth_pipeline.errors import ModelError
from synth_pipeline.generate.autoregressive.conditional import Particles
from synth_pipeline.generate.autoregressive.features import Features
from synth_pipeline.generate.likelihood_weighting import parts_of, rows_table
from synth_pipeline.generate.neural.law import HiddenLaw, draw_conditional, draw_rows
from synth_pipeline.generate.neural.space import CodeSpace, Floats32
from synth_pipeline.generate.protocol import MechanismConfig
from synth_pipeline.privacy.events import Event, event_from_dict
from synth_pipeline.table.encoded import Domain, EncodedTable

_CHUNK_ROWS = 32_768
_CHUNK_CELLS = 1 << 25


@dataclass(frozen=True, eq=False)
class NeuralGenerator:
    """A trained network over codes; everything in it is released.

    Attributes:
        kind: name of the engine.
        law: the trained network as a law.
        space: its code space.
        bias: calibrated bias of each code.
        config: constants of the mechanism.
        events: DP events of the whole training, profile included.
        facts: released facts about the training.
    """

    kind: str
    law: HiddenLaw
    space: CodeSpace
    bias: Floats32
    config: MechanismConfig
    events: tuple[Event, ...]
    facts: dict[str, Any]

    @property
    def domain(self) -> Domain:
        """The encoded columns."""
        return self.space.domain

    def sample(self, rows: int, *, where: Condition | None = None, rng: np.random.Generator) -> EncodedTable:
        """Encoded rows; under a condition every row satisfies it and they follow the law's conditional law.

        Raises:
            ConstraintError: if nothing can satisfy the condition, or it is too rare under the law.
        """
        most = max(min(_CHUNK_ROWS, _CHUNK_CELLS // self.space.codes), 1)
        return rows_table(self.domain, [self._part(part, where, rng) for part in parts_of(rows, most)], where)

    def save(self, folder: Path) -> None:
        """Write `<kind>.safetensors` and `<kind>.json` into an existing folder."""
        arrays = {f"law.{name}": array for name, array in self.law.weights().items()}
        arrays |= {"features": self.space.features.table, "shares": self.space.shares, "bias": self.bias}
        tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(tensors, str(folder / f"{self.kind}.safetensors"))
        content = {
            "names": self.domain.names,
            "sizes": self.domain.sizes,
            "widths": self.space.features.widths,
            "config": self.config.to_json(),
            "events": [event.to_dict() for event in self.events],
            "facts": self.facts,
        }
        (folder / f"{self.kind}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _part(self, rows: int, where: Condition | None, rng: np.random.Generator) -> Particles:
        if where is not None:
            return draw_conditional(self.law, self.space, self.bias, where, rows=rows, rng=rng)
        codes = draw_rows(self.law, self.space, self.bias, rows, rng)
        return Particles(codes, np.empty((rows, 0), dtype=np.int64), np.zeros(rows))


MakeLaw = Callable[[Any, CodeSpace, dict[str, Floats32]], HiddenLaw]
"""(config, space, trained parameters by name) → law."""


def load_generator(
    folder: Path, kind: str, *, read_config: Callable[[dict[str, Any]], MechanismConfig], make_law: MakeLaw
) -> NeuralGenerator:
    """The generator that `NeuralGenerator.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    try:
        content = json.loads((folder / f"{kind}.json").read_text(encoding="utf-8"))
        arrays = load_file(str(folder / f"{kind}.safetensors"))
        domain = Domain(tuple(content["names"]), tuple(content["sizes"]))
        space = CodeSpace(domain, Features(arrays["features"], tuple(content["widths"])), arrays["shares"])
        config = read_config(content["config"])
        weights = {name[4:]: array for name, array in arrays.items() if name.startswith("law.")}
        law = make_law(config, space, weights)
        events = tuple(event_from_dict(item) for item in content["events"])
        return NeuralGenerator(kind, law, space, arrays["bias"], config, events, content["facts"])
    except Exception as error:  # noqa: BLE001  safetensors raises its own kind of exception for a damaged file
        raise ModelError(f"{folder}: not a readable {kind} model ({type(error).__name__}); fit it again") from None
