"""A walk that Dagster goes on with in later runs: charged once, asked once, and only as it was opened."""

import pytest

from synth_pipeline.errors import LedgerError
from synth_pipeline.integrations.stores import is_owner_only
from synth_pipeline.orchestration.retries import journals_of
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline_tests.dagster_example import clinic_rows, make_place
from synth_pipeline_tests.dagster_walks import add_partition, materialize


@pytest.fixture
def place(tmp_path):
    made = make_place(tmp_path, generator={"kind": "mst"})
    made.put("visits", clinic_rows(300))
    add_partition(made)
    return made


def made(place, name):
    """Materialize one asset in a run of its own; why it failed, or None."""
    return materialize(place, [name]).failure


def kinds(place):
    return [entry.kind for entry in open_ledger(place.home.ledger).history()]


def test_a_generator_that_failed_before_it_read_goes_on_in_a_later_run_and_nothing_is_charged_twice(place, monkeypatch):
    assert [made(place, name) for name in ("real_snapshot", "profile")] == [None, None]
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("SYNTH_PIPELINE_LEDGER", "another.sqlite")
        assert isinstance(made(place, "generator"), LedgerError)
        assert "is not the ledger of this home" in str(made(place, "real_snapshot"))
    assert kinds(place) == ["reserve", "read"]
    assert made(place, "generator") is None
    assert kinds(place) == ["reserve", "read", "read", "commit"]
    account = open_ledger(place.home.ledger).account("clinic")
    assert account.spent_epsilon <= account.walks[0].reservation.charge.epsilon


def test_a_charged_stage_that_is_run_again_gives_its_answers_again_until_the_next_stage_has_them(place):
    def released(name):
        files = (place.home.released.root / "clinic" / "visits" / name).rglob("*")
        return {str(path): path.read_bytes() for path in files if path.is_file()}

    assert [made(place, name) for name in ("real_snapshot", "profile", "generator")] == [None] * 3
    before = {name: released(name) for name in ("profile", "generator")}
    assert [made(place, name) for name in ("profile", "generator")] == [None, None]
    assert {name: released(name) for name in ("profile", "generator")} == before
    assert made(place, "synthetic_table") is None
    assert list(journals_of(place.home).rglob("*.journal")) == []
    for name in ("profile", "generator"):
        assert "is spent already" in str(made(place, name))
    assert kinds(place) == ["reserve", "read", "read", "commit"]


def test_journals_are_for_the_owner_alone_and_go_when_the_snapshot_is_taken_anew(place):
    assert [made(place, name) for name in ("real_snapshot", "profile")] == [None, None]
    (journal,) = journals_of(place.home).rglob("*.journal")
    assert all(
        is_owner_only(part) for part in (journal, journal.parent, journal.parent.parent, journals_of(place.home))
    )
    spec = place.own / "clinic" / "defs.yaml"
    spec.write_text(spec.read_text().replace("epsilon: 2.5", "epsilon: 9.5"))
    assert made(place, "real_snapshot") is None
    assert list(journals_of(place.home).rglob("*.journal")) == []


def test_a_walk_is_not_gone_on_with_under_another_specification(place):
    assert made(place, "real_snapshot") is None
    spec = place.own / "clinic" / "defs.yaml"
    text = spec.read_text()
    spec.write_text(f"{text}  rows: 77\n")
    failure = made(place, "profile")
    assert isinstance(failure, LedgerError)
    assert "(reservation 1) by another version of the specification or of this program" in str(failure)
    assert kinds(place) == ["reserve"]
    spec.write_text(text)
    assert made(place, "profile") is None


def test_a_snapshot_that_is_taken_twice_holds_one_reservation(place):
    assert [made(place, "real_snapshot") for _ in range(2)] == [None, None]
    assert kinds(place) == ["reserve", "release", "reserve"]
    assert made(place, "profile") is None
