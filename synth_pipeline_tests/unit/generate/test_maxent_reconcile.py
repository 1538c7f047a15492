"""One-ways reconciled with the margins of pair tables: against generalised least squares written out, and over many draws of noise."""

import numpy as np
import pytest

from synth_pipeline.generate.maxent.dependency import full_partition
from synth_pipeline.generate.maxent.fit import Measurement
from synth_pipeline.generate.maxent.grouping import rectangle_partitions
from synth_pipeline.generate.maxent.reconcile import Margin, margins, reconciled
from synth_pipeline.privacy.answer import PairPartition

CODES = 6
OWN = np.array([3.0, 3.0, 4.0, 3.0, 5.0, 3.0])
GROUPS = (np.array([0, 0, 1, 1, 2, 2]), np.array([1, 0, 0, 0, 1, 1]), np.array([2, 0, 5, 1, 3, 4]), np.arange(CODES))
VARIANCES = (7.0, 2.0, 30.0, 4.0)


def known_margins(counts: np.ndarray, rng: np.random.Generator) -> list[Margin]:
    """Noisy margins in every form: coarse, of another order, and as fine as the column itself."""
    found: list[Margin] = []
    for groups, variance in zip(GROUPS, VARIANCES, strict=True):
        exact = np.bincount(groups, weights=counts)
        found.append(Margin(groups, exact + rng.normal(0, np.sqrt(variance), len(exact)), variance))
    return found


def least_squares(counts: np.ndarray, sigma: np.ndarray, known: list[Margin]) -> tuple[np.ndarray, np.ndarray]:
    """The normal equations of all observations stacked, with none of the algebra of the module."""
    designs, values, variances = [np.eye(len(counts))], [counts], [sigma**2]
    for item in known:
        designs.append(np.eye(len(item.counts))[:, item.groups])
        values.append(item.counts)
        variances.append(np.full(len(item.counts), item.variance))
    design, precision = np.concatenate(designs), np.diag(1 / np.concatenate(variances))
    covariance = np.linalg.inv(design.T @ precision @ design)
    return covariance @ design.T @ precision @ np.concatenate(values), np.sqrt(np.diag(covariance))


@pytest.mark.parametrize("used", [[], [0], [2], [3], [0, 1], [0, 1, 2, 3]], ids=str)
def test_it_is_the_generalised_least_squares_estimate(used: list[int]) -> None:
    rng = np.random.default_rng(len(used))
    truth = rng.uniform(0, 200, CODES)
    margin = known_margins(truth, rng)
    known = [margin[index] for index in used]
    noisy = truth + rng.normal(0, OWN)
    values, sigma = reconciled(noisy, OWN, known)
    expected_values, expected_sigma = least_squares(noisy, OWN, known)
    assert values == pytest.approx(expected_values)
    assert sigma == pytest.approx(expected_sigma)


def test_the_estimate_scatters_as_it_says_and_less_than_the_histogram_alone() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 200, CODES)
    errors, said = [], np.zeros(CODES)
    for _ in range(4000):
        values, said = reconciled(truth + rng.normal(0, OWN), OWN, known_margins(truth, rng))
        errors.append(values - truth)
    spread = np.std(errors, axis=0)
    assert (spread < 0.75 * OWN).all()
    assert spread == pytest.approx(said, rel=0.05)  # a standard deviation of 4,000 draws is known to 1.1 %
    assert np.abs(np.mean(errors, axis=0)).max() < 5 * (said / np.sqrt(4000)).max()


def test_one_standard_deviation_for_all_codes_will_do() -> None:
    counts = np.array([10.0, 20.0, 30.0])
    margin = Margin(np.array([0, 0, 1]), np.array([36.0, 27.0]), 4.0)
    alone = reconciled(counts, np.array(2.0), [margin])
    assert alone[0] == pytest.approx(reconciled(counts, np.full(3, 2.0), [margin])[0])


def test_the_margins_of_a_product_of_groups_are_its_sums() -> None:
    """Rows in groups {0, 2}, {1}; columns in groups {0}, {1, 3}, {2}."""
    row_of, column_of = np.array([0, 1, 0]), np.array([0, 1, 2, 1])
    labels = row_of[:, None] * 3 + column_of[None, :]
    values = np.array([5.0, 7.0, 11.0, 13.0, 17.0, 19.0])
    found = margins(Measurement(PairPartition(0, 1, labels, 6, "product"), values, 3.0))
    assert found is not None
    for margin, groups, sums, cells in zip(found, (row_of, column_of), ([23, 49], [18, 24, 30]), (3, 2), strict=True):
        assert margin.counts[margin.groups].tolist() == np.array(sums)[groups].tolist()
        assert margin.variance == pytest.approx(9.0 * cells)


def test_a_table_of_all_pairs_of_codes_gives_counts_of_codes() -> None:
    table = np.arange(12.0).reshape(3, 4)
    found = margins(Measurement(full_partition(0, 1, (3, 4)), table.reshape(-1), 1.0))
    assert found is not None
    assert found[0].counts[found[0].groups].tolist() == table.sum(1).tolist()
    assert found[1].counts[found[1].groups].tolist() == table.sum(0).tolist()


def test_adaptive_rectangles_have_no_margins() -> None:
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.ones(120)).reshape(12, 10)
    orders = (rng.permutation(12), rng.permutation(10))
    part, _ = rectangle_partitions(joint, pair=(0, 1), orders=orders, sizes=(16, 32), smallest=0.0, name="test")
    assert margins(Measurement(part, np.ones(part.size), 1.0)) is None
