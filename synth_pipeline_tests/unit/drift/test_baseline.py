"""The baseline: which released pairs are compared, and over which cells; all of it before anything is asked."""

import numpy as np
import pytest

from synth_pipeline.drift.baseline import Baseline, baseline_of, choose_pairs, dependence
from synth_pipeline.drift.coarse import coarsened, grouped_codes
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.generate.measured import measured_pair
from synth_pipeline.privacy.answer import PairPartition
from synth_pipeline.profile.build import build_profile
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SPEC = toy_spec(epsilon=10.0)


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    """Tables of every pair of age, gain, city, grade, member and the weekday of the visit."""
    curator = toy_curator(SPEC, toy_frame(4000))
    profile = build_profile(curator, SPEC.modelled)
    view = curator.encoded(Encoder(profile))
    names = [column.name for column in profile.columns]
    indices = [names.index(name) for name in ("age", "gain", "city", "grade", "member", "visit:weekday")]
    cost, measured = curator.left_cost / 40, []
    for first in indices:
        for second in indices[indices.index(first) + 1 :]:
            shape = (profile.columns[first].codes, profile.columns[second].codes)
            part = PairPartition(first, second, np.arange(shape[0] * shape[1]).reshape(shape), shape[0] * shape[1], "")
            noisy = view.pair_counts(part, cost=cost, stage="generator", purpose="pair")
            measured.append(measured_pair(part, noisy.values, noisy.sigma, rows=profile.rows))
    return baseline_of(profile, measured)


def test_the_most_dependent_pairs_are_compared(baseline: Baseline) -> None:
    chosen = [{pair.first, pair.second} for pair in choose_pairs(baseline, 3)]
    assert {"age", "grade"} in chosen
    assert {"age", "member"} in chosen
    assert choose_pairs(baseline, 0) == ()
    assert len(choose_pairs(baseline, 100)) == 15
    by_name = {frozenset((pair.first, pair.second)): dependence(pair, baseline.profile) for pair in baseline.pairs}
    assert abs(by_name[frozenset(("city", "member"))]) < 0.1 < by_name[frozenset(("age", "grade"))]


def test_no_pair_with_a_column_that_may_move_is_compared(baseline: Baseline) -> None:
    chosen = choose_pairs(baseline, 100, ("age", "visit"))
    assert chosen
    assert not any({"age", "visit:weekday"} & {pair.first, pair.second} for pair in chosen)


def test_of_several_tables_of_a_pair_the_one_with_least_noise_is_taken(baseline: Baseline) -> None:
    part = baseline.pairs[0].partition
    loud, quiet = (measured_pair(part, np.ones(part.size), sigma, rows=10) for sigma in (5.0, 2.0))
    assert [float(pair.sigma[0]) for pair in baseline_of(baseline.profile, [loud, quiet]).pairs] == [2.0]


@pytest.mark.parametrize("least", [0.001, 0.02, 0.2, 5.0])
def test_cells_of_a_pair_are_put_together_until_each_is_heavy_enough(baseline: Baseline, least: float) -> None:
    for pair in baseline.pairs:
        coarse = coarsened(pair, baseline.profile, least=least)
        shares = np.outer(baseline.profile.shares(pair.partition.first), baseline.profile.shares(pair.partition.second))
        mass = np.bincount(coarse.partition.labels.reshape(-1), weights=shares.reshape(-1))
        assert len(mass) == coarse.partition.size == len(coarse.values) <= 64
        assert mass.min() >= min(least, 0.05) - 1e-9 or coarse.partition.size == 1
        assert coarse.values.sum() == pytest.approx(pair.values.sum())
        assert (coarse.sigma**2).sum() == pytest.approx((pair.sigma**2).sum())
        assert all(len(np.unique(coarse.partition.labels[pair.partition.labels == cell])) <= 1 for cell in range(5))


@pytest.mark.parametrize("least", [0.0, 0.08, 0.5])
def test_groups_of_codes_are_neighbours_or_the_rare_ones_and_null_stays_alone(baseline: Baseline, least: float) -> None:
    for index, column in enumerate(baseline.profile.columns):
        groups = grouped_codes(column, baseline.profile.shares(index), least=least)
        values = groups[: column.codes - int(column.nullable)]
        assert len(groups) == column.codes
        assert set(groups) == set(range(int(groups.max()) + 1))
        assert len(np.unique(values)) <= 10
        if column.is_ordered:
            assert (np.diff(values) >= 0).all()
        if column.nullable:
            assert (values < groups[-1]).all()
