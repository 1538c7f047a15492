"""Given rows: what is known, what is not, what is refused, and what comes back unchanged."""

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ConstraintError, ModelError, TableError
from synth_pipeline.generate.mixture.config import MixtureConfig
from synth_pipeline.generate.mixture.engine import Mixture
from synth_pipeline.generate.mixture.products import Products
from synth_pipeline.release.given import take_given
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.snapshot.dtypes import physical_dtypes
from synth_pipeline_tests.released_example import example_profile, example_spec, example_table

SPEC = example_spec()
TABLE = example_table(400)
PROFILE = example_profile(SPEC, TABLE)


@pytest.fixture(scope="module")
def model() -> ReleasedModel:
    """A mixture of two components that differ in every column."""
    domain = Encoder(PROFILE).domain
    rng = np.random.default_rng(0)
    tables = np.concatenate([rng.dirichlet(np.full(size, 1.0), size=2) for size in domain.sizes], axis=1)
    active = tuple(range(len(domain)))
    generator = Mixture(Products(domain, active, np.array([0.4, 0.6]), tables, ()), MixtureConfig(), (), {})
    return ReleasedModel(SPEC, PROFILE, generator, physical_dtypes(TABLE))


def partial(rows: int = 200) -> pd.DataFrame:
    """Rows of another table with about a third of the cells empty."""
    frame, rng = example_table(rows, seed=7).astype(object), np.random.default_rng(1)
    return frame.mask(rng.random(frame.shape) < 0.35)


def test_the_rows_come_back_in_order_with_known_cells_unchanged_and_no_cell_open(model) -> None:
    given = partial()
    filled = model.sample(given=given, seed=1)
    assert filled.dtypes.to_dict() == TABLE.dtypes.to_dict()
    assert len(filled) == len(given)
    for name in given:
        known = given[name].notna()
        assert (filled.loc[known, name] == given.loc[known, name]).all(), name
        assert SPEC.columns[name].kind == "identifier" or SPEC.columns[name].nullable or filled[name].notna().all()


def test_filled_rows_obey_the_rules(model) -> None:
    filled = model.sample(given=partial(400), seed=2)
    assert ((filled["age"] >= 18) | filled["insured"]).all()
    assert not (filled["ward"].eq("C") & filled["fee"].ge(400)).any()


def test_a_column_that_is_absent_is_drawn(model) -> None:
    given = example_table(50, seed=3)[["ward", "age"]]
    filled = model.sample(given=given, seed=1)
    assert list(filled.columns) == list(TABLE.columns)
    assert filled["ward"].tolist() == given["ward"].tolist()
    assert filled["town"].isin(["Ulm", "Bonn", "Jena"]).all()
    assert filled["patient"].nunique() == 50


def test_a_whole_row_comes_back_as_it_was(model) -> None:
    whole = example_table(60, seed=4).dropna().reset_index(drop=True)
    pd.testing.assert_frame_equal(model.sample(given=whole, seed=1), whole)


def test_an_exact_number_stays_exact_though_the_model_knows_bins_only(model) -> None:
    given = pd.DataFrame({"fee": [123.45, None, 0.01], "age": [None, 33, 34]})
    filled = model.sample(given=given, seed=1)
    assert filled["fee"].iloc[[0, 2]].tolist() == [123.45, 0.01]
    assert filled["age"].iloc[[1, 2]].tolist() == [33, 34]


def test_an_empty_cell_is_unknown_and_the_null_mark_is_a_known_null(model) -> None:
    given = pd.DataFrame({"fee": ["NA", None, "12.5", ""], "triage": [None, "NA", "2", "3"]}).loc[[0, 1, 2, 3] * 50]
    filled = model.sample(given=given, seed=1, null_token="NA")
    marked = (given == "NA").to_numpy()
    assert filled[["fee", "triage"]].isna().to_numpy()[marked].all()
    unknown = filled["fee"][given["fee"].isna().to_numpy()]
    assert 0 < unknown.isna().sum() < len(unknown)
    assert (filled["fee"][(given["fee"] == "12.5").to_numpy()] == 12.5).all()


