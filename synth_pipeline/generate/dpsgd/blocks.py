"""Network blocks made of layers that book-keeping knows: rows first, places next, features last.

Source:
    Vaswani et al. 2017; pre-norm as in Xiong et al. 2020. Query, key and value come from one linear layer, whose norm costs one Gram
    matrix of the inputs instead of three.
"""

from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Multi-head self-attention over places.

    Args:
        width: features of a place, in and out.
        heads: heads; they divide the width.
        causal: whether a place sees only itself and the places before it.
    """

    def __init__(self, width: int, heads: int, *, causal: bool = False) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"attention: width {width} must be divisible by {heads} heads")
        self.heads, self.causal = heads, causal
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, places: Tensor) -> Tensor:
        """Attend.

        Shapes:
            (batch, ..., places, width) → the same.
        """
        parts = self.query_key_value(places).unflatten(-1, (3, self.heads, -1)).transpose(-2, -4).unbind(-3)
        seen = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=self.causal)
        return self.out(seen.transpose(-2, -3).flatten(-2))


class TransformerBlock(nn.Module):
    """Attention and a two-layer network, each normalised before and added to what it was given.

    Args:
        width: features of a place.
        heads: attention heads.
        hidden: features of the two-layer network's middle.
        causal: whether a place sees only itself and the places before it.
    """

    def __init__(self, width: int, heads: int, hidden: int, *, causal: bool = False) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), SelfAttention(width, heads, causal=causal)
        self.network_norm = nn.LayerNorm(width)
        self.network = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, places: Tensor) -> Tensor:
        """Transform.

        Shapes:
            (batch, ..., places, width) → the same.
        """
        places = places + self.attention(self.attention_norm(places))
        return places + self.network(self.network_norm(places))
