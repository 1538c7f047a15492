"""Book-keeping rules: from a layer's inputs and output gradients, each row's gradient norm and any weighted sum of the rows' gradients.

    gradient of row b:   g_b = Σ_t  δ_bt a_btᵀ        (δ output gradient, a input, t places at which row b uses the layer)
    squared norm:        |g_b|² = Σ_ts (a_bt·a_bs)(δ_bt·δ_bs)
    weighted sum:        Σ_b c_b g_b = (cδ)ᵀ a

Symbols, ours = Bu et al.: batch = B, places = T, inputs a = activations a, backprops δ = ∂L/∂s, weights c = C_i.

Source:
    Bu, Wang, Zha and Karypis 2023, "Differentially private optimization on large model at small cost", algorithm 1 and section 2.
    Linear with places: Gram matrices of Li, Tramèr, Liang and Hashimoto 2022, section 4, or the row's gradient, whichever is less work.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from opacus.grad_sample import GradSampleModule
from torch import Tensor, nn

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.persons import Persons

Sums = dict[Tensor, Tensor]
"""A gradient for each parameter of a layer."""


@dataclass(frozen=True)
class RowGradients:
    """The rows' gradients of one layer, as far as they have to be known.

    Attributes:
        squared_norms: squared L2 norm of each row's gradient, all parameters of the layer together (batch,).
        weighted_sum: for one weight a row (batch,), the weighted sum of the rows' gradients.
    """

    squared_norms: Tensor
    weighted_sum: Callable[[Tensor], Sums]


Rule = Callable[[nn.Module, Tensor, Tensor], RowGradients]
"""(layer, inputs, backprops) → the rows' gradients; both tensors have the rows first, and places between rows and features.

