"""A signer: where its passphrase comes from, and that it is shown nowhere."""

from pathlib import Path

import pytest

from synth_pipeline.errors import SigningError
from synth_pipeline.release.envelope import open_envelope
from synth_pipeline.release.keys import key_id, new_key, read_public_key
from synth_pipeline.release.signer import Signer, read_passphrase, require_usable

PASSPHRASE = "five words that nobody guesses"


@pytest.fixture
def key(tmp_path):
    new_key(tmp_path / "k", PASSPHRASE)
    return tmp_path / "k"


def passphrase_file(tmp_path, text, mode=0o600):
    path = tmp_path / "passphrase"
    path.write_bytes(text)
    path.chmod(mode)
    return path


def test_a_signer_seals_with_its_key_and_names_it(key):
    signer, public = Signer(key, passphrase=PASSPHRASE), read_public_key(key.with_name("k.pub"))
    assert open_envelope(signer.seal(b"{}"), public, where="x").payload == b"{}"
    assert signer.key_id == key_id(public)
    assert signer.public_text == key.with_name("k.pub").read_bytes()


@pytest.mark.parametrize("text", [PASSPHRASE, PASSPHRASE + "\n", PASSPHRASE + "\r\n"])
def test_a_passphrase_file_may_end_its_line(key, tmp_path, text):
    signer = Signer(key, passphrase_path=passphrase_file(tmp_path, text.encode()))
    assert signer.key_id == Signer(key, passphrase=PASSPHRASE).key_id


def test_no_passphrase_is_in_a_repr_or_a_message(key):
    assert PASSPHRASE not in repr(Signer(key, passphrase=PASSPHRASE))
    wrong = "a passphrase of another key"
    with pytest.raises(SigningError) as refusal:
        require_usable(Signer(key, passphrase=wrong))
    assert wrong not in str(refusal.value)


def test_a_passphrase_is_given_in_one_way(key, tmp_path):
    with pytest.raises(SigningError, match="and not both"):
        Signer(key)
    with pytest.raises(SigningError, match="and not both"):
        Signer(key, passphrase=PASSPHRASE, passphrase_path=tmp_path / "p")


@pytest.mark.parametrize(
    "text, mode, words",
    [
        (b"", 0o600, "holds no passphrase"),
        (b"\n", 0o600, "holds no passphrase"),
        (b"\xff\xfe", 0o600, "cannot be read"),
        (b"some words\n", 0o644, "chmod 600"),
        (b"some words\n", 0o640, "chmod 600"),
    ],
)
def test_a_passphrase_file_that_cannot_be_used_is_refused_without_its_content(tmp_path, text, mode, words):
    with pytest.raises(SigningError, match=words) as refusal:
        read_passphrase(passphrase_file(tmp_path, text, mode))
    assert "some words" not in str(refusal.value)


def test_a_device_without_an_end_is_no_passphrase_file():
    with pytest.raises(SigningError, match="other users may read this passphrase"):
        read_passphrase(Path("/dev/zero"))


def test_a_passphrase_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SigningError, match="cannot be read"):
        read_passphrase(tmp_path / "none")


def test_nobody_at_all_is_usable():
    require_usable(None)
