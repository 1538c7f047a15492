"""The training loop of every DP-SGD engine: CLIP → SUM → NOISE → STEP → AVERAGE, a fixed number of times.

Nothing about the mechanism is left for Opacus to infer: the curator deals the Poisson batches and has charged for their rate and number,
and the noise multiplier and clip are those of the event. Losses are sums, so no batch size enters.

Source:
    Abadi et al. 2016, "Deep learning with differential privacy", algorithm 1. Deviation: the sum is divided by the noise's standard
    deviation, not by an expected batch size, so that step lengths mean the same at every clip, rate and noise.
"""

import hashlib
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from opacus.validators import ModuleValidator
from torch import Tensor, nn

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.clipping import CLIPPINGS
from synth_pipeline.generate.dpsgd.config import DPSGDConfig, Execution
from synth_pipeline.generate.dpsgd.noise import noisy_sums
from synth_pipeline.generate.dpsgd.persons import Persons, cut
from synth_pipeline.generate.dpsgd.rules import Sums
from synth_pipeline.generate.dpsgd.watch import current_watch
from synth_pipeline.privacy.batch import Batch, CuratorNoise
from synth_pipeline.privacy.events import SubsampledGaussianEvent
from synth_pipeline.table.encoded import Codes

PerRowLoss = Callable[[nn.Module, Tensor], Tensor]
"""(model, codes (batch, columns) of int64 on the device) → loss of each row (batch,). A row's loss must not depend on the other rows."""

PublicLoss = Callable[[nn.Module], Tensor]
"""(model) → a scalar that reads no private row; its gradient is added to the clipped sum, unclipped."""


