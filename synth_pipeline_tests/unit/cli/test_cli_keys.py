"""`keys`: where passphrases come from, and that no passphrase is ever shown."""

import fcntl
import json
import os
import pty
import stat
import subprocess
import sys
import termios

import pytest

from synth_pipeline.cli import main
from synth_pipeline.release.keys import key_id, read_private_key, read_public_key

PASSPHRASE = "five words that nobody guesses"


@pytest.fixture(autouse=True)
def no_passphrase_around(monkeypatch):
    monkeypatch.delenv("SYNTH_PIPELINE_PASSPHRASE", raising=False)


def test_a_key_is_made_under_the_passphrase_of_a_file_and_named(tmp_path, capsys):
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    file.chmod(0o600)
    assert main(["keys", "new", "--out", str(tmp_path / "k"), "--passphrase-file", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["key_id"] == key_id(read_private_key(tmp_path / "k", PASSPHRASE).public_key())
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert main(["keys", "show", told["public"]]) == 0
    assert capsys.readouterr().out == f"{told['key_id']}\n"


def test_a_key_is_made_under_the_passphrase_of_the_environment_which_is_not_shown(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_PASSPHRASE", PASSPHRASE)
    assert main(["keys", "new", "--out", str(tmp_path / "k")]) == 0
    said = capsys.readouterr()
    assert PASSPHRASE not in said.out + said.err
    assert key_id(read_public_key(tmp_path / "k.pub")) in said.out
    assert read_private_key(tmp_path / "k", PASSPHRASE)


def test_without_a_terminal_a_passphrase_is_not_asked_for(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "synth_pipeline", "keys", "new", "--out", str(tmp_path / "k")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "give --passphrase-file FILE, or set $SYNTH_PIPELINE_PASSPHRASE" in done.stderr
    assert list(tmp_path.iterdir()) == []


def _take_terminal():
    """Make the terminal on stdin that of this process, as a shell's child has it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_at_a_terminal_a_passphrase_is_asked_for_twice_and_not_echoed(tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "synth_pipeline", "keys", "new", "--out", str(tmp_path / "k")],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509  (the test starts no threads)
    )
    os.close(theirs)
    seen = b""
    for question in (b"Passphrase: ", b"Once more: "):
        while not seen.endswith(question):
            seen += os.read(ours, 1024)
        os.write(ours, PASSPHRASE.encode() + b"\n")
    while True:
        try:
            part = os.read(ours, 1024)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        seen += part
    assert process.wait() == 0
    assert PASSPHRASE.encode() not in seen
    os.close(ours)
    assert read_private_key(tmp_path / "k", PASSPHRASE)


@pytest.mark.parametrize(
    "argv, words",
    [
        (["keys", "new", "--out", "k.key", "--passphrase-file", "none"], "none: the passphrase cannot be read"),
        (["keys", "new", "--out", "k.key", "--passphrase-file", "open"], "chmod 600"),
        (["keys", "new", "--out", "there", "--passphrase-file", "good"], "never overwritten"),
        (["keys", "new", "--out", "k.key", "--passphrase-file", "short"], "at least 12 are needed"),
        (["keys", "show", "none.pub"], "cannot be read"),
        (["keys", "show", "good"], "is no public key"),
        (["keys", "new"], "Missing option '--out'"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_makes_nothing(tmp_path, capsys, monkeypatch, argv, words):
    monkeypatch.chdir(tmp_path)
    for name, text, mode in (("open", PASSPHRASE, 0o644), ("good", PASSPHRASE, 0o600), ("short", "hunter2", 0o600)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    (tmp_path / "there").write_text("")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert PASSPHRASE not in said
    assert "hunter2" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == before
