"""The network: every column is predicted from the columns before it, in several orders at once, through couplings of pairs of columns.

    logits_j = log released share_j + B_j Σ_{i before j} W_ji B_iᵀ onehot(x_i),   W_ij = W_jiᵀ

B are the fixed features (see `features`); W is all that is trained. To first order the association of two columns is the same matrix read
in either direction, so both directions share it, and so do all orders. Hidden layers were tried and cost more in noise than they won.

Each row's gradient is clipped by book-keeping: its norm is computed in closed form, without the gradient. The rule of `PairCouplings` is
registered here and checked against the gradients by a test.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from synth_pipeline.generate.autoregressive.features import Features
from synth_pipeline.generate.dpsgd.rules import RowGradients, Sums, register_rule
from synth_pipeline.table.encoded import Domain


class PairCouplings(torch.nn.Module):
    """Couplings of all pairs of columns; the only trained module.

    Attributes:
        weight: (F, F); the block of columns j > i is W_ji, all else is unused.
        positions: (K, columns) place of each column in each of K orders; set before each forward pass.
    """

    def __init__(self, widths: Sequence[int], device: str = "cpu") -> None:
        super().__init__()
        columns = torch.repeat_interleave(torch.arange(len(widths)), torch.tensor(widths)).to(device)
        total = len(columns)
        self.weight = torch.nn.Parameter(torch.zeros(total, total, device=device))
        self.positions = torch.arange(len(widths), device=device)[None]
        # Plain attributes: Opacus refuses buffers, which could carry private statistics. These are public.
        self.columns = columns
        self.lower = (columns[None, :] < columns[:, None]).float()
        self.member = torch.nn.functional.one_hot(columns, len(widths)).float()

    def symmetric(self) -> torch.Tensor:
        """W with both directions of every pair (F, F)."""
        lower = self.weight * self.lower
        return lower + lower.T

    def before(self) -> torch.Tensor:
        """Whether column i comes before column j in order k (K, j, i)."""
        return (self.positions[:, None, :] < self.positions[:, :, None]).float()

    def masks(self) -> torch.Tensor:
        """Whether feature i's column comes before feature o's in order k (K, o, i)."""
        is_before = self.positions[:, self.columns]
        return (is_before[:, None, :] < is_before[:, :, None]).float()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Effects on each column's features of the columns before it.

        Shapes:
            (batch, F) → (batch, K, F).
        """
        return torch.einsum("bi,koi->bko", features, self.symmetric()[None] * self.masks())


@register_rule(PairCouplings)
def coupling_gradients(layer: nn.Module, features: torch.Tensor, backprops: torch.Tensor) -> RowGradients:
    """The rows' gradients with respect to the couplings, all orders summed.

    The block of the pair (j, i) has gradient G_j f_iᵀ + f_j G_iᵀ, where G_j sums the back-propagated g_j over the orders with i before j,
    and G_i over the others. Its squared norm is |G_j|²|f_i|² + |f_j|²|G_i|² + 2 (G_j·f_j)(G_i·f_i).

    Shapes:
        features (batch, F), backprops (batch, K, F) → norms (batch,), weighted sum (F, F).
        People with several rows: features (persons, rows, F), backprops (persons, rows, K, F); their gradients are formed.
    """
    if not isinstance(layer, PairCouplings):
        raise TypeError(type(layer))
    if features.dim() == 3:
        return _formed_gradients(layer, features, backprops)
    member, before = layer.member, layer.before()
    sizes = (features**2) @ member
    gram = torch.einsum("bkf,blf,fj->bklj", backprops, backprops, member)
    direct = torch.einsum("bklj,kji,lji,bi->b", gram, before, before, sizes)
    toward = torch.einsum("bkj,kji->bji", (backprops * features[:, None]) @ member, before)
    cross = (toward * toward.transpose(1, 2)).sum(dim=(1, 2))

    def weighted_sum(weights: torch.Tensor) -> Sums:
        weighted = features * weights[:, None]
        both = torch.zeros_like(layer.weight)
        for order, mask in enumerate(layer.masks()):
            both += (backprops[:, order].T @ weighted) * mask
        return {layer.weight: (both + both.T) * layer.lower}

    return RowGradients((direct + cross).clamp(min=0.0), weighted_sum)


def _formed_gradients(layer: PairCouplings, features: torch.Tensor, backprops: torch.Tensor) -> RowGradients:
    both = torch.zeros(1, device=features.device, dtype=features.dtype)
    for order, mask in enumerate(layer.masks()):
        both = both + torch.bmm(backprops[:, :, order].transpose(1, 2), features) * mask
    formed = ((both + both.transpose(1, 2)) * layer.lower).flatten(1)

    def weighted_sum(weights: torch.Tensor) -> Sums:
        return {layer.weight: (weights @ formed).view_as(layer.weight)}

    return RowGradients((formed**2).sum(dim=1), weighted_sum)


class Loss:
    """Weighted negative log-likelihood of each row, averaged over orders and columns.

    Args:
        domain: the encoded columns.
        features: their features.
        log_shares: log of the released one-way shares, all codes side by side: the logits before training.
        weights: weight of each column.
        device: torch device.
    """

    def __init__(
        self,
        domain: Domain,
        features: Features,
        log_shares: np.ndarray,
        weights: Sequence[float],
        *,
        device: str = "cpu",
    ) -> None:
        self._sizes = list(domain.sizes)
        self._offsets = torch.tensor(domain.offsets[:-1], device=device)
        self._table = torch.tensor(features.table, device=device)
        self._log_shares = torch.tensor(log_shares, dtype=torch.float32, device=device)
        self._weights = torch.tensor(weights, dtype=torch.float32, device=device) / len(domain)

    def inputs(self, codes: torch.Tensor) -> torch.Tensor:
        """Features of rows (batch, F)."""
        return torch.nn.functional.embedding_bag(self._flat(codes), self._table, mode="sum")

    def per_row(self, effects: torch.Tensor, codes: torch.Tensor, orders: torch.Tensor) -> torch.Tensor:
        """Loss of each row.

        Shapes:
            effects (batch, K, F), codes (batch, columns), orders: weight of each order (K,) → (batch,).
        """
        logits = effects @ self._table.T + self._log_shares
        flat = self._flat(codes)[:, None].expand(-1, logits.shape[1], -1)
        # split, not slices: the backward pass of a slice fills a whole tensor with zeros.
        sums = torch.stack([part.logsumexp(dim=-1) for part in logits.split(self._sizes, dim=-1)], dim=-1)
        return ((sums - logits.gather(2, flat)) @ self._weights) @ orders

    def _flat(self, codes: torch.Tensor) -> torch.Tensor:
        return codes + self._offsets
