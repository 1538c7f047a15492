from dataclasses import replace

import pytest

from synth_pipeline.report.drift_history import evidence_chart
from synth_pipeline_tests.reported_example import reported_history


def test_evidence_is_drawn_for_what_was_compared_with_the_alarm_below():
    chart = evidence_chart(reported_history())
    assert [score.label for score in chart.scores] == [
        "visits_2024: refresh",
        "visits_2025: reuse",
        "alarm at p = 0.01",
    ]
    assert [score.value for score in chart.scores] == pytest.approx([6.0, 0.4318, 2.0], abs=1e-3)
    assert [score.series for score in chart.scores] == ["synthetic", "holdout", "baseline"]
    assert all(0 <= chart.place(score.value) <= 100 for score in chart.scores)


def test_a_p_value_of_nothing_stays_on_the_axis():
    chart = evidence_chart([replace(reported_history()[1], p_value=0.0)])
    assert chart.scores[0].value == 12
    assert chart.scores[0].text == "p < 1e-12"


def test_a_p_value_of_one_is_no_evidence():
    chart = evidence_chart([replace(reported_history()[1], p_value=1.0)])
    assert chart.scores[0].value == 0
    assert not reported_history()[2].is_alarm


def test_nothing_compared_is_nothing_drawn():
    assert evidence_chart(reported_history()[:1]) is None
    assert evidence_chart([]) is None
