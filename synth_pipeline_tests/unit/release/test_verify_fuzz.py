"""Bundles that somebody put together wrongly, thousands of them: each is refused, each names a file of the bundle, and none hangs."""

import base64
import json
import os
import random
import shutil
import signal

import pyarrow.parquet as pq
import pytest

from synth_pipeline.cli import main
from synth_pipeline.release.statement import LARGEST_STATEMENT, file_digest
from synth_pipeline.release.verify import verify_bundle, verify_digests
from synth_pipeline_tests.checked_bundle import keys, public
from synth_pipeline_tests.signed_example import NOW, approve, small_bundle

__all__ = ["keys"]

SEALS = ("certificate.json", "signature", "approval")
SECONDS = 60


@pytest.fixture(scope="module")
def pair(keys, tmp_path_factory):
    """Two releases of one dataset, each of which holds."""
    folder = tmp_path_factory.mktemp("made") / "clinic"
    made = [small_bundle(folder / f"v{number}", keys.requester) for number in (1, 2)]
    for bundle in made:
        approve(bundle, keys, expires=None)
    return made


@pytest.fixture(autouse=True)
def in_time():
    """A check that waits for something ends the test."""
    signal.alarm(SECONDS * 15)
    yield
    signal.alarm(0)


def faults(bundle, keys):
    return verify_bundle(bundle, key=public(keys.requester), approver=public(keys.approver), now=NOW).faults


def exchanged(bundle, other, rng, keys):
    """Files of another release of the dataset, in any number but all of them."""
    names = sorted(path.name for path in bundle.iterdir())
    differing = [name for name in names if (bundle / name).read_bytes() != (other / name).read_bytes()]
    for name in rng.sample(differing, rng.randrange(1, len(differing))):
        shutil.copy(other / name, bundle / name)


def cut(bundle, other, rng, keys):
    path = rng.choice(sorted(bundle.iterdir()))
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def longer(bundle, other, rng, keys):
    path = rng.choice(sorted(bundle.iterdir()))
    with path.open("ab") as file:
        file.write(rng.choice([b"\n", b" ", b"\0" * 4096, path.read_bytes(), rng.randbytes(rng.randrange(1, 99))]))


def twisted(bundle, other, rng, keys):
    """A stretch of bytes written over another, or taken out."""
    path = rng.choice(sorted(bundle.iterdir()))
    content = bytearray(path.read_bytes())
    start = rng.randrange(len(content))
    content[start : start + rng.randrange(1, 400)] = rng.randbytes(rng.choice([0, 1, 400]))
    if bytes(content) == path.read_bytes():
        content += b"x"
    path.write_bytes(bytes(content))


def shuffled(bundle, other, rng, keys):
    first, second = rng.sample(sorted(bundle.iterdir()), 2)
    texts = first.read_bytes(), second.read_bytes()
    first.write_bytes(texts[1])
    second.write_bytes(texts[0])


def strange(bundle, other, rng, keys):
    """Something else than a plain file in the place of one, or beside it."""
    path = rng.choice([*sorted(bundle.iterdir()), bundle / "more"])
    path.unlink(missing_ok=True)
    match rng.choice(["pipe", "folder", "link", "device", "nothing", "loop"]):
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(other / "schema.json")
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path.name)
        case "nothing":
            (bundle / "more").write_text("")


def respelt(bundle, other, rng, keys):
    """The certificate or an envelope, with the same content in other words."""
    path = bundle / rng.choice(SEALS)
    content = json.loads(path.read_text())
    texts = [
        json.dumps(content),
        json.dumps(content, indent=rng.choice([0, 3, 4])),
        json.dumps(content, indent=2, sort_keys=True) + "\n\n",
        path.read_text().replace("\n", "\r\n"),
        "\ufeff" + path.read_text(),
        path.read_text().replace(": ", ":", 1),
    ]
    path.write_text(rng.choice(texts), newline="")


def resealed(bundle, other, rng, keys):
    """A seal by another key, by the same key over something else, or in the name of another."""
    path = bundle / rng.choice(("signature", "approval"))
    envelope = json.loads(path.read_text())
    payload = base64.b64decode(envelope["payload"])
    right = keys.requester if path.name == "signature" else keys.approver
    change = rng.choice(["key", "words", "name", "two", "none", "type", "extra"])
    if change == "key":
        signer = rng.choice([keys.stranger, keys.approver if right is keys.requester else keys.requester])
        path.write_bytes(signer.seal(payload))
        return
    if change == "words":
        path.write_bytes(right.seal(rng.choice([b"{}", b"[]", b"null", payload[:-9], payload + b"{}", b"[" * 9999])))
        return
    entry = envelope["signatures"][0]
    changed = {
        "name": {"signatures": [{**entry, "keyid": keys.stranger.key_id}]},
        "two": {"signatures": [entry, entry]},
        "none": {"signatures": []},
        "type": {"payloadType": "text/plain"},
        "extra": {"note": "approved by everybody"},
    }
    path.write_text(json.dumps({**envelope, **changed[change]}, indent=1) + "\n")