class DPTrainer:
    """Runs DP-SGD steps on a model.

    Privacy:
        Each step adds to the sum of people's gradients, each clipped to `clip_norm` over all trained weights, Gaussian noise of standard
        deviation noise_multiplier × clip_norm; also to the sum over an empty batch. A person's gradient is the mean over that one's
        rows; one that is not finite adds nothing. The noise is made of `execution.noise`, a cryptographic stream, and what is released
        is rounded to a lattice (see `noise`); docs/proofs/dp_sgd.md has the statement.

    Args:
        model: what is trained: its weights with `requires_grad`. It is moved to the device and put in training mode.
        per_row_loss: loss of each row.
        config: constants of the mechanism.
        event: what the curator charges for the run.
        execution: device, clipping mode and source of noise.

    Raises:
        PrivacyError: if config and event disagree, or a layer mixes rows or has no clipping rule.
    """

    def __init__(
        self,
        model: nn.Module,
        per_row_loss: PerRowLoss,
        *,
        config: DPSGDConfig,
        event: SubsampledGaussianEvent,
        execution: Execution | None = None,
    ) -> None:
        self.execution = execution or Execution()
        check_run(config, event, model)
        self.model = model.to(self.execution.device).train()
        self.per_row_loss, self.config, self.event = per_row_loss, config, event
        clipped, self._watch = self.model, current_watch()
        if self._watch is not None:
            clipped, self.per_row_loss = self._watch.join(self.model, per_row_loss, config=config, event=event)
        self.clipping = CLIPPINGS[self.execution.grad_mode](clipped, config.clip_norm)
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._noised = {name: parameter for name, parameter in clipped.named_parameters() if parameter.requires_grad}
        self.unit = step_unit(config, event)
        self.scale = event.noise_multiplier * config.clip_norm
        self.optimizer = _optimizer(list(self._noised.values()), config, event)
        self._average = [parameter.detach().clone() for parameter in self.trained]
        self.steps = 0

    def step(self, batch: Batch | Codes | Tensor, *, public_loss: PublicLoss | None = None) -> None:
        """One step on one batch, which may be empty: then it is a step of noise alone.

        Args:
            batch: what the curator dealt; rows alone (batch, columns) are one person each.
            public_loss: a further loss that reads no private row, such as a critic's on generated rows.

        Raises:
            PrivacyError: if all steps that were charged have been taken.
        """
        if self.steps >= self.config.steps:
            raise PrivacyError(f"DP-SGD: {self.config.steps} steps were charged and taken; there is no further one")
        sums: Sums = {}
        with _draws_of_its_own(self.execution):
            for codes, persons in cut(batch, piece_rows=self.execution.piece_rows, device=self.execution.device):
                _add(sums, self._piece_sums(codes, persons))
        if public_loss is not None:
            _add(sums, self._public_gradient(public_loss))
        self._release(sums)

    def run(
        self,
        batches: Iterator[Batch],
        *,
        progress: Callable[[str, float], None],
        before_step: Callable[[int], None] | None = None,
    ) -> None:
        """Take all steps.

        Args:
            batches: exactly `config.steps` Poisson batches from the curator.
            progress: told how far the training is.
            before_step: called with the number of each step before it is taken, such as to draw public randomness.

        Raises:
            PrivacyError: if the curator dealt another number of batches than was charged.
        """
        total = self.config.steps
        for batch in batches:
            if before_step is not None:
                before_step(self.steps)
            self.step(batch)
            if self.steps % max(total // 20, 1) == 0:
                progress(f"{self.event.purpose}: step {self.steps} of {total}", self.steps / total)
        self.check_finished()

    def check_finished(self) -> None:
        """Refuse to go on unless every step that was charged has been taken.

        Raises:
            PrivacyError: if fewer were.
        """
        if self.steps != self.config.steps:
            raise PrivacyError(
                f"{self.event.purpose}: {self.steps} batches were dealt where {self.config.steps} were charged"
            )

    def averaged(self) -> dict[str, Tensor]:
        """State of the model with the moving average of its weights, to be loaded by `load_state_dict`."""
        state = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        names = [name for name, parameter in self.model.named_parameters() if parameter.requires_grad]
        state.update({name: value.clone() for name, value in zip(names, self._average, strict=True)})
        return state

    def _piece_sums(self, codes: Tensor, persons: Persons | None = None) -> Sums:
        """The clipped sum over a piece, without the people whose gradient is not finite."""

        def losses() -> Tensor:
            found = self.per_row_loss(self.model, codes)
            return found if persons is None else persons.weigh(found)

        while len(codes):
            found, norms = self.clipping.sums(losses, persons)
            is_kept = norms.isfinite()
            if bool(is_kept.all()):
                return found
            if persons is not None:
                is_kept, persons = persons.keep(is_kept)
            codes = codes[is_kept]
        return {}

    def _public_gradient(self, public_loss: PublicLoss) -> Sums:
        found = torch.autograd.grad(public_loss(self.model), self.trained, allow_unused=True)
        return {parameter: grad for parameter, grad in zip(self.trained, found, strict=True) if grad is not None}

    def _release(self, sums: Sums) -> None:
        """Fresh noise on the sum, one step of this step's length, and the average."""
        weights = list(self._noised.values())
        released = noisy_sums(sums, weights, scale=self.scale, noise=self.execution.noise)
        _witness(self.execution, released)
        for weight, gradient in zip(weights, released, strict=True):
            weight.grad = gradient
        if self._watch is not None:
            self._watch.released(dict(zip(self._noised, released, strict=True)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.unit * self.config.learning_rate * schedule_share(self.config, self.steps)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        decay = min(self.config.averaging, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for average, parameter in zip(self._average, self.trained, strict=True):
                average.lerp_(parameter, 1 - decay)
        self.steps += 1


@contextmanager
def _draws_of_its_own(execution: Execution) -> Generator[None]:
    """Torch's randomness inside is seeded by the source of the noise; outside it goes on as if nothing had been drawn.

    A loss may draw numbers for every row. From the public stream, a known seed would fix what each place of a batch gets, and their number
    would tell the size of a private batch to whatever is drawn afterwards.
    """
    is_host = execution.device == "cpu"
    seed = int(execution.noise(1).view(np.int64)[0]) & (2**63 - 1)
    with torch.random.fork_rng(devices=[] if is_host else [execution.device]):
        # Not torch.manual_seed, which for every kind of device that is absent keeps a note of each call.
        torch.default_generator.manual_seed(seed)
        if not is_host:
            with torch.cuda.device(execution.device):
                torch.cuda.manual_seed(seed)
        yield


def _witness(execution: Execution, released: Sequence[Tensor]) -> None:
    """Where answers are kept, so that a run that was cut off can be taken again: that this step comes to the same is checked."""
    if isinstance(execution.noise, CuratorNoise) and execution.noise.taken is not None:
        digest = hashlib.sha256()
        for gradient in released:
            digest.update(gradient.detach().cpu().numpy().tobytes())
        execution.noise.taken(digest.digest())


def check_run(config: DPSGDConfig, event: SubsampledGaussianEvent, model: nn.Module) -> None:
    """Refuse a run whose charge is another's, or whose model mixes rows.

    Raises:
        PrivacyError: naming what disagrees, or the layers.
    """
    planned, charged = (config.sample_rate, config.steps), (event.sample_rate, event.steps)
    if planned != charged:
        raise PrivacyError(
            f"DP-SGD: rate and steps are {planned[0]:.6g} and {planned[1]} in the config but {charged[0]:.6g} and {charged[1]} "
            "in the charge; plan the event from this config"
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise PrivacyError("DP-SGD: the model has no weights to train")
    faults = ModuleValidator.validate(model.train(), strict=False)
    if faults:
        raise PrivacyError(f"DP-SGD: the model has layers that mix rows or keep state of them: {faults[0]}")


def schedule_share(config: DPSGDConfig, step: int) -> float:
    """This step's length over the first one's."""
    done = step / config.steps
    if config.schedule == "linear":
        return 1 - done
    return 0.5 * (1 + math.cos(math.pi * done)) if config.schedule == "cosine" else 1.0


def step_unit(config: DPSGDConfig, event: SubsampledGaussianEvent) -> float:
    """What `learning_rate` is measured in: for SGD, standard deviations of the noise; heavy ball adds up 1 / (1 − momentum) steps."""
    if config.optimizer == "adam":
        return 1.0
    return (1 - config.momentum) / (event.noise_multiplier * config.clip_norm)


def _optimizer(
    trained: list[nn.Parameter], config: DPSGDConfig, event: SubsampledGaussianEvent
) -> torch.optim.Optimizer:
    if config.optimizer == "sgd":
        return torch.optim.SGD(trained, lr=1.0, momentum=config.momentum, fused=True)
    betas = (config.momentum, config.second_momentum)
    return torch.optim.Adam(
        trained, lr=1.0, betas=betas, eps=1e-8 * event.noise_multiplier * config.clip_norm, fused=True
    )


def _add(sums: Sums, more: Sums) -> None:
    for parameter, gradient in more.items():
        if parameter in sums:
            sums[parameter].add_(gradient)
        else:
            sums[parameter] = gradient
