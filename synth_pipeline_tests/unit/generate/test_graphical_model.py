"""Junction trees, beliefs, estimation and sampling of graphical models, checked against brute force on small domains."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.errors import ConstraintError, ModelError
from synth_pipeline.generate.graphical.beliefs import Beliefs, start_beliefs
from synth_pipeline.generate.graphical.compress import Compression, draw_member
from synth_pipeline.generate.graphical.condition import boxes
from synth_pipeline.generate.graphical.draw import draw_rows, with_evidence
from synth_pipeline.generate.graphical.estimate import Effort, Measurement, estimate
from synth_pipeline.generate.graphical.junction import build_tree, extended, extensions
from synth_pipeline.generate.graphical.model import GraphicalModel, load_model, rounded
from synth_pipeline.generate.graphical.pairs import pair_marginals
from synth_pipeline.generate.mst import MstConfig
from synth_pipeline.table.encoded import Domain

FALSE_ALARM = 1e-4
Law = dict[tuple[int, ...], float]


def random_model(seed: int, columns: int = 6, edges: int = 6) -> tuple[Beliefs, np.ndarray]:
    """Beliefs with random pair factors, and their joint law by enumeration."""
    rng = np.random.default_rng(seed)
    sizes = tuple(int(size) for size in rng.integers(1, 5, columns))
    every = list(combinations(range(columns), 2))
    chosen = [every[index] for index in rng.choice(len(every), edges, replace=False)]
    factors = [(edge, rng.normal(0, 1.5, (sizes[edge[0]], sizes[edge[1]]))) for edge in chosen]
    joint = np.ones(sizes)
    for (first, second), log_factor in factors:
        shape = [size if column in (first, second) else 1 for column, size in enumerate(sizes)]
        joint = joint * np.exp(log_factor).reshape(shape)
    return start_beliefs(build_tree(chosen, sizes), factors), joint / joint.sum()


def brute(joint: np.ndarray, columns: tuple[int, ...]) -> np.ndarray:
    summed = joint.sum(axis=tuple(axis for axis in range(joint.ndim) if axis not in columns))
    kept = sorted(columns)
    return summed.transpose([kept.index(column) for column in columns])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 15))
def test_every_clique_and_every_pair_has_its_brute_force_marginal(seed: int, edges: int) -> None:
    beliefs, joint = random_model(seed, edges=edges)
    for clique, table in zip(beliefs.tree.cliques, beliefs.cliques, strict=True):
        np.testing.assert_allclose(table, brute(joint, clique), atol=1e-12)
    for edge, table in pair_marginals(beliefs).items():
        np.testing.assert_allclose(table, brute(joint, edge), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 14))
def test_a_junction_tree_covers_its_edges_and_keeps_each_column_connected(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    every = list(combinations(range(7), 2))
    edges = [every[index] for index in rng.choice(len(every), count, replace=False)]
    tree = build_tree(edges, (2, 3, 4, 5, 2, 3, 4))
    assert set(edges) <= tree.edges
    assert {column for clique in tree.cliques for column in clique} == set(range(7))
    assert not any(set(a) < set(b) for a, b in product(tree.cliques, repeat=2))
    for column in range(7):
        holding = [index for index, clique in enumerate(tree.cliques) if column in clique]
        tops = [index for index in holding if column not in tree.separators[index]]
        assert len(tops) == 1, "the cliques of a column form one subtree"
    assert all(parent < index for index, parent in enumerate(tree.parents))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 12))
def test_an_extended_tree_holds_the_new_pair_in_no_more_cells_than_were_announced(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    every = list(combinations(range(7), 2))
    edges = [every[index] for index in rng.choice(len(every), count, replace=False)]
    tree = build_tree(edges, (2, 3, 4, 5, 2, 3, 4))
    growth = extensions(tree)
    assert set(growth) == set(every) - tree.edges
    for edge, extension in growth.items():
        grown = extended(tree, [*edges, edge], extension)
        assert edge in grown.edges
        assert grown.cells <= tree.cells + extension.cells


@pytest.mark.parametrize("seed", range(5))
def test_tables_without_noise_are_reproduced(seed: int) -> None:
    beliefs, joint = random_model(seed, edges=7)
    rows, pairs = 10_000.0, [(0, 1), (1, 2), (2, 3), (0, 3), (4, 5)]
    measured = [Measurement(edge, rows * brute(joint, edge), np.ones(brute(joint, edge).shape)) for edge in pairs]
    tree = build_tree(pairs, beliefs.tree.sizes)
    fitted = estimate(tree, measured, rows=rows, theta={}, effort=Effort(200, tolerance=1e-4, ridge=0.01))
    assert fitted.residual < 0.1
    for item in measured:
        assert np.abs(fitted.beliefs.table(item.columns) * rows - item.values).max() < 1.0


def test_the_estimate_is_the_one_that_its_objective_asks_for() -> None:
    """At the optimum every cell's miss, over its noise, is the ridge times its log-factor (up to the constant of normalisation)."""
    rng = np.random.default_rng(3)
    _, joint = random_model(8, columns=4, edges=5)
    pairs, rows = [(0, 1), (1, 2), (0, 2), (2, 3), (1,)], 5000.0
    measured = []
    for columns in pairs:
        exact = rows * brute(joint, columns)
        measured.append(Measurement(columns, exact + rng.normal(0, 40, exact.shape), np.full(exact.shape, 40.0)))
    tree = build_tree([pair for pair in pairs if len(pair) == 2], joint.shape)
    fitted = estimate(tree, measured, rows=rows, theta={}, effort=Effort(3000, tolerance=1e-9, ridge=0.5))
    for item in measured:
        miss = (item.values - rows * fitted.beliefs.table(item.columns)) / 40.0 - 0.5 * fitted.theta[item.columns]
        assert np.abs(miss).max() < 0.02


