"""Every event of a whole walk against the published JSON schemas of OpenLineage.

They are not part of this package: `SYNTH_PIPELINE_OPENLINEAGE_SPEC` names a folder with `OpenLineage.json` and `facets/*.json`, as they lie
under `spec/` in the repository OpenLineage/OpenLineage.
"""

import json
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from synth_pipeline.orchestration.launch import run_walk
from synth_pipeline_tests.dagster_example import clinic_rows, make_place

SPEC = os.environ.get("SYNTH_PIPELINE_OPENLINEAGE_SPEC", "")


def schemas() -> list[dict]:
    folder = Path(SPEC)
    published = [
        json.loads(path.read_text()) for path in (folder / "OpenLineage.json", *sorted(folder.glob("facets/*.json")))
    ]
    return [*published, json.loads((files("synth_pipeline.integrations") / "openlineage_dp_facet.json").read_text())]


def facets_of(event: dict) -> Iterator[tuple[str, dict]]:
    for part in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
        for group in ("facets", "inputFacets", "outputFacets"):
            yield from (part.get(group) or {}).items()


@pytest.mark.slow
@pytest.mark.skipif(not SPEC, reason="SYNTH_PIPELINE_OPENLINEAGE_SPEC names no folder of OpenLineage's schemas")
def test_every_event_and_facet_of_a_walk_is_valid_against_the_published_schemas(tmp_path, monkeypatch):
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    place = make_place(tmp_path, release={"publication": {"publisher": "Clinic", "contact": "data@clinic.example"}})
    place.put("visits_2024", clinic_rows())
    run_walk("clinic", home=place.home.folder, own=place.own)
    known = {schema["$id"]: schema for schema in schemas()}
    by_file = {address.rsplit("/", 1)[-1]: address for address in known}
    registry = Registry().with_resources(
        [(address, Resource.from_contents(schema)) for address, schema in known.items()]
    )

    def faults(instance: dict, address: str) -> list[str]:
        checked = Draft202012Validator(
            {"$ref": address}, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        return [f"{address}: {list(fault.path)}: {fault.message[:200]}" for fault in checked.iter_errors(instance)]

    lines = (place.home.folder / "openlineage" / "events.jsonl").read_text().splitlines()
    events, found, facets = [json.loads(line) for line in lines], [], 0
    for event in events:
        found += faults(event, by_file["OpenLineage.json"])
        for _, facet in facets_of(event):
            facets += 1
            base, _, part = facet["_schemaURL"].partition("#")
            newest = base if base in known else by_file[base.rsplit("/", 1)[-1]]  # the client may be of another version
            found += faults(facet, f"{newest}#{part}" if part else newest)
    assert found == []
    assert {event["eventType"] for event in events} == {"START", "COMPLETE"}
    assert len(events) >= 16
    assert facets > 100
