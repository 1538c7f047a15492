"""The audit's window on DP-SGD: a watch that adds weights of its own to what is clipped and noised, and sees the noisy sums.

A watch is set for a block of code (`watched_by`) and gone after it: no specification, configuration or environment sets one, and outside
`synth_pipeline.audit` nothing may (a test reads the sources). What it sees has its noise, so it sees nothing that a step does not release.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from torch import Tensor, nn

from synth_pipeline.generate.dpsgd.config import DPSGDConfig
from synth_pipeline.privacy.events import SubsampledGaussianEvent

RowLoss = Callable[[nn.Module, Tensor], Tensor]


class Watch(Protocol):
    """What an audit brings to a training."""

    def join(
        self, model: nn.Module, per_row_loss: RowLoss, *, config: DPSGDConfig, event: SubsampledGaussianEvent
    ) -> tuple[nn.Module, RowLoss]:
        """The module whose weights are clipped and noised together, the model's first, and the rows' losses on them."""
        ...

    def released(self, noisy: Mapping[str, Tensor]) -> None:
        """Told after every step of the sums with their noise, by weight; may overwrite them in place with sums of its own."""
        ...


_WATCH: ContextVar[Watch | None] = ContextVar("synth_pipeline_dpsgd_watch", default=None)


@contextmanager
def watched_by(watch: Watch) -> Generator[None]:
    """Trainings that begin inside the block are watched.

    Privacy:
        The table must need no protection: a watch may plant rows, and its weights stay out of the model.
    """
    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)


def current_watch() -> Watch | None:
    """The watch of this block; None in every training that is not an audit's."""
    return _WATCH.get()
