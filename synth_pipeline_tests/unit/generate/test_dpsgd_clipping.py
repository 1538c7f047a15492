"""Clipping by book-keeping is exact: checked against Opacus' hooks and against plain autograd, layer by layer and on whole models."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from opacus.grad_sample import GradSampleModule
from opacus.layers import DPMultiheadAttention
from opacus.optimizers import DPOptimizerFastGradientClipping
from torch import Tensor, nn

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.blocks import SelfAttention, TransformerBlock
from synth_pipeline.generate.dpsgd.bookkeeping import GradSampleModuleBookKeeping
from synth_pipeline.generate.dpsgd.clipping import CLIPPINGS
from synth_pipeline.generate.dpsgd.oracle import clipped_sum_one_by_one
from synth_pipeline.generate.dpsgd.rules import grams, register_rule
from synth_pipeline_tests.small_networks import drawn, drawn_codes, half_squares, unknown_kind

ROWS = 9
Loss = Callable[[nn.Module, Tensor], Tensor]


class Attention(nn.Module):
    """Opacus' attention on one input."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = DPMultiheadAttention(8, 2, batch_first=True)

    def forward(self, places: Tensor) -> Tensor:
        return self.inner(places, places, places)[0]


class Mlp(nn.Module):
    """Three hidden layers of 256."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (20, 256, 256, 256, 20)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, values: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            values = torch.relu(layer(values))
        return self.layers[-1](values)


class Transformer(nn.Module):
    """Two blocks over seven columns of five codes; the embeddings' outputs are added, so they get one gradient tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.position = nn.Embedding(5, 8), nn.Embedding(11, 8)
        self.blocks = nn.Sequential(TransformerBlock(8, 2, 16, causal=True), TransformerBlock(8, 2, 16))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5, bias=False)

    def forward(self, codes: Tensor) -> Tensor:
        places = torch.arange(codes.shape[1]).repeat(len(codes), 1)
        return self.head(self.norm(self.blocks(self.embedding(codes) + self.position(places))))


