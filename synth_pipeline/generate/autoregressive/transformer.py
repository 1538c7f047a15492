"""The second network: a small causal transformer over the columns in a given order, with one head a column.

    place k of an order π:  value of column π(k−1) + query for column π(k)  →  causal blocks  →  head of column π(k)

A head's output is added to the log of the released one-way shares, so the untrained network draws independent columns. The several orders
of a step are further places of the same row, so their mean is inside each row's gradient, and its sensitivity is one clip.

Source:
    Castellon et al. 2023 (DP-TBART): an autoregressive transformer over discretised columns trained by DP-SGD. Deviations: no positions
    but queries (orders differ), the logits start at released shares, a model of some 10⁴ weights.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.autoregressive.model import log_sum_exp
from synth_pipeline.generate.dpsgd.blocks import TransformerBlock
from synth_pipeline.generate.dpsgd.loop import DPTrainer, PerRowLoss
from synth_pipeline.privacy.batch import Batch
from synth_pipeline.table.encoded import Codes, Domain

Floats = npt.NDArray[np.float32]

_UNKNOWN = -1
_ROWS_AT_ONCE = 4096


class ColumnTransformer(nn.Module):
    """The network.

    Args:
        sizes: codes of each column.
        width: features of a place.
        layers: causal blocks.
        heads: attention heads of a block.
    """

    def __init__(self, sizes: Sequence[int], *, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.start = sum(sizes)
        self.values = nn.Embedding(sum(sizes) + 1, width)
        self.queries = nn.Embedding(len(sizes), width)
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads, 2 * width, causal=True) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleList(nn.Linear(width, size) for size in sizes)
        for head in self.heads:
            nn.init.zeros_(head.weight)  # pyright: ignore[reportArgumentType]  a ModuleList forgets what it holds
            nn.init.zeros_(head.bias)  # pyright: ignore[reportArgumentType]

    def places(self, before: Tensor, queried: Tensor) -> Tensor:
        """Features of places (rows, ..., places, width), from the position of the value before each, and the column asked for."""
        return self.norm(self.blocks(self.values(before) + self.queries(queried)))


@dataclass(frozen=True)
class OrderLoss:
    """Weighted negative log-likelihood of each row, averaged over orders and columns.

    Attributes:
        domain: the encoded columns.
        log_shares: log of the released one-way shares, all codes side by side.
        weights: weight of each column.
        order_weights: weight of each order, (K,).
    """

    domain: Domain
    log_shares: Tensor
    weights: tuple[float, ...]
    order_weights: tuple[float, ...]

    def per_row(self, network: ColumnTransformer, codes: Tensor, orders: npt.NDArray[np.int64]) -> Tensor:
        """Loss of each row.

        Shapes:
            codes (batch, columns), orders: columns of each order (K, columns) → (batch,).
        """
        rows, columns = codes.shape
        sequence = torch.as_tensor(orders, device=codes.device)
        flat = codes + torch.tensor(self.domain.offsets[:-1], device=codes.device)
        values = flat[:, sequence]
        before = torch.cat([torch.full_like(values[..., :1], network.start), values[..., :-1]], dim=-1)
        places = network.places(before, sequence[None].expand(rows, -1, -1))
        total = places.new_zeros(rows)
        shares = places.new_tensor(self.order_weights)
        for column, part in enumerate(self.domain.slices()):
            where = (sequence == column).to(places.dtype)
            asked = torch.einsum("bkpw,kp->bkw", places, where)
            logits = network.heads[column](asked) + self.log_shares[part]
            missed = (
                logits.logsumexp(-1)
                - logits.gather(2, codes[:, None, column : column + 1].expand(-1, len(orders), 1))[..., 0]
            )
            total = total + self.weights[column] / columns * (missed @ shares)
        return total


@dataclass(frozen=True, eq=False)
class TransformerModel:
    """The trained transformer behind the methods of `PairModel`; its state of a row is the row's codes, -1 where unknown.

    Attributes:
        domain: the encoded columns.
        network: the trained network.
        order: the main order; known columns are read in it, whatever order they came in.
        bias: logit of each code that is added to the heads', all codes side by side.
    """

    domain: Domain
    network: ColumnTransformer
    order: tuple[int, ...]
    bias: Floats

    def with_bias(self, bias: Floats) -> "TransformerModel":
        """The same network with other biases."""
        return replace(self, bias=bias)

    def blank(self, rows: int) -> npt.NDArray[np.int64]:
        """State of rows of which no column is known."""
        return np.full((rows, len(self.domain)), _UNKNOWN, dtype=np.int64)

    def learn(self, known: npt.NDArray[np.int64], column: int, codes: npt.NDArray[np.integer]) -> None:
        """Write a drawn column, in place."""
        known[:, column] = codes

    def logits(self, column: int, known: npt.NDArray[np.int64]) -> Floats:
        """Logits of a column given the known ones (rows, codes); rows that know the same columns are asked together."""
        found = np.empty((len(known), self.domain.sizes[column]), dtype=np.float32)
        patterns, group = np.unique(known != _UNKNOWN, axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            rows = np.flatnonzero(group.reshape(-1) == number)
            read = [item for item in self.order if pattern[item] and item != column]
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                part = rows[start : start + _ROWS_AT_ONCE]
                found[part] = self._asked(column, read, known[part])
        return found + self.bias[self.domain.slices()[column]]

    def log_likelihood(self, codes: Codes, order: Sequence[int]) -> npt.NDArray[np.float64]:
        """Log-probability of each row when columns are drawn in an order."""
        known, total = self.blank(len(codes)), np.zeros(len(codes))
        for column in order:
            logits = self.logits(column, known)
            total += logits[np.arange(len(codes)), codes[:, column]] - log_sum_exp(logits)
            self.learn(known, column, codes[:, column])
        return total

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights to be saved."""
        return {f"network.{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()}

    @torch.no_grad()
    def _asked(self, column: int, read: Sequence[int], known: npt.NDArray[np.int64]) -> Floats:
        device = self.network.norm.weight.device
        offsets = np.array(self.domain.offsets)
        values = torch.as_tensor(known[:, list(read)] + offsets[list(read)], device=device)
        before = torch.cat([torch.full((len(known), 1), self.network.start, device=device), values], dim=1)
        queried = torch.tensor([*read, column], device=device).expand(len(known), -1)
        return self.network.heads[column](self.network.places(before, queried)[:, -1]).cpu().numpy()


def make_network(domain: Domain, config: AutoregressiveConfig, *, seed: int, device: str = "cpu") -> ColumnTransformer:
    """An untrained network; its starting weights are public."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ColumnTransformer(domain.sizes, width=config.width, layers=config.layers, heads=config.heads)
    return network.to(device)


def read_model(
    domain: Domain, config: AutoregressiveConfig, order: tuple[int, ...], arrays: Mapping[str, np.ndarray]
) -> TransformerModel:
    """The model whose `arrays` and bias these are."""
    network = make_network(domain, config, seed=0)
    mine = {
        name.removeprefix("network."): torch.tensor(value)
        for name, value in arrays.items()
        if name.startswith("network.")
    }
    network.load_state_dict(mine)
    return TransformerModel(domain, network.eval(), order, arrays["bias"])


def train_transformer(
    network: ColumnTransformer,
    loss: OrderLoss,
    batches: Iterator[Batch],
    *,
    draw_orders: Callable[[], npt.NDArray[np.int64]],
    make_trainer: Callable[[nn.Module, PerRowLoss], DPTrainer],
    progress: Callable[[str, float], None],
) -> None:
    """Run all DP-SGD steps and leave the averaged weights in the network.

    Args:
        network: what is trained.
        loss: loss of each row.
        batches: exactly as many Poisson batches from the curator as were charged.
        draw_orders: columns of each order of a step, the main one first; public randomness.
        make_trainer: the DP-SGD trainer of a model and its rows' losses.
        progress: told how far the training is.
    """
    orders = draw_orders()

    def per_row(_: nn.Module, codes: Tensor) -> Tensor:
        return loss.per_row(network, codes, orders)

    def next_orders(_: int) -> None:
        nonlocal orders
        orders = draw_orders()

    trainer = make_trainer(network, per_row)
    trainer.run(batches, progress=progress, before_step=next_orders)
    network.load_state_dict(trainer.averaged())
    network.eval()
