"""Units and events: what they refuse, and that they survive JSON."""

import json

import pytest

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.events import (
    DiscoveryEvent,
    DiscreteGaussianEvent,
    ExponentialEvent,
    GaussianPoolEvent,
    SubsampledGaussianEvent,
    event_from_dict,
)
from synth_pipeline.privacy.unit import WEIGHT_UNITS, PrivacyUnit

EVENTS = [
    DiscreteGaussianEvent(0.1 + 0.2, 3, 7, stage="profile", purpose="age"),
    GaussianPoolEvent(1 / 3, stage="generator"),
    SubsampledGaussianEvent(1.1, 1 / 7, 300),
    DiscoveryEvent(10.0, 2, 60, 1e-7, purpose="city"),
    ExponentialEvent(0.1, 4),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_comes_back_from_json_equal_and_with_its_kind(event):
    written = json.loads(json.dumps(event.to_dict()))
    assert event_from_dict(written) == event
    assert written["kind"] == event.kind


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_says_its_mechanism_in_words(event):
    assert len(event.mechanism) > 10


def test_an_unknown_kind_of_event_is_refused_by_name():
    with pytest.raises(PrivacyError, match=r"unknown kind 'laplace'.*discrete_gaussian"):
        event_from_dict({"kind": "laplace", "sigma": 1.0})


def test_an_event_with_an_unknown_field_is_refused():
    with pytest.raises(PrivacyError, match="discrete_gaussian"):
        event_from_dict({"kind": "discrete_gaussian", "sigma": 2.0, "colour": "red"})


@pytest.mark.parametrize(
    "make",
    [
        lambda: DiscreteGaussianEvent(0.0),
        lambda: DiscreteGaussianEvent(float("nan")),
        lambda: DiscreteGaussianEvent(float("inf")),
        lambda: DiscreteGaussianEvent(2.0, 0),
        lambda: DiscreteGaussianEvent(2.0, 1.5),  # type: ignore[arg-type]
        lambda: DiscreteGaussianEvent(2.0, 1, True),
        lambda: GaussianPoolEvent(-1.0),
        lambda: SubsampledGaussianEvent(1.0, 0.0, 10),
        lambda: SubsampledGaussianEvent(1.0, 1.1, 10),
        lambda: SubsampledGaussianEvent(1.0, 0.1, 0),
        lambda: DiscoveryEvent(2.0, 1, 10, 0.0),
        lambda: DiscoveryEvent(2.0, 1, 0, 1e-6),
        lambda: ExponentialEvent(0.0),
    ],
)
def test_an_event_that_hides_nothing_or_means_nothing_is_refused(make):
    with pytest.raises(PrivacyError):
        make()


def test_a_unit_of_several_rows_needs_a_column():
    assert PrivacyUnit("person_id", 8).sensitivity == WEIGHT_UNITS
    assert PrivacyUnit().sensitivity == 1
    with pytest.raises(PrivacyError, match="column"):
        PrivacyUnit(None, 8)
    with pytest.raises(PrivacyError, match="max_rows"):
        PrivacyUnit("person_id", 0)


def test_a_unit_says_whom_it_protects():
    assert "one row" in PrivacyUnit().describe()
    assert "person_id, at most 8 rows" in PrivacyUnit("person_id", 8).describe()
