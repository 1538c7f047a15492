"""The autoregressive network from end to end: FEATURES → TRAIN (DP-SGD) → CALIBRATE → SAMPLE; and its files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from synth_pipeline.encode.condition import Condition
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ModelError
from synth_pipeline.generate.autoregressive.conditional import ConditionalSampler, check_condition, proposal_order
from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.autoregressive.course import Course
from synth_pipeline.generate.autoregressive.features import Features
from synth_pipeline.generate.autoregressive.impute import impute_rows
from synth_pipeline.generate.autoregressive.model import ColumnModel, PairModel, calibrate, draw_rows
from synth_pipeline.generate.autoregressive.planning import PROFILE_SHARE, make_config, plan, training_event
from synth_pipeline.generate.dpsgd.planning import deal_batches
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import Event, event_from_dict
from synth_pipeline.table.encoded import Codes, Domain, EncodedTable
from synth_pipeline.table.profile import Profile

__all__ = ["PROFILE_SHARE", "Autoregressive", "fit", "load", "make_config", "plan"]

_CALIBRATION_ROWS = 16_384
_PROPOSAL_ROWS = 4096
_CHUNK_ROWS = 32_768
_CHUNK_CELLS = 1 << 25


@dataclass(frozen=True, eq=False)
class Autoregressive:
    """A trained autoregressive network; everything in it is released.

    Attributes:
        model: parameters.
        order: columns in the order in which rows are drawn.
        shares: released one-way shares, all codes side by side.
        config: constants of the mechanism.
        events: DP events of the whole training, profile included.
        facts: released facts about the training.
    """

    model: ColumnModel
    order: tuple[int, ...]
    shares: npt.NDArray[np.float64]
    config: AutoregressiveConfig
    events: tuple[Event, ...]
    facts: dict[str, Any]

    kind = "autoregressive"

    @property
    def domain(self) -> Domain:
        """The encoded columns."""
        return self.model.domain

    def sample(self, rows: int, *, where: Condition | None = None, rng: np.random.Generator) -> EncodedTable:
        """Encoded rows; under a condition every row satisfies it and they follow the model's conditional law.

        Raises:
            ConstraintError: if nothing can satisfy the condition.
        """
        sampler = None if where is None else self._conditional(where, rng)
        most = max(min(_CHUNK_ROWS, _CHUNK_CELLS // max(self.domain.sizes)), 1)
        codes: list[Codes] = []
        regions: list[npt.NDArray[np.int64]] = []
        for start in range(0, max(rows, 1), most):
            part = min(most, rows - start)
            if sampler is None:
                codes.append(draw_rows(self.model, self.order, part, rng))
            else:
                found = sampler.draw(part, rng)
                codes.append(found.codes)
                regions.append(found.regions)
        named = [sub.column for sub in where.subdomains] if where else []
        placed = np.concatenate(regions).astype(np.int32) if regions else np.empty((rows, 0), dtype=np.int32)
        return EncodedTable(
            np.concatenate(codes), self.domain, {column: placed[:, axis] for axis, column in enumerate(named)}
        )

    def impute(self, table: EncodedTable, *, rng: np.random.Generator) -> EncodedTable:
        """The rows with every unknown cell (code -1) drawn by the network's law given the row's known cells."""
        return EncodedTable(impute_rows(self.model, self.order, table.codes, rng), self.domain)

    def save(self, folder: Path) -> None:
        """Write `autoregressive.safetensors` and `autoregressive.json` into an existing folder."""
        arrays = {
            **self.model.arrays(),
            "bias": self.model.bias,
            "shares": self.shares,
        }
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()},
            str(folder / "autoregressive.safetensors"),
        )
        content = {
            "names": self.domain.names,
            "sizes": self.domain.sizes,
            "widths": self.model.features.widths if isinstance(self.model, PairModel) else (),
            "order": self.order,
            "config": self.config.to_json(),
            "events": [event.to_dict() for event in self.events],
            "facts": self.facts,
        }
        (folder / "autoregressive.json").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _conditional(self, where: Condition, rng: np.random.Generator) -> ConditionalSampler:
        check_condition(where)
        order = proposal_order(self.order, where)
        bias = self.model.bias
        if order != self.order:
            start = self.model.with_bias(_log(self.shares))
            bias = calibrate(start, order, _by_column(self.shares, self.domain), rows=_PROPOSAL_ROWS, rng=rng)
        return ConditionalSampler(self.model, self.order, where, bias)


def fit(
    curator: Curator, profile: Profile, config: AutoregressiveConfig, *, budget: Budget, runtime: RuntimeConfig
) -> Autoregressive:
    """Train on the curator's Poisson batches with what the profile's share leaves of the budget.

    Args:
        curator: holder of the private rows; the profile's answers must have been given by it, or be among its `spent`.
        profile: the released profile.
        config: constants of the mechanism.
        budget: the walk's budget, the curator's own.
        runtime: device, seed of post-processing and progress.

    Privacy:
        One Poisson-subsampled Gaussian a step, planned from public facts and charged before the first batch; the sensitivity of a
        step's sum is one clip. Everything after the last step is post-processing.

    Raises:
        PrivacyError: if the budget does not cover the planned training.
    """
    view = curator.encoded(Encoder(profile))
    event = training_event(config, budget)
    batches = deal_batches(view, event)
    order, rng = main_order(view.domain, config.target), runtime.generator()
    trained, weights = Course(profile, view.domain, config, event, order, runtime, rng).run(batches, view.step_noise)
    shares = [profile.shares(index) for index in range(len(profile.columns))]
    flat = np.concatenate(shares)
    model = trained.with_bias(calibrate(trained, order, shares, rows=_CALIBRATION_ROWS, rng=rng))
    facts = {
        "parameters": weights,
        "steps": event.steps,
        "sample_rate": event.sample_rate,
        "noise_multiplier": round(event.noise_multiplier, 4),
        "expected_batch_rows": round(event.sample_rate * profile.rows),
        "order": [view.domain.names[column] for column in order],
    }
    return Autoregressive(model, order, flat, config, view.events, facts)


def load(folder: Path) -> Autoregressive:
    """The generator that `Autoregressive.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    try:
        content = json.loads((folder / "autoregressive.json").read_text(encoding="utf-8"))
        arrays = load_file(str(folder / "autoregressive.safetensors"))
        domain = Domain(tuple(content["names"]), tuple(content["sizes"]))
        events = tuple(event_from_dict(item) for item in content["events"])
        config = AutoregressiveConfig.from_json(content["config"])
        order, shares, facts = tuple(content["order"]), arrays["shares"], content["facts"]
        if config.network == "transformer":
            from synth_pipeline.generate.autoregressive.transformer import read_model

            model: ColumnModel = read_model(domain, config, order, arrays)
        else:
            features = Features(arrays["features"], tuple(content["widths"]))
            model = PairModel(domain, features, arrays["couplings"], arrays["bias"])
    except Exception as error:  # noqa: BLE001  safetensors raises its own kind of exception for a damaged file
        raise ModelError(
            f"{folder}: not a readable autoregressive model ({type(error).__name__}); fit it again"
        ) from None
    return Autoregressive(model, order, shares, config, events, facts)


def main_order(domain: Domain, target: str | None) -> tuple[int, ...]:
    """Columns of few codes first, the target last: it is then predicted from all others, as a classifier would."""
    order = sorted(range(len(domain)), key=lambda index: (domain.sizes[index], index))
    if target in domain.names:
        order.remove(domain.index(target))
        order.append(domain.index(target))
    return tuple(order)


def _log(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return np.log(np.maximum(shares, 1e-12)).astype(np.float32)


def _by_column(flat: npt.NDArray[np.float64], domain: Domain) -> list[npt.NDArray[np.float64]]:
    return [flat[part] for part in domain.slices()]
