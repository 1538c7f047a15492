import math
from dataclasses import replace

import pytest

from synth_pipeline_tests.released_example import example_facts, example_spec


def test_parts_of_the_budget_are_by_stage_and_mechanism_in_the_order_of_the_walk():
    parts = example_facts().budget_parts()
    assert [(part.stage, part.mechanism, part.answers) for part in parts] == [
        ("profile", "stable set union", 1),
        ("profile", "discrete Gaussian", 7),
        ("generator", "discrete Gaussian", 12),
        ("generator", "DP-SGD", 200),
    ]


def test_each_part_costs_less_than_the_whole_and_together_they_cost_more():
    facts = example_facts()
    alone = [part.epsilon for part in facts.budget_parts()]
    assert max(alone) < facts.composed_epsilon < sum(alone)


@pytest.mark.parametrize("epsilon, certainty", [(0.0, 0.5), (math.log(3), 0.75), (1000.0, 1.0)])
def test_even_odds_become_at_most_this_certainty(epsilon, certainty):
    assert replace(example_facts(), composed_epsilon=epsilon).certainty_from_even == pytest.approx(certainty)


def test_the_unit_is_said_in_words():
    privacy = {"epsilon": 1, "unit": {"column": "patient", "max_rows": 3}}
    assert example_facts(example_spec(privacy=privacy)).unit.startswith("every row of one patient, at most 3 rows")