def test_a_warm_start_needs_fewer_sweeps() -> None:
    _, joint = random_model(2, columns=5, edges=8)
    pairs = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)]
    measured = [Measurement(edge, 1e4 * brute(joint, edge), np.full(brute(joint, edge).shape, 5.0)) for edge in pairs]
    tree = build_tree(pairs, joint.shape)
    cold = estimate(tree, measured, rows=1e4, theta={}, effort=Effort(1, tolerance=0))
    long = estimate(tree, measured, rows=1e4, theta={}, effort=Effort(300, tolerance=1e-6))
    warm = estimate(tree, measured, rows=1e4, theta=long.theta, effort=Effort(1, tolerance=0))
    assert warm.change < 0.01 < cold.change / 100


def test_two_measurements_of_a_table_count_by_their_precision() -> None:
    first = Measurement((0,), np.array([10.0]), np.array([1.0]))
    merged = first.merged(Measurement((0,), np.array([20.0]), np.array([2.0])))
    assert merged.values.tolist() == [12.0]
    assert merged.sigma.tolist() == pytest.approx([np.sqrt(0.8)])


def test_rows_meet_every_clique_to_within_one_row_a_separator_state() -> None:
    beliefs, joint = random_model(4)
    beliefs.collect()
    rows = draw_rows(beliefs, 5000, np.random.default_rng(0))
    for clique, separator in zip(beliefs.tree.cliques, beliefs.tree.separators, strict=True):
        counts = np.zeros(beliefs.tree.shape(clique))
        np.add.at(counts, tuple(rows[:, column] for column in clique), 1)
        expected, given_rows = brute(joint, clique), np.zeros(beliefs.tree.shape(separator))
        if separator:
            np.add.at(given_rows, tuple(rows[:, column] for column in separator), 1)
            kept = [clique.index(column) for column in separator]
            others = tuple(axis for axis in range(len(clique)) if axis not in kept)
            shape = [joint.shape[column] if column in separator else 1 for column in clique]
            conditional = expected / expected.sum(axis=others, keepdims=True)
            goal = conditional * given_rows.transpose([separator.index(c) for c in clique if c in separator]).reshape(
                shape
            )
        else:
            goal = 5000 * expected
        assert np.abs(counts - goal).max() <= 1 + 1e-9


def statistic(rows: np.ndarray, law: Law) -> tuple[float, float]:
    """Pearson statistic of rows against a law, cells of fewer than 5 expected rows pooled, and its rejection point."""
    states, counts = np.unique(rows, axis=0, return_counts=True)
    seen = {tuple(int(v) for v in state): int(count) for state, count in zip(states, counts, strict=True)}
    assert set(seen) <= {state for state, share in law.items() if share > 0}
    pairs = [(share * len(rows), seen.get(state, 0)) for state, share in law.items() if share > 0]
    big = [(e, o) for e, o in pairs if e >= 5]
    small = (sum(e for e, _ in pairs if e < 5), sum(o for e, o in pairs if e < 5))
    cells = [*big, small] if small[0] > 0 else big
    return sum((o - e) ** 2 / e for e, o in cells), float(chi2.isf(FALSE_ALARM, max(len(cells) - 1, 1)))


