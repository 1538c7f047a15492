"""The compiled loops themselves: exponentials, draws and the places where they are kept."""

import numpy as np

from synth_pipeline.generate.maxent.kernel import Column, Push, _drawn, _exponentiate, compiled, energies, herd


def test_exponentials_are_exact_to_five_digits_and_impossible_codes_have_none() -> None:
    logits = np.array([0.3, -0.7, -5.0, -20.0, -59.0, -np.inf, 4.0], dtype=np.float32)
    odds = logits.copy()
    total = _exponentiate(odds)
    expected = np.exp(logits.astype(np.float64) - 4.0)
    assert np.allclose(odds[:4], expected[:4], rtol=3e-5)
    assert odds[5] == 0
    assert odds[6] == 1
    assert abs(total / expected.sum() - 1) < 3e-5


def test_odds_are_nought_where_every_code_is_impossible() -> None:
    assert _exponentiate(np.full(3, -np.inf, dtype=np.float32)) == 0


def test_a_draw_skips_codes_of_no_odds_at_both_ends_of_the_interval() -> None:
    odds = np.array([0.0, 0.0, 1.0, 0.0, 2.0, 0.0], dtype=np.float32)
    assert [_drawn(odds, np.float32(point)) for point in (0.0, 0.99, 1.0, 2.99, 3.0, 3.1)] == [2, 2, 4, 4, 4, 4]


def test_the_energy_of_a_row_counts_each_pair_once() -> None:
    weights = np.arange(16, dtype=np.float32).reshape(4, 4)
    weights = weights + weights.T
    bias = np.array([1.0, 2.0, 3.0, 4.0], dtype=np.float32)
    assert energies(np.array([[0, 2], [1, 3]], dtype=np.int32), weights, bias).tolist() == [
        1 + 3 + weights[0, 2],
        2 + 4 + weights[1, 3],
    ]


def test_herding_brings_pair_shares_closer_than_independent_draws_are() -> None:
    """Two independent columns of three codes; the mean distance over 20 tables falls by more than half."""
    rng = np.random.default_rng(0)
    rows, shares = 2000, np.array([0.5, 0.3, 0.2], dtype=np.float32)
    pairs = np.outer(shares, shares)
    goal = np.concatenate([np.diag(shares), pairs]).astype(np.float32)
    column = Column(0, 0, np.array([1], np.int32), np.zeros((6, 3), np.float32), np.log(shares))
    before, after = [], []
    for _ in range(20):
        states = np.stack([rng.choice(3, rows, p=shares), 3 + rng.choice(3, rows, p=shares)], 1).astype(np.int32)
        before.append(_distance(states, pairs))
        order, points = rng.permutation(rows).astype(np.int32), rng.random(rows, dtype=np.float32)
        herd(states, column, goal, order, points, Push(4.0, 0.7, 60))
        after.append(_distance(states, np.outer(np.bincount(states[:, 1] - 3, minlength=3) / rows, shares)))
    assert np.mean(after) < 0.5 * np.mean(before)


def _distance(states: np.ndarray, pairs: np.ndarray) -> float:
    """Total variation of the rows' pair shares from the given ones, first column × second."""
    counts = np.bincount(states[:, 0] * 3 + states[:, 1] - 3, minlength=9) / len(states)
    return float(np.abs(counts - pairs.T.reshape(-1)).sum() / 2)


def test_a_function_without_a_folder_to_be_kept_in_is_compiled_all_the_same() -> None:
    space: dict[str, object] = {}
    exec("def twice(x):\n    return 2 * x", space)  # code without a file: nowhere to keep it
    assert compiled(space["twice"])(21) == 42  # pyright: ignore[reportArgumentType]
