import re

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.privacy.events import DiscreteGaussianEvent
from synth_pipeline.release.bundle import BUNDLE_FILES
from synth_pipeline.release.lineage import released_lineage
from synth_pipeline.release.trust_map import MarginalTrust, TrustMap
from synth_pipeline.report.page import found_text
from synth_pipeline.report.release_page import release_report
from synth_pipeline.report.release_parts import beliefs, budget_chart, mechanism_lines, trust_chart, trust_words
from synth_pipeline_tests.released_example import example_facts, example_spec, example_table

SECTIONS = (
    "guarantee",
    "budget",
    "mechanisms",
    "origin",
    "audit",
    "trust",
    "columns",
    "checks",
    "use",
    "limits",
    "approval",
    "provenance",
)
AUDIT = {"lowerBound": 0.61, "confidence": 0.95, "claimedEpsilon": 1.0, "findings": [], "runs": 1000}


def small_map(names):
    single = [MarginalTrust((name,), "measured", 4, 0.01, 0.02, 0.015) for name in names]
    states = ("measured", "covered", "model")
    pairs = [
        MarginalTrust((first, second), state, 12, 0.02, *((None, None) if state == "model" else (0.08, 0.05)))
        for i, first in enumerate(names)
        for j, second in enumerate(names[i + 1 :])
        for state in [states[(i + j) % 3]]
    ]
    return TrustMap(2000.0, 2000, "row", (*single, *pairs))


@pytest.fixture(scope="module")
def facts():
    lineage = {"buildsOn": {"release": "2019-b-12", "how": "refresh", "note": "protected by its own certificate"}}
    return example_facts(
        audit=AUDIT, extra=lineage, signed_by="ed25519:abcd", trust=small_map(tuple(example_spec().modelled))
    )


@pytest.fixture(scope="module")
def page(facts):
    return release_report(facts, example_table())


def test_every_section_is_there_in_order(page):
    assert re.findall(r'<section id="(\w+)">', page) == list(SECTIONS)


def test_nothing_is_loaded_and_every_link_stays_in_the_bundle(page):
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\bsrc=|https?://", page)
    links = set(re.findall(r'href="([^"#]+)"', page))
    assert links == {*BUNDLE_FILES, "certificate.json"} - {"report.html"}


def test_every_section_is_one_click_from_the_top(page):
    assert re.findall(r'href="#(\w+)"', page) == list(SECTIONS)


def test_each_column_says_where_it_comes_from_and_what_it_cost(page, facts):
    table = re.search(r'<section id="origin">.*?</section>', page, re.DOTALL)[0]
    known = released_lineage(facts, example_table())
    for column in known.columns:
        source = "nothing" if column.source is None else f"snapshot column {column.source}"
        row = re.search(rf"<tr><td>{column.name}</td>.*?</tr>", table, re.DOTALL)[0]
        assert f"<td>{source}</td>" in row
        assert f">{len(column.charges)}</td>" in row
        assert f">{column.epsilon:.2f}</td>" in row or column.source is None
    assert "discovered under differential privacy" in table
    assert "invented, from nothing" in table


def test_a_reader_without_python_learns_who_approves_and_how_to_check(page, facts):
    told = " ".join(re.search(r'<section id="approval">.*?</section>', page, re.DOTALL)[0].split())
    assert f"synth-pipeline verify {facts.version} --key requester.key.pub --approver approver.key.pub" in told
    assert f"synth-pipeline lineage {facts.dataset}/{facts.version} --html lineage.html" in told
    assert "ed25519:abcd" in told
    assert "Nobody signed this release" in release_report(example_facts(), example_table())


@pytest.mark.parametrize(
    "observed, words",
    [
        ({"violations": 0}, "no violations"),
        ({"violations": 3}, "violations 3"),
        ({"non_null_share": 0.98}, "2.0 % are null"),
        ({"distance": 0.01234, "tolerance": 0.05}, "distance 0.0123 of at most 0.0500"),
        ({"rows": 7801}, "7,801 rows"),
        ({"mean": 46.2}, "mean 46.2"),
    ],
)
def test_what_a_check_found_answers_to_what_it_asks(observed, words):
    assert found_text(observed) == words


def test_the_noise_of_a_sum_on_a_fine_grid_is_told_beside_its_sensitivity():
    event = DiscreteGaussianEvent(stage="generator", purpose="scores", sigma=61_440, sensitivity=4096).to_dict()
    (line,) = mechanism_lines(example_facts(events=[event], composed_epsilon=1.0))
    assert line.words == "discrete Gaussian on a fine grid, σ = 15 times the sensitivity"


