"""The three ways to the sum of clipped gradients behind one small interface: ours by book-keeping, and Opacus' two.

All give the same sum. Opacus' stay for comparison (tests, `benchmarks/clipping.py`) and for layers that only they know.
"""

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

import torch
from opacus.grad_sample import GradSampleModule
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.bookkeeping import GradSampleModuleBookKeeping
from synth_pipeline.generate.dpsgd.config import GradMode
from synth_pipeline.generate.dpsgd.persons import Persons
from synth_pipeline.generate.dpsgd.rules import Sums

Losses = Callable[[], Tensor]


class Clipping(Protocol):
    """Sums the clipped gradients of rows, or of people."""

    def sums(self, losses: Losses, persons: Persons | None = None) -> tuple[Sums, Tensor]:
        """Call `losses` for the loss of each row (batch,), and return the sums and the norms before clipping, of rows or of `persons`.

        The norms are private. If one is not finite, there are no sums. Calls of the model outside `losses` are not clipped.
        """
        ...


class BookKeeping:
    """One backward pass; see `bookkeeping`."""

    def __init__(self, model: nn.Module, clip_norm: float) -> None:
        self._module = GradSampleModuleBookKeeping(model, max_grad_norm=clip_norm)

    def sums(self, losses: Losses, persons: Persons | None = None) -> tuple[Sums, Tensor]:
        """See `Clipping`."""
        self._module.forget()
        with self._module.noting():
            found = losses()
        return self._module.clipped_sums(found, persons)


class Ghost:
    """Opacus' ghost clipping: one backward pass for the norms, one for the gradient of the re-weighted losses."""

    def __init__(self, model: nn.Module, clip_norm: float) -> None:
        self._module = GradSampleModuleFastGradientClipping(
            model,
            max_grad_norm=clip_norm,  # pyright: ignore[reportArgumentType]  annotated int, used as a float
            loss_reduction="sum",
            use_ghost_clipping=True,
        )
        self._module.disable_hooks()

    def sums(self, losses: Losses, persons: Persons | None = None) -> tuple[Sums, Tensor]:
        """See `Clipping`; the steps are those of Opacus' DPTensorFastGradientClipping.backward.

        Raises:
            PrivacyError: for people with several rows; Opacus' ghost norms are of rows.
        """
        if persons is not None:
            raise PrivacyError(
                'DP-SGD: grad_mode "ghost" clips rows; for people with several use "bookkeeping" or "hooks"'
            )
        with _hooked(self._module):
            found = losses()
            _backward(found.sum(), retain_graph=True)
        _take_gradients(self._module)
        weights = self._module.get_clipping_coef()
        norms = self._module.per_sample_gradient_norms
        _backward((weights * found).sum())
        sums = _take_gradients(self._module)
        return sums if bool(norms.isfinite().all()) else {}, norms


class Hooks:
    """Opacus' default: every row's gradient is formed, then weighted; memory of batch × weights."""

    def __init__(self, model: nn.Module, clip_norm: float) -> None:
        self._module = GradSampleModule(model, loss_reduction="sum")
        self._module.disable_hooks()
        self._clipper = DPOptimizer(
            torch.optim.SGD(self._module.parameters(), lr=0.0),
            noise_multiplier=0.0,
            max_grad_norm=clip_norm,
            expected_batch_size=None,
            loss_reduction="sum",
        )

    def sums(self, losses: Losses, persons: Persons | None = None) -> tuple[Sums, Tensor]:
        """See `Clipping`; the clipping is Opacus' DPOptimizer.clip_and_accumulate."""
        with _hooked(self._module):
            _backward(losses().sum())
        if persons is not None:
            for parameter in self._clipper.params:
                parameter.grad_sample = persons.sum(parameter.grad_sample)  # pyright: ignore[reportAttributeAccessIssue]
        samples = self._clipper.grad_samples
        norms = torch.stack([sample.flatten(1).norm(dim=1) for sample in samples]).norm(dim=0)
        self._clipper.clip_and_accumulate()
        found: Sums = {parameter: parameter.summed_grad for parameter in self._clipper.params}  # pyright: ignore[reportAttributeAccessIssue]
        self._clipper.zero_grad(set_to_none=True)
        return found if bool(norms.isfinite().all()) else {}, norms


CLIPPINGS: dict[GradMode, type[BookKeeping] | type[Ghost] | type[Hooks]] = {
    "bookkeeping": BookKeeping,
    "ghost": Ghost,
    "hooks": Hooks,
}


@contextmanager
def _hooked(module: GradSampleModule | GradSampleModuleFastGradientClipping) -> Generator[None]:
    module.enable_hooks()
    try:
        yield
    finally:
        module.disable_hooks()


def _backward(loss: Tensor, *, retain_graph: bool = False) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing", category=UserWarning)
        loss.backward(retain_graph=retain_graph)


def _take_gradients(module: nn.Module) -> Sums:
    found: Sums = {}
    for parameter in module.parameters():
        if parameter.grad is not None:
            found[parameter] = parameter.grad
            parameter.grad = None
    return found
