"""One cap bounds the loss of one kind of unit: walks that protect another are refused, and old entries go on being read."""

from dataclasses import replace

import pytest

from synth_pipeline.errors import BudgetRefused
from synth_pipeline.generate.plan import make_plan
from synth_pipeline.privacy.ledger import ALL_COHORTS, Charge, WalkKey, cap_of, charge_of, open_ledger
from synth_pipeline.reserve import open_walk
from synth_pipeline.spec import Spec

PERSON = {"column": "person", "max_rows": 4}


def spec_of(unit, *, generator="independent"):
    return Spec.from_mapping(
        {
            "dataset": "visits",
            "columns": {
                "person": {"kind": "identifier"},
                "household": {"kind": "identifier"},
                "age": {"kind": "integer", "min": 0, "max": 99},
            },
            "privacy": {"epsilon": 1.0, "delta": 1e-6, "unit": unit, "cap": {"epsilon": 20.0}},
            "generator": {"kind": generator},
        }
    )


@pytest.fixture
def ledger(tmp_path):
    return open_ledger(tmp_path / "ledger.sqlite")


def opened(ledger, unit, walk="first"):
    return open_walk(spec_of(unit), snapshot="may", ledger=ledger, walk_id=walk)


@pytest.mark.parametrize(
    "before, after",
    [({}, PERSON), (PERSON, {}), (PERSON, {**PERSON, "column": "household"})],
    ids=["rows, then people", "people, then rows", "people, then households"],
)
def test_a_walk_that_protects_another_unit_than_earlier_ones_is_refused_and_nothing_is_written(ledger, before, after):
    walk = opened(ledger, before)
    ledger.mark_read(walk.reservation)
    head = ledger.head()
    with pytest.raises(BudgetRefused, match="one cap cannot bound the loss of both"):
        opened(ledger, after, "second")
    spec = spec_of(after)
    charge = charge_of(spec, make_plan(spec).charge())
    with pytest.raises(BudgetRefused, match="earlier ones were charged for"):
        ledger.require_room("visits", charge, cap=cap_of(spec))
    assert ledger.head() == head


def test_another_bound_on_rows_is_the_same_unit(ledger):
    opened(ledger, PERSON)
    assert opened(ledger, {**PERSON, "max_rows": 8}, "second").reservation.number == 2


def test_a_walk_that_read_nothing_and_was_given_back_stands_in_nobodys_way(ledger):
    ledger.release(opened(ledger, {}).reservation, "not this unit")
    assert opened(ledger, PERSON, "second").reservation.charge.unit == "all rows of one person"


def test_entries_of_before_units_were_recorded_are_read_as_they_are(ledger):
    spec = spec_of({})
    plain = make_plan(spec).charge()
    assert "unit" not in plain.to_dict()
    assert Charge.from_dict(plain.to_dict()) == plain
    key = WalkKey("visits", "may", spec.digest, "0.1", "old")
    kept = ledger.reserve(key, plain, cap=cap_of(spec), cohort=ALL_COHORTS)
    assert ledger.reserve(key, charge_of(spec, plain), cap=cap_of(spec), cohort=ALL_COHORTS) == kept
    assert opened(ledger, PERSON, "second").reservation.number == 2
    assert ledger.verify().is_intact
    assert replace(charge_of(spec, plain), unit=None) == plain
