"""The asset `published_score` in a Dagster walk: charged once, stated in the certificate, and of the released table alone."""

import json

import pytest

from synth_pipeline.generate.plan import make_plan
from synth_pipeline.orchestration.keys import AssetName
from synth_pipeline.orchestration.launch import run_walk
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.privacy.events import GaussianPoolEvent
from synth_pipeline.privacy.ledger import Charge, WalkKey, open_ledger
from synth_pipeline.privacy.ledger.declared import cap_of
from synth_pipeline.spec import Spec
from synth_pipeline_tests.dagster_example import Place, clinic_rows, make_place
from synth_pipeline_tests.dagster_walks import KEYS, Made, add_partition, materialize, walk_once

pytestmark = pytest.mark.slow  # three whole walks
PUBLISHING = {
    "generator": {"kind": "independent"},
    "benchmark": {"target": "insured", "publish": {"epsilon": 0.4}},
    "release": {"approval": "manual", "floors": {"accuracy": 0.5}},
}


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    return walk_once(tmp_path_factory.mktemp("scored"), **PUBLISHING)


def again(place: Place, names: list[AssetName], *, seed: int = 1) -> Made:
    return materialize(place, names, runtime=StageRuntime(seed=seed, audit_runs=4000))


def test_the_score_is_charged_beside_the_walk_and_both_stay_within_it(walked):
    place, report = walked
    ledger = open_ledger(place.home.ledger)
    walks = ledger.walks("clinic")
    assert [walk.status for walk in walks] == ["committed", "committed"]
    assert walks[1].reservation.key.walk_id == f"{walks[0].reservation.key.walk_id}:score"
    assert walks[1].stages_read == {"published_score"}
    assert ledger.account("clinic").spent_epsilon <= 2.0
    assert report.epsilon == pytest.approx(ledger.account("clinic").spent_epsilon, rel=1e-9)


def test_the_certificate_states_it_with_its_event(walked):
    _, report = walked
    predicate = json.loads((report.release / "certificate.json").read_text())["predicate"]
    stated = predicate["extra"]["publishedScore"]
    assert stated["target"] == "insured"
    assert 0 <= stated["interval"][0] <= stated["accuracy"] <= stated["interval"][1] <= 1
    assert [event["stage"] for event in predicate["mechanisms"]][-1] == "published_score"


def test_lineage_events_state_of_a_release_what_its_certificate_does(walked):
    """Not what its training alone lost."""
    place, report = walked
    lines = (place.home.folder / "openlineage" / "events.jsonl").read_text().splitlines()
    ended = [event for event in map(json.loads, lines) if event["eventType"] == "COMPLETE"]
    stated = {
        output["name"]: output["facets"]["synthPipeline_differentialPrivacy"]["composedEpsilon"]
        for event in ended
        for output in event["outputs"]
        if "synthPipeline_differentialPrivacy" in output["facets"]
    }
    assert stated["clinic/release"] == pytest.approx(report.epsilon)
    assert stated["clinic/generator"] < stated["clinic/release"]


def test_made_again_it_is_the_same_score_and_charges_nothing(walked):
    place, _ = walked
    head = open_ledger(place.home.ledger).head()
    made = again(place, ["published_score"])
    assert made.failure is None
    assert "accuracy" in made.metadata["published_score"]
    assert made.metadata["published_score"]["floor"].startswith("accuracy at least 0.5: ")
    assert open_ledger(place.home.ledger).head() == head


def test_a_table_sampled_anew_goes_without_the_score_of_the_one_before_and_keeps_its_charge(walked):
    place, report = walked
    head = open_ledger(place.home.ledger).head()
    made = again(place, ["synthetic_table", "published_score"], seed=77)
    assert made.failure is None
    assert "of another sample" in made.metadata["published_score"]["score"]
    assert "accuracy" not in made.metadata["published_score"]
    assert open_ledger(place.home.ledger).head() == head
    assert report.release.is_dir()


def test_a_walk_that_is_released_without_a_score_measures_none_afterwards(tmp_path):
    """It would be charged and shown, and the certificate would not state it."""
    place = make_place(tmp_path, **PUBLISHING)
    place.put("visits", clinic_rows(500))
    spec = build_spec(place)
    names = [key.path[-1] for key in KEYS.assets_of(spec) if key.path[-1] not in {"published_score", "internal_report"}]
    add_partition(place)
    assert again(place, names).failure is None
    head = open_ledger(place.home.ledger).head()
    made = again(place, ["published_score"])
    assert made.failure is None
    assert made.metadata["published_score"]["score"].startswith("not measured: this walk is released without one")
    assert open_ledger(place.home.ledger).head() == head


def test_a_cap_without_room_for_it_leaves_a_release_without_it(tmp_path):
    """Something else of the dataset took a part of the cap that leaves room for the training, and none for the score."""
    place = make_place(tmp_path, **PUBLISHING, privacy={"epsilon": 2.0, "delta": 1e-5, "cap": {"epsilon": 2.0}})
    place.put("visits", clinic_rows(500))
    spec = build_spec(place)
    ledger, plan = open_ledger(place.home.ledger), make_plan(spec)
    taken = GaussianPoolEvent(stage="other", purpose="other", mu_squared=0.6 * plan.score.budget.cost)
    other = WalkKey("clinic", "other", "0" * 64, "0", "other")
    ledger.reserve(other, Charge((taken,), 0.4, 1e-5), cap=cap_of(spec))
    report = run_walk("clinic", home=place.home.folder, own=place.own)
    predicate = json.loads((report.release / "certificate.json").read_text())["predicate"]
    assert "publishedScore" not in predicate.get("extra", {})
    assert [walk.reservation.key.walk_id.endswith(":score") for walk in ledger.walks("clinic")] == [False, False]
    assert report.epsilon == pytest.approx(plan.training_epsilon)


def build_spec(place: Place) -> Spec:
    return Spec.from_yaml(place.own / "clinic" / "defs.yaml")
