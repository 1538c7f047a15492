"""The autoregressive network from end to end: FEATURES → TRAIN (DP-SGD) → CALIBRATE → SAMPLE; and its files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from synth_pipeline.encode.condition import Condition
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ModelError, PrivacyError
from synth_pipeline.generate.autoregressive.conditional import ConditionalSampler, check_condition, proposal_order
from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.autoregressive.features import Features, make_features
from synth_pipeline.generate.autoregressive.model import PairModel, calibrate, draw_rows
from synth_pipeline.generate.autoregressive.planning import PROFILE_SHARE, make_config, plan, training_event
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

    model: PairModel
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

    def save(self, folder: Path) -> None:
        """Write `autoregressive.safetensors` and `autoregressive.json` into an existing folder."""
        arrays = {
            "couplings": self.model.couplings,
            "features": self.model.features.table,
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
            "widths": self.model.features.widths,
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
            start = PairModel(self.domain, self.model.features, self.model.couplings, _log(self.shares))
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
        PrivacyError: if people may have several rows, or the budget does not cover the planned training.
    """
    from synth_pipeline.generate.autoregressive.network import Loss, PairCouplings
    from synth_pipeline.generate.autoregressive.training import Noise, Trainer, train

    view = curator.encoded(Encoder(profile))
    event = training_event(config, budget)
    batches = view.poisson_batches(
        sample_rate=event.sample_rate,
        noise_multiplier=event.noise_multiplier,
        steps=event.steps,
        purpose=event.purpose,
    )
    if view.events[-1] != event:
        raise PrivacyError("autoregressive: the curator charged another training than was planned; nothing was trained")
    shares = [profile.shares(index) for index in range(len(profile.columns))]
    features, order = make_features(profile, config), main_order(view.domain, config.target)
    flat = np.concatenate(shares)
    weights = [config.target_weight if name == config.target else 1.0 for name in view.domain.names]
    couplings = PairCouplings(features.widths, runtime.device)
    loss = Loss(view.domain, features, _log(flat), weights, device=runtime.device)
    trainer = Trainer(couplings, loss, config=config, noise=Noise(event.noise_multiplier))
    rng = runtime.generator()
    trained = train(trainer, batches, order, rng=rng, progress=runtime.report)
    model = PairModel(view.domain, features, trained, _log(flat))
    bias = calibrate(model, order, shares, rows=_CALIBRATION_ROWS, rng=rng)
    facts = {
        "parameters": _pair_weights(features.widths),
        "steps": event.steps,
        "sample_rate": event.sample_rate,
        "noise_multiplier": round(event.noise_multiplier, 4),
        "expected_batch_rows": round(event.sample_rate * profile.rows),
        "order": [view.domain.names[column] for column in order],
    }
    return Autoregressive(PairModel(view.domain, features, trained, bias), order, flat, config, view.events, facts)


def load(folder: Path) -> Autoregressive:
    """The generator that `Autoregressive.save` wrote.

    Raises:
        ModelError: if the files are missing or damaged.
    """
    try:
        content = json.loads((folder / "autoregressive.json").read_text(encoding="utf-8"))
        arrays = load_file(str(folder / "autoregressive.safetensors"))
        domain = Domain(tuple(content["names"]), tuple(content["sizes"]))
        features = Features(arrays["features"], tuple(content["widths"]))
        model = PairModel(domain, features, arrays["couplings"], arrays["bias"])
        events = tuple(event_from_dict(item) for item in content["events"])
        config = AutoregressiveConfig.from_json(content["config"])
        order, shares, facts = tuple(content["order"]), arrays["shares"], content["facts"]
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


def _pair_weights(widths: Sequence[int]) -> int:
    """Weights that are trained: one for each pair of features of two different columns."""
    return (sum(widths) ** 2 - sum(width**2 for width in widths)) // 2
