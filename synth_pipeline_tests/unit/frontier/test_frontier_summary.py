import csv
import io
import json

import numpy as np
import pytest

from synth_pipeline.frontier.page import frontier_page
from synth_pipeline.frontier.result import Frontier, Point, expectations
from synth_pipeline.frontier.summary import monotone, reading, sentences

GRID = (0.3, 1.0, 3.0, 10.0)
SCORES = {
    "tvd_2way": ((0.08, 0.09), (0.040, 0.042), (0.020, 0.022), (0.019, 0.021)),
    "tvd_2way_floor": ((0.02, 0.02),) * 4,
    "tvd_2way_ratio_to_floor": ((4.0, 4.2), (2.0, 2.2), (1.0, 1.1), (1.0, 1.0)),
    "tstr": ((0.70, 0.72), (0.86, 0.88), (0.89, 0.90), (0.90, 0.90)),
}


def frontier(scores=None, **facts):
    """A frontier of given scores: for each figure the repeats at each ε."""
    scores = SCORES if scores is None else scores
    expected = {key: expectations(rows, is_distance=key.startswith("tvd")) for key, rows in scores.items()}
    points = tuple(
        Point(epsilon, epsilon, {key: found[place] for key, found in expected.items()})
        for place, epsilon in enumerate(GRID)
    )
    return Frontier(
        **{
            "dataset": "people",
            "spec_digest": "d" * 64,
            "generator": "hybrid",
            "epsilon": 1.0,
            "delta": 1e-6,
            "cap_epsilon": 4.0,
            "rows": 8000,
            "simulated_rows": 8000,
            "origin": "of release r",
            "target": "income",
            "metric": "auc",
            "repeats": 2,
            "seed": 0,
            "points": points,
        }
        | facts
    )


def figure(found, key):
    return next(figure for figure in found.figures if figure.key == key)


def test_the_sentences_say_what_twice_and_half_the_budget_buys_and_where_the_target_is_lost():
    first, second, third, fourth, lost, enough = sentences(frontier())
    assert first.startswith("Doubling ε from 1 to 2 is expected to bring 2-way TVD from 0.0410 [")
    assert "to 0.0284 [" in first  # a straight line in log ε between .041 and .021
    assert second.startswith("Doubling ε from 1 to 2 is expected to bring TSTR AUC of income from 0.870 [")
    assert third.startswith("Halving ε from 1 to 0.5 is expected to bring 2-way TVD from 0.0410 [")
    assert fourth.startswith("Halving ε from 1 to 0.5")
    assert lost == "Below ε = 0.72 TSTR AUC of income falls under 0.827, 95% of what ε = 1 gives."
    assert enough.startswith("From ε = 3 on little is gained: pairs of columns are 1.05 times as far off")


def test_the_same_figures_give_the_same_words():
    assert sentences(frontier()) == sentences(frontier())


def test_without_a_target_only_distances_are_spoken_of():
    bare = {key: rows for key, rows in SCORES.items() if key != "tstr"}
    assert not any("TSTR" in sentence for sentence in sentences(frontier(bare, target="", metric="")))


def test_a_target_that_is_never_lost_is_said_to_stay():
    level = {**SCORES, "tstr": ((0.90, 0.90), (0.90, 0.91), (0.90, 0.91), (0.90, 0.91))}
    assert any("stays above" in sentence and "down to ε = 0.3" in sentence for sentence in sentences(frontier(level)))


def test_a_reading_beyond_the_grid_is_not_made():
    found = frontier(epsilon=20.0)
    assert reading(found, figure(found, "tvd_2way"), 20.0) is None
    assert not any("Doubling" in sentence for sentence in sentences(found))


def test_expected_distances_never_grow_and_predictions_never_fall_with_more_budget():
    wavy = {
        "tvd_2way": ((0.05, 0.05), (0.02, 0.02), (0.03, 0.03), (0.01, 0.01)),
        "tstr": ((0.7, 0.7), (0.9, 0.9), (0.8, 0.8), (0.95, 0.95)),
    }
    found = frontier(wavy)
    assert monotone(found, figure(found, "tvd_2way")) == pytest.approx((0.05, 0.025, 0.025, 0.01))
    assert monotone(found, figure(found, "tstr")) == pytest.approx((0.7, 0.85, 0.85, 0.95))


def test_intervals_of_the_expectation_hold_it_as_often_as_they_say():
    """False alarms: 2,000 × 5 intervals at 95 %, so a share below .93 has a chance under 1e-6 if they are right."""
    rng, truth = np.random.default_rng(0), np.array([0.2, 0.1, 0.05, 0.03, 0.02])
    hits = 0
    for _ in range(2000):
        found = expectations([rng.normal(mean, 0.08 * mean, 3) for mean in truth], is_distance=True)
        hits += sum(one.low <= mean <= one.high for one, mean in zip(found, truth, strict=True))
    assert 0.93 < hits / 10_000 < 0.97


def test_a_distance_has_no_interval_below_zero():
    assert expectations([(0.01, 0.09), (0.001, 0.02)], is_distance=True)[0].low == 0.0


def test_the_files_hold_every_figure_at_every_epsilon():
    found = frontier()
    lines = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert len(lines) == len(GRID) * len(SCORES)
    assert {line["epsilon"] for line in lines} == {"0.3", "1", "3", "10"}
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert content["zone"] == "released"
    assert content["points"][1]["scores"]["tvd_2way"]["repeats"] == [0.04, 0.042]


def test_the_page_needs_nothing_from_elsewhere_and_shows_a_plot_of_each_figure():
    found = frontier()
    page = frontier_page(found)
    assert page.count("<svg ") == len(found.figures) == 3
    assert "http-equiv" not in page
    assert not any(f'{attribute}="http' in page for attribute in ("src", "href"))
    assert "#040404" not in page  # every colour of the drawing became one of the page's own
    assert all(f"{word}" in page for word in ("Doubling ε from 1 to 2", "post-processing", "ε today"))
    assert frontier_page(found) == page


def test_two_plots_of_a_page_share_no_id():
    import re

    ids = [re.findall(r'<clipPath id="([^"]+)"', plot) for plot in frontier_page(frontier()).split("<figure>")[1:]]
    flat = [name for plot in ids for name in plot]
    assert len(flat) == len(set(flat)) > 0