def claimed_otherwise(bundle, other, rng, keys):
    """The requester's own doing: what the table states and what the certificate claims are two, and all of it is signed."""
    certificate = json.loads((bundle / "certificate.json").read_text())
    field = rng.choice(["epsilon", "delta", "unit", "rows", "version", "dataset", "neighbours", "note"])
    value = rng.choice([0.01, -1.0, "less", None, True, [], {}])
    if rng.random() < 0.5:
        certificate["predicate"][field] = value
    else:
        table = pq.read_table(bundle / "data.parquet")
        own = {f"synth_pipeline.{field}".encode(): str(value).encode()}
        pq.write_table(table.replace_schema_metadata({**table.schema.metadata, **own}), bundle / "data.parquet")
        certificate["subject"][0]["digest"]["sha256"] = file_digest(bundle / "data.parquet")
    text = json.dumps(certificate).encode()
    (bundle / "certificate.json").write_bytes(text)
    (bundle / "signature").write_bytes(keys.requester.seal(text))


CHANGES = (exchanged, cut, longer, twisted, shuffled, strange, respelt, resealed, claimed_otherwise)


def check_refused(pair, tmp_path, keys, *, seed, times):
    rng, made = random.Random(seed), {path.name for path in pair[0].iterdir()}
    for number in range(times):
        change = CHANGES[number % len(CHANGES)]
        bundle = shutil.copytree(pair[0], tmp_path / "v1")
        change(bundle, pair[1], rng, keys)
        found = faults(bundle, keys)
        assert found, (change.__name__, seed, number)
        assert all(fault.file in made | {"more"} for fault in found), (change.__name__, number, found)
        assert all("\n" not in str(fault) for fault in found)
        assert isinstance(verify_digests(bundle), list)
        shutil.rmtree(bundle)


@pytest.mark.slow
def test_hundreds_of_bundles_that_were_put_together_wrongly_are_refused_and_name_a_file(pair, tmp_path, keys):
    check_refused(pair, tmp_path, keys, seed=6, times=270)


@pytest.mark.slow
def test_thousands_of_bundles_that_were_put_together_wrongly_are_refused_and_name_a_file(pair, tmp_path, keys):
    check_refused(pair, tmp_path, keys, seed=7, times=4500)


@pytest.mark.parametrize("name", SEALS)
def test_a_seal_of_many_gigabytes_is_not_read(pair, tmp_path, keys, name):
    bundle = shutil.copytree(pair[0], tmp_path / "v1")
    os.truncate(bundle / name, 1 << 40)  # a file with holes: nothing of it is on the disk
    (found,) = [fault for fault in faults(bundle, keys) if fault.file == name]
    assert found.words == f"is larger than {LARGEST_STATEMENT >> 20} MiB, which none of this program's is"


def test_a_file_that_may_not_be_read_is_named(pair, tmp_path, keys):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    bundle = shutil.copytree(pair[0], tmp_path / "v1")
    for name in ("schema.json", "signature"):
        (bundle / name).chmod(0)
    assert [str(fault) for fault in faults(bundle, keys)] == [
        "signature: cannot be read (PermissionError)",
        "schema.json: cannot be read",
    ]


def test_a_file_that_others_link_to_is_a_plain_file(pair, tmp_path, keys):
    bundle = shutil.copytree(pair[0], tmp_path / "v1")
    os.link(bundle / "data.parquet", tmp_path / "second_name")
    assert faults(bundle, keys) == ()


def test_a_withdrawal_in_the_bundle_is_told_without_what_a_terminal_would_act_on(pair, tmp_path, keys):
    bundle = shutil.copytree(pair[0], tmp_path / "v1")
    approve(bundle, keys, decision="withdraw", reason="bad\x1b[2J\nfine: holds")
    (line,) = [str(fault) for fault in faults(bundle, keys) if "withdraws" in fault.words]
    assert line == r"approval: withdraws the release: 'bad\x1b[2J\nfine: holds'; do not use it any more"


def test_the_conditions_of_an_approval_are_shown_with_its_purpose(pair, tmp_path, keys, capsys):
    bundle = shutil.copytree(pair[0], tmp_path / "v1")
    approve(bundle, keys, expires=None, conditions="not to be linked")
    given = ["--key", str(keys.requester.key_path) + ".pub", "--approver", str(keys.approver.key_path) + ".pub"]
    assert main(["verify", str(bundle), *given]) == 0
    assert "under the conditions 'not to be linked'" in capsys.readouterr().out


def test_exit_codes_tell_a_wrong_bundle_from_wrong_input(pair, tmp_path, keys, capsys):
    bundle, key = shutil.copytree(pair[0], tmp_path / "v1"), f"{keys.requester.key_path}.pub"
    assert main(["verify", str(bundle), "--key", key]) == 0
    assert main(["verify", str(bundle), "--key", "/dev/zero"]) == 2
    assert main(["verify", str(bundle), "--key", str(bundle / "schema.json")]) == 2
    assert main(["verify", str(tmp_path / "none"), "--key", key]) == 2
    assert main(["verify", str(bundle / "schema.json"), "--key", key]) == 2
    (bundle / "more").write_text("")
    assert main(["verify", str(bundle), "--key", key]) == 4
    shutil.rmtree(bundle)
    bundle.mkdir()
    assert main(["verify", str(bundle), "--key", key]) == 4
    assert all(line for line in capsys.readouterr().err.splitlines())
