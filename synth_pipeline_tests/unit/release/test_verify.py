"""The offline check: what holds, and that every change is caught and told at the file that was changed."""

import json
import os
import random
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from synth_pipeline.errors import SigningError, SynthPipelineError
from synth_pipeline.integrations.kept_release import release_in
from synth_pipeline.release.approval_check import PublicKey
from synth_pipeline.release.bundle import BUNDLE_FILES
from synth_pipeline.release.statement import Fault
from synth_pipeline.release.verify import verify_bundle, verify_digests
from synth_pipeline_tests.checked_bundle import bundle, check, faults, keys, made, public
from synth_pipeline_tests.signed_example import NOW, small_bundle

__all__ = ["bundle", "keys", "made"]

CHANGES = 1_000


def test_a_signed_and_approved_bundle_holds(made, keys):
    found = check(made, keys)
    assert found.holds
    assert found.certificate is not None
    assert found.certificate.release == "clinic/v1"
    assert found.certificate.predicate["signature"] == {"keyid": keys.requester.key_id}
    assert found.certificate.predicate["approval"] == {"required": "manual", "state": "candidate"}
    assert found.approval is not None
    assert found.approval["purpose"] == "teaching"


def test_the_signature_is_over_the_certificate_byte_for_byte_and_the_certificate_over_every_other_file(made):
    import base64

    envelope = json.loads((made / "signature").read_text())
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert base64.b64decode(envelope["payload"]) == (made / "certificate.json").read_bytes()
    named = {subject["name"] for subject in json.loads((made / "certificate.json").read_text())["subject"]}
    assert named == {path.name for path in made.iterdir()} - {"certificate.json", "signature", "approval"}
    assert named == set(BUNDLE_FILES)


def test_a_thousand_changes_of_one_byte_are_caught_at_the_file_that_was_changed(bundle, keys):
    """Over every file of the bundle, the signature, the approval and both public keys; each file gets its share, whatever its size."""
    rng = random.Random(6)
    places = [*sorted(path.name for path in bundle.iterdir()), "requester.key.pub", "approver.key.pub"]
    assert len(places) >= len(BUNDLE_FILES) + 5
    given = {signer: public(signer) for signer in (keys.requester, keys.approver)}
    for number in range(CHANGES):
        name = places[number % len(places)]
        path = bundle / name
        whole = path.read_bytes() if path.exists() else next(k.text for k in given.values() if k.name == name)
        at = rng.randrange(len(whole))
        changed = whole[:at] + bytes([whole[at] ^ rng.randrange(1, 256)]) + whole[at + 1 :]
        requester, approver = (PublicKey(changed, key.name) if key.name == name else key for key in given.values())
        if path.exists():
            path.write_bytes(changed)
        try:
            lines = [str(f) for f in verify_bundle(bundle, key=requester, approver=approver, now=NOW).faults]
        except SigningError as refusal:
            lines = [str(refusal)]
            assert name.endswith(".pub")
        assert lines, (name, at)
        assert all(name in line for line in lines), (name, at, lines)
        if path.exists():
            path.write_bytes(whole)
    assert check(bundle, keys).holds


@pytest.mark.parametrize("name", [*BUNDLE_FILES, "certificate.json", "signature", "approval"])
def test_a_file_that_was_taken_out_is_named(bundle, keys, name):
    (bundle / name).unlink()
    (line,) = faults(bundle, keys)
    assert line.startswith(f"{name}: missing")


@pytest.mark.parametrize("name", [*BUNDLE_FILES, "certificate.json", "signature", "approval"])
def test_a_file_that_was_renamed_is_missed_under_its_name_and_refused_under_the_other(bundle, keys, name):
    (bundle / name).rename(bundle / "other")
    found = faults(bundle, keys)
    assert len(found) == 2
    assert any(line.startswith(f"{name}: missing") for line in found)
    assert "other: not named by the certificate" in found


