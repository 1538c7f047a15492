"""Key files: who may read them, what opens them, and that a public key has one spelling."""

import base64
import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synth_pipeline.errors import SigningError
from synth_pipeline.release.key_file import ROUNDS
from synth_pipeline.release.keys import key_id, new_key, public_bytes, public_key_of, read_private_key, read_public_key

PASSPHRASE = "five words that nobody guesses"


@pytest.fixture
def key(tmp_path):
    new_key(tmp_path / "k", PASSPHRASE)
    return tmp_path / "k"


def test_a_pair_fits_together_and_only_its_owner_reads_the_private_half(key):
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    private, public = read_private_key(key, PASSPHRASE), read_public_key(key.with_name("k.pub"))
    public.verify(private.sign(b"word"), b"word")
    assert [path.name for path in sorted(key.parent.iterdir())] == ["k", "k.pub"]


def test_the_private_half_is_encrypted_and_its_passphrase_slow_to_guess(key):
    text = key.read_text()
    assert text.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    content = base64.b64decode("".join(text.splitlines()[1:-1]))
    assert ROUNDS.to_bytes(3, "big") in content
    private = read_private_key(key, PASSPHRASE)
    raw = private.private_bytes_raw()
    assert raw not in content


def test_any_library_that_reads_pkcs8_reads_it(key):
    loaded = serialization.load_pem_private_key(key.read_bytes(), PASSPHRASE.encode())
    assert isinstance(loaded, Ed25519PrivateKey)


def test_two_keys_are_never_the_same(tmp_path):
    names = {key_id(read_public_key(new_key(tmp_path / name, PASSPHRASE))) for name in "abc"}
    assert len(names) == 3
    assert all(len(name) == 32 for name in names)


def test_a_short_passphrase_is_refused_and_is_not_in_the_message(tmp_path):
    with pytest.raises(SigningError, match="at least 12") as refusal:
        new_key(tmp_path / "k", "swordfish")
    assert "swordfish" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_of_bytes_that_are_no_text_is_refused(tmp_path):
    passphrase = b"twelve bytes and \xff".decode(errors="surrogateescape")  # as an environment variable may hold it
    with pytest.raises(SigningError, match="no text"):
        new_key(tmp_path / "k", passphrase)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["k", "k.pub"])
def test_a_key_is_never_overwritten_and_no_half_is_left(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(SigningError, match="never overwritten"):
        new_key(tmp_path / "k", PASSPHRASE)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SigningError, match="cannot be written"):
        new_key(tmp_path / "file" / "k", PASSPHRASE)


def test_another_passphrase_does_not_open_it(key):
    for words in ("", "five words that somebody guesses", PASSPHRASE + " "):
        with pytest.raises(SigningError, match="does not open this key"):
            read_private_key(key, words)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_key_that_others_may_read_is_refused_and_the_remedy_is_told(key, mode):
    key.chmod(mode)
    with pytest.raises(SigningError, match=f"chmod 600 {key}"):
        read_private_key(key, PASSPHRASE)


def test_a_mounted_key_may_be_read_by_its_group_and_by_no_others(key):
    key.chmod(0o440)
    assert read_private_key(key, PASSPHRASE, is_mounted=True)
    key.chmod(0o444)
    with pytest.raises(SigningError, match="other users may read this key"):
        read_private_key(key, PASSPHRASE, is_mounted=True)


def test_what_is_no_encrypted_ed25519_key_is_refused(tmp_path):
    path = tmp_path / "k"
    path.touch(mode=0o600)
    plain, best = serialization.NoEncryption(), serialization.BestAvailableEncryption(PASSPHRASE.encode())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(*form, plain))
    with pytest.raises(SigningError, match="holds no key under a passphrase"):
        read_private_key(path, PASSPHRASE)
    path.write_bytes(rsa.generate_private_key(65537, 2048).private_bytes(*form, best))
    with pytest.raises(SigningError, match="is no Ed25519 key"):
        read_private_key(path, PASSPHRASE)
    with pytest.raises(SigningError, match="cannot be read"):
        read_private_key(tmp_path / "none", PASSPHRASE)


def test_a_public_key_has_one_spelling(key):
    text = key.with_name("k.pub").read_bytes()
    assert public_bytes(public_key_of(text, where="k.pub")) == text
    body = text.splitlines()[1]
    others = [
        text + b"\n",
        b"my key\n" + text,
        text.replace(b"\n", b"\r\n"),
        text.rstrip(),
        text.replace(body, body[:20] + b"\n" + body[20:]),
        b"",
    ]
    for other in others:
        with pytest.raises(SigningError, match=r"^k\.pub: is "):
            public_key_of(other, where="k.pub")


def test_every_change_of_one_byte_of_a_public_key_gives_another_key_or_none(key):
    text = key.with_name("k.pub").read_bytes()
    name = key_id(public_key_of(text, where="k.pub"))
    for at in range(len(text)):
        for change in (1, 0x20, 0x80):
            changed = text[:at] + bytes([text[at] ^ change]) + text[at + 1 :]
            try:
                found = key_id(public_key_of(changed, where="k.pub"))
            except SigningError:
                continue
            assert found != name