class Twice(nn.Module):
    """One layer used at two depths, on inputs of different shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, values: Tensor) -> Tensor:
        first = torch.tanh(self.layer(values))
        return first.sum(dim=1) + self.layer(first.mean(dim=1))


def cross_entropy(model: nn.Module, codes: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(codes).transpose(1, 2), codes.roll(1, 1), reduction="none").sum(dim=1)


CASES: dict[str, tuple[Callable[[], nn.Module], Loss, Tensor]] = {
    "linear": (lambda: nn.Linear(6, 4), half_squares, drawn(ROWS, 6)),
    "linear, wide": (lambda: nn.Linear(4, 40), half_squares, drawn(ROWS, 4)),
    "linear without bias": (lambda: nn.Linear(6, 4, bias=False), half_squares, drawn(ROWS, 6)),
    "linear, few places (Gram)": (lambda: nn.Linear(40, 40), half_squares, drawn(ROWS, 3, 40)),
    "linear, 14 places (padded Gram)": (lambda: nn.Linear(70, 70), half_squares, drawn(ROWS, 14, 70)),
    "linear, few places, wide output (Gram, inputs scaled)": (
        lambda: nn.Linear(9, 40),
        half_squares,
        drawn(ROWS, 3, 9),
    ),
    "linear, many places (row gradients)": (lambda: nn.Linear(3, 4), half_squares, drawn(ROWS, 12, 3)),
    "linear, places in two dimensions": (lambda: nn.Linear(9, 9), half_squares, drawn(ROWS, 2, 3, 9)),
    "embedding": (lambda: nn.Embedding(5, 4), half_squares, drawn_codes(ROWS)),
    "embedding, repeated numbers": (lambda: nn.Embedding(5, 4), half_squares, drawn_codes(ROWS, 7)),
    "embedding with padding": (lambda: nn.Embedding(5, 4, padding_idx=2), half_squares, drawn_codes(ROWS, 7)),
    "layer norm": (lambda: nn.LayerNorm(6), half_squares, drawn(ROWS, 6)),
    "layer norm, places": (lambda: nn.LayerNorm(6), half_squares, drawn(ROWS, 4, 6)),
    "layer norm of two dimensions": (lambda: nn.LayerNorm((4, 6)), half_squares, drawn(ROWS, 4, 6)),
    "attention": (lambda: SelfAttention(8, 2, causal=True), half_squares, drawn(ROWS, 5, 8)),
    "Opacus' attention": (Attention, half_squares, drawn(ROWS, 5, 8)),
    "a layer of Opacus' rules": (lambda: nn.Conv1d(2, 3, 2), half_squares, drawn(ROWS, 2, 6)),
    "multilayer perceptron": (Mlp, half_squares, drawn(ROWS, 20)),
    "transformer": (Transformer, cross_entropy, drawn_codes(ROWS, 7)),
}

OPACUS_DIFFERS = {"embedding with padding"}
"""Opacus gives a padding number a gradient, autograd does not; checked against autograd below."""


def build(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    model = make().double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def row_norms(model: nn.Module, loss: Loss, inputs: Tensor) -> Tensor:
    """The norms of the rows' gradients by Opacus' hooks."""
    module = GradSampleModule(model, loss_reduction="sum")
    loss(model, inputs).sum().backward()
    samples = [parameter.grad_sample.flatten(1) for parameter in model.parameters()]
    norms = torch.cat(samples, dim=1).norm(dim=1)
    module.to_standard_module()
    model.zero_grad(set_to_none=True)
    return norms


@pytest.mark.parametrize("case", sorted(set(CASES) - OPACUS_DIFFERS))
def test_norms_and_clipped_sum_are_those_of_opacus_hooks(case: str) -> None:
    make, loss, inputs = CASES[case]
    model = build(make)
    expected_norms = row_norms(model, loss, inputs)
    clip = float(expected_norms.median())
    hooked, booked = build(make), build(make)
    expected, _ = CLIPPINGS["hooks"](hooked, clip).sums(lambda: loss(hooked, inputs))
    sums, norms = CLIPPINGS["bookkeeping"](booked, clip).sums(lambda: loss(booked, inputs))
    torch.testing.assert_close(norms, expected_norms, rtol=1e-9, atol=1e-9)
    for (name, theirs), ours in zip(hooked.named_parameters(), booked.parameters(), strict=True):
        torch.testing.assert_close(sums[ours], expected[theirs], rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("case", CASES)
def test_single_precision_agrees_to_a_millionth(case: str) -> None:
    make, loss, inputs = CASES[case]
    exact, single = build(make), build(make).float()
    inputs_single = inputs.float() if inputs.is_floating_point() else inputs
    clip = float(row_norms(build(make), loss, inputs).median())
    assert clip > 0
    expected = clipped_sum_one_by_one(exact, loss, inputs, clip)
    sums, _ = CLIPPINGS["bookkeeping"](single, clip).sums(lambda: loss(single, inputs_single))
    scale = torch.stack([total.norm() for total in expected.values()]).norm()
    for name, parameter in single.named_parameters():
        assert float((sums[parameter].double() - expected[name]).norm() / scale) < 1e-6, name


def test_a_layer_called_twice_has_the_norm_of_the_sum_of_its_gradients() -> None:
    model, inputs = build(Twice), drawn(ROWS, 3, 6)
    expected = clipped_sum_one_by_one(model, half_squares, inputs, 0.7)
    sums, _ = CLIPPINGS["bookkeeping"](model, 0.7).sums(lambda: half_squares(model, inputs))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(sums[parameter], expected[name], rtol=1e-9, atol=1e-9, msg=name)


def test_frozen_and_unused_weights_are_left_out_of_the_norm() -> None:
    model = nn.ModuleDict({"frozen": nn.Linear(6, 6), "trained": nn.Linear(6, 4), "unused": nn.Linear(2, 2)}).double()
    model["frozen"].requires_grad_(requires_grad=False)
    inputs = drawn(ROWS, 6)

    def loss(_: nn.Module, rows: Tensor) -> Tensor:
        return (model["trained"](torch.tanh(model["frozen"](rows))) ** 2).sum(dim=1)

    expected = clipped_sum_one_by_one(model, loss, inputs, 0.5)
    sums, _ = CLIPPINGS["bookkeeping"](model, 0.5).sums(lambda: loss(model, inputs))
    assert set(sums) == set(model["trained"].parameters())
    torch.testing.assert_close(sums[model["trained"].weight], expected["trained.weight"])
    assert not expected["unused.weight"].any()


def test_it_takes_the_place_of_opacus_module_before_opacus_optimizer() -> None:
    model, inputs = build(lambda: nn.Linear(6, 4)), drawn(ROWS, 6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = clipped_sum_one_by_one(model, half_squares, inputs, 1.0)
    module = GradSampleModuleBookKeeping(model, max_grad_norm=1.0)
    optimizer = DPOptimizerFastGradientClipping(
        torch.optim.SGD(module.parameters(), lr=1.0),
        noise_multiplier=0.0,
        max_grad_norm=1.0,
        expected_batch_size=None,
        loss_reduction="sum",
    )
    module.clipped_backward((module(inputs) ** 2).sum(dim=1) / 2)
    optimizer.step()
    for name, value in module.to_standard_module().state_dict().items():
        torch.testing.assert_close(before[name] - value, expected[name])


def test_calls_outside_the_loss_are_not_clipped_and_leave_no_trace() -> None:
    model, inputs = build(lambda: nn.Linear(6, 4)), drawn(ROWS, 6)
    clipping = CLIPPINGS["bookkeeping"](model, 1.0)
    expected, _ = clipping.sums(lambda: half_squares(model, inputs))
    model(drawn(3, 6)).sum().backward()
    again, _ = clipping.sums(lambda: half_squares(model, inputs))
    for parameter in model.parameters():
        assert torch.equal(again[parameter], expected[parameter])


class Scale(nn.Module):
    """A free weight, one for each feature."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.scale


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    return model


