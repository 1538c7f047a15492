"""PATE-GAN's loop: GENERATE records → teachers VOTE (charged) → the student LEARNS → the generator MOVES (both free).

Jordon, Yoon and van der Schaar 2019 (PATE-GAN, ICLR); noisy votes as in Papernot et al. 2018 (arXiv 1802.08908).

| theirs | ours |
|---|---|
| k teachers T_1…T_k on disjoint parts | `privacy.teachers.TeacherPanel`, parts dealt row by row |
| n_j(û), votes | noisy counts of `TeacherPanel.votes` |
| λ, Laplace noise of PATE | Gaussian, σ from the pool of cost |
| S, student | `student` |
| n_T, n_S | `rounds`, `student_steps` |

Deviations. (a) The noisy share of votes is the student's label, not its majority: the same release, less thrown away. (b) Plain
Gaussian composition instead of the data-dependent moments bound, whose ε is itself private; all six public implementations leak more
than they state, accounting and overlapping parts among the causes (Ganev, Annamalai and De Cristofaro 2024, arXiv 2406.13985).
(c) Teachers are refitted on their part in every round (see `teacher`). (d) As in the paper the student sees generated records only.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from synth_pipeline.generate.neural.heads import Heads, perceptron
from synth_pipeline.generate.neural.latent import latent_decoder
from synth_pipeline.generate.neural.space import CodeSpace
from synth_pipeline.generate.pate_gan.config import PateGanConfig
from synth_pipeline.generate.pate_gan.teacher import Ballot, RandomFeatures
from synth_pipeline.privacy.teachers import TeacherPanel

_POOL_ROWS = 2048
_STEP_ROWS = 512
_TEMPERATURE = 0.5


@dataclass(frozen=True, eq=False)
class Networks:
    """What is trained, on released values only.

    Attributes:
        generator: latent vectors to effects.
        student: features of rows to how real they look.
        heads: inputs and outputs over codes.
    """

    generator: nn.Sequential
    student: nn.Sequential
    heads: Heads

    @classmethod
    def make(cls, space: CodeSpace, config: PateGanConfig, device: str) -> "Networks":
        """Both networks; the generator starts at independent columns."""
        generator = latent_decoder(space, latent=config.latent, hidden=config.generator_hidden).to(device)
        student = perceptron((space.width, config.student_hidden, 1), zero_last=True).to(device)
        return cls(generator, student, Heads(space, device))

    def logits(self, rows: int) -> Tensor:
        """Logits of generated rows (rows, codes)."""
        first = self.generator[0]
        latent = first.in_features if isinstance(first, nn.Linear) else 0
        return self.heads.logits(self.generator(torch.randn((rows, latent), device=self.heads.table.device)))

    @torch.no_grad()
    def generate(self, rows: int) -> Tensor:
        """Generated rows (rows, columns)."""
        return self.heads.draw(self.logits(rows), None)


class VotedTraining:
    """Rounds of votes, student and generator.

    Privacy:
        Private rows enter through `TeacherPanel.votes` alone; each round's cost is the same share of the pool.

    Args:
        networks: what is trained.
        config: constants of the mechanism.
        features: the teachers' random features.
    """

    def __init__(self, networks: Networks, config: PateGanConfig, features: RandomFeatures) -> None:
        self.networks, self.config, self.features = networks, config, features
        self.optimizers = tuple(
            torch.optim.Adam(network.parameters(), lr=config.step_length, weight_decay=decay)
            for network, decay in ((networks.student, 1e-2), (networks.generator, 0.0))
        )
        self.records: list[Tensor] = []
        self.labels: list[Tensor] = []

    def run(self, panel: TeacherPanel, *, cost: float, purpose: str, progress: Callable[[str, float], None]) -> None:
        """All rounds, for `cost` together."""
        config = self.config
        for done in range(1, config.rounds + 1):
            records = self.networks.generate(config.records)
            pool = self.networks.generate(_POOL_ROWS).cpu().numpy().astype(np.int32)
            ballot = Ballot.prepare(self.features, pool, records.cpu().numpy().astype(np.int32), config.ridge)
            votes = panel.votes(ballot.vote, config.records, cost=cost / config.rounds, purpose=purpose)
            self._label(records, votes.values / panel.teachers)
            for _ in range(config.student_steps):
                self._teach_student()
            for _ in range(config.generator_steps):
                self._move_generator()
            progress(f"pate_gan: round {done} of {config.rounds}", done / config.rounds)

    def _label(self, records: Tensor, shares: np.ndarray) -> None:
        self.records.append(self.networks.heads.inputs(records))
        clipped = np.clip(shares, 0.0, 1.0).astype(np.float32)
        self.labels.append(torch.as_tensor(clipped, device=records.device))

    def _teach_student(self) -> None:
        scores = self.networks.student(torch.cat(self.records)).squeeze(-1)
        loss = nn.functional.binary_cross_entropy_with_logits(scores, torch.cat(self.labels))
        self._descend(0, loss)

    def _move_generator(self) -> None:
        rows = self.networks.heads.soft_rows(self.networks.logits(_STEP_ROWS), _TEMPERATURE, None)
        self._descend(1, nn.functional.softplus(-self.networks.student(rows)).mean())

    def _descend(self, which: int, loss: Tensor) -> None:
        optimizer = self.optimizers[which]
        self.networks.student.zero_grad()
        self.networks.generator.zero_grad()
        loss.backward()
        optimizer.step()
