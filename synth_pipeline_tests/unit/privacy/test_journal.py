"""The answer journal: what is on disk before an answer is given, what a kill may leave, and who may have it."""

import multiprocessing
import os
import signal
import stat
from dataclasses import replace

import numpy as np
import pytest

from synth_pipeline.errors import LedgerError
from synth_pipeline.privacy.journal import (
    Question,
    StageKey,
    has_journal,
    open_journal,
    remove_journals,
    sweep_journals,
)
from synth_pipeline.privacy.ledger.contract import WalkKey

WALK = WalkKey("clinic", "visits/2024 & more", "spec", "code", "walk")
KEY = StageKey(WALK, 3, "profile", "fingerprint")


def question(number=0, truth=(1, 2, 3), purpose=None):
    about = {"stage": "profile", "purpose": purpose or f"question {number}", "sigma": 2.5 + number}
    return Question("counts", about, np.array(truth, dtype=np.int64))


def asked(folder, count, key=KEY, seed=None):
    """Ask so many questions; seed, answers, and how many were drawn now."""
    drawn = []

    def draw():
        drawn.append(1)
        return np.random.default_rng().integers(-(2**62), 2**62, 3)

    with open_journal(folder, key, seed=seed) as journal:
        answers = [journal.answer(question(number), draw).tolist() for number in range(count)]
        return journal.seed, answers, len(drawn)


def records_end(path, count):
    """Where the file's first records end."""
    content, place = path.read_bytes(), 0
    for _ in range(count):
        place += 4 + int.from_bytes(content[place : place + 4], "big") + 32
    return place


def test_a_second_run_gets_the_answers_and_the_seed_of_the_first_and_draws_the_rest(tmp_path):
    seed, first, _ = asked(tmp_path, 3)
    again, answers, drawn = asked(tmp_path, 5, seed=77)
    assert (again, answers[:3], drawn) == (seed, first, 2)
    assert asked(tmp_path, 5) == (seed, answers, 0)


def test_a_seed_that_is_given_is_kept(tmp_path):
    assert asked(tmp_path, 1, seed=11)[0] == 11
    assert asked(tmp_path, 1, seed=12)[0] == 11


def test_every_kind_of_answer_comes_back_as_it_was(tmp_path):
    for _ in range(2):
        answers = [np.array([-5, 2**62], dtype=np.int64), 4, 2**90, ("Ulm", "Böblingen"), ()]
        with open_journal(tmp_path, KEY) as journal:
            found = [journal.answer(question(number), lambda kept=kept: kept) for number, kept in enumerate(answers)]
        assert found[0].tolist() == [-5, 2**62]
        found[0] += 1  # an array of the caller's own
        assert found[1:] == answers[1:]


@pytest.mark.parametrize(
    "other",
    [
        question(1, truth=(1, 2, 4)),
        question(1, purpose="another"),
        Question("choice", question(1).about, np.array([1])),
    ],
    ids=["another truth", "another purpose", "another kind"],
)
def test_another_question_is_refused_and_says_what_to_do(other, tmp_path):
    asked(tmp_path, 2)
    with open_journal(tmp_path, KEY) as journal:
        journal.answer(question(0), lambda: 1)
        with pytest.raises(LedgerError, match=r"question 2 is not the one .* stays charged .* clinic/real_snapshot"):
            journal.answer(other, lambda: 1)


@pytest.mark.parametrize("left", [1, 3, 20, -40, -1])
def test_a_torn_last_answer_is_dropped_and_drawn_anew(left, tmp_path):
    _, first, _ = asked(tmp_path, 3)
    path = KEY.file(tmp_path)
    whole, before = path.read_bytes(), records_end(path, 3)
    path.write_bytes(whole[: before + left] if left > 0 else whole[:left])
    _, answers, drawn = asked(tmp_path, 3)
    assert answers[:2] == first[:2]
    assert drawn == 1
    assert asked(tmp_path, 3)[1:] == (answers, 0)


def test_a_stretch_that_was_never_filled_is_cut_off(tmp_path):
    _, first, _ = asked(tmp_path, 2)
    with KEY.file(tmp_path).open("ab") as file:
        file.write(bytes(5000))
    assert asked(tmp_path, 2)[1:] == (first, 0)


@pytest.mark.parametrize("record", [0, 1, 2, 3])
def test_a_damaged_answer_is_refused_not_drawn_anew(record, tmp_path):
    asked(tmp_path, 3)
    path = KEY.file(tmp_path)
    content = bytearray(path.read_bytes())
    content[records_end(path, record) + 40] ^= 1
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="damaged"):
        asked(tmp_path, 3)


