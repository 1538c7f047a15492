"""`lineage`: where every column of a release comes from, what it cost, and whether what is stored still says so."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pipeline.cli.options import home_option, json_option
from synth_pipeline.cli.output import answer
from synth_pipeline.cli.place import require_page_place
from synth_pipeline.cli.refusal import refusing
from synth_pipeline.errors import CheckFailed

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.integrations.mlflow_place import Tracking
    from synth_pipeline.integrations.release_chain import ReleaseChain
    from synth_pipeline.integrations.stores import Home

_SIGNS = {"verified": "✓", "missing": "–", "contradicts": "✗"}
_EPILOG = """\b
Examples:
  synth-pipeline lineage gss                                  the release in force of a dataset
  synth-pipeline lineage gss/gss_2011_2018-2a187061
  synth-pipeline lineage ./bundle --html lineage.html         a page with the graph, for people without a terminal
  synth-pipeline lineage gss --json

Each link is checked against what is stored: ✓ it says the same, – nothing is stored here to compare with, ✗ it says something else.
Exit code 2: no such release; 4: a link contradicts."""


@click.command(epilog=_EPILOG, short_help="Where every column of a release comes from, and what it cost.")
@click.argument("release", metavar="RELEASE")
@click.option("--html", "html", default=None, type=click.Path(), help="Write a self-contained page with the graph.")
@home_option
@json_option
@refusing
def lineage(release: str, *, html: str | None, home: str | None, as_json: bool) -> None:
    """Show the lineage of RELEASE from its snapshot on: DATASET/VERSION, a bundle's folder, or DATASET for its release in force."""
    from synth_pipeline.cli.release_standing import release_standing
    from synth_pipeline.integrations.release_chain import release_chain
    from synth_pipeline.integrations.release_place import opened_release
    from synth_pipeline.integrations.stores import Home
    from synth_pipeline.report.lineage_page import write_lineage_page

    if html is not None:
        require_page_place(html)
    at = Home.at(home)
    with opened_release(release, at) as bundle:
        chain = release_chain(bundle, at, _tracking(at))
        content = {**chain.to_json(), **release_standing(bundle, at)}
    if html is not None:
        write_lineage_page(Path(html), content)
    answer(content, lambda console: _render(console, chain, content, html), as_json=as_json)
    if chain.contradictions:
        words = "; ".join(f"{hop.source} → {hop.target}: {hop.detail}" for hop in chain.contradictions)
        raise CheckFailed(f"{release}: {len(chain.contradictions)} link(s) contradict what is stored: {words}")


def _tracking(home: "Home") -> "Tracking | None":
    """Where the installation tracks its runs; None where it never did."""
    from synth_pipeline.integrations.mlflow_place import Tracking, named_server

    server = named_server()
    if server is not None:
        return server
    return Tracking(home.tracking_uri) if Path(home.tracking_uri.removeprefix("sqlite:///")).is_file() else None


def _render(console: "Console", chain: "ReleaseChain", content: Mapping[str, Any], html: str | None) -> None:
    from rich.text import Text
    from rich.tree import Tree

    known, guarantee = chain.lineage, chain.lineage["guarantee"]
    head = f"{known['dataset']}/{known['version']}"
    told = f"ε = {guarantee['composed_epsilon']:.4g} at δ = {guarantee['delta']:g}; protected: {guarantee['unit']}"
    tree = Tree(Text(f"{head}   {told}"))
    tree.add(Text(f"signed by {content['signed_by'] or 'nobody'}; approval: {content['approval']['words']}"))
    hops = tree.add(Text("from snapshot to release"))
    for hop in chain.hops:
        hops.add(Text(f"{_SIGNS[hop.state]} {hop.source} → {hop.target}: {hop.detail}"))
    columns = tree.add(Text(f"columns: {len(known['columns'])}"))
    for column in known["columns"]:
        _add_column(columns.add(Text(_column_line(column, known["snapshot"]["name"]))), column, known["charges"])
    if known["rules"]:
        rules = tree.add(Text("rules of the owner"))
        for rule in known["rules"]:
            rules.add(Text(rule))
    _add_links(tree, chain)
    console.print(tree)
    if html is not None:
        console.print(f"the page is in {html}", soft_wrap=True)


def _column_line(column: Mapping[str, Any], snapshot: str) -> str:
    if column["source"] is None:
        return f"{column['name']} ({column['kind']}) ← nothing: {column['description'].partition(': ')[2]}"
    questions = len(column["own_charges"]) + len(column["joint_charges"])
    return (
        f"{column['name']} ({column['kind']}, {column['right']}) ← {snapshot}.{column['source']}: "
        f"{questions} noisy questions, ε = {column['epsilon']:.3g} of its own"
    )


def _add_column(branch: Any, column: Mapping[str, Any], charges: list[Mapping[str, Any]]) -> None:
    """What was asked about a column alone, with which others, and what confines it."""
    from rich.text import Text

    for number in column["own_charges"]:
        charge = charges[number - 1]
        branch.add(Text(f"#{number} {charge['stage']}: {charge['purpose']} (ε = {charge['epsilon']:.3g} alone)"))
    if column["joint_charges"]:
        others = ", ".join(column["measured_with"]) or "all modelled columns"
        branch.add(Text(f"{len(column['joint_charges'])} questions together with {others}"))
    if column["determined_by"]:
        branch.add(Text(f"a function of {column['determined_by']}, by declaration"))
    for rule in column["rules"]:
        branch.add(Text(f"rule: {rule}"))


def _add_links(tree: Any, chain: "ReleaseChain") -> None:
    from rich.text import Text

    from synth_pipeline.report.lineage_page import named_links

    found = named_links(chain.to_json())
    if found:
        links = tree.add(Text("runs and pages"))
        for name, place in found.items():
            links.add(Text(f"{name}: {place}", no_wrap=True, overflow="ignore"))
