"""Who signs a bundle, and a bundle that is made twice."""

import json

import pytest

from synth_pipeline.errors import SigningError, SynthPipelineError
from synth_pipeline.release.bundle import write_bundle
from synth_pipeline.release.keys import read_public_key
from synth_pipeline.release.signer import Signer
from synth_pipeline.release.verify import same_release, verify_bundle, verify_digests
from synth_pipeline_tests.signed_example import PAGE, approve, make_keys, small_bundle, small_facts, small_table


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


def contents(bundle):
    return {path.name: path.read_bytes() for path in bundle.iterdir()}


def test_the_same_release_is_signed_with_the_same_bytes(keys, tmp_path):
    first, second = (small_bundle(tmp_path / place / "v1", keys.requester) for place in ("a", "b"))
    assert contents(first) == contents(second)


def test_a_signed_release_that_its_walk_makes_once_more_stands_with_its_approval(keys, tmp_path):
    bundle = small_bundle(tmp_path / "v1", keys.requester)
    approve(bundle, keys)
    before = contents(bundle)
    assert small_bundle(tmp_path / "v1", keys.requester, created_at="2026-03-03T03:03:03+00:00") == bundle
    assert contents(bundle) == before
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


@pytest.mark.parametrize("second", ["stranger", None])
def test_a_release_that_somebody_else_signs_or_nobody_is_another_release(keys, tmp_path, second):
    bundle = small_bundle(tmp_path / "v1", keys.requester)
    before = contents(bundle)
    with pytest.raises(SynthPipelineError, match="never overwritten"):
        small_bundle(tmp_path / "v1", getattr(keys, second) if second else None)
    assert contents(bundle) == before


def test_a_release_whose_signature_was_forged_is_not_taken_for_the_same(keys, tmp_path):
    """By its form it fits: the key's name, the certificate. The requester's own key tells."""
    bundle = small_bundle(tmp_path / "v1", keys.requester)
    forged = keys.stranger.seal((bundle / "certificate.json").read_bytes())
    named = forged.replace(keys.stranger.key_id.encode(), keys.requester.key_id.encode())
    (bundle / "signature").write_bytes(named)
    assert verify_digests(bundle) == []
    with pytest.raises(SynthPipelineError, match="never overwritten"):
        small_bundle(tmp_path / "v1", keys.requester)


@pytest.mark.parametrize(
    "damage, fault",
    [
        (lambda bundle, _: (bundle / "signature").unlink(), "signature: missing"),
        (
            lambda bundle, _: (bundle / "signature").write_text("{}"),
            "signature: is no signed statement of one signature as this program writes it; refuse it",
        ),
        (
            lambda bundle, keys: (bundle / "signature").write_bytes(keys.requester.seal(b"{}")),
            "signature: is over another certificate.json",
        ),
        (
            lambda bundle, keys: (bundle / "signature").write_bytes(
                keys.stranger.seal((bundle / "certificate.json").read_bytes())
            ),
            "signature: was made by another key than the certificate says",
        ),
    ],
)
def test_a_signature_that_does_not_fit_shows_without_a_key(keys, tmp_path, damage, fault):
    bundle, whole = (small_bundle(tmp_path / name / "v1", keys.requester) for name in ("a", "b"))
    assert same_release(bundle, whole)
    damage(bundle, keys)
    assert verify_digests(bundle) == [fault]
    assert not same_release(bundle, whole)


def test_facts_that_name_another_signer_are_refused_and_nothing_is_written(keys, tmp_path):
    for signer in (keys.requester, None):
        facts = small_facts() if signer else _signed_by(keys.stranger)
        with pytest.raises(SigningError, match="give both the same"):
            write_bundle(tmp_path / "v1", facts, small_table(), report=PAGE, signer=signer)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_cannot_be_opened_leaves_nothing(keys, tmp_path):
    wrong = Signer(keys.requester.key_path, passphrase="another passphrase")
    with pytest.raises(SigningError, match="does not open this key"):
        write_bundle(tmp_path / "v1", _signed_by(keys.requester), small_table(), report=PAGE, signer=wrong)
    assert list(tmp_path.iterdir()) == []


def test_an_assembled_release_is_signed_by_the_signer_that_is_given(keys, tmp_path):
    from synth_pipeline.walk import assemble

    bundle = assemble(small_facts(), small_table(), releases=tmp_path, signer=keys.requester)
    key = keys.requester.key_path.with_name("requester.key.pub")
    assert verify_bundle(bundle, key=key.read_bytes()).holds
    assert read_public_key(key).public_bytes_raw()
    predicate = json.loads((bundle / "certificate.json").read_text())["predicate"]
    assert predicate["signature"] == {"keyid": keys.requester.key_id}


def _signed_by(signer):
    from dataclasses import replace

    return replace(small_facts(), version="v1", signed_by=signer.key_id)