SIZES = (3, 4, 2, 5)


@pytest.fixture(scope="module")
def model() -> GraphicalModel:
    """A loop of four columns; two codes of the last share a code of the model."""
    rng = np.random.default_rng(11)
    groups = (np.arange(3), np.arange(4), np.arange(2), np.array([0, 1, 3, 2, 3]))
    shares = (np.ones(3), np.ones(4), np.ones(2), np.array([1, 1, 0.3, 1, 0.7]))
    compression = Compression(groups, shares)
    edges = [(0, 1), (1, 2), (2, 3), (0, 3)]
    factors = [(edge, rng.normal(0, 1.2, tuple(compression.sizes[c] for c in edge))) for edge in edges]
    beliefs = rounded(start_beliefs(build_tree(edges, compression.sizes), factors))
    return GraphicalModel("mst", Domain(("a", "b", "c", "d"), SIZES), beliefs, compression, MstConfig(), (), {})


def law(model: GraphicalModel) -> Law:
    """Probability of every encoded row."""
    tree = model.beliefs.tree
    found: Law = {}
    for state in product(*(range(size) for size in SIZES)):
        code = [model.compression.groups[c][v] for c, v in enumerate(state)]
        share = float(np.prod([model.compression.shares[c][v] for c, v in enumerate(state)]))
        for clique, separator, table in zip(tree.cliques, tree.separators, model.beliefs.cliques, strict=True):
            axes = tuple(axis for axis, column in enumerate(clique) if column not in separator)
            below = table.sum(axis=axes)
            share *= table[tuple(code[c] for c in clique)] / below[tuple(code[c] for c in clique if c in separator)]
        found[state] = share
    total = sum(found.values())
    return {state: share / total for state, share in found.items()}


def whole_codes(column: int, groups: list[list[int]]) -> SubDomain:
    parent = np.array([code for group in groups for code in group])
    region = np.array([number for number, group in enumerate(groups) for _ in group])
    return SubDomain(column, parent, region, np.zeros(len(parent)))


CONDITIONS = {
    "one column": ((whole_codes(3, [[0, 2], [1, 3, 4]]),), np.array([True, False])),
    "both": (
        (whole_codes(0, [[0], [1, 2]]), whole_codes(3, [[0, 1, 2], [3, 4]])),
        np.array([[True, False], [False, False]]),
    ),
    "either": (
        (whole_codes(0, [[0], [1, 2]]), whole_codes(2, [[0], [1]])),
        np.array([[True, True], [True, False]]),
    ),
    "equal": ((whole_codes(1, [[0], [1], [2], [3]]), whole_codes(3, [[0], [1], [2, 4], [3]])), np.eye(4, dtype=bool)),
    "three at once": (
        (whole_codes(0, [[0], [1], [2]]), whole_codes(1, [[0, 1], [2, 3]]), whole_codes(3, [[0], [1, 2, 3, 4]])),
        np.random.default_rng(0).random((3, 2, 2)) < 0.4,
    ),
}


def test_rows_follow_the_law(model: GraphicalModel) -> None:
    value, limit = statistic(model.sample(20_000, rng=np.random.default_rng(0)).codes, law(model))
    assert value < limit


@pytest.mark.parametrize("name", CONDITIONS)
def test_rows_under_a_condition_satisfy_it_and_follow_the_conditional_law(model: GraphicalModel, name: str) -> None:
    subs, allowed = CONDITIONS[name]
    regions = [dict(zip(sub.parent.tolist(), sub.region.tolist(), strict=True)) for sub in subs]
    kept = {
        state: share
        for state, share in law(model).items()
        if allowed[tuple(region[state[sub.column]] for region, sub in zip(regions, subs, strict=True))]
    }
    total = sum(kept.values())
    table = model.sample(20_000, where=Condition(subs, allowed), rng=np.random.default_rng(1))
    value, limit = statistic(table.codes, {state: share / total for state, share in kept.items()})
    assert value < limit
    for region, sub in zip(regions, subs, strict=True):
        assert table.regions[sub.column].tolist() == [region[code] for code in table.codes[:, sub.column].tolist()]


