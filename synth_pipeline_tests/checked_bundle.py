"""A signed and approved bundle, its keys, and what the offline check says of it."""

import shutil

import pytest

from synth_pipeline.release.approval_check import PublicKey
from synth_pipeline.release.verify import verify_bundle
from synth_pipeline_tests.signed_example import NOW, approve, make_keys, small_bundle


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def made(keys, tmp_path_factory):
    bundle = small_bundle(tmp_path_factory.mktemp("made") / "clinic" / "v1", keys.requester)
    approve(bundle, keys)
    return bundle


@pytest.fixture
def bundle(made, tmp_path):
    return shutil.copytree(made, tmp_path / "v1")


def public(signer) -> PublicKey:
    file = signer.key_path.with_name(signer.key_path.name + ".pub")
    return PublicKey(file.read_bytes(), file.name)


def check(bundle, keys, *, now=NOW):
    return verify_bundle(bundle, key=public(keys.requester), approver=public(keys.approver), now=now)


def faults(bundle, keys, **options) -> list[str]:
    return [str(fault) for fault in check(bundle, keys, **options).faults]
