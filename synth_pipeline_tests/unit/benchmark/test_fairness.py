"""Fairness and rarest class: by hand on four rows, against fairlearn on many, their groups, intervals and files."""

import json

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import demographic_parity_difference, demographic_parity_ratio, equalized_odds_difference

from synth_pipeline.benchmark import Scorecard, flat_metrics, read_scorecard, score, summary_lines
from synth_pipeline.benchmark.fairness import gaps_of, group_rates
from synth_pipeline.benchmark.one_class import OneClass, draw_people, one_class
from synth_pipeline.spec import Spec

FAIRNESS = {"sensitive": ["job", "age"], "bins": {"age": [40, 60]}, "favourable": True}


def view_of(is_positive, chosen) -> OneClass:
    positive, taken = np.array(is_positive, dtype=bool), np.array(chosen, dtype=bool)
    return OneClass(positive, taken.astype(float), taken, taken)


@pytest.fixture(scope="module")
def card(request) -> Scorecard:
    return scored()


def scored(**options) -> Scorecard:
    rng = np.random.default_rng(0)

    def draw(rows: int) -> pd.DataFrame:
        age = rng.integers(18, 90, rows)
        job = np.where(rng.random(rows) < 0.04, "pilot", np.where(rng.random(rows) < 0.5, "nurse", "clerk"))
        return pd.DataFrame(
            {
                "age": age,
                "job": pd.Series(job).mask(rng.random(rows) < 0.1),
                "wage": age * 3.0 + rng.normal(0, 20, rows),
                "member": rng.random(rows) < age / 120,
            }
        )

    columns = {
        "age": {"kind": "integer", "min": 0, "max": 100},
        "job": {"kind": "categorical", "categories": ["clerk", "nurse", "pilot"], "nullable": True},
        "wage": {"kind": "float", "min": -200, "max": 500},
        "member": {"kind": "boolean"},
    }
    spec = {"dataset": "small", "columns": columns, "privacy": {"epsilon": 1.0}, "benchmark": {"target": "member"}}
    return score(
        draw(500),
        draw(700),
        draw(400),
        Spec.from_mapping({**spec, "fairness": FAIRNESS, **options}),
        rebalanced=draw(300),
        quick=True,
    )


def test_four_rows_give_the_rates_that_a_hand_finds() -> None:
    rates = group_rates(view_of([1, 0, 1, 0], [1, 1, 0, 0]), np.array([0, 0, 1, 1]), 2)
    assert rates["selection_rate"].tolist() == [[1.0], [0.0]]
    assert rates["tpr"].tolist() == rates["fpr"].tolist() == [[1.0], [0.0]]
    assert rates["accuracy"].tolist() == [[0.5], [0.5]]
    gaps = gaps_of({**rates, "auc": np.array([[0.75], [0.5]])})
    assert gaps["demographic_parity_difference"] == gaps["equalized_odds_difference"] == [1.0]
    assert gaps["demographic_parity_ratio"] == [0.0]
    assert gaps["auc_difference"] == [0.25]


def test_rates_and_gaps_agree_with_fairlearn_on_rows_and_on_weights() -> None:
    rng = np.random.default_rng(1)
    positive, taken, groups = rng.random(500) < 0.4, rng.random(500) < 0.5, rng.integers(0, 3, 500)
    view = view_of(positive, taken)
    rates = group_rates(view, groups, 3)
    own = view.rates(groups, 3, np.ones((500, 1)))
    for metric, values in rates.items():
        np.testing.assert_allclose(own[metric], values, atol=1e-12)
    gaps = gaps_of({**rates, "auc": np.full((3, 1), 0.5)})
    options = {"y_true": positive.astype(int), "y_pred": taken.astype(int), "sensitive_features": groups}
    assert gaps["demographic_parity_difference"][0] == pytest.approx(demographic_parity_difference(**options))
    assert gaps["demographic_parity_ratio"][0] == pytest.approx(demographic_parity_ratio(**options))
    assert gaps["equalized_odds_difference"][0] == pytest.approx(equalized_odds_difference(**options))
    weights = rng.integers(0, 4, 500)
    repeated = view.take(np.repeat(np.arange(500), weights))
    by_rows = group_rates(repeated, np.repeat(groups, weights), 3)
    for metric, values in view.rates(groups, 3, weights[:, None].astype(float)).items():
        np.testing.assert_allclose(values, by_rows[metric], atol=1e-12)


