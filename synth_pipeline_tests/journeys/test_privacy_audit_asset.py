"""The asset `privacy_audit` in a Dagster walk: what it shows, what it keeps, and what it stops."""

import json
import stat

import pytest

from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.errors import CheckFailed
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.privacy import desk as desk_module
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.privacy.mechanisms.discrete_gaussian import add_noise
from synth_pipeline_tests.dagster_example import clinic_rows
from synth_pipeline_tests.dagster_walks import materialize, walk_once

FEWER_RUNS = StageRuntime(seed=1, audit_runs=4000)


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    return walk_once(tmp_path_factory.mktemp("audited"), generator={"kind": "independent"})


def test_the_bound_that_was_shown_stands_in_the_certificate_beside_the_claim(walked):
    _, report = walked
    stated = json.loads((report.release / "certificate.json").read_text())["predicate"]["audit"]
    assert stated["claimedEpsilon"] == 2.0
    assert 0.8 < stated["lowerBound"] == report.audit.lower_bound.epsilon < 2.0
    assert stated["confidence"] == 0.95
    assert stated["findings"] == []
    assert f"ε ≥ {stated['lowerBound']:.2f}" in (report.release / "datasheet.md").read_text()


def test_the_audit_is_charged_to_nobody(walked):
    place, _ = walked
    before = open_ledger(place.home.ledger).head()
    assert materialize(place, ["privacy_audit"], runtime=FEWER_RUNS).failure is None
    assert open_ledger(place.home.ledger).head() == before


def test_what_the_attacks_found_is_in_the_private_store_alone(walked):
    place, report = walked
    assert place.home.private.root in report.attacks_path.parents
    assert not stat.S_IMODE(report.attacks_path.stat().st_mode) & 0o077
    kept = place.home.private.place("clinic", "visits", "privacy_audit.internal") / "internal.json"
    assert json.loads(kept.read_text())["attacks"]["report"]["figures"]
    shown = materialize(place, ["privacy_audit"], runtime=FEWER_RUNS).metadata["privacy_audit"]
    assert "internal" in str(shown["attacks"])
    assert shown["lower_bound"] > 0.8


def test_a_contradiction_fails_the_check_and_stops_the_release(walked, monkeypatch):
    place, _ = walked
    released = set((place.home.releases / "clinic").iterdir())
    monkeypatch.setattr(desk_module, "add_noise", lambda counts, sigma, noise: add_noise(counts, sigma / 4, noise))
    failure = materialize(place, ["privacy_audit", "release"], runtime=FEWER_RUNS).failure
    assert isinstance(failure, CheckFailed)
    assert "mechanism_keeps_its_claim" in str(failure)
    assert set((place.home.releases / "clinic").iterdir()) == released
    kept = place.home.released.place("clinic", "visits", "privacy_audit") / "audit.json"
    assert MechanismAudit.from_json(kept.read_text()).is_contradiction
    failure = materialize(place, ["release"]).failure  # alone, after the failed audit
    assert isinstance(failure, CheckFailed)
    assert "do not hand out anything" in str(failure)


@pytest.mark.slow
def test_a_table_of_too_few_people_to_attack_is_released_and_the_reason_is_kept(tmp_path):
    _, report = walk_once(tmp_path, clinic_rows(60), generator={"kind": "independent"})
    assert (report.release / "certificate.json").is_file()
    assert "not attacked" in report.attacks_path.read_text()