def test_large_noise_scales_have_no_exponent():
    event = DiscreteGaussianEvent(stage="generator", purpose="scores", sigma=61_600).to_dict()
    (line,) = mechanism_lines(example_facts(events=[event], composed_epsilon=1.0))
    assert line.words == "discrete Gaussian, σ = 61,600, sensitivity 1"


def test_the_numbers_are_those_of_the_facts(page, facts):
    assert f"ε = {facts.composed_epsilon:.6g}" in page
    assert f"{facts.odds_factor:.3g}, up or down" in page
    assert "one in 1,000,000" in page
    assert "It was shown to lose ε ≥ 0.61" in page
    assert "ed25519:abcd" in page
    assert "made 2026-01-02 03:04 UTC" in page
    assert "Builds on release <code>2019-b-12</code> (refresh)" in page
    assert f"ε = {facts.spec.privacy.cap.epsilon:g} at δ = {facts.spec.privacy.cap_delta:g}" in page


def test_the_budget_is_drawn_part_by_part_with_what_they_compose_to(facts):
    chart = budget_chart(facts.budget_parts(), facts)
    *parts, together, budget = chart.bars
    assert [bar.value for bar in parts] == [part.epsilon for part in facts.budget_parts()]
    assert (together.value, together.is_total) == (facts.composed_epsilon, True)
    assert (budget.value, budget.is_limit) == (facts.epsilon, True)
    assert together.value < sum(bar.value for bar in parts)
    assert max(chart.place(bar.value) for bar in chart.bars) == 100


def test_questions_that_differ_in_columns_alone_are_one_line():
    events = [
        DiscreteGaussianEvent(stage="profile", purpose=f"{name}: one-way over {bins} bins", sigma=bins).to_dict()
        for name, bins in (("age", 10), ("fee", 20))
    ]
    (line,) = mechanism_lines(example_facts(events=events, composed_epsilon=1.0))
    assert (line.example, line.more, line.answers) == ("age: one-way over 10 bins", 1, 2)
    assert line.words == "discrete Gaussian, σ = 10 to 20, sensitivity 1"


def test_a_belief_may_fall_as_far_as_it_may_rise():
    by_prior = {prior: (least, most) for prior, least, most in beliefs(3.0)}
    assert by_prior[0.5] == pytest.approx((0.25, 0.75))


def test_pairs_without_a_bound_are_hatched_and_have_no_number(facts, page):
    chart = trust_chart(facts.trust)
    unknown = [cell for line in chart.cells for cell in line if cell.state == "model"]
    assert unknown
    assert all(cell.value is None and "no noise bounds its error" in cell.title for cell in unknown)
    assert len(re.findall(r'class="model"></td>', page)) == len(unknown)
    assert any("noise bounds" in words for words in trust_words(facts.trust))


def test_the_claim_that_was_audited_is_told_from_the_epsilon_of_a_refresh():
    audited = {"audited": "a fit from nothing by the same engine at a refit's budget"}
    page = release_report(example_facts(audit=AUDIT, extra=audited), example_table())
    assert (
        "What was run: a fit from nothing by the same engine at a refit&#39;s budget. Its claim, ε = 1, is therefore not that"
        in page
    )
    assert "What was run" not in release_report(example_facts(audit=AUDIT), example_table())


def test_a_release_without_a_map_or_an_audit_says_so_and_shows_no_empty_plot():
    page = release_report(example_facts(), example_table())
    assert 'id="trust"' not in page
    assert "This release was not audited." in page


def test_sixty_columns_of_two_hundred_categories_stay_under_five_megabytes():
    rng = np.random.default_rng(0)
    categories = [f"category number {index} of a long list" for index in range(200)]
    columns = {f"column_{index}": {"kind": "categorical", "categories": categories} for index in range(60)}
    spec = example_spec(columns=columns, constraints=[])
    frame = pd.DataFrame({name: rng.choice(categories, 500) for name in columns})
    events = [DiscreteGaussianEvent(stage="profile", purpose="all", sigma=20.0).to_dict()]
    facts = example_facts(
        spec, frame, events=events, composed_epsilon=1.0, outcomes=(), trust=small_map(tuple(columns))
    )
    page = release_report(facts, frame)
    assert len(page.encode()) < 5_000_000
    assert 'class="heat trust wide"' in page
