"""The page of a release's lineage: the chain with what checking found, the graph of columns, a table of each column's charges.

Privacy: it shows names of columns, keyed fingerprints and DP events; all of it is public or released.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth_pipeline.report.lineage_graph import WIDTH, chain_graph, column_graph
from synth_pipeline.report.page import render

LINK_WORDS: Mapping[str, str] = {
    "dagsterRun": "Dagster run",
    "dagster.run": "Dagster, page of the run",
    "mlflowRun": "MLflow run",
    "mlflowModel": "MLflow model",
    "mlflow_run": "MLflow, page of the run",
    "data_docs": "Data Docs",
    "report": "report",
    "release": "release",
}
"""What a link of a release is called on pages and terminals, by its name in the files; `named_links` keeps names that it lacks."""

_SIGNS = {"verified": "✓", "missing": "–", "contradicts": "✗"}
_MARKS = {"verified": "good", "missing": "muted", "contradicts": "bad"}


def named_links(chain: Mapping[str, Any]) -> dict[str, str]:
    """The runs and pages of a release under the names that people read.

    Args:
        chain: a release's lineage, as `ReleaseChain.to_json` gives it.
    """
    return {LINK_WORDS.get(name, name): place for name, place in {**chain["links"], **chain["stored_links"]}.items()}


def lineage_page(chain: Mapping[str, Any]) -> str:
    """The page as one HTML file that needs nothing else.

    Args:
        chain: a release's lineage with its checked links, as `ReleaseChain.to_json` gives it.
    """
    numbered = {charge["number"]: charge for charge in chain["charges"]}
    columns = [
        {
            **column,
            "asked": [numbered[number] for number in sorted((*column["own_charges"], *column["joint_charges"]))],
            "parents": [link for link in column["depends_on"] if link["type"] == "DIRECT"],
            "others": [link for link in column["depends_on"] if link["type"] == "INDIRECT"],
        }
        for column in chain["columns"]
    ]
    return render(
        "lineage.html.j2",
        chain=chain,
        columns=columns,
        hops=[{**hop, "sign": _SIGNS[hop["state"]], "mark": _MARKS[hop["state"]]} for hop in chain["hops"]],
        bad=sum(hop["state"] == "contradicts" for hop in chain["hops"]),
        verified=sum(hop["state"] == "verified" for hop in chain["hops"]),
        hop_graph=chain_graph(chain["hops"]),
        graph=column_graph(chain["columns"], chain["generator"]["kind"]),
        width=WIDTH,
        links=named_links(chain),
    )


def write_lineage_page(path: Path, chain: Mapping[str, Any]) -> Path:
    """Write the page, whole or not at all."""
    number, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(lineage_page(chain))
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return path