@pytest.mark.parametrize(
    "model, message",
    [
        (Scale(), "no book-keeping rule"),
        (nn.MultiheadAttention(4, 2), "no book-keeping rule"),
        (nn.BatchNorm1d(4), "no book-keeping rule"),
        (tied(), "share a weight"),
        (nn.Embedding(4, 4, scale_grad_by_freq=True), "scale_grad_by_freq"),
    ],
)
def test_a_model_that_cannot_be_clipped_exactly_is_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(PrivacyError, match=message):
        GradSampleModuleBookKeeping(model, max_grad_norm=1.0)


def test_a_layer_that_does_not_see_the_rows_first_is_refused() -> None:
    model = nn.Linear(6, 4).double()
    with pytest.raises(PrivacyError, match="rows come first"):
        CLIPPINGS["bookkeeping"](model, 1.0).sums(lambda: model(drawn(3 * ROWS, 6)).sum(dim=1).view(ROWS, 3).sum(dim=1))


def test_an_output_changed_in_place_is_refused() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(inplace=True)).double()
    with pytest.raises(PrivacyError, match="in place"):
        CLIPPINGS["bookkeeping"](model, 1.0).sums(lambda: half_squares(model, drawn(ROWS, 6)))


def test_a_rule_can_be_registered_for_a_layer_of_ones_own() -> None:
    from synth_pipeline.generate.dpsgd.rules import RowGradients

    kind = unknown_kind()

    @register_rule(kind)
    def rule(layer: nn.Module, _: Tensor, backprops: Tensor) -> RowGradients:
        return RowGradients((backprops**2).sum(dim=1), lambda weights: {layer.shift: weights @ backprops})

    model, inputs = build(kind), drawn(ROWS, 4)
    expected = clipped_sum_one_by_one(model, half_squares, inputs, 0.5)
    sums, _ = CLIPPINGS["bookkeeping"](model, 0.5).sums(lambda: half_squares(model, inputs))
    torch.testing.assert_close(sums[model.shift], expected["shift"])


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("places", [1, 7, 9, 10, 14, 15, 16, 31])
def test_gram_matrices_are_the_products_of_places(rows: int, places: int) -> None:
    given = drawn(rows + 1, places, 3)[1:]
    torch.testing.assert_close(grams(given), given @ given.transpose(1, 2))
