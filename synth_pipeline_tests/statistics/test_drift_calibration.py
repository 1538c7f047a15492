"""Drift reports are calibrated: on re-draws of one population at most one in twenty raises an alarm, and real changes do.

Every redraw goes through the real profile, the real choice of pairs and the real report; only the noise has a seed. The false-alarm rate of
the suite itself is stated beside each bound.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.drift import Population, released, report_on
from synth_pipeline.drift.null_law import TwoTables, compare
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.spec.sections import Drift
from synth_pipeline_tests.toy_table import toy_frame, toy_spec, toy_units

REDRAWS = 60
POPULATION = 40_000


def population(max_rows: int) -> Population:
    """A large toy table, of people with one row or up to four."""
    unit = {"unit": {"column": "id", "max_rows": max_rows}} if max_rows > 1 else {}
    content = toy_spec().model_dump(mode="json", by_alias=True)
    content["columns"] = {"id": {"kind": "identifier"}, **content["columns"]} if max_rows > 1 else content["columns"]
    content["columns"].pop(
        "city"
    )  # of several hundred columns discovered, none is: the law of counts is what is tested
    content["privacy"] |= unit
    frame = toy_frame(POPULATION).drop(columns="city")
    spec = type(toy_spec()).from_mapping(content)
    table, _ = to_native(frame.assign(id=toy_units(POPULATION, max_rows)) if max_rows > 1 else frame, spec)
    people = np.arange(0, POPULATION + 1, max_rows)
    return Population(spec, table, people)


@pytest.mark.slow
@pytest.mark.parametrize("max_rows, people, epsilon", [(1, 1_000, 0.1), (1, 4_000, 1.0), (4, 1_500, 0.5)])
def test_redraws_of_one_population_seldom_raise_an_alarm(max_rows: int, people: int, epsilon: float) -> None:
    """Accepts up to what 5 % gives with 99.9 % chance, and must not be empty of small p-values either."""
    drawn, alarms, p_values = population(max_rows), 0, []
    for seed in range(REDRAWS):
        rng = np.random.default_rng([seed, people])
        old, new = (drawn.of(rng.integers(drawn.people, size=people)) for _ in range(2))
        report = report_on(drawn, released(drawn, old, 2 * seed), new, Drift(epsilon=epsilon), 2 * seed + 1)
        alarms += report.is_alarm
        p_values += [item.p_value for item in (*report.columns, *report.pairs)]
    assert alarms <= stats.binom.ppf(0.999, REDRAWS, 0.05)
    assert float(np.mean(np.array(p_values) <= 0.05)) <= 0.075


@pytest.mark.slow
def test_a_change_of_one_column_is_found_ever_more_often_the_larger_it_is() -> None:
    drawn, found = population(1), []
    for move in (0, 2, 6):
        alarms = 0
        for seed in range(20):
            rng = np.random.default_rng([seed, move])
            old, new = (drawn.of(rng.integers(drawn.people, size=4_000)) for _ in range(2))
            older = np.minimum(new.columns["age"] + move, 99).astype(new.columns["age"].dtype)
            moved = type(new)({**new.columns, "age": older}, new.units, new.vocabularies)
            alarms += report_on(drawn, released(drawn, old, seed), moved, Drift(epsilon=0.5), seed + 500).is_alarm
        found.append(alarms)
    assert found[0] <= 4
    assert found[0] < found[1] <= found[2] == 20


def test_p_values_of_tables_that_did_not_change_are_spread_evenly() -> None:
    """Kolmogorov-Smirnov at 1 in 1000, where sampling rules, where noise does, and in between; a law of half the noise is refused."""
    shares = np.array([0.35, 0.2, 0.15, 0.12, 0.1, 0.05, 0.02, 0.01])
    for sigma, ordered in ((1.0, 0), (25.0, 8), (400.0, 0)):
        right, wrong = [], []
        for seed in range(150):
            rng, noise = np.random.default_rng(seed), np.full(8, sigma)
            old, new = rng.multinomial(3_000, shares), rng.multinomial(2_000, shares)
            tables = TwoTables(
                old + rng.normal(size=8) * sigma, noise, 3_000, new + rng.normal(size=8) * sigma, noise, 2_000, ordered
            )
            right.append(compare(tables, draws=400).p_value)
            halved = TwoTables(tables.old, noise / 2, 3_000, tables.new, noise / 2, 2_000, ordered)
            wrong.append(compare(halved, draws=400).p_value)
        assert stats.kstest(right, "uniform").pvalue > 0.001
        assert sigma < 10 or stats.kstest(wrong, "uniform").pvalue < 1e-6


def test_people_with_several_rows_vary_less_than_their_law_says_and_never_more() -> None:
    """A person's rows weigh one together: with rows that differ the counts vary less, so p-values lean upwards."""
    rng, p_values = np.random.default_rng(0), []
    for _ in range(150):
        weights = [rng.multinomial(4, [0.4, 0.3, 0.2, 0.1], size=people).sum(axis=0) / 4 for people in (2_000, 2_000)]
        noise = np.full(4, 3.0)
        tables = TwoTables(
            weights[0] + rng.normal(size=4) * 3, noise, 2_000, weights[1] + rng.normal(size=4) * 3, noise, 2_000
        )
        p_values.append(compare(tables, draws=400).p_value)
    assert float(np.mean(np.array(p_values) <= 0.05)) <= 0.03
    assert pd.Series(p_values).median() > 0.6