def test_a_code_that_straddles_regions_counts_with_its_share(model: GraphicalModel) -> None:
    sub = SubDomain(0, np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), np.log([1.0, 0.25, 0.75, 1.0]))
    table = model.sample(20_000, where=Condition((sub,), np.array([True, False])), rng=np.random.default_rng(2))
    weighted = {s: share * (1.0, 0.25, 0.0)[s[0]] for s, share in law(model).items() if s[0] < 2}
    total = sum(weighted.values())
    value, limit = statistic(table.codes, {state: share / total for state, share in weighted.items()})
    assert value < limit
    assert set(table.regions[0].tolist()) == {0}


def test_evidence_has_its_brute_force_probability() -> None:
    beliefs, joint = random_model(21)
    weights = {column: np.random.default_rng(column).random(joint.shape[column]) for column in (1, 3, 5)}
    weighted = joint.copy()
    for column, factor in weights.items():
        weighted *= factor.reshape([-1 if axis == column else 1 for axis in range(joint.ndim)])
    before = [table.copy() for table in beliefs.cliques]
    assert with_evidence(beliefs, weights)[1] == pytest.approx(weighted.sum())
    assert all(np.array_equal(old, new) for old, new in zip(before, beliefs.cliques, strict=True)), "beliefs are kept"


def test_an_impossible_condition_is_refused(model: GraphicalModel) -> None:
    tables = [table.copy() for table in model.beliefs.cliques]
    for clique, table in zip(model.beliefs.tree.cliques, tables, strict=True):
        if 0 in clique:
            table[tuple(2 if column == 0 else slice(None) for column in clique)] = 0.0
    beliefs = Beliefs(model.beliefs.tree, tables, list(model.beliefs.separators))
    without = GraphicalModel("mst", model.domain, beliefs, model.compression, MstConfig(), (), {})
    where = Condition((whole_codes(0, [[0, 1], [2]]),), np.array([False, True]))
    with pytest.raises(ConstraintError, match="no row of the released model"):
        without.sample(5, where=where, rng=np.random.default_rng(0))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_boxes_cover_a_condition_once(seed: int, shape: list[int]) -> None:
    allowed = np.random.default_rng(seed).random(shape) < 0.5
    covered = np.zeros(shape, dtype=int)
    for box in boxes(allowed):
        covered[np.ix_(*box)] += 1
    assert np.array_equal(covered, allowed.astype(int))


def test_members_are_drawn_by_weight_inside_their_group() -> None:
    group, weight = np.array([2, 0, 2, 0, 2]), np.array([1.0, 3.0, 2.0, 1.0, 1.0])
    wanted = np.repeat([0, 2], 8000)
    drawn = draw_member(group, weight, wanted, np.random.default_rng(0))
    assert (group[drawn] == wanted).all()
    shares = np.bincount(drawn, minlength=5) / 8000
    np.testing.assert_allclose(shares, [0.25, 0.75, 0.5, 0.25, 0.25], atol=0.03)


def test_a_saved_model_samples_the_same_rows(model: GraphicalModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = load_model(tmp_path, kind="mst", read_config=lambda content: MstConfig(**content))
    assert again.config == model.config
    where = Condition(*CONDITIONS["either"])
    for condition in (None, where):
        first, second = (m.sample(500, where=condition, rng=np.random.default_rng(4)) for m in (model, again))
        assert np.array_equal(first.codes, second.codes)


@pytest.mark.parametrize("name", ["graphical.json", "graphical.safetensors"])
def test_a_damaged_model_is_refused(model: GraphicalModel, tmp_path: Path, name: str) -> None:
    model.save(tmp_path)
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ModelError, match="not a readable mst model"):
        load_model(tmp_path, kind="mst", read_config=lambda content: MstConfig(**content))


def test_no_rows_are_no_rows(model: GraphicalModel) -> None:
    assert model.sample(0, rng=np.random.default_rng(0)).codes.shape == (0, 4)
    where = Condition(*CONDITIONS["either"])
    assert model.sample(0, where=where, rng=np.random.default_rng(0)).codes.shape == (0, 4)
