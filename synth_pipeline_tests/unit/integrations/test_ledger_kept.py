"""A ledger that was deleted, put back to an earlier day or taken elsewhere is noticed by what its walks left in the home."""

import json
import shutil

import pytest

from synth_pipeline.cli import main
from synth_pipeline.errors import LedgerError
from synth_pipeline.integrations.ledger_kept import require_same_ledger
from synth_pipeline.integrations.stores import Home
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.reserve import open_walk
from synth_pipeline_tests.cli_workspace import make_workspace
from synth_pipeline_tests.toy_table import toy_spec

SPEC = toy_spec(cap={"epsilon": 50.0}).with_generator("independent")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home").make()


def walked(home, walk_id, *, snapshot, result="profile"):
    """A walk that read, and what it left: a released result with its origin."""
    ledger = open_ledger(home.ledger)
    walk = open_walk(SPEC, snapshot=snapshot, ledger=ledger, walk_id=walk_id)
    ledger.mark_read(walk.reservation)
    origin = {
        "walk": {name: getattr(walk.key, name) for name in walk.key.__slots__},
        "reservation": walk.reservation.number,
        "fingerprint": "00",
    }
    home.released.write(lambda folder: (folder / "origin.json").write_text(json.dumps(origin)), "toy", snapshot, result)


def test_a_home_in_which_nothing_was_walked_asks_for_no_ledger(home):
    require_same_ledger(home, "toy")


def test_the_ledger_of_every_walk_so_far_is_the_same_one(home):
    for number, result in enumerate(("profile", "drift_report")):
        walked(home, f"walk-{number}", snapshot=f"s{number}", result=result)
        require_same_ledger(home, "toy")
    require_same_ledger(home, "another")


def test_a_deleted_ledger_is_refused_also_where_new_walks_took_the_old_numbers(home):
    walked(home, "first", snapshot="s1")
    for file in home.folder.glob("ledger.sqlite*"):
        file.unlink()
    with pytest.raises(LedgerError, match=r"does not hold walk 'first' of toy.*Nothing was read"):
        require_same_ledger(home, "toy")
    open_walk(SPEC, snapshot="s1", ledger=open_ledger(home.ledger), walk_id="other")
    with pytest.raises(LedgerError, match="does not hold walk 'first'"):
        require_same_ledger(home, "toy")


def test_a_ledger_of_an_earlier_day_is_refused(home):
    walked(home, "first", snapshot="s1")
    with open_ledger(home.ledger).store.path.open("rb") as file:
        assert file.read(15) == b"SQLite format 3"
    kept = home.folder.parent / "kept"
    kept.mkdir()
    for file in home.folder.glob("ledger.sqlite*"):
        shutil.copy(file, kept)
    walked(home, "second", snapshot="s2")
    for file in home.folder.glob("ledger.sqlite*"):
        file.unlink()
    for file in kept.iterdir():
        shutil.copy(file, home.folder)
    with pytest.raises(LedgerError, match="does not hold walk 'second'"):
        require_same_ledger(home, "toy")


def test_a_fit_in_a_home_whose_ledger_is_gone_ends_before_the_table_is_read(tmp_path, capsys):
    at = make_workspace(tmp_path, fitted=False)
    origin = {"walk": {"walk_id": "gone"}, "reservation": 1}
    Home(at.home).released.write(
        lambda folder: (folder / "origin.json").write_text(json.dumps(origin)), "clinic", "s1", "profile"
    )
    assert main(at.fit("--data", "nowhere.parquet", out="new")) == 2
    assert "does not hold walk 'gone' of clinic" in capsys.readouterr().err
