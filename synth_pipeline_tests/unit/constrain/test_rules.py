"""Rules are CHECK constraints: what they mean, which are structural, and that contradictions are refused."""

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.constrain.enforce import assert_obeyed, enforce, placed_again
from synth_pipeline.constrain.rules import Rules
from synth_pipeline.errors import ConstraintError, PredicateError
from synth_pipeline.spec import Spec

COLUMNS = {
    "age": {"kind": "integer", "min": 0, "max": 90, "nullable": True},
    "hours": {"kind": "integer", "min": 0, "max": 100},
    "casual": {"kind": "integer", "min": 0, "max": 50},
    "registered": {"kind": "integer", "min": 0, "max": 50},
    "total": {"kind": "integer", "min": 0, "max": 100},
    "marital": {"kind": "categorical", "categories": ["Never-married", "Married"]},
    "name": {"kind": "identifier"},
}


def rules_of(*constraints):
    spec = Spec.from_mapping(
        {"dataset": "d", "privacy": {"epsilon": 1}, "columns": COLUMNS, "constraints": constraints}
    )
    return Rules.from_spec(spec), spec.modelled


def drawn(rows, rng):
    return pd.DataFrame(
        {"casual": rng.integers(0, 4, rows), "registered": rng.integers(0, 4, rows), "total": rng.integers(0, 7, rows)}
    )


def test_an_implication_is_broken_only_where_the_condition_holds_and_the_consequence_is_false():
    rules, _ = rules_of({"if": "age < 16", "then": "marital = 'Never-married'"})
    frame = pd.DataFrame({"age": [10, 10, 40, None], "marital": ["Married", None, "Married", "Married"]})
    assert rules.obeyed(frame).tolist() == [False, True, True, True]
    assert list(rules.violations(frame).values()) == [1]


@pytest.mark.parametrize(
    "constraint, fault",
    [
        ("hours <", r"constraints\[1\]: does not parse"),
        ("1 < 2", r"constraints\[1\]: names no column"),
        ("name = 'x'", r"constraints\[1\]: no column 'name'"),
        ({"if": "1 = 1", "then": "age > 3"}, r"constraints\[1\].if: names no column"),
        (
            {"if": "age < 3", "then": "martial = 'Married'"},
            r"constraints\[1\].then: no column 'martial'.*did you mean 'marital'",
        ),
        ({"if": "age > 3) OR (age < 2", "then": "age > 3"}, r"constraints\[1\].if: does not parse"),
    ],
)
def test_a_faulty_constraint_is_refused_with_its_place(constraint, fault):
    with pytest.raises(PredicateError, match=fault):
        rules_of("age < 80", constraint)


def test_rules_over_constants_are_structural_and_rules_between_columns_residual():
    rules, columns = rules_of(
        "hours <= 99", "total = casual + registered", {"if": "age < 16", "then": "marital = 'Never-married'"}
    )
    compiled = rules.compile(columns)
    assert [table.columns for table in compiled.tables] == [("hours",), ("age", "marital")]
    assert [rule.columns for rule in compiled.structural] == [("hours",), ("age", "marital")]
    assert [rule.sql for rule in compiled.residual] == ["total = casual + registered"]
    table = rules.region_table(columns)
    assert table is not None
    assert table.columns == ("age", "hours", "marital")
    assert [rule.sql for rule in rules.residual(columns).predicates] == ["total = casual + registered"]


def test_rules_beyond_the_bound_of_a_table_become_residual():
    rules, columns = rules_of("hours <= 99", "age > 3 OR marital = 'Married'")
    assert [len(rules.compile(columns, max_combinations=bound).structural) for bound in (200, 5)] == [2, 1]
    assert [rule.sql for rule in rules.residual(columns, max_combinations=11).predicates] == [
        "age > 3 OR marital = 'Married'"
    ]


def test_a_rule_that_no_row_can_obey_is_refused():
    rules, columns = rules_of("hours <= 99", "hours > 100 OR hours < 0")
    with pytest.raises(ConstraintError, match="no row of the declared domain obeys 'hours > 100 OR hours < 0'"):
        rules.compile(columns)