def test_filling_follows_the_known_cells(model) -> None:
    """Component 0 and 1 differ, so what is known changes what is drawn; and by as much as Bayes says."""
    products = model.generator.model
    ward, insured = products.domain.index("ward"), products.domain.index("insured")
    given = pd.DataFrame({"ward": ["B"] * 4000, "age": [50] * 4000, "fee": [10.0] * 4000})
    codes = take_given(given, SPEC, PROFILE).codes[0]
    weights = products.weights.copy()
    for column in (ward, products.domain.index("age"), products.domain.index("fee")):
        weights *= products.column(column)[:, codes[column]]
    share = float(weights @ products.column(insured)[:, 1] / weights.sum())
    filled = model.sample(given=given, seed=3)
    assert abs(filled["insured"].mean() - share) < 5 * np.sqrt(0.25 / 4000)


def test_a_given_identifier_stays_and_a_missing_one_is_invented(model) -> None:
    filled = model.sample(given=pd.DataFrame({"patient": ["me", None, "you"]}), seed=1)
    assert filled["patient"].iloc[[0, 2]].tolist() == ["me", "you"]
    assert filled["patient"].notna().all()


def test_a_discovered_column_takes_categories_that_were_not_discovered(model) -> None:
    filled = model.sample(given=pd.DataFrame({"town": ["Nowhere", "Ulm", None]}), seed=1)
    assert filled["town"].iloc[:2].tolist() == ["Nowhere", "Ulm"]


@pytest.mark.parametrize(
    "frame, words",
    [
        pytest.param({"age": [30, 654]}, "row 2: column 'age' is outside the declared range 0 to 99", id="too large"),
        pytest.param({"age": [None, -3]}, "row 2: column 'age' is outside", id="too small"),
        pytest.param({"ward": ["A", "Zyx"]}, "row 2: column 'ward' is outside the declared categories", id="category"),
        pytest.param({"visit": [pd.Timestamp("2031-05-05")]}, "row 1: column 'visit' is outside", id="date"),
        pytest.param({"age": [3.654]}, "'age' holds 1 rows that are not whole numbers", id="fraction"),
        pytest.param({"age": ["Zyx", "3"]}, "column 'age': 1 rows do not parse as whole numbers", id="text"),
        pytest.param({"visit": [654.0]}, "'visit' holds numbers", id="number for date"),
        pytest.param({"insured": [7, 1]}, "'insured' holds 1 rows that are neither 0 nor 1", id="boolean"),
        pytest.param({"age": [30], "Zyx": [1]}, "'Zyx' is not declared", id="undeclared"),
        pytest.param({"age": []}, "no rows", id="empty"),
        pytest.param({"age": ["NULL"]}, "row 1: column 'age' holds the null mark", id="null where none may be"),
    ],
)
def test_rows_that_do_not_fit_are_refused_in_one_line_without_a_value(model, frame, words) -> None:
    with pytest.raises(TableError) as refusal:
        model.sample(given=pd.DataFrame(frame), null_token="NULL")
    message = str(refusal.value)
    assert words in message
    assert message.startswith("--given: ")
    assert "\n" not in message
    assert "654" not in message
    assert "Zyx" not in message.replace("column 'Zyx'", "")


def test_known_cells_that_no_completion_can_put_right_are_refused(model) -> None:
    given = pd.DataFrame({"age": [50, 12], "insured": [None, False]})
    with pytest.raises(ConstraintError, match=r"1 rows \(the first is row 2\) have no completion"):
        model.sample(given=given, seed=1)


def test_given_rows_take_the_place_of_a_number_and_a_condition(model) -> None:
    for options in ({"rows": 3}, {"where": "age > 3"}):
        with pytest.raises(ModelError, match="takes the place of"):
            model.sample(given=partial(5), **options)


def test_a_generator_that_cannot_fill_says_which_can(model) -> None:
    class Plain:
        kind = "plain"

    with pytest.raises(ModelError, match=r"'plain' cannot fill given rows.*mixture"):
        ReleasedModel(SPEC, PROFILE, Plain(), model.dtypes).sample(given=partial(5))  # pyright: ignore[reportArgumentType]


def test_the_given_frame_is_left_as_it_was(model) -> None:
    given = partial(30)
    before = given.copy(deep=True)
    model.sample(given=given, seed=1)
    pd.testing.assert_frame_equal(given, before)


def test_the_same_seed_fills_the_same_cells(model) -> None:
    given = partial(30)
    pd.testing.assert_frame_equal(model.sample(given=given, seed=5), model.sample(given=given, seed=5))
