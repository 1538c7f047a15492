"""Clipping by book-keeping, as a gradient-sample module of Opacus: FORWARD (noted) → one BACKWARD (to outputs only) → NORMS → SUM.

Opacus' ghost clipping runs backward twice: for the norms, then for the gradient of the re-weighted loss. Here the output gradients of the
first run are kept; autograd is asked for them alone, so no weight gradient is computed before the clipping weights are known, and the
clipped sum is one matrix product a layer. The result is the same sum, exactly.

Source:
    Bu, Wang, Zha and Karypis 2023, "Differentially private optimization on large model at small cost", algorithm 1 (base book-keeping).
    Deviation: gradients are asked of `torch.autograd.grad` at the layers' outputs instead of being caught by backward hooks.
"""

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from opacus.grad_sample import AbstractGradSampleModule
from torch import Tensor, nn

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.persons import Persons
from synth_pipeline.generate.dpsgd.rules import RowGradients, Rule, Sums, gradients_of, join_places, rule_for


@dataclass
class _Book:
    """What one layer did in this forward pass."""

    name: str
    layer: nn.Module
    rule: Rule
    inputs: list[Tensor] = field(default_factory=list[Tensor])
    outputs: list[Tensor] = field(default_factory=list[Tensor])
    versions: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def clear(self) -> None:
        self.inputs, self.outputs, self.versions = [], [], []


class GradSampleModuleBookKeeping(AbstractGradSampleModule):
    """Wraps a model so that `clipped_backward` leaves the sum of its rows' clipped gradients in `.grad`.

    Takes the place of Opacus' GradSampleModuleFastGradientClipping before its DPOptimizerFastGradientClipping. Rows come first in the
    inputs of every layer with weights; a layer may be called several times a forward pass (its gradient in a row is the sum over calls).

    Privacy:
        In the sum, the norm of a row's gradient over all trained weights is at most `max_grad_norm`. Layers must not mix rows: every
        layer's leading dimension must be the number of losses, and see `loop.DPTrainer` for what else is refused.

    Args:
        m: the model.
        max_grad_norm: the clip.
        loss_reduction: "sum", Opacus' word for what is done here; no other is accepted.

    Raises:
        PrivacyError: for a layer without a rule, or one weight in two layers.
    """

    def __init__(self, m: nn.Module, *, max_grad_norm: float, loss_reduction: str = "sum") -> None:
        if loss_reduction != "sum":
            raise PrivacyError(f"DP-SGD: loss_reduction is {loss_reduction!r}; book-keeping sums")
        super().__init__(m, batch_first=True, loss_reduction=loss_reduction)
        self.max_grad_norm = max_grad_norm
        self._books = _open_books(m)
        self.trained = [parameter for parameter in m.parameters() if parameter.requires_grad]
        self._handles = [book.layer.register_forward_hook(self._note(book)) for book in self._books]
        self._is_noting = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's forward pass, noted; a call of the model itself is not."""
        with self.noting():
            return self._module(*args, **kwargs)

    def remove_hooks(self) -> None:
        """Take the forward hooks off the model."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    @contextmanager
    def noting(self) -> Generator[None]:
        """Calls of the model inside are noted for the next clipped sum."""
        self._is_noting = True
        try:
            yield
        finally:
            self._is_noting = False

    def forget(self) -> None:
        """Drop the notes of forward passes whose gradients nobody asked for."""
        for book in self._books:
            book.clear()

    def clipped_backward(self, losses: Tensor) -> Tensor:
        """Write the sum of the rows' clipped gradients into `.grad`, zero where a weight was not used; returns the private norms.

        If a norm is not finite, the sum written is zero.
        """
        sums, norms = self.clipped_sums(losses)
        for parameter in self.trained:
            parameter.grad = sums[parameter] if parameter in sums else torch.zeros_like(parameter)
        return norms

    def clipped_sums(self, losses: Tensor, persons: Persons | None = None) -> tuple[Sums, Tensor]:
        """The sum of the clipped gradients of rows, or of people: for each weight that was used, and the private norms before clipping.

        If a norm is not finite, there are no sums: leave those rows out and come again.

        Args:
            losses: loss of each row (batch,).
            persons: whose each row is, if not each row is a person; a person's gradient is the sum over that one's rows.

        Shapes:
            norms (batch,) or (persons,).

        Raises:
            PrivacyError: if a layer did not see one row a loss, or its output was changed in place.
        """
        try:
            gradients = self._gradients(losses, persons)
        finally:
            self.forget()
        sums: Sums = {}
        with torch.no_grad():
            squared = losses.new_zeros(len(losses) if persons is None else len(persons))
            for gradient in gradients:
                squared += gradient.squared_norms
            norms = squared.sqrt()
            if bool(norms.isfinite().all()):
                weights = (self.max_grad_norm / (norms + 1e-6)).clamp(max=1.0)
                while gradients:
                    sums.update(gradients.pop().weighted_sum(weights))
        return sums, norms

    def _gradients(self, losses: Tensor, persons: Persons | None) -> list[RowGradients]:
        used = [book for book in self._books if book.outputs]
        for book in used:
            _check_notes(book, len(losses))
        outputs = [output for book in used for output in book.outputs]
        found = iter(_own(torch.autograd.grad(losses.sum(), outputs, allow_unused=True)))
        gradients: list[RowGradients] = []
        with torch.no_grad():
            for book in used:
                backprops = [next(found) for _ in book.outputs]
                pairs = [(a, d) for a, d in zip(book.inputs, backprops, strict=True) if d is not None]
                if pairs:
                    inputs = join_places([a for a, _ in pairs], features=pairs[0][0].is_floating_point())
                    outer = join_places([d for _, d in pairs], features=True)
                    gradients.append(gradients_of(book.rule, book.layer, inputs, outer, persons))
        return gradients

    def _note(self, book: _Book) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if self._is_noting and torch.is_grad_enabled():
                book.inputs.append(inputs[0].detach())
                book.outputs.append(output)
                book.versions.append((inputs[0]._version, output._version))  # noqa: SLF001  torch's own counter

        return hook


def _own(backprops: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The backprops, each in memory of its own: autograd hands one tensor to several layers where a model adds their outputs."""
    homes = Counter(part.untyped_storage().data_ptr() for part in backprops if part is not None)
    return [
        part
        if part is None or (homes[part.untyped_storage().data_ptr()] == 1 and part.is_contiguous())
        else part.clone(memory_format=torch.contiguous_format)
        for part in backprops
    ]


def _open_books(model: nn.Module) -> list[_Book]:
    books: list[_Book] = []
    owners: dict[nn.Parameter, str] = {}
    for name, layer in model.named_modules():
        own = [parameter for parameter in layer.parameters(recurse=False) if parameter.requires_grad]
        if not own:
            continue
        for parameter in own:
            if parameter in owners:
                raise PrivacyError(
                    f"DP-SGD: layers {owners[parameter]!r} and {name!r} share a weight; call one layer twice instead"
                )
            owners[parameter] = name
        books.append(_Book(name, layer, rule_for(name, layer)))
    return books


def _check_notes(book: _Book, rows: int) -> None:
    for inputs, output, versions in zip(book.inputs, book.outputs, book.versions, strict=True):
        if len(inputs) != rows or len(output) != rows:
            raise PrivacyError(
                f"DP-SGD: layer {book.name!r} saw a leading dimension that is not the number of rows; rows come first"
            )
        if (inputs._version, output._version) != versions:  # noqa: SLF001  torch's own counter
            raise PrivacyError(f"DP-SGD: the input or output of layer {book.name!r} was changed in place; do not")