def test_as_many_rows_are_selected_as_the_share_says() -> None:
    guess = np.linspace(0, 1, 10)
    view = one_class(np.stack([1 - guess, guess], axis=1), np.arange(10) % 2, label=1, share=0.3)
    assert view.selected.tolist() == [False] * 7 + [True] * 3
    assert view.chosen.sum() == 5


def test_people_are_resampled_with_all_their_rows() -> None:
    units = np.repeat(np.arange(50), 3)
    bag = draw_people(units, 20, np.random.default_rng(0))
    assert np.array_equal(bag.rows, np.arange(150))
    assert (bag.weights.reshape(50, 3, 20) == bag.weights.reshape(50, 3, 20)[:, :1]).all()
    assert (bag.weights.sum(axis=0) == 150).all()


def test_every_group_is_listed_and_one_that_is_too_small_says_so(card: Scorecard) -> None:
    job, age, both = card.fairness.groupings
    assert {group.group["job"]: group.reason is None for group in job.groups} == {
        "clerk": True,
        "nurse": True,
        None: True,
        "pilot": False,
    }
    small = next(group for group in job.groups if group.group["job"] == "pilot")
    assert small.scores == {}
    assert small.reason.startswith("too small: fewer than 50")
    assert {group.group["age"] for group in age.groups} == {"under 40", "40 to under 60", "60 and over"}
    assert both.columns == ("job", "age")
    assert sum(group.rows for group in both.groups) == 700
    assert card.fairness.favourable == "True"


def test_every_source_has_scores_whose_intervals_hold_them(card: Scorecard) -> None:
    assert set(card.fairness.overall) == set(card.rare_class.scores) == {"real", "synthetic", "rebalanced"}
    assert card.rows["rebalanced"] == 300
    gaps = [gaps for grouping in card.fairness.groupings for gaps in grouping.gaps.values()]
    groups = [
        scores for grouping in card.fairness.groupings for group in grouping.groups for scores in group.scores.values()
    ]
    for scores in (*gaps, *groups, *card.rare_class.scores.values()):
        assert scores
        for interval in scores.values():
            assert 0 <= interval.low <= interval.value <= interval.high <= 1
    wide = card.fairness.groupings[0].gaps["real"]["tpr_difference"]
    assert wide.high - wide.low > 0.02


def test_the_gaps_are_those_of_the_groups_that_are_large_enough(card: Scorecard) -> None:
    grouping = card.fairness.groupings[1]
    rates = [group.scores["synthetic"]["tpr"].value for group in grouping.groups]
    assert grouping.gaps["synthetic"]["tpr_difference"].value == pytest.approx(max(rates) - min(rates))


def test_the_scorecard_survives_its_file_and_old_ones_are_still_read(card: Scorecard, tmp_path) -> None:
    card.write_scorecard(tmp_path / "scorecard.json")
    assert read_scorecard(tmp_path / "scorecard.json") == card
    content = json.loads((tmp_path / "scorecard.json").read_text())
    del content["fairness"], content["rare_class"], content["rows"]["rebalanced"]
    old = Scorecard.from_dict(content)
    assert old.fairness is None
    assert old.rare_class is None
    assert summary_lines(old)


def test_summary_and_flat_metrics_hold_groups_and_rarest_class(card: Scorecard) -> None:
    lines = {name: (value, reading) for name, value, reading in summary_lines(card)}
    assert "real rows" in lines["job: equalized odds difference"][1]
    assert "1 group too small" in lines["job: demographic parity difference"][1]
    assert "rarest class True: AP" in lines or "rarest class False: AP" in lines
    flat = flat_metrics(card)
    assert flat["rare_class_synthetic_ap"] == card.rare_class.scores["synthetic"]["ap"].value
    assert all(name.replace("_", "").isalnum() and np.isfinite(value) for name, value in flat.items())


def test_without_sensitive_columns_there_is_a_rarest_class_but_no_fairness() -> None:
    found = scored(fairness=None)
    assert found.fairness is None
    assert set(found.rare_class.scores["real"]) >= {"ap", "recall_at_argmax", "recall_at_share"}


def test_a_category_that_is_not_declared_has_no_name(card: Scorecard) -> None:
    columns = {
        "age": {"kind": "integer", "min": 0, "max": 100},
        "job": {"kind": "categorical", "discover": True, "nullable": True},
        "member": {"kind": "boolean"},
    }
    found = scored(columns=columns, fairness={"sensitive": ["job"]})
    text = json.dumps(found.to_dict()) + repr(found) + repr(summary_lines(found))
    assert not [name for name in ("pilot", "nurse", "clerk") if name in text]
    assert "category 2" in text