The backprops are the rule's own: the weighted sum, which is asked for once, may overwrite them. The inputs are not. A person with several
rows is a row with one dimension of places more, padded with backprops of zero, which must add nothing.
"""

_RULES: dict[type[nn.Module], Rule] = {}
_CHECKS: dict[type[nn.Module], Callable[[nn.Module], None]] = {}


def register_rule(*kinds: type[nn.Module]) -> Callable[[Rule], Rule]:
    """Decorate the rule of one or more kinds of layer; a subclass needs its own."""

    def register(rule: Rule) -> Rule:
        for kind in kinds:
            _RULES[kind] = rule
        return rule

    return register


def rule_for(name: str, layer: nn.Module) -> Rule:
    """The rule of a layer: its own, else Opacus' gradient sampler for it.

    Raises:
        PrivacyError: if there is neither, or if the layer's settings mix rows.
    """
    kind = type(layer)
    if isinstance(layer, nn.Embedding) and (layer.max_norm is not None or layer.scale_grad_by_freq or layer.sparse):
        raise PrivacyError(
            f"DP-SGD: embedding {name!r} has max_norm, scale_grad_by_freq or sparse set; leave them unset"
        )
    if kind in _RULES:
        return _RULES[kind]
    if kind in GradSampleModule.GRAD_SAMPLERS:
        return by_row_gradients
    raise PrivacyError(
        f"DP-SGD: layer {name!r} ({kind.__name__}) has weights of its own and no book-keeping rule; build it of nn.Linear, "
        "nn.Embedding and nn.LayerNorm, or register a rule (generate.dpsgd.rules.register_rule)"
    )


def gradients_of(
    rule: Rule, layer: nn.Module, inputs: Tensor, backprops: Tensor, persons: Persons | None
) -> RowGradients:
    """The gradients of one layer by row, or by person: a person is a row whose places are those of all of its rows.

    Raises:
        PrivacyError: if the rule does not give one norm a person.
    """
    if persons is None:
        return rule(layer, inputs, backprops)
    if rule is by_row_gradients:
        formed = _by_opacus(layer, inputs, backprops)
        return _formed({parameter: persons.sum(gradient) for parameter, gradient in formed.items()})
    found = rule(layer, persons.spread(inputs), persons.spread(backprops))
    if found.squared_norms.shape != (len(persons),):
        raise PrivacyError(
            f"DP-SGD: the rule of {type(layer).__name__} does not take a person's rows as places; people with several rows "
            "cannot be clipped with it"
        )
    return found


def join_places(parts: Sequence[Tensor], features: bool) -> Tensor:  # noqa: FBT001  one use, named there
    """Inputs or backprops of several calls of one layer, as places of one call.

    Shapes:
        each (batch, *places[, features]) → (batch, places[, features]); a single call without places is returned as it is.
    """
    if len(parts) == 1:
        return parts[0]
    flat = [part.reshape(len(part), -1, part.shape[-1]) if features else part.reshape(len(part), -1) for part in parts]
    return torch.cat(flat, dim=1)


@register_rule(nn.Linear)
def linear(layer: nn.Module, inputs: Tensor, backprops: Tensor) -> RowGradients:
    """Linear layer; rows × features, or rows × places × features.

    With places, the norm is by Gram matrices, places²(in + out) products a row, or by the row's gradient, places·in·out: the cheaper.
    The bias is an input that is always 1.
    """
    if not isinstance(layer, nn.Linear):
        raise TypeError(type(layer))
    weight = layer.weight if layer.weight.requires_grad else None
    bias = layer.bias if layer.bias is not None and layer.bias.requires_grad else None
    if inputs.dim() == 2:
        return _flat_linear(weight, bias, inputs, backprops)
    inputs = inputs.reshape(len(inputs), -1, inputs.shape[-1])
    backprops = backprops.reshape(len(backprops), -1, backprops.shape[-1])
    places, width = inputs.shape[1], inputs.shape[2] + backprops.shape[2]
    if weight is None or places * width <= inputs.shape[2] * backprops.shape[2]:
        return _gram_linear(weight, bias, inputs, backprops)
    return _formed_linear(weight, bias, inputs, backprops)


def _flat_linear(weight: Tensor | None, bias: Tensor | None, inputs: Tensor, backprops: Tensor) -> RowGradients:
    size = 0.0 if weight is None else _squared_norms(inputs)
    squared = _squared_norms(backprops) * (size + (0.0 if bias is None else 1.0))

    def weighted_sum(weights: Tensor) -> Sums:
        sums: Sums = {}
        if bias is not None:
            sums[bias] = weights @ backprops
        if weight is not None:
            sums[weight] = backprops.mul_(weights[:, None]).T @ inputs
        return sums

    return RowGradients(squared, weighted_sum)


def _gram_linear(weight: Tensor | None, bias: Tensor | None, inputs: Tensor, backprops: Tensor) -> RowGradients:
    products = grams(backprops)
    if weight is not None:
        products = products * (grams(inputs) + (0.0 if bias is None else 1.0))
    squared = products.sum(dim=(1, 2))

    def weighted_sum(weights: Tensor) -> Sums:
        sums: Sums = {}
        if weight is not None and 2 * inputs.shape[2] < backprops.shape[2]:  # scale the narrower one
            if bias is not None:
                sums[bias] = weights.repeat_interleave(inputs.shape[1]) @ backprops.flatten(0, 1)
            sums[weight] = backprops.flatten(0, 1).T @ (inputs * weights[:, None, None]).flatten(0, 1)
            return sums
        scaled = backprops.mul_(weights[:, None, None]).flatten(0, 1)
        if bias is not None:
            sums[bias] = scaled.sum(dim=0)
        if weight is not None:
            sums[weight] = scaled.T @ inputs.flatten(0, 1)
        return sums

    return RowGradients(squared.clamp(min=0), weighted_sum)


def _formed_linear(weight: Tensor, bias: Tensor | None, inputs: Tensor, backprops: Tensor) -> RowGradients:
    formed: Sums = {weight: torch.bmm(backprops.transpose(1, 2), inputs)}
    if bias is not None:
        formed[bias] = backprops.sum(dim=1)
    return _formed(formed)


@register_rule(nn.Embedding)
def embedding(layer: nn.Module, inputs: Tensor, backprops: Tensor) -> RowGradients:
    """Embedding; inputs are whole numbers (batch, *places). Places of one row with the same number share a gradient."""
    if not isinstance(layer, nn.Embedding):
        raise TypeError(type(layer))
    padding = -1 if layer.padding_idx is None else layer.padding_idx
    numbers = inputs.reshape(len(inputs), -1)
    backprops = backprops.reshape(*numbers.shape, -1)
    if padding >= 0:
        backprops = backprops * (numbers != padding)[..., None]
    squared = _squared_norms(backprops)
    ordered = numbers.sort(dim=1).values
    repeated = (ordered[:, 1:] == ordered[:, :-1]).any(dim=1)
    if bool(repeated.any()):
        again, same = backprops[repeated], numbers[repeated]
        products = grams(again) * (same[:, :, None] == same[:, None, :])
        squared = squared.index_put((repeated.nonzero()[:, 0],), products.sum(dim=(1, 2)).clamp(min=0))

    def weighted_sum(weights: Tensor) -> Sums:
        scaled = backprops.mul_(weights[:, None, None])
        size = layer.num_embeddings
        return {layer.weight: torch.ops.aten.embedding_dense_backward(scaled, numbers, size, padding, False)}

    return RowGradients(squared, weighted_sum)


@register_rule(nn.LayerNorm)
def layer_norm(layer: nn.Module, inputs: Tensor, backprops: Tensor) -> RowGradients:
    """Layer normalisation; the rows' gradients are small and are formed."""
    if not isinstance(layer, nn.LayerNorm):
        raise TypeError(type(layer))
    shape, formed = layer.normalized_shape, Sums()
    if layer.weight.requires_grad:
        normed = nn.functional.layer_norm(inputs, shape, eps=layer.eps)
        formed[layer.weight] = normed.mul_(backprops).reshape(len(inputs), -1, *shape).sum(dim=1)
    if layer.bias is not None and layer.bias.requires_grad:
        formed[layer.bias] = backprops.reshape(len(inputs), -1, *shape).sum(dim=1)
    return _formed(formed)


