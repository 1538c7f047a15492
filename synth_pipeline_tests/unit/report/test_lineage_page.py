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
