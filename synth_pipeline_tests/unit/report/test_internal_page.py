import base64
import re
from dataclasses import replace

import pytest

from synth_pipeline.benchmark.group_score import FairnessScores
from synth_pipeline.report import internal_page
from synth_pipeline.report.internal_page import bound_chart, internal_report, sections_of
from synth_pipeline_tests.reported_example import reported_audit, reported_evidence, reported_spec


@pytest.fixture(scope="module")
def evidence():
    return reported_evidence()


@pytest.fixture(scope="module")
def page(evidence):
    return internal_report(evidence, plane_rows=100)


def drawn(evidence):
    """The page with few rows in its plane, where the plane is not what is looked at."""
    return internal_report(evidence, plane_rows=30)


def without_pictures(page):
    return re.sub(r'src="data:image/png;base64,[^"]+"', "", page)


def test_the_page_needs_nothing_from_elsewhere_and_is_small(page):
    assert page.startswith("<!DOCTYPE html>")
    assert not re.search(r"<script|<link|<iframe|@import|url\(|https?://", without_pictures(page))
    assert len(page.encode()) < 5_000_000


def test_it_says_first_that_it_is_internal(page):
    body = page[page.index("<body>") :]
    assert body.index("INTERNAL") < body.index("<h1>")


def test_the_table_of_contents_leads_to_every_section_and_to_nothing_else(page, evidence):
    wanted = [section.anchor for section in sections_of(evidence.spec)]
    assert re.findall(r'<a href="#([a-z]+)"', page) == wanted
    assert re.findall(r'<h2 id="([a-z]+)"', page) == wanted
    assert set(wanted) >= {
        "scores",
        "columns",
        "pairs",
        "plane",
        "prediction",
        "rare",
        "fairness",
        "attacks",
        "bound",
        "drift",
    }


def test_sections_follow_from_the_specification_alone():
    bare = reported_spec(
        benchmark=None, fairness=None, drift=None, columns={"n": {"kind": "integer", "min": 0, "max": 9}}
    )
    assert [section.anchor for section in sections_of(bare)] == [
        "scores", "fidelity", "columns", "plane", "attacks", "bound", "places",
    ]  # fmt: skip


def test_the_numbers_are_those_of_the_scorecard(page, evidence):
    card = evidence.card
    intervals = [card.fidelity.tvd_1way.synthetic, card.fidelity.tvd_2way.matched, card.fidelity.association.floor]
    learner = card.tstr.learners["gradient_boosting"]
    intervals += [*learner.tstr.values(), *learner.trtr.values()]
    assert [interval for interval in intervals if interval.text() not in page] == []
    assert card.c2st.synthetic.text(3) in page
    for name in evidence.spec.modelled:
        assert f"<h3>{name}</h3>" in page


def test_the_rarest_class_stands_with_its_share_recall_and_average_precision(page, evidence):
    rare = evidence.card.rare_class
    assert f"{rare.target} = {rare.label}" in page
    assert f"{100 * rare.share['train']:.1f} % of train" in page
    for source in ("real", "synthetic"):
        assert rare.scores[source]["ap"].text(3) in page
        assert rare.scores[source]["recall_at_share"].text(3) in page


def test_every_group_that_is_large_enough_stands_with_its_selection_rate_and_the_gaps(page, evidence):
    fairness = evidence.card.fairness
    section = page[page.index('id="fairness"') : page.index('id="attacks"')]
    (grouping,) = fairness.groupings
    scored = [group for group in grouping.groups if "selection_rate_at_share" in group.scores.get("synthetic", {})]
    assert scored
    for group in scored:
        assert group.name in section
        assert group.scores["synthetic"]["selection_rate_at_share"].text(3) in section
    for source, gaps in grouping.gaps.items():
        assert gaps["demographic_parity_difference_at_share"].text(3) in section, source


def test_fairness_that_was_not_measured_is_said_so(evidence):
    unscored = evidence.card.model_copy(update={"fairness": None, "rare_class": None})
    page = drawn(replace(evidence, card=unscored))
    assert page.count("Not measured in this scorecard.") == 2
    unmeasured = FairnessScores(
        target="returned", favourable=None, favourable_share=None, least_rows=1, least_class_rows=1, overall={},
        groupings=(), reason="the target is constant in train",
    )  # fmt: skip
    page = drawn(replace(evidence, card=evidence.card.model_copy(update={"fairness": unmeasured})))
    assert "the target is constant in train" in page


def test_attacks_stand_beside_their_controls(page):
    section = page[page.index('id="attacks"') : page.index('id="bound"')]
    assert "30.0% (300 of 1,000)" in section
    assert "2.0% (10 of 500)" in section
    assert "needs two modelled columns." in section


def test_where_nothing_was_attacked_the_section_says_why(evidence):
    page = drawn(replace(evidence, attacks="not attacked: the generator of v1 stays"))
    assert "Nothing was attacked (not attacked: the generator of v1 stays)." in page


def test_the_measured_bound_stands_beside_the_claim(page):
    chart = bound_chart(reported_audit())
    claimed, shown = chart.scores
    assert (shown.value, claimed.value) == (0.61, 1.0)
    assert chart.place(claimed.value) < 100
    section = page[page.index('id="bound"') : page.index('id="drift"')]
    assert "0.610" in section
    assert "99.9999 %" in section


def test_the_drift_history_tells_each_snapshot_newest_first(page):
    section = page[page.index('id="drift"') : page.index('id="places"')]
    places = [
        section.index(f"<h3>{title}</h3>")
        for title in ("visits_2025: reuse", "visits_2024: refresh", "visits_2023: refit")
    ]
    assert places == sorted(places)
    assert "age, fee" in section
    assert "p = 1e-06" in section
    assert "nothing was compared" in section


def test_no_more_than_the_newest_snapshots_are_listed(evidence):
    many = tuple(replace(evidence.history[2], snapshot=f"s{number:03}") for number in range(50))
    page = drawn(replace(evidence, history=many))
    assert "10 older ones are left out" in page
    assert "<h3>s009: reuse</h3>" not in page
    assert "<h3>s010: reuse</h3>" in page


def test_both_pictures_are_whole_images_and_the_method_is_named(page):
    sources = re.findall(r'<img src="data:image/png;base64,([^"]+)"', page)
    assert len(sources) == 2
    for source in sources:
        image = base64.b64decode(source)
        assert image[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(image[16:20], "big") == int.from_bytes(image[20:24], "big") == 900
    assert "t-SNE, Barnes-Hut" in page
    assert "perplexity 30" in page


def test_a_page_that_would_grow_too_large_leaves_its_pictures_out(evidence, monkeypatch, page):
    monkeypatch.setattr(internal_page, "MOST_BYTES", len(without_pictures(page).encode()) + 10_000)
    small = drawn(evidence)
    assert "<img" not in small
    assert "Not drawn: the page would grow too large." in small


def test_the_same_evidence_gives_the_same_page(evidence):
    assert drawn(evidence) == drawn(evidence)


def test_evidence_shows_nothing_of_itself(evidence):
    assert repr(evidence) == "Evidence(clinic, visits_2025, contents withheld)"