def test_contradictory_rules_are_refused_with_the_rules_that_contradict_and_no_others():
    rules, columns = rules_of("age > 3", "hours < 10", "marital = 'Married'", "hours > 20")
    with pytest.raises(
        ConstraintError, match=r"^constraints: 'hours > 20' contradicts 'hours < 10': no row"
    ) as refusal:
        rules.region_table(columns)
    assert "marital" not in str(refusal.value)


def test_rows_are_drawn_until_enough_obey_and_none_breaks_a_rule():
    rules, _ = rules_of("total = casual + registered")
    rng = np.random.default_rng(0)
    table = enforce(lambda rows: drawn(rows, rng), 1000, rules)
    assert len(table) == 1000
    assert (table["total"] == table["casual"] + table["registered"]).all()
    assert table.index.tolist() == list(range(1000))


def test_rejection_keeps_the_distribution_of_the_rows_that_obey():
    rules, _ = rules_of("total = casual + registered")
    rng = np.random.default_rng(1)
    pairs = enforce(lambda rows: drawn(rows, rng), 16_000, rules).value_counts(["casual", "registered"])
    assert len(pairs) == 16  # each equally likely: 1000 expected, standard deviation 31
    assert pairs.between(1000 - 5 * 31, 1000 + 5 * 31).all()


def test_without_rules_the_rows_are_drawn_once():
    asked = []
    enforce(lambda rows: asked.append(rows) or pd.DataFrame({"age": range(rows)}), 5, Rules())
    assert asked == [5]


def test_a_rule_that_hardly_any_row_obeys_is_refused_within_the_bound():
    rules, _ = rules_of("hours <= 99", "total = casual + registered + 50")
    counts = []

    def draw(rows):
        counts.append(rows)
        return drawn(rows, np.random.default_rng(0)).assign(hours=3)

    with pytest.raises(
        ConstraintError, match=r"only 0 of 5000 drawn rows.*100 are wanted; most often broken is 'total = casual"
    ):
        enforce(draw, 100, rules)
    assert sum(counts) == 5000


def test_a_table_with_a_broken_rule_is_not_released():
    rules, _ = rules_of("hours <= 40")
    with pytest.raises(ConstraintError, match="breaks 'hours <= 40' in 1 of 2 rows"):
        assert_obeyed(pd.DataFrame({"hours": [40, 41]}), rules)


def amounts(bins, rng):
    """Amounts of at most ten above their bin's start; a bin of none is zero."""
    return pd.DataFrame({name: np.where(bins[name] > 0, rng.integers(1, 11, len(bins)), 0) for name in bins})


def test_rows_that_break_a_rule_are_placed_again_inside_their_bins_which_keep_their_shares():
    rules, _ = rules_of("casual <= registered")
    rng = np.random.default_rng(5)
    bins = pd.DataFrame({"casual": [0, 0, 1], "registered": [0, 1, 1]}).sample(30_000, replace=True, random_state=5)
    drawn_once = amounts(bins, rng)
    assert 0.1 < (~rules.obeyed(drawn_once)).mean() < 0.2
    placed = placed_again(drawn_once, lambda broken: amounts(bins[broken], rng), rules)
    assert rules.obeyed(placed).mean() > 0.999
    assert ((placed > 0).to_numpy() == (bins > 0).to_numpy()).all()
    kept = rules.obeyed(drawn_once)
    assert placed[kept].equals(drawn_once[kept])


def test_rows_whose_bins_cannot_obey_come_back_as_they_are_after_few_tries():
    rules, _ = rules_of("casual <= registered")
    table, asked = pd.DataFrame({"casual": [3, 1, 5], "registered": [1, 1, 2]}), []
    placed = placed_again(table, lambda broken: asked.append(broken.tolist()) or table[broken], rules)
    assert placed.equals(table)
    assert asked == [[True, False, True]]


def test_a_table_that_obeys_is_not_placed_again():
    rules, _ = rules_of("casual <= registered")
    table = pd.DataFrame({"casual": [1], "registered": [1]})
    assert placed_again(table, lambda _: pytest.fail("nothing was broken"), rules).equals(table)
