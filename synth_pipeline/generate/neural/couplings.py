"""Symmetric couplings of columns as a layer of its own, with its book-keeping rule.

    y_o = Σ_i S_oi x_i,    S = L + Lᵀ,    L kept only where the feature o is of a later column than i

To first order the association of two columns is the same matrix read in either direction, so both directions share it: half the weights,
hence less noise. A column says nothing about itself. With inputs a_k and output gradients g_k at places k of one row, its gradient is
the kept part of M = Σ_k (g_k a_kᵀ + a_k g_kᵀ), and with inner products ⟨·,·⟩_j over the features of column j

    |kept|² = Σ_kl [ (Σ_j⟨g_k,g_l⟩_j)(Σ_j⟨a_k,a_l⟩_j) + (Σ_j⟨g_k,a_l⟩_j)(Σ_j⟨g_l,a_k⟩_j) ]
              − Σ_j Σ_kl [ ⟨g_k,g_l⟩_j⟨a_k,a_l⟩_j + ⟨g_k,a_l⟩_j⟨g_l,a_k⟩_j ],

half the squared norm of M without its diagonal blocks, M being symmetric.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from synth_pipeline.generate.dpsgd.rules import RowGradients, Sums, register_rule


class SymmetricCouplings(nn.Module):
    """Couplings of the features of different columns, the same in both directions; they start at zero.

    Args:
        widths: number of features of each column.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        columns = torch.repeat_interleave(torch.arange(len(widths)), torch.tensor(widths))
        self.weight = nn.Parameter(torch.zeros(len(columns), len(columns)))
        # Plain attributes: buffers would be saved, and could carry private statistics. These are public.
        self.kept = (columns[None, :] < columns[:, None]).float()
        self.member = nn.functional.one_hot(columns, len(widths)).float()

    def forward(self, features: Tensor) -> Tensor:
        """Effects on each column's features of the other columns: (..., F) → (..., F)."""
        lower = self.weight * self.kept.to(self.weight.device)
        return features @ (lower + lower.T)


@register_rule(SymmetricCouplings)
def symmetric_couplings(layer: nn.Module, inputs: Tensor, backprops: Tensor) -> RowGradients:
    """Row gradients by inner products within columns, or formed, whichever is less work; rows × features, or rows × places × features."""
    if not isinstance(layer, SymmetricCouplings):
        raise TypeError(type(layer))
    weight = layer.weight
    kept, member = layer.kept.to(weight.device), layer.member.to(weight.device)
    a = inputs.reshape(len(inputs), -1, inputs.shape[-1])
    g = backprops.reshape(len(backprops), -1, backprops.shape[-1])

    if a.shape[1] ** 2 > a.shape[2]:
        return _formed_couplings(layer, a, g)

    def within(first: Tensor, second: Tensor) -> Tensor:
        """Inner products of every two places within each column (batch, k, l, columns)."""
        return (first[:, :, None] * second[:, None]) @ member

    gg, aa, ga = within(g, g), within(a, a), within(g, a)
    mirrored = ga.transpose(1, 2)
    whole = gg.sum(-1) * aa.sum(-1) + ga.sum(-1) * mirrored.sum(-1)
    squared = (whole - (gg * aa + ga * mirrored).sum(-1)).sum(dim=(1, 2))

    def weighted_sum(weights: Tensor) -> Sums:
        product = (g * weights[:, None, None]).flatten(0, 1).T @ a.flatten(0, 1)
        return {weight: (product + product.T) * kept}

    return RowGradients(squared.clamp(min=0), weighted_sum)


def _formed_couplings(layer: SymmetricCouplings, a: Tensor, g: Tensor) -> RowGradients:
    """Inner products of all pairs of places and features cost places²·F a row, the gradient itself F²."""
    product = torch.bmm(g.transpose(1, 2), a)
    formed = ((product + product.transpose(1, 2)) * layer.kept.to(a.device)).flatten(1)

    def weighted_sum(weights: Tensor) -> Sums:
        return {layer.weight: (weights @ formed).view_as(layer.weight)}

    return RowGradients((formed**2).sum(dim=1), weighted_sum)
