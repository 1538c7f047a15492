"""What the launchpad of the approval asset is given: files of the machine that runs it; none may keep it waiting, or be repeated."""

import os

import pytest

from synth_pipeline.errors import SigningError
from synth_pipeline.orchestration.approval_assets import ApprovalConfig, _envelope
from synth_pipeline.release.approval import read_decision
from synth_pipeline_tests.approval_example import make_world
from synth_pipeline_tests.signed_example import PASSPHRASE


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = make_world(tmp_path_factory.mktemp("launched") / "home")
    made.add_release("a")
    passphrase = made.home.folder / "keys" / "approver.passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(PASSPHRASE)
    return made


def signed(world, **given):
    files = {
        "key_file": str(world.home.folder / "keys" / "approver.key"),
        "passphrase_file": str(world.home.folder / "keys" / "approver.passphrase"),
    }
    config = ApprovalConfig(**({"purpose": "teaching"} | files | given))
    return _envelope(config, world.home, world.release("a"))


def test_a_key_and_a_passphrase_in_files_sign(world):
    assert read_decision(signed(world), where="it").words == "teaching"


@pytest.mark.parametrize("field", ["key_file", "passphrase_file"])
def test_a_passphrase_that_was_typed_where_a_file_belongs_is_not_repeated(world, field):
    with pytest.raises(SigningError, match=f"^{field}: there is no such file") as refusal:
        signed(world, **{field: PASSPHRASE})
    assert PASSPHRASE not in str(refusal.value)


@pytest.mark.parametrize("field", ["key_file", "passphrase_file", "statement"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "nothing"])
def test_what_is_no_file_is_refused_at_once(world, tmp_path, field, kind):
    os.mkfifo(tmp_path / "pipe")
    place = {"pipe": tmp_path / "pipe", "device": "/dev/zero", "folder": tmp_path, "nothing": tmp_path / "none"}[kind]
    keyless = {"key_file": "", "passphrase_file": ""} if field == "statement" else {}
    with pytest.raises(SigningError, match=f"^{field}: "):
        signed(world, **keyless, **{field: str(place)})


@pytest.mark.parametrize("text", ["a\0b", "x" * 5000, "no statement"])
def test_a_statement_that_is_neither_a_text_nor_a_path_is_refused_in_a_line(world, text):
    with pytest.raises(SigningError, match="is neither the text of one nor the path") as refusal:
        signed(world, key_file="", passphrase_file="", statement=text)
    assert len(str(refusal.value)) < 200
