"""The GAN's loop: several DP-SGD steps of the critic, then steps of the generator against it, which are free.

The critic's step adds to the clipped and noised sum over real rows the sum over generated rows, which are released: they are functions of
earlier noisy steps alone. Their gradients are clipped row by row at the same norm (a choice, not a need): where the clip acts it then acts
on both sides alike, and a critic that cannot tell the two apart has a mean gradient of zero. The alternative, one generated row inside
each real row's loss, has the same sensitivity but spends the clip on both.

The critic's weights decay (`penalty`): under noise a critic that remembers every generator it met drives the next one in circles. Adult,
ε = 1, one seed, 2-way on codes and TSTR AUC: no decay .089, .81; .003 a row .061, .85; .01 and two generator steps .063, .86.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from synth_pipeline.generate.dpsgd.loop import DPTrainer
from synth_pipeline.generate.gan.config import GanConfig
from synth_pipeline.generate.gan.network import Conditions, CriticLoss, RowGenerator
from synth_pipeline.generate.neural.heads import Heads
from synth_pipeline.privacy.batch import Batch


class AdversarialTraining:
    """Generator and critic taking turns.

    Privacy:
        Private rows enter through `DPTrainer.step` alone; the generator sees the critic's weights, which are released by each noisy step.

    Args:
        trainer: of the critic, with the real rows' loss.
        generator: the generator network.
        heads: inputs and outputs over codes.
        loss: the critic's loss.
        config: constants of the mechanism.
        expected_rows: expected rows of a batch, from the noisy row count.
    """

    def __init__(
        self,
        trainer: DPTrainer,
        generator: RowGenerator,
        *,
        heads: Heads,
        loss: CriticLoss,
        config: GanConfig,
        expected_rows: float,
    ) -> None:
        self.trainer, self.generator, self.heads, self.loss, self.config = trainer, generator, heads, loss, config
        self.expected_rows = expected_rows
        self.weight = expected_rows / config.generator_rows
        self.optimizer = torch.optim.Adam(generator.parameters(), lr=config.generator_rate, betas=(0.5, 0.99))
        self.average = {name: value.detach().clone() for name, value in generator.state_dict().items()}
        self.moves = 0

    @property
    def conditions(self) -> Conditions:
        """Draws conditions."""
        return self.loss.conditions

    def run(self, batches: Iterator[Batch], *, progress: Callable[[str, float], None]) -> None:
        """Take all steps of the critic, and the generator's between them.

        Raises:
            PrivacyError: if the curator dealt another number of batches than was charged.
        """
        total = self.trainer.config.steps
        for step, batch in enumerate(batches, start=1):
            self.trainer.step(batch, public_loss=self._generated_side())
            if step % self.config.critic_steps == 0:
                for _ in range(self.config.generator_steps):
                    self._move_generator(1 - step / (total + 1))
            if step % max(total // 20, 1) == 0:
                progress(f"gan: step {step} of {total}", step / total)
        self.trainer.check_finished()

    def _generated_side(self) -> Callable[[nn.Module], Tensor]:
        """A scalar whose gradient is the clipped sum over generated rows, scaled to the expected batch, and the penalty's."""
        with torch.no_grad():
            logits, _, _, condition = self._generate()
            features = self.heads.inputs(self.heads.draw(logits, None))
        found, _ = self.trainer.clipping.sums(partial(self.loss.generated, self.trainer.model, features, condition))
        sums = {weight: gradient.detach() * self.weight for weight, gradient in found.items()}

        ridge = self.config.penalty * self.expected_rows / 2

        def side(_: nn.Module) -> Tensor:
            terms = [(weight * gradient).sum() for weight, gradient in sums.items()]
            terms += [ridge * (weight**2).sum() for weight in self.trainer.trained]
            return torch.stack(terms).sum()

        return side

    def _generate(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of generated rows, and the columns, codes and features of their conditions."""
        column, codes = self.conditions.draw(self.config.generator_rows)
        condition = self.conditions.features(column, codes)
        latent = torch.randn((len(column), self.config.latent), device=condition.device)
        return self.heads.logits(self.generator(latent, condition)), column, codes, condition

    def _move_generator(self, left: float) -> None:
        critic = self.trainer.model
        logits, column, codes, condition = self._generate()
        rows = self.heads.soft_rows(logits, self.config.temperature, None)
        fooled = nn.functional.softplus(-critic(rows, condition)).mean()
        chosen = nn.functional.one_hot(column, self.conditions.columns).float()
        obeyed = (self.heads.losses(logits, codes) * chosen).sum(dim=-1).mean()
        loss = fooled + self.config.condition_weight * obeyed
        names = list(self.generator.parameters())
        gradients = torch.autograd.grad(loss, names)
        for parameter, gradient in zip(names, gradients, strict=True):
            parameter.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.generator_rate * left
        self.optimizer.step()
        self.moves += 1
        decay = min(0.98, (1 + self.moves) / (10 + self.moves))
        for name, value in self.generator.state_dict().items():
            self.average[name].lerp_(value.detach(), 1 - decay)
