import numpy as np
import pandas as pd
import pytest

from synth_pipeline.report.comparison import Tables
from synth_pipeline.report.embedding import LEAST_RARE_ROWS, draw_pictures, embed_rows, rare_classes
from synth_pipeline_tests.reported_example import reported_spec, reported_table


def spread(**shares):
    return np.array([name for name, count in shares.items() for _ in range(count)])


@pytest.mark.parametrize(
    "classes, marked",
    [
        (spread(a=50, b=50), ()),
        (spread(a=75, b=25), ("b",)),
        (spread(a=74, b=26), ()),
        (spread(a=90, b=6, c=4), ("c", "b")),
        (spread(a=80, b=15, c=5), ("c",)),
        (spread(a=100), ()),
        (np.array(["", "", "a", "b", "b", "b"]), ("a",)),
        (np.array([""] * 9), ()),
    ],
)
def test_rare_are_the_rarest_classes_that_together_are_few(classes, marked):
    assert rare_classes(classes.astype(str)) == marked


@pytest.fixture(scope="module")
def embedded():
    tables = Tables(*(reported_table(rows, seed=seed) for rows, seed in ((1500, 1), (300, 2), (1500, 3))))
    return embed_rows(tables, reported_spec(), most_rows=200, seed=4), tables


def test_as_many_rows_of_each_table_are_placed_as_asked_for(embedded):
    embedding, _ = embedded
    assert embedding.points.shape == (400, 2)
    assert np.isfinite(embedding.points).all()
    assert embedding.is_real.tolist() == [True] * 200 + [False] * 200


def test_rows_of_a_rare_class_are_drawn_where_chance_would_bring_too_few(embedded):
    embedding, tables = embedded
    assert embedding.rare == ("True",)
    assert tables.train["returned"].mean() * 200 < LEAST_RARE_ROWS
    assert embedding.is_rare[embedding.is_real].sum() == LEAST_RARE_ROWS
    assert embedding.is_rare[~embedding.is_real].sum() == LEAST_RARE_ROWS


def test_tables_of_the_same_law_mix_and_others_lie_apart():
    """The nearest neighbour of a row is of either table about as often; where one column tells them apart, of its own."""

    def own_neighbours(synthetic):
        tables = Tables(reported_table(400, seed=1), reported_table(100, seed=2), synthetic)
        embedding = embed_rows(tables, reported_spec(), most_rows=200)
        gaps = ((embedding.points[:, None] - embedding.points[None]) ** 2).sum(axis=2)
        np.fill_diagonal(gaps, np.inf)
        return (embedding.is_real == embedding.is_real[gaps.argmin(axis=1)]).mean()

    assert own_neighbours(reported_table(400, seed=3)) < 0.65
    assert own_neighbours(reported_table(400, seed=3).assign(fee=np.nan, ward="A", severity="high", age=98)) > 0.9


def test_where_a_class_is_rare_its_rows_get_a_picture_of_their_own(embedded):
    embedding, _ = embedded
    together, marked = draw_pictures(embedding)
    assert "200 rows of train and 200 synthetic ones" in together.caption
    assert f"returned: True; {LEAST_RARE_ROWS} real and {LEAST_RARE_ROWS} synthetic rows" in marked.caption
    assert together.source != marked.source


def test_without_a_target_nothing_is_marked():
    tables = Tables(*(reported_table(60, seed=seed) for seed in (1, 2, 3)))
    embedding = embed_rows(tables, reported_spec(benchmark=None, fairness=None))
    assert embedding.target is None
    assert not embedding.is_rare.any()
    assert len(draw_pictures(embedding)) == 1


@pytest.mark.parametrize("rows", [1, 29])
def test_too_few_rows_are_not_placed(rows):
    tables = Tables(reported_table(60, seed=1), reported_table(60, seed=2), reported_table(rows, seed=3))
    assert embed_rows(tables, reported_spec()) is None


def test_rows_that_are_all_alike_are_not_placed():
    spec = reported_spec(columns={"n": {"kind": "integer", "min": 0, "max": 9}}, benchmark=None, fairness=None)
    frame = pd.DataFrame({"n": [3] * 50})
    assert embed_rows(Tables(frame, frame, frame), spec) is None


def test_an_embedding_shows_nothing_of_itself(embedded):
    assert repr(embedded[0]) == "Embedding(400 rows, contents withheld)"
