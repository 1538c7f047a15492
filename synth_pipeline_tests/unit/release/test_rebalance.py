"""Rebalancing: exact numbers of rows, the law inside each group as it was, people and rules kept, and one line for what cannot be."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from synth_pipeline.errors import ConstraintError, ModelError, PredicateError
from synth_pipeline.privacy.ledger.contract import Ledger
from synth_pipeline.release.balanced import balanced_shares, rebalanced_table
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.release.rebalance import cells_of, counts_of
from synth_pipeline.spec import Spec
from synth_pipeline.walk import fit
from synth_pipeline_tests.released_example import example_spec, example_table

FALSE_ALARM = 1e-4
PEOPLE_COLUMNS = {
    "person": {"kind": "identifier"},
    "sex": {"kind": "categorical", "categories": ["f", "m"]},
    "pay": {"kind": "integer", "min": 0, "max": 9},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReleasedModel:
    ledger = Ledger.open(tmp_path_factory.mktemp("clinic") / "ledger.sqlite")
    spec = example_spec(
        generator={"kind": "mixture"}, privacy={"epsilon": 10.0, "delta": 1e-6, "cap": {"epsilon": 50.0}}
    )
    return fit(spec, example_table(1500), ledger=ledger)


@given(st.integers(1, 10_000), st.lists(st.integers(0, 1000), min_size=1, max_size=12).filter(any))
def test_counts_add_up_and_each_is_its_quota_rounded_down_or_up(rows: int, weights: list[int]) -> None:
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    counts = counts_of(rows, shares)
    assert sum(counts) == rows
    assert all(abs(count - rows * share) < 1 for count, share in zip(counts, shares, strict=True))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 400), st.integers(0, 100))
def test_a_model_gives_exactly_the_asked_numbers(model: ReleasedModel, rows: int, percent: int) -> None:
    frame = model.rebalance(rows, shares={"ward": {"A": percent / 100, "C": 1 - percent / 100}}, seed=1)
    found = frame["ward"].value_counts()
    wanted = counts_of(rows, [Fraction(percent, 100), Fraction(100 - percent, 100)])
    assert [found.get("A", 0), found.get("C", 0)] == wanted
    assert len(frame) == rows


def test_columns_are_multiplied_out_and_equal_leaves_nulls_out(model: ReleasedModel) -> None:
    frame = model.rebalance(600, shares={"triage": "equal", "insured": {True: 0.75, False: 0.25}}, seed=1)
    found = frame.groupby(["triage", "insured"]).size()
    assert found.loc[(slice(None), True)].tolist() == [150, 150, 150]
    assert found.loc[(slice(None), False)].tolist() == [50, 50, 50]


def test_conditions_and_nulls_take_shares_too(model: ReleasedModel) -> None:
    shares = [("age < 40", 0.1), ("age >= 40 AND fee IS NULL", 0.2), ("age >= 40 AND fee IS NOT NULL", 0.7)]
    frame = model.rebalance(100, shares=shares, seed=1)
    old = frame["age"] >= 40
    assert [(~old).sum(), (old & frame["fee"].isna()).sum(), (old & frame["fee"].notna()).sum()] == [10, 20, 70]
    assert model.rebalance(10, shares={"triage": {None: 1.0}}, seed=1)["triage"].isna().all()


def test_the_rules_hold_and_the_order_is_random_and_repeats_with_the_seed(model: ReleasedModel) -> None:
    frame = model.rebalance(900, shares={"ward": "equal"}, seed=3)
    assert (frame["insured"] | (frame["age"] >= 18)).all()
    assert not ((frame["ward"] == "C") & (frame["fee"] >= 400)).any()
    assert (frame["ward"] == frame["ward"].shift()).mean() < 0.45  # a third, but for chance
    pd.testing.assert_frame_equal(frame, model.rebalance(900, shares={"ward": "equal"}, seed=3))
    assert list(frame.columns) == list(example_table(5).columns)
    assert frame["patient"].is_unique


@pytest.mark.slow
@pytest.mark.parametrize("column", ["insured", "triage", "town"])
def test_the_law_inside_each_group_is_the_models_own(model: ReleasedModel, column: str) -> None:
    rebalanced = model.rebalance(30_000, shares={"ward": "equal"}, seed=5)
    own = model.sample(60_000, seed=6)
    for ward in ("A", "B", "C"):
        parts = [frame.loc[frame["ward"] == ward, column].fillna("null") for frame in (rebalanced, own)]
        table = pd.concat([part.value_counts() for part in parts], axis=1).fillna(0)
        assert chi2_contingency(table.to_numpy())[1] > FALSE_ALARM / 9


REFUSED = {
    "an unknown column": ({"wards": "equal"}, "shares: no modelled column 'wards'; there are age"),
    "an identifier": ({"patient": "equal"}, "no modelled column 'patient'"),
    "a number": ({"age": "equal"}, "shares.age: is integer, which has no categories; give conditions"),
    "an unknown category": ({"ward": {"D": 1.0}}, "shares.ward: no category 'D'; there are"),
    "a null that cannot be": ({"ward": {None: 1.0}}, "shares.ward: no category None"),
    "another word": ({"ward": "even"}, "shares.ward: write `equal`, or a share for each"),
    "too little": ({"ward": {"A": 0.5, "B": 0.4}}, "shares.ward: the shares add up to 0.9; they must add up to 1"),
    "a negative share": ({"ward": {"A": -0.5, "B": 1.5}}, "is -0.5; a share is a number between 0 and 1"),
    "no number": ({"ward": {"A": float("nan"), "B": 1.0}}, "is nan; a share is a number between 0 and 1"),
    "a truth as a share": ({"ward": {"A": True}}, "is True; a share is a number"),
    "nothing": ({}, "shares: none given"),
    "an overlap": ([("age < 50", 0.5), ("age < 60", 0.5)], "shares[0], shares[1]: a row can meet both"),
    "the impossible": (
        [("age < 0", 0.5), ("age >= 0", 0.5)],
        "shares[0]: no row of the declared domain meets 'age < 0'",
    ),
    "a comparison of columns": ([("age < fee", 1.0)], "shares[0]: compares columns with one another"),
    "conditions that fall short": ([("age < 50", 0.5)], "shares: the shares add up to 0.5"),
    "what does not parse": ([("age <", 1.0)], "shares[0]"),
    "no pairs": (["age < 50"], "give a mapping by column, or pairs"),
}


@pytest.mark.parametrize("shares, message", REFUSED.values(), ids=REFUSED)
def test_shares_that_cannot_be_are_refused_in_one_line(shares, message: str) -> None:
    with pytest.raises(PredicateError) as refusal:
        cells_of(shares, example_spec().modelled)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_group_that_the_rules_forbid_is_named(model: ReleasedModel) -> None:
    shares = [("age < 18 AND NOT insured", 0.5), ("age >= 18", 0.5)]
    with pytest.raises(ConstraintError, match=r"^shares: age < 18 AND NOT insured: "):
        model.rebalance(100, shares=shares, seed=1)


def test_a_group_of_share_zero_is_not_drawn_even_if_it_cannot_be(model: ReleasedModel) -> None:
    shares = [("age < 18 AND NOT insured", 0.0), ("age >= 18", 1.0)]
    assert (model.rebalance(50, shares=shares, seed=1)["age"] >= 18).all()


@pytest.mark.parametrize("rows", [0, -1, 100_000_001])
def test_a_number_of_rows_that_no_table_has_is_refused(model: ReleasedModel, rows: int) -> None:
    with pytest.raises(ModelError, match="a table has between 1 and"):
        model.rebalance(rows, shares={"ward": "equal"})


def test_people_keep_their_rows_together_and_to_themselves(tmp_path) -> None:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(600), rng.integers(1, 5, 600))
    sex = np.where(rng.random(600) < 0.8, "m", "f")[person]
    table = pd.DataFrame({"person": [f"p{one}" for one in person], "sex": sex, "pay": rng.integers(0, 10, len(person))})
    unit = {"column": "person", "max_rows": 4}
    spec = Spec.from_mapping(
        {
            "dataset": "panel",
            "columns": PEOPLE_COLUMNS,
            "privacy": {"epsilon": 8, "delta": 1e-5, "unit": unit, "cap": {"epsilon": 99}},
            "generator": {"kind": "independent"},
        }
    )
    frame = fit(spec, table, ledger=Ledger.open(tmp_path / "ledger.sqlite")).rebalance(
        501, shares={"sex": "equal"}, seed=1
    )
    assert frame["sex"].value_counts().tolist() == [251, 250]
    turns = (frame["person"] != frame["person"].shift()).sum()
    assert turns == frame["person"].nunique() < 501
    assert len(frame[["person", "sex"]].drop_duplicates()) == turns
    assert frame.groupby("person").size().max() <= 4


def test_the_benchmarks_rebalanced_table_has_equal_cells_of_groups_and_classes(model: ReleasedModel) -> None:
    fairness = {"sensitive": ["age", "triage"], "bins": {"age": [40, 50]}}
    spec = example_spec(benchmark={"target": "insured"}, fairness=fairness)
    synthetic = model.sample(3000, seed=1)
    shares = balanced_shares(spec, model.columns, synthetic)
    assert 2 < len(shares) <= 3 * 4 * 2  # null is a group of triage
    assert any('"triage" IS NULL' in sql for sql, _ in shares)
    frame = rebalanced_table(model, synthetic, spec, seed=1)
    cells = frame.groupby([pd.cut(frame["age"], [-1, 39, 49, 99]), "triage", "insured"], dropna=False, observed=True)
    assert set(cells.size()) <= {3000 // len(shares), 3000 // len(shares) + 1}
    assert rebalanced_table(model, synthetic, example_spec()) is None