@pytest.mark.parametrize("name", [".hidden", "data.parquet.bak", "withdrawn"])
def test_a_file_that_was_added_is_named(bundle, keys, name):
    (bundle / name).write_text("x")
    assert faults(bundle, keys) == [f"{name}: not named by the certificate"]


def test_links_folders_and_pipes_are_refused_and_not_followed(bundle, keys):
    kept = bundle.parent / "kept"
    (bundle / "report.html").rename(kept)
    (bundle / "report.html").symlink_to(kept)
    (bundle / "folder").mkdir()
    (bundle / "datasheet.md").unlink()
    os.mkfifo(bundle / "datasheet.md")
    words = "is no plain file; a bundle holds no links and no folders"
    assert sorted(faults(bundle, keys)) == [f"{name}: {words}" for name in ("datasheet.md", "folder", "report.html")]


def test_files_that_changed_places_are_both_named(bundle, keys):
    (bundle / "schema.json").rename(bundle / "x")
    (bundle / "report.html").rename(bundle / "schema.json")
    (bundle / "x").rename(bundle / "report.html")
    assert [line.split(":")[0] for line in faults(bundle, keys)] == ["schema.json", "report.html"]


def test_a_name_that_a_terminal_would_act_on_is_escaped(bundle, keys):
    (bundle / "a\x1b[2Jb\n").write_text("x")
    assert faults(bundle, keys) == [r"'a\x1b[2Jb\n': not named by the certificate"]


@pytest.mark.parametrize("name", ["signature", "approval"])
def test_a_key_id_that_a_terminal_would_act_on_is_not_repeated(bundle, keys, name):
    envelope = json.loads((bundle / name).read_text())
    envelope["signatures"][0]["keyid"] = "\x1b[2J\x1b[Hv1: holds\n" + "0" * 20
    (bundle / name).write_text(json.dumps(envelope, indent=1) + "\n")
    (line,) = faults(bundle, keys)
    assert line == f"{name}: is no signed statement of one signature as this program writes it; refuse it"


def test_the_words_of_a_fault_are_one_line_whatever_they_repeat():
    assert str(Fault("a", "said \x1b[2J")) == r"a: 'said \x1b[2J'"


def resealed(bundle, keys, change) -> None:
    """The requester signs another certificate over the same files."""
    text = change((bundle / "certificate.json").read_text()).encode()
    (bundle / "certificate.json").write_bytes(text)
    (bundle / "signature").write_bytes(keys.requester.seal(text))
    (bundle / "approval").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "name, value",
    [
        ("rows", "1e999"),
        ("rows", "60.5"),
        ("rows", '"60"'),
        ("rows", "true"),
        ("rows", "9" * 5000),
        ("epsilon", "1" + "0" * 400),
        ("epsilon", '"nan"'),
        ("epsilon", "-1"),
        ("epsilon", "NaN"),
        ("delta", "null"),
        ("delta", "1e999"),
        ("unit", '"\\ud800"'),
        ("unit", "7"),
    ],
)
def test_a_signed_number_that_programs_may_read_as_different_things_is_no_certificate(bundle, keys, name, value):
    resealed(
        bundle, keys, lambda text: re.sub(rf'"{name}": [^\n]*,\n', lambda _: f'"{name}": {value},\n', text, count=1)
    )
    found = verify_bundle(bundle, key=public(keys.requester), now=NOW)
    assert not found.holds
    assert found.certificate is None
    assert {fault.file for fault in found.faults} <= {"certificate.json", "signature"}


def test_a_table_is_not_opened_before_somebody_vouches_for_it(bundle, keys):
    from synth_pipeline.release.statement import file_digest

    before = file_digest(bundle / "data.parquet")
    (bundle / "data.parquet").write_bytes(b"PAR1 made to break its reader PAR1")
    after = file_digest(bundle / "data.parquet")
    resealed(bundle, keys, lambda text: text.replace(before, after))
    assert [str(fault) for fault in verify_bundle(bundle, key=public(keys.requester)).faults] == [
        "data.parquet: not a parquet file, or not with metadata that is text"
    ]
    (fault,) = verify_bundle(bundle, key=public(keys.stranger)).faults
    assert fault.file == "signature"


