"""Which key an installation signs with."""

import os
import stat

import pytest

from synth_pipeline.errors import SigningError
from synth_pipeline.integrations.signing import APPROVER, REQUESTER, key_files, make_home_key, signing_key
from synth_pipeline.integrations.stores import Home
from synth_pipeline.release.keys import key_id, new_key, read_public_key

PASSPHRASE = "five words that nobody guesses"


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("KEY", "PASSPHRASE_FILE", "PASSPHRASE"):
        monkeypatch.delenv(f"SYNTH_PIPELINE_SIGNING_{name}", raising=False)
    return Home.at(tmp_path / "home")


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A key outside the home, as the environment names it."""
    new_key(tmp_path / "given.key", PASSPHRASE)
    monkeypatch.setenv("SYNTH_PIPELINE_SIGNING_KEY", str(tmp_path / "given.key"))
    return tmp_path / "given.key"


def id_of(path):
    return key_id(read_public_key(path.with_name(path.name + ".pub")))


def test_a_home_without_a_key_signs_nothing(home):
    assert home.signer() is None


def test_a_home_signs_with_its_own_key(home):
    assert make_home_key(home.folder, REQUESTER)
    assert home.signer().key_id == id_of(key_files(home.folder, REQUESTER)[0])


def test_a_home_key_is_made_once_and_its_passphrase_is_of_its_owner_alone(home):
    assert make_home_key(home.folder, REQUESTER)
    before = {path.name: path.read_bytes() for path in (home.folder / "keys").iterdir()}
    assert not make_home_key(home.folder, REQUESTER)
    assert {path.name: path.read_bytes() for path in (home.folder / "keys").iterdir()} == before
    assert set(before) == {"requester.key", "requester.key.pub", "requester.passphrase"}
    key, passphrase = key_files(home.folder, REQUESTER)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (key, passphrase, key.parent)] == [0o600, 0o600, 0o700]
    assert len(passphrase.read_text().strip()) >= 32


def test_the_approver_of_a_home_is_somebody_else_and_never_its_signer(home):
    assert make_home_key(home.folder, APPROVER)
    assert home.signer() is None
    assert make_home_key(home.folder, REQUESTER)
    assert home.signer().key_id != id_of(key_files(home.folder, APPROVER)[0])


def test_the_key_of_the_environment_goes_before_the_homes_own(home, given, monkeypatch):
    make_home_key(home.folder, REQUESTER)
    monkeypatch.setenv("SYNTH_PIPELINE_SIGNING_PASSPHRASE", PASSPHRASE)
    assert home.signer().key_id == id_of(given)
    assert signing_key(home.folder) == given


def test_a_passphrase_file_goes_before_the_passphrase_itself(home, given, monkeypatch, tmp_path):
    file = tmp_path / "p"
    file.write_text(PASSPHRASE + "\n")
    file.chmod(0o440)
    given.chmod(0o440)
    monkeypatch.setenv("SYNTH_PIPELINE_SIGNING_PASSPHRASE_FILE", str(file))
    monkeypatch.setenv("SYNTH_PIPELINE_SIGNING_PASSPHRASE", "of no key at all")
    assert home.signer().key_id == id_of(given)
    assert "of no key at all" not in repr(home.signer())


def test_the_homes_own_key_keeps_its_own_passphrase_whatever_the_environment_says(home, monkeypatch):
    make_home_key(home.folder, REQUESTER)
    monkeypatch.setenv("SYNTH_PIPELINE_SIGNING_PASSPHRASE", "of another key")
    assert home.signer().key_id


def test_a_key_whose_passphrase_is_not_known_is_refused_rather_than_left_out(home, given):
    with pytest.raises(SigningError, match="SYNTH_PIPELINE_SIGNING_PASSPHRASE_FILE"):
        home.signer()


def test_a_key_that_is_not_there_is_refused_rather_than_left_out(home, monkeypatch, tmp_path):
    make_home_key(home.folder, REQUESTER)
    monkeypatch.setenv("SYNTH_PIPELINE_SIGNING_KEY", str(tmp_path / "none"))
    with pytest.raises(SigningError, match="no such file"):
        home.signer()


@pytest.mark.parametrize("kind", ["link", "loop", "pipe", "folder"])
@pytest.mark.parametrize("who", [REQUESTER, APPROVER])
def test_a_homes_key_that_is_there_and_is_no_file_is_refused_rather_than_left_out(home, kind, who, monkeypatch):
    """A link to a secret that is not mounted today must not make today's releases unsigned."""
    monkeypatch.delenv("SYNTH_PIPELINE_APPROVER_KEY", raising=False)
    key = key_files(home.folder, who)[0]
    key.parent.mkdir(parents=True)
    make = {
        "link": lambda: key.symlink_to("/nowhere/requester.key"),
        "loop": lambda: key.symlink_to(key),
        "pipe": lambda: os.mkfifo(key),
        "folder": key.mkdir,
    }
    make[kind]()
    with pytest.raises(SigningError, match="is there, and is no file"):
        home.signer() if who == REQUESTER else home.approver()


def test_a_passphrase_of_a_key_that_was_never_finished_is_drawn_anew(home):
    key, passphrase = key_files(home.folder, REQUESTER)
    key.parent.mkdir(parents=True)
    passphrase.write_text("stale")
    assert make_home_key(home.folder, REQUESTER)
    assert passphrase.read_text() != "stale"
    assert home.signer().key_id


def test_the_approver_is_found_as_the_signer_is_by_variables_of_its_own(home, given, monkeypatch):
    for name in ("KEY", "PASSPHRASE_FILE", "PASSPHRASE"):
        monkeypatch.delenv(f"SYNTH_PIPELINE_APPROVER_{name}", raising=False)
    monkeypatch.setenv("SYNTH_PIPELINE_SIGNING_PASSPHRASE", PASSPHRASE)
    assert home.approver() is None  # the key that signs is nobody's approver
    make_home_key(home.folder, APPROVER)
    assert home.approver().key_id == id_of(key_files(home.folder, APPROVER)[0])
    monkeypatch.setenv("SYNTH_PIPELINE_APPROVER_KEY", str(given))
    with pytest.raises(SigningError, match="SYNTH_PIPELINE_APPROVER_PASSPHRASE_FILE"):
        home.approver()
    monkeypatch.setenv("SYNTH_PIPELINE_APPROVER_PASSPHRASE", PASSPHRASE)
    assert home.approver().key_id == id_of(given)
    monkeypatch.setenv("SYNTH_PIPELINE_APPROVER_KEY", f"{given}.none")
    with pytest.raises(SigningError, match=r"\$SYNTH_PIPELINE_APPROVER_KEY: .*no such file"):
        home.approver()
