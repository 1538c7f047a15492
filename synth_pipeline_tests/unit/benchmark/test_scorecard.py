"""The whole scorecard: determinism, its file, its summary, and what it must not hold."""

import json

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.benchmark import Scorecard, flat_metrics, read_scorecard, score, summary_lines
from synth_pipeline.errors import SpecError, TableError
from synth_pipeline.spec import Spec


@pytest.fixture
def card(frames, make_spec):
    return score(*frames, make_spec(), quick=True)


def test_one_seed_gives_one_scorecard_and_another_seed_the_same_scores_on_all_rows(frames, make_spec, card):
    assert score(*frames, make_spec(), quick=True) == card
    other = score(*frames, make_spec(), quick=True, seed=1)
    assert other.fidelity.tvd_2way.synthetic.value == card.fidelity.tvd_2way.synthetic.value
    assert other.c2st.synthetic.value != card.c2st.synthetic.value


def test_the_tables_are_left_as_they_were(frames, make_spec):
    before = [frame.copy(deep=True) for frame in frames]
    score(*frames, make_spec(), quick=True)
    for frame, copy in zip(frames, before, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


def test_the_scorecard_says_that_it_is_internal_and_what_it_was_made_from(card, make_spec):
    assert card.zone == "internal"
    assert card.rows == {"train": 400, "holdout": 150, "synthetic": 300}
    assert card.columns == 6
    assert card.spec_digest == make_spec().digest


def test_the_scorecard_survives_its_file(card, tmp_path):
    card.write_scorecard(tmp_path / "scorecard.json")
    assert read_scorecard(tmp_path / "scorecard.json") == card
    assert Scorecard.from_dict(card.to_dict()) == card
    assert [path.name for path in tmp_path.iterdir()] == ["scorecard.json"]
    assert (tmp_path / "scorecard.json").stat().st_mode & 0o077 == 0


def test_a_write_that_fails_leaves_no_file(card, tmp_path):
    (tmp_path / "scorecard.json").mkdir()
    with pytest.raises(IsADirectoryError):
        card.write_scorecard(tmp_path / "scorecard.json")
    assert [path.name for path in tmp_path.iterdir()] == ["scorecard.json"]


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"version": 2}'])
def test_a_file_that_is_no_scorecard_is_refused_in_one_line(content, tmp_path):
    (tmp_path / "scorecard.json").write_text(content)
    with pytest.raises(TableError, match=r"scorecard") as refusal:
        read_scorecard(tmp_path / "scorecard.json")
    assert "\n" not in str(refusal.value)


def test_no_cell_of_a_table_is_in_the_scorecard(draw, make_spec):
    spec = Spec.from_mapping(make_spec("job").model_dump(mode="json") | {"columns": {**CATEGORY_COLUMNS}})
    marked = [
        draw(rows, seed).assign(job=lambda f: f["job"].replace("clerk", "marker-7f3a"))
        for rows, seed in ((200, 1), (90, 2))
    ]
    card = score(marked[0], marked[1], marked[0], spec, quick=True)
    text = json.dumps(card.to_dict()) + repr(card) + repr(summary_lines(card)) + repr(flat_metrics(card))
    assert "marker-7f3a" not in text
    assert "nurse" not in text


CATEGORY_COLUMNS = {
    "age": {"kind": "integer", "min": 0, "max": 100},
    "job": {"kind": "categorical", "discover": True, "nullable": True},
}


def test_progress_is_told_in_lines(frames, make_spec):
    said = []
    score(*frames, make_spec(), quick=True, progress=said.append)
    assert said[0] == "benchmark: marginals and associations"
    assert all("\n" not in line for line in said)


def test_without_a_target_there_is_no_prediction_benchmark(frames, make_spec):
    card = score(*frames, make_spec(None), quick=True)
    assert card.tstr is None
    assert not [name for name, _, _ in summary_lines(card) if name.startswith("TSTR")]


def test_summary_lines_give_every_score_with_its_interval_and_a_reading(card):
    lines = {name: (value, reading) for name, value, reading in summary_lines(card)}
    assert {
        "1-way TVD",
        "2-way TVD",
        "3-way TVD",
        "NIST k2 score",
        "C2ST AUC",
        "TSTR boosting AUC",
        "TSTR linear accuracy",
    } <= set(lines)
    assert all("[" in value for value, _ in lines.values())
    assert lines["2-way TVD"][1].startswith(f"floor {card.fidelity.tvd_2way.floor.value:.4f}")


def test_flat_metrics_are_finite_numbers_under_plain_names(card):
    flat = flat_metrics(card)
    assert flat["tvd_2way"] == card.fidelity.tvd_2way.synthetic.value
    assert flat["ratio_gradient_boosting_auc_low"] == card.tstr.learners["gradient_boosting"].ratio["auc"].low
    assert all(np.isfinite(value) for value in flat.values())
    assert all(name.replace("_", "").isalnum() and name.isascii() for name in flat)


@pytest.mark.parametrize("rows", [(1, 1, 1), (3, 2, 2), (29, 29, 29), (400, 5, 5)])
def test_tiny_tables_are_scored_as_far_as_they_can_be(rows, draw, make_spec):
    card = score(*(draw(count, seed) for seed, count in enumerate(rows)), make_spec(), quick=True)
    assert card.c2st.synthetic is None
    assert card.tstr.reason
    assert card.fidelity.tvd_2way.synthetic.high <= 1
    assert {"C2ST AUC", "TSTR"} <= {name for name, value, _ in summary_lines(card) if value == "not measured"}
    assert flat_metrics(card)


def test_a_synthetic_table_of_nulls_only_is_scored(frames, make_spec):
    train, holdout, synthetic = frames
    card = score(train, holdout, synthetic.assign(**dict.fromkeys(synthetic.columns)), make_spec(), quick=True)
    assert card.fidelity.ks_complement.by_column["age"] == 0.0
    assert card.c2st.synthetic.value > 0.99
    assert "not measured" in {value for _, value, _ in summary_lines(card)}


@pytest.mark.parametrize("name", ["age", "job"])
def test_a_table_of_one_column_is_scored(name, frames, make_spec):
    content = make_spec(None).model_dump(mode="json", by_alias=True)
    spec = Spec.from_mapping(content | {"columns": {name: content["columns"][name]}})
    card = score(*frames, spec, quick=True)
    assert card.fidelity.tvd_2way is None
    assert card.fidelity.association is None
    assert (card.fidelity.ks_complement is None) == (name == "job")


def test_the_task_is_checked_before_a_table_is_read(frames, make_spec):
    train, holdout, synthetic = frames
    with pytest.raises(SpecError, match="task regression"):
        score(train.iloc[:0], holdout, synthetic, make_spec("job", "regression"))