def test_a_bundle_that_was_copied_with_its_stores_list_of_files_holds(bundle, keys):
    from synth_pipeline.integrations.s3_objects import folder_facts
    from synth_pipeline.integrations.s3_store import COMPLETE

    note = json.dumps({"files": folder_facts(bundle)}, sort_keys=True)
    (bundle / COMPLETE).write_text(note)
    assert check(bundle, keys).holds
    for wrong in (note + " ", note.replace("a", "b", 1), "{}", ""):
        (bundle / COMPLETE).write_text(wrong)
        (line,) = faults(bundle, keys)
        assert line.startswith("complete.json: a store's list of other files than lie here")
    (bundle / COMPLETE).write_text(note)
    (bundle / "more").write_text("x")
    assert {line.split(":")[0] for line in faults(bundle, keys)} == {"complete.json", "more"}


def test_a_bundle_from_before_signatures_is_read_and_is_a_candidate_that_nobody_signed(tmp_path, keys):
    """Five files, no signature, no lineage, and a claim with fewer parts: as releases were written before they were signed."""
    from synth_pipeline.release.statement import METADATA_PREFIX, claim_digest, file_digest

    bundle = small_bundle(tmp_path / "v1", None)
    certificate = json.loads((bundle / "certificate.json").read_text())
    predicate = certificate["predicate"]
    predicate["approval"]["state"] = "not approved"
    predicate["ledger"] = {"entry": predicate["ledger"]["entry"]}
    predicate.pop("links", None)
    old = ("data.parquet", "schema.json", "datasheet.md", "report.html")
    for name in set(BUNDLE_FILES) - set(old):
        (bundle / name).unlink()
    table = pq.read_table(bundle / "data.parquet")
    stated = {
        **table.schema.metadata,
        f"{METADATA_PREFIX}certificate_digest".encode(): claim_digest(certificate).encode(),
    }
    pq.write_table(table.replace_schema_metadata(stated), bundle / "data.parquet")
    certificate["subject"] = [{"name": name, "digest": {"sha256": file_digest(bundle / name)}} for name in old]
    (bundle / "certificate.json").write_text(json.dumps(certificate, indent=2, ensure_ascii=False) + "\n")
    assert verify_digests(bundle) == []
    assert release_in(bundle).subject is None
    found = verify_bundle(bundle, key=public(keys.requester))
    assert [str(fault) for fault in found.faults] == ["signature: missing: nothing says who made this bundle"]


def test_an_unsigned_bundle_is_refused_and_says_that_it_is_unsigned(tmp_path, keys):
    bundle = small_bundle(tmp_path / "v1", None)
    found = verify_bundle(bundle, key=public(keys.requester))
    assert [str(fault) for fault in found.faults] == ["signature: missing: nothing says who made this bundle"]
    assert found.certificate is None
    assert json.loads((bundle / "certificate.json").read_text())["predicate"]["signature"] == "unsigned"


def test_a_signature_put_into_a_bundle_that_says_unsigned_is_refused(tmp_path, keys):
    bundle = small_bundle(tmp_path / "v1", None)
    (bundle / "signature").write_bytes(keys.requester.seal((bundle / "certificate.json").read_bytes()))
    found = verify_bundle(bundle, key=public(keys.requester))
    assert [str(fault) for fault in found.faults] == [
        "certificate.json: says that another key signs it than the one that did"
    ]


def test_a_bundle_that_another_key_signed_is_refused_and_both_keys_are_named(tmp_path, keys):
    bundle = small_bundle(tmp_path / "v1", keys.stranger)
    (fault,) = verify_bundle(bundle, key=public(keys.requester)).faults
    assert fault.file == "signature"
    assert keys.stranger.key_id in fault.words
    assert f"{keys.requester.key_id} of requester.key.pub" in fault.words