def by_row_gradients(layer: nn.Module, inputs: Tensor, backprops: Tensor) -> RowGradients:
    """Any layer that Opacus can form the rows' gradients of; exact, and one backward pass, but memory of batch × weights."""
    return _formed(_by_opacus(layer, inputs, backprops))


def _by_opacus(layer: nn.Module, inputs: Tensor, backprops: Tensor) -> Sums:
    found = GradSampleModule.GRAD_SAMPLERS[type(layer)](layer, [inputs], backprops)
    return {parameter: gradient for parameter, gradient in found.items() if parameter.requires_grad}


def grams(rows: Tensor) -> Tensor:
    """Products of each row's places with one another.

    Matrix libraries multiply 16 places up to three times as fast as 15. So each row is read on into the next one until its places are a
    multiple of 4, and the products too many are left out of the answer.

    Shapes:
        (batch, places, features) → (batch, places, places).
    """
    batch, places, width = rows.shape
    padded = -(-places // 4) * 4
    if places <= 8 or padded - places in {0, 3}:
        return torch.bmm(rows, rows.transpose(1, 2))
    rows = rows.contiguous()
    whole = max((batch * places - padded) // places + 1, 0)
    wide = rows.as_strided((whole, padded, width), (places * width, width, 1))
    found = rows.new_empty(batch, padded, padded)
    torch.bmm(wide, wide.transpose(1, 2), out=found[:whole])
    rest = rows[whole:]
    found[whole:, :places, :places] = torch.bmm(rest, rest.transpose(1, 2))
    return found[:, :places, :places]


def _squared_norms(rows: Tensor) -> Tensor:
    """Squared L2 norm of each row (batch, ...), without a copy of the rows."""
    return torch.linalg.vector_norm(rows.flatten(1), dim=1).square_()


def _formed(gradients: Sums) -> RowGradients:
    """Rows' gradients that have been formed, each (batch, *parameter)."""
    flat = {parameter: gradient.flatten(1) for parameter, gradient in gradients.items()}
    squared = torch.stack([_squared_norms(gradient) for gradient in flat.values()]).sum(dim=0)

    def weighted_sum(weights: Tensor) -> Sums:
        return {parameter: (weights @ gradient).view_as(parameter) for parameter, gradient in flat.items()}

    return RowGradients(squared, weighted_sum)
