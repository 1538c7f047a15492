"""`verify`: its exit codes, and one line for each fault."""

import json
import shutil

import pytest

from synth_pipeline.cli import main
from synth_pipeline_tests.signed_example import approve, make_keys, small_bundle


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def made(keys, tmp_path_factory):
    bundle = small_bundle(tmp_path_factory.mktemp("made") / "v1", keys.requester)
    approve(bundle, keys, expires=None)
    return bundle


@pytest.fixture
def bundle(made, tmp_path):
    return shutil.copytree(made, tmp_path / "v1")


@pytest.fixture
def run(keys, capsys):
    def call(bundle, *more, key=keys.requester, code=0):
        assert main(["verify", str(bundle), "--key", f"{key.key_path}.pub", *more]) == code
        return capsys.readouterr()

    return call


def test_what_holds_is_told_with_its_guarantee_its_signer_and_its_approval(run, made, keys):
    said = run(made, "--approver", f"{keys.approver.key_path}.pub").out
    assert said.startswith(f"{made}: holds\n")
    for words in ("clinic/v1", "ε = 1, δ = 1e-06", keys.requester.key_id, "approved for 'teaching', without an end"):
        assert words in said


def test_what_holds_is_told_to_machines(run, made, keys):
    told = json.loads(run(made, "--json").out)
    assert told["holds"] is True
    assert told["faults"] == []
    assert told["approval"] == {"state": "not checked: give --approver"}
    assert told["certificate"]["signedBy"] == keys.requester.key_id
    told = json.loads(run(made, "--json", "--approver", f"{keys.approver.key_path}.pub").out)
    assert (told["approval"]["state"], told["approval"]["purpose"]) == ("approved", "teaching")


def test_every_fault_is_a_line_and_ends_with_4(run, bundle):
    (bundle / "schema.json").unlink()
    (bundle / "report.html").write_text("other")
    lines = run(bundle, code=4).out.splitlines()
    assert lines[:2] == ["schema.json: missing", "report.html: differs from what the certificate names"]
    assert lines[2:] == [f"{bundle}: 2 fault(s); do not rely on it"]


def test_faults_are_told_to_machines_and_nothing_of_an_unvouched_certificate(run, bundle, keys):
    told = json.loads(run(bundle, "--json", key=keys.stranger, code=4).out)
    assert told["holds"] is False
    assert [fault["file"] for fault in told["faults"]] == ["signature"]
    assert told["certificate"] is None


def test_what_cannot_be_read_ends_with_2(run, made, tmp_path, keys, capsys):
    assert "cannot be listed" in run(tmp_path / "none", code=2).err
    assert main(["verify", str(made), "--key", str(tmp_path / "none.pub")]) == 2
    assert "the key cannot be read" in capsys.readouterr().err
    assert main(["verify", str(made), "--key", str(keys.requester.key_path)]) == 2
    assert "is no public key" in capsys.readouterr().err
    assert "Missing option '--key'" in _missing(made, capsys)


def _missing(made, capsys):
    assert main(["verify", str(made)]) == 2
    return capsys.readouterr().err
