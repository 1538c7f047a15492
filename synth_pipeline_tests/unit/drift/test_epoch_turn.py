"""Turns at an epoch: a second process waits until the first is done."""

import stat
import threading
from pathlib import Path

from synth_pipeline.drift.epoch_turn import epoch_turn


def test_a_second_question_waits_until_the_first_is_stored(tmp_path: Path):
    done: list[str] = []

    def second() -> None:
        with epoch_turn(tmp_path, "toy"):
            done.append("second")

    with epoch_turn(tmp_path, "toy"):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.2)
        done.append("first")
    waiting.join(20)
    assert done == ["first", "second"]


def test_turns_of_other_datasets_do_not_wait(tmp_path: Path):
    with epoch_turn(tmp_path, "toy"), epoch_turn(tmp_path, "other"), epoch_turn(None, "toy"):
        assert stat.S_IMODE((tmp_path / "toy.epoch.lock").stat().st_mode) == 0o600
