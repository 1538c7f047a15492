"""A stranger, who has a bundle, two public keys and pip: a fresh environment, this package without its dependencies, and four others."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from synth_pipeline_tests.signed_example import approve, make_keys, small_bundle

ROOT = Path(__file__).parents[2]
NEEDED = ("click", "cryptography", "pyarrow", "rich")
# No name is resolved and no connection made: whatever asked for one would end with these words.
OFFLINE = """
import socket
def refuse(*_, **__):
    raise RuntimeError("verify used the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
"""


def ran(*command, cwd, **environment):
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def required() -> list[str]:
    """The four packages, in the versions that this one allows."""
    stated = importlib.metadata.requires("synth-pipeline") or []
    return [line for line in stated if re.match(r"[A-Za-z0-9_-]+", line).group() in NEEDED]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """The folder of a fresh environment with the wheel of this package and the four."""
    folder = tmp_path_factory.mktemp("stranger")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "synth_pipeline", source / "synth_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    wheel = ("wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "wheels")
    for command in (
        (sys.executable, "-m", "pip", "--quiet", *wheel),
        (sys.executable, "-m", "venv", folder / "venv"),
    ):
        done = ran(*command, cwd=source)
        assert done.returncode == 0, done.stderr
    (made,) = (folder / "wheels").iterdir()
    pip = (folder / "venv/bin/python", "-m", "pip", "--quiet", "install", "--no-compile")
    assert ran(*pip, "--no-deps", made, cwd=folder).returncode == 0
    assert len(required()) == len(NEEDED)
    done = ran(*pip, *required(), cwd=folder)
    if done.returncode != 0 and ("No matching distribution" in done.stderr or "nection" in done.stderr):
        pytest.skip("no package index answers here")
    assert done.returncode == 0, done.stderr
    (folder / "offline").mkdir()
    (folder / "offline" / "sitecustomize.py").write_text(OFFLINE)
    return folder


def test_a_stranger_verifies_a_bundle_and_sees_what_was_changed(stranger, tmp_path):
    keys, empty = make_keys(tmp_path / "keys"), tmp_path / "empty"
    empty.mkdir()
    bundle = small_bundle(tmp_path / "clinic" / "v1", keys.requester)
    approve(bundle, keys, expires=None)

    def verify():
        program = (stranger / "venv/bin/synth-pipeline", "verify", "../clinic/v1")
        given = ("--key", "../keys/requester.key.pub", "--approver", "../keys/approver.key.pub")
        return ran(*program, *given, cwd=empty, PYTHONPATH=str(stranger / "offline"), HOME=str(empty))

    found = verify()
    assert (found.returncode, found.stderr) == (0, "")
    assert "clinic/v1: holds" in found.stdout
    assert "approved for 'teaching'" in found.stdout
    (bundle / "data.parquet").write_bytes((bundle / "data.parquet").read_bytes() + b"x")
    found = verify()
    assert found.returncode == 4
    assert "data.parquet: differs from what the certificate names" in found.stdout.splitlines()
    assert list(empty.iterdir()) == []


def test_a_stranger_has_none_of_the_libraries_that_make_releases(stranger):
    names = "numpy pandas pydantic dagster torch mlflow"
    program = f"import importlib.util as u; print([n for n in {names.split()} if u.find_spec(n)])"
    found = ran(stranger / "venv/bin/python", "-I", "-c", program, cwd=stranger)
    assert found.stdout.strip() == "[]"