def test_a_signature_that_claims_the_right_key_is_not_believed(tmp_path, keys):
    bundle = small_bundle(tmp_path / "v1", keys.stranger)
    text = (bundle / "signature").read_text().replace(keys.stranger.key_id, keys.requester.key_id)
    (bundle / "signature").write_text(text)
    assert [str(f) for f in verify_bundle(bundle, key=public(keys.requester)).faults] == [
        "signature: the signature does not hold; refuse it"
    ]


def test_the_seal_of_one_release_does_not_serve_another(bundle, tmp_path, keys):
    other = small_bundle(tmp_path / "v2", keys.requester)
    for name in ("signature", "approval"):
        shutil.copy(bundle / name, other / name)
    found = faults(other, keys)
    assert "certificate.json: is not what was signed" in found
    shutil.copy(bundle / "certificate.json", other / "certificate.json")
    assert {line.split(":")[0] for line in faults(other, keys)} >= {"data.parquet", "schema.json"}


def test_metadata_that_states_another_guarantee_is_refused_even_where_everything_is_signed(tmp_path, keys):
    """The requester himself wrote it: digests and signature fit, and what the table says does not."""
    from synth_pipeline.release.statement import file_digest

    bundle = small_bundle(tmp_path / "v1", keys.requester)
    table = pq.read_table(bundle / "data.parquet")
    own = {b"synth_pipeline.epsilon": b"0.01", b"synth_pipeline.note": b"safe"}
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, **own}), bundle / "data.parquet")
    certificate = json.loads((bundle / "certificate.json").read_text())
    certificate["subject"][0]["digest"]["sha256"] = file_digest(bundle / "data.parquet")
    text = json.dumps(certificate).encode()
    (bundle / "certificate.json").write_bytes(text)
    (bundle / "signature").write_bytes(keys.requester.seal(text))
    assert [str(f) for f in verify_bundle(bundle, key=public(keys.requester)).faults] == [
        "data.parquet: its metadata states another epsilon than the certificate",
        "data.parquet: its metadata states another note than the certificate",
    ]


@pytest.mark.parametrize("text", [b"{}", b"[1", b"\xff", b"[" * 100_000, b'{"subject": [{"name": 1}]}'])
def test_what_is_signed_but_no_certificate_is_refused(bundle, keys, text):
    (bundle / "certificate.json").write_bytes(text)
    (bundle / "signature").write_bytes(keys.requester.seal(text))
    assert all(line.split(":")[0] in ("certificate.json", "signature") for line in faults(bundle, keys))
    assert not check(bundle, keys).holds


@pytest.mark.parametrize("name", ["../other", "signature", "approval", "/etc/hostname", ""])
def test_a_certificate_that_names_what_it_may_not_is_refused(bundle, keys, name):
    certificate = json.loads((bundle / "certificate.json").read_text())
    certificate["subject"].append({"name": name, "digest": {"sha256": "0" * 64}})
    text = json.dumps(certificate).encode()
    (bundle / "certificate.json").write_bytes(text)
    (bundle / "signature").write_bytes(keys.requester.seal(text))
    assert any("which is no file that a certificate may name" in line for line in faults(bundle, keys))


def test_a_key_that_is_none_and_a_folder_that_is_none_are_bad_input(made, keys, tmp_path):
    with pytest.raises(SigningError, match="is no public key"):
        verify_bundle(made, key=b"x")
    with pytest.raises(SigningError, match="the approver's public key: is no public key"):
        verify_bundle(made, key=public(keys.requester), approver=b"")
    with pytest.raises(SynthPipelineError, match="cannot be listed"):
        verify_bundle(tmp_path / "none", key=public(keys.requester))
    with pytest.raises(SynthPipelineError, match="cannot be listed"):
        verify_bundle(Path(made / "schema.json"), key=public(keys.requester))
