"""One training of either network: what it is given, and the trained columns model that comes out."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.autoregressive.features import make_features
from synth_pipeline.generate.autoregressive.model import ColumnModel, PairModel
from synth_pipeline.generate.dpsgd.config import Execution, StepNoise
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.batch import Batch
from synth_pipeline.privacy.events import SubsampledGaussianEvent
from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.profile import Profile


@dataclass(frozen=True, eq=False)
class Course:
    """What a training is given; public or released.

    Attributes:
        profile: the released profile.
        domain: the encoded columns.
        config: constants of the mechanism.
        event: what was charged for the training.
        order: the main order of the columns.
        runtime: device and progress.
        rng: public randomness: orders, and the transformer's starting weights.
    """

    profile: Profile
    domain: Domain
    config: AutoregressiveConfig
    event: SubsampledGaussianEvent
    order: tuple[int, ...]
    runtime: RuntimeConfig
    rng: np.random.Generator

    @property
    def log_shares(self) -> npt.NDArray[np.float32]:
        """Log of the released one-way shares, all codes side by side."""
        shares = np.concatenate([self.profile.shares(index) for index in range(len(self.domain))])
        return np.log(np.maximum(shares, 1e-12)).astype(np.float32)

    @property
    def column_weights(self) -> tuple[float, ...]:
        """Weight of each column's loss."""
        return tuple(self.config.target_weight if name == self.config.target else 1.0 for name in self.domain.names)

    def run(self, batches: Iterator[Batch], noise: StepNoise) -> tuple[ColumnModel, int]:
        """Take all steps of the configured network; its model before calibration, and how many weights were trained."""
        train = _train_transformer if self.config.network == "transformer" else _train_couplings
        return train(self, batches, noise)


def _train_couplings(course: Course, batches: Iterator[Batch], noise: StepNoise) -> tuple[ColumnModel, int]:
    from synth_pipeline.generate.autoregressive.network import Loss, PairCouplings
    from synth_pipeline.generate.autoregressive.training import Orders, make_trainer, train

    config, device = course.config, course.runtime.device
    features = make_features(course.profile, config)
    couplings = PairCouplings(features.widths, device)
    loss = Loss(course.domain, features, course.log_shares, course.column_weights, device=device)
    execution = Execution(device=device, noise=noise)
    trainer = make_trainer(couplings, loss, config=config, event=course.event, execution=execution)
    orders = Orders(course.order, config.random_orders)
    trained = train(trainer, couplings, batches, orders=orders, rng=course.rng, progress=course.runtime.report)
    widths = features.widths
    weights = (sum(widths) ** 2 - sum(width**2 for width in widths)) // 2
    return PairModel(course.domain, features, trained, course.log_shares), weights


def _train_transformer(course: Course, batches: Iterator[Batch], noise: StepNoise) -> tuple[ColumnModel, int]:
    import torch

    from synth_pipeline.generate.autoregressive import transformer
    from synth_pipeline.generate.dpsgd.loop import DPTrainer

    config, device, columns = course.config, course.runtime.device, len(course.domain)
    seed = int(course.rng.integers(2**62))
    network = transformer.make_network(course.domain, config, seed=seed, device=device)
    log_shares = torch.tensor(course.log_shares, device=device)
    loss = transformer.OrderLoss(course.domain, log_shares, course.column_weights, config.order_weights)

    def draw_orders() -> npt.NDArray[np.int64]:
        return np.stack([course.order, *(course.rng.permutation(columns) for _ in range(config.random_orders))])

    execution = Execution(device=device, piece_rows=1024, noise=noise)
    make_trainer = partial(DPTrainer, config=config.training(), event=course.event, execution=execution)
    transformer.train_transformer(
        network, loss, batches, draw_orders=draw_orders, make_trainer=make_trainer, progress=course.runtime.report
    )
    weights = sum(parameter.numel() for parameter in network.parameters())
    return transformer.TransformerModel(course.domain, network, course.order, course.log_shares), weights
