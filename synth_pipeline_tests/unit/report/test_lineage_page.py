import re

import pytest

from synth_pipeline.release.lineage import released_lineage
from synth_pipeline.report.lineage_graph import WIDTH, chain_graph, column_graph
from synth_pipeline.report.lineage_page import lineage_page, named_links, write_lineage_page
from synth_pipeline_tests.released_example import example_facts, example_table

HOPS = [
    {"source": "snapshot a", "target": "profile", "state": "verified", "detail": "keyed fingerprint"},
    {"source": "profile", "target": "mechanism events", "state": "missing", "detail": "not here"},
    {"source": "ledger", "target": "its chain", "state": "contradicts", "detail": "entry 2 was changed <b>"},
]


@pytest.fixture(scope="module")
def chain():
    facts = example_facts(generator={"kind": "maxent", "facts": {}, "measuredTogether": [["age", "ward"]]})
    return {
        **released_lineage(facts, example_table()).to_json(),
        "hops": HOPS,
        "ledger_entries": [],
        "stored_links": {},
    }


def test_the_page_needs_nothing_from_elsewhere(chain):
    page = lineage_page(chain)
    assert page.startswith("<!DOCTYPE html>")
    assert not re.search(r"<script|<link|<img|<iframe|@import|https?://", page)
    assert not re.search(r"url\((?!#)", page)


def test_the_page_names_every_column_and_every_link_with_what_was_found(chain):
    page = lineage_page(chain)
    for column in chain["columns"]:
        assert f"<h3>{column['name']} " in page
    assert "1 link of the chain contradicts" in page
    assert "entry 2 was changed &lt;b&gt;" in page


def test_runs_and_pages_have_names_for_readers_and_keep_those_that_nobody_named(chain):
    linked = {
        **chain,
        "links": {"dagsterRun": "a", "mlflowModel": "models:/x/1"},
        "stored_links": {"dagster.run": "b", "own": "c"},
    }
    found = {"Dagster run": "a", "MLflow model": "models:/x/1", "Dagster, page of the run": "b", "own": "c"}
    assert named_links(linked) == found
    page = lineage_page(linked)
    assert all(f"<th>{name}</th><td><code>{place}</code>" in page for name, place in found.items())


APPROVED = {
    "state": "approved",
    "words": "approved by key b0",
    "known_by": "the ledger of this installation",
    "approved_by": "b0b0",
    "approved_at": "2026-03-01T09:30:00+00:00",
    "purpose": "teaching <i>",
    "conditions": "no linking",
    "expires": "2026-12-31",
}
AUDIT = {"lowerBound": 0.61, "confidence": 0.95, "claimedEpsilon": 1.0, "findings": [], "runs": 1000}


def test_the_page_says_who_signed_and_approved_what_was_tried_and_how_to_check(chain):
    page = lineage_page({**chain, "signed_by": "a1a1", "approval": APPROVED, "audit": AUDIT})
    told = ("a1a1", "b0b0", "2026-03-01 09:30 UTC", "teaching &lt;i&gt;", "no linking", "2026-12-31", "ε ≥ 0.61")
    assert all(words in page for words in told)
    assert f"synth-pipeline verify {chain['version']} --key requester.key.pub --approver approver.key.pub" in page


def test_a_withdrawn_and_a_candidate_release_are_told_so(chain):
    ended = {"withdrawn_by": "c2c2", "withdrawn_at": "2026-04-01T00:00:00+00:00", "reason": "a wrong unit"}
    withdrawn = {**APPROVED, **ended, "state": "withdrawn"}
    page = lineage_page({**chain, "signed_by": "a1a1", "approval": withdrawn, "audit": None})
    assert '<strong class="bad">withdrawn</strong>' in page
    assert "2026-04-01 00:00 UTC: a wrong unit" in page
    assert "It was not audited." in page
    candidate = {"state": "candidate", "words": "a candidate", "known_by": "the ledger of this installation"}
    page = lineage_page({**chain, "signed_by": None, "approval": candidate, "audit": None})
    assert "nobody, so it cannot be approved" in page
    assert "approved by key" not in page


def test_the_graph_draws_what_was_asked_what_was_drawn_and_what_was_measured_together(chain):
    graph = column_graph(chain["columns"], "maxent")
    marks = [line.mark for line in graph.lines]
    modelled = [column for column in chain["columns"] if column["source"]]
    assert marks.count("asked") == marks.count("drawn") == len(modelled)
    assert marks.count("together") == 1
    assert len([node for node in graph.nodes if node.mark == "source"]) == len(modelled)
    assert all(
        node.x >= 0 and node.x + node.width <= WIDTH and node.y + node.height <= graph.height for node in graph.nodes
    )


def test_boxes_do_not_overlap(chain):
    for nodes in (column_graph(chain["columns"], "maxent").nodes, chain_graph(HOPS).nodes):
        for place, one in enumerate(nodes):
            for other in nodes[place + 1 :]:
                apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
                assert apart_x or one.y + one.height <= other.y or other.y + other.height <= one.y


def test_a_page_is_written_whole_and_leaves_no_draft(chain, tmp_path):
    path = write_lineage_page(tmp_path / "lineage.html", chain)
    assert path.read_text(encoding="utf-8") == lineage_page(chain)
    assert [item.name for item in tmp_path.iterdir()] == ["lineage.html"]
