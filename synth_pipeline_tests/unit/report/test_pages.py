import re

import pandas as pd
import pytest

from synth_pipeline.benchmark.measure import score
from synth_pipeline.errors import TableError
from synth_pipeline.report.evaluation_page import evaluation_report
from synth_pipeline.report.release_page import release_report
from synth_pipeline_tests.released_example import example_facts, example_profile, example_spec, example_table


@pytest.fixture(scope="module")
def released_page():
    return release_report(example_facts(), example_table())


@pytest.fixture(scope="module")
def scored():
    spec = example_spec(benchmark={"target": "ward"})
    tables = [example_table(rows, seed=seed) for rows, seed in ((600, 1), (300, 2), (500, 3))]
    return score(*tables, spec, quick=True), tables, spec


@pytest.fixture(scope="module")
def internal_page(scored):
    card, tables, spec = scored
    return evaluation_report(card, *tables, spec)


def test_pages_need_nothing_from_elsewhere(released_page, internal_page):
    for page in (released_page, internal_page):
        assert page.startswith("<!DOCTYPE html>")
        assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|https?://", page)


def test_a_release_says_what_is_promised(released_page):
    facts = example_facts()
    assert f"ε = {facts.composed_epsilon:.6g}" in released_page
    assert f"{facts.odds_factor:.3g}" in released_page
    assert "one row (neighbours: one row added or removed)" in released_page
    assert facts.snapshot_fingerprint in released_page
    assert "INTERNAL" not in released_page


def test_a_release_shows_each_column_with_its_noise_and_the_synthetic_share(released_page):
    frame = example_table()
    for name in example_spec().modelled:
        assert f"<h3>{name}</h3>" in released_page
    assert re.search(rf"A: [\d.]+% ± [\d.]+%, synthetic {(frame['ward'] == 'A').mean():.2%}", released_page)
    assert "Invented, not drawn: patient" in released_page


@pytest.mark.parametrize("prior, after", [("50", 100 * 2.2 / 3.2), ("1", 2.2)])
def test_beliefs_grow_by_the_odds_factor_and_no_more(released_page, prior, after):
    table = re.search(r"<table>\s*<tr><th>believed.*?</table>", released_page, re.DOTALL)[0]
    cells = re.findall(r'<td class="n">([\d.]+) %</td>', table)
    assert float(cells[4 + cells[:4].index(prior)]) == pytest.approx(after, abs=0.2)


def test_warnings_come_first_and_are_open():
    frame = example_table()
    frame["ward"] = "A"
    profile = example_profile(example_spec(), example_table(), sigma=2.0)
    facts = example_facts(frame=frame)
    from synth_pipeline.validate.evaluate import check
    from synth_pipeline.validate.suite import build_suite

    outcomes = check(frame, build_suite(facts.spec, profile, rows=len(frame)))
    page = release_report(example_facts(frame=frame, profile=profile, outcomes=outcomes), frame)
    assert "<details open>" in page
    assert page.index('class="warn">!') < page.index('class="good">✓')


def test_names_and_values_cannot_write_into_a_page():
    nasty = "<script>alert('x')</script>"
    columns = {
        nasty: {"kind": "categorical", "categories": [nasty, "b"], "description": nasty},
        "n": {"kind": "integer", "min": 0, "max": 9},
    }
    spec = example_spec(columns=columns, constraints=[])
    frame = pd.DataFrame({nasty: [nasty, "b"] * 50, "n": range(100)}).assign(n=lambda table: table["n"] % 10)
    released = release_report(example_facts(spec, frame), frame)
    internal = evaluation_report(score(frame, frame, frame, spec, quick=True), frame, frame, frame, spec)
    assert "<script" not in released
    assert "<script" not in internal


def test_an_evaluation_says_that_it_is_internal_and_shows_every_score(internal_page, scored):
    card, _, spec = scored
    assert "INTERNAL" in internal_page
    assert card.fidelity.tvd_2way.synthetic.text() in internal_page
    assert "Train on synthetic, test on real: ward" in internal_page
    assert "gradient boosting, synthetic" in internal_page
    assert all(f"<h3>{name}</h3>" in internal_page for name in spec.modelled)
    assert "Synthetic minus real" in internal_page
    assert " × ".join(card.fidelity.tvd_2way.worst[0].columns) in internal_page


def test_a_scorecard_read_back_from_json_makes_the_same_page(internal_page, scored):
    card, tables, spec = scored
    assert evaluation_report(card.to_dict(), *tables, spec) == internal_page


def test_what_is_no_scorecard_is_refused(scored):
    _, tables, spec = scored
    with pytest.raises(TableError, match="scorecard"):
        evaluation_report({"dataset": "x"}, *tables, spec)


def test_a_single_column_without_a_target_makes_a_page():
    spec = example_spec(columns={"n": {"kind": "integer", "min": 0, "max": 9}}, constraints=[])
    frame = pd.DataFrame({"n": [1, 2, 3, 4] * 25})
    page = evaluation_report(score(frame, frame, frame, spec, quick=True), frame, frame, frame, spec)
    assert "INTERNAL" in page
    assert "Cramér" not in page