def test_an_answer_that_cannot_be_written_is_not_given_and_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    asked(tmp_path, 1)
    before = KEY.file(tmp_path).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with open_journal(tmp_path, KEY) as journal:
        journal.answer(question(0), lambda: 1)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            journal.answer(question(1), lambda: np.arange(3))
        monkeypatch.undo()
        with pytest.raises(OSError, match="could not be written before"):
            journal.answer(question(1), lambda: np.arange(3))
    assert KEY.file(tmp_path).read_bytes() == before


def test_an_answer_is_on_disk_before_it_is_given(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    with open_journal(tmp_path, KEY) as journal, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda place: synced.append(KEY.file(tmp_path).stat().st_size) or real(place))
        journal.answer(question(0), lambda: 7)
        assert synced == [KEY.file(tmp_path).stat().st_size]


def test_words_are_the_same_in_every_run_and_never_twice_in_one(tmp_path):
    with open_journal(tmp_path, KEY) as journal:
        first = [journal.words(size) for size in (3, 1, 4)]
    with open_journal(tmp_path, KEY) as journal:
        again = [journal.words(size) for size in (3, 1, 4)]
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert len(np.unique(np.concatenate(first))) == 8
    with open_journal(tmp_path, replace(KEY, stage="generator")) as journal:
        assert not np.array_equal(journal.words(3), first[0])


@pytest.mark.parametrize("change", [{"fingerprint": "of another table"}, {"reservation": 4}])
def test_a_journal_is_not_gone_on_with_for_another_table_or_reservation(change, tmp_path):
    asked(tmp_path, 1)
    with pytest.raises(LedgerError, match="another snapshot or reservation"):
        asked(tmp_path, 1, key=replace(KEY, **change))


@pytest.mark.parametrize("change", ["snapshot", "spec_digest", "code_version", "walk_id"])
def test_another_walk_has_a_journal_of_its_own(change, tmp_path):
    asked(tmp_path, 1)
    other = replace(KEY, walk=replace(WALK, **{change: "other"}))
    assert asked(tmp_path, 1, key=other)[2] == 1


def test_only_its_owner_may_read_it(tmp_path):
    folder = tmp_path / "private" / "journals"
    asked(folder, 1)
    path = KEY.file(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for place in (path.parent, path.parent.parent, folder):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_one_process_has_it_at_a_time(tmp_path):
    with (
        open_journal(tmp_path, KEY),
        pytest.raises(LedgerError, match="another process is at this stage"),
        open_journal(tmp_path, KEY, patience_seconds=0.2),
    ):
        pass
    assert asked(tmp_path, 1)[2] == 1


def test_a_journal_that_is_open_is_not_removed(tmp_path):
    with open_journal(tmp_path, KEY):
        assert remove_journals(tmp_path, WALK) == 0
    assert has_journal(tmp_path, WALK, "profile")
    assert remove_journals(tmp_path, WALK, stage="generator") == 0
    assert remove_journals(tmp_path, WALK) == 1
    assert not has_journal(tmp_path, WALK, "profile")
    assert not has_journal(None, WALK, "profile")


def test_what_other_walks_of_the_snapshot_left_is_swept(tmp_path):
    others = [replace(WALK, walk_id="older"), replace(WALK, snapshot="another")]
    for walk in (WALK, *others):
        asked(tmp_path, 1, key=replace(KEY, walk=walk))
    assert sweep_journals(tmp_path, WALK) == 1
    assert [has_journal(tmp_path, walk, "profile") for walk in (WALK, *others)] == [True, False, True]


def _answer_and_die(folder, sent):
    with open_journal(folder, KEY) as journal:
        while True:
            sent.send(
                journal.answer(question(0, truth=(1,)), lambda: np.random.default_rng().integers(0, 2**62, 1)).tolist()
            )
            if not journal.is_replaying and journal._place > 3:
                os.kill(os.getpid(), signal.SIGKILL)


def test_answers_of_a_killed_process_are_those_of_the_next_and_the_lock_goes_with_it(tmp_path):
    context = multiprocessing.get_context("forkserver")
    seen = []
    for _ in range(2):
        ours, theirs = context.Pipe()
        process = context.Process(target=_answer_and_die, args=(tmp_path, theirs))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        got = []
        while ours.poll():
            got.append(ours.recv())
        seen.append(got)
    assert len(seen[0]) == 4
    assert seen[1][:4] == seen[0]
