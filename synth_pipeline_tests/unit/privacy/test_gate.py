"""The gate without Dagster: what may be claimed as released, how errors leave, where output of private stages goes."""

import ctypes
import logging
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pandas as pd
import pytest

from synth_pipeline.errors import BudgetRefused, CheckFailed, PrivacyError, TableError
from synth_pipeline.integrations.stores import FolderStore, is_owner_only
from synth_pipeline.privacy.gate import (
    Internal,
    Released,
    mark_private,
    mask_counts,
    masked_counts,
    opened,
    private_stage,
    value_free_errors,
    withheld_output,
    zone_of,
)
from synth_pipeline.snapshot.take import PrivateCounts, Snapshot, take_snapshot
from synth_pipeline.spec import Spec

SECRET = "Wilhelmina Harker 31337"
SPEC = Spec.model_validate(
    {
        "dataset": "d",
        "columns": {"age": {"kind": "integer", "min": 0, "max": 99}},
        "privacy": {"epsilon": 1.0, "delta": 1e-6},
    }
)


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "private", is_private=True)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return take_snapshot(pd.DataFrame({"age": range(100)}), SPEC, key=b"k" * 32, holdout=True)


def kept(store) -> str:
    return "".join(path.read_text() for path in sorted(store.root.rglob("*.txt")))


# ------------------------------------------------------------------------------------------------ zones


@pytest.mark.parametrize("value", [1, 0.5, "text", None, (1, 2), {"a": [1]}, pd.DataFrame({"zone": ["private"]})])
def test_a_value_that_does_not_say_a_zone_may_be_claimed_as_released(value):
    assert opened(Released(value), where="here") is value


@pytest.mark.parametrize("pick", ["snapshot", "counts", "train", "holdout", "column", "slice", "list", "mapping"])
def test_what_a_snapshot_holds_cannot_be_claimed_as_released(snapshot, pick):
    value = {
        "snapshot": snapshot,
        "counts": snapshot.counts,
        "train": snapshot.train,
        "holdout": snapshot.holdout,
        "column": snapshot.train["age"],
        "slice": snapshot.train.head(3).reset_index(drop=True),
        "list": [1, snapshot.counts],
        "mapping": {"counts": (snapshot.counts,)},
    }[pick]
    with pytest.raises(PrivacyError, match="is private and does not leave"):
        Released(value)
    assert "31" not in repr(snapshot.counts)


def test_a_snapshot_that_was_read_back_is_still_private(snapshot, tmp_path):
    from synth_pipeline.orchestration.codecs import CODECS

    CODECS["real_snapshot"].save(snapshot, tmp_path)
    back = CODECS["real_snapshot"].load(tmp_path)
    assert [zone_of(part) for part in (back, back.train, back.holdout, back.counts)] == ["private"] * 4


def test_a_scorecard_and_an_internal_value_cannot_be_claimed_as_released():
    from synth_pipeline.benchmark import Scorecard

    card = Scorecard.model_construct(rows={"train": 31337})
    for value in (card, Internal(0.87), {"auc": Internal(0.87)}):
        with pytest.raises(PrivacyError, match="is internal and does not leave"):
            Released(value)


def test_a_refusal_to_release_does_not_show_the_value():
    with pytest.raises(PrivacyError) as caught:
        Released(mark_private(pd.DataFrame({"name": [SECRET]})))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("bare", [0.87, "text", None, PrivateCounts(1, 2, 3, 4, {}), Internal(1)])
def test_an_adapter_refuses_what_is_not_released(bare):
    with pytest.raises(PrivacyError, match=r"report: \w+ has no zone"):
        opened(bare, where="report")


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    "told, leaves",
    [
        (
            "column 'age': 1,234 rows outside the declared range 0 to 99",
            "column 'age': some rows outside the declared range 0 to 99",
        ),
        ("holds 10007 rows that are not whole numbers", "holds some rows that are not whole numbers"),
        ("10_007 people and 3 null values", "some people and some null values"),
        ("1 row, 2 persons, 3 units, 4 cells", "some row, some persons, some units, some cells"),
        ("812 training rows and 3.5 rows a person", "some training rows and some rows a person"),
        ("ε = 1.5 at δ = 1e-06, step 3 of 40", "ε = 1.5 at δ = 1e-06, step 3 of 40"),
    ],
)
def test_counts_of_rows_and_people_are_masked_and_public_figures_are_not(told, leaves):
    assert mask_counts(told) == leaves


@pytest.mark.parametrize(
    "raised", [SystemExit(SECRET), MemoryError(SECRET), BaseException(SECRET), StopIteration(SECRET)]
)
def test_an_exception_of_any_base_is_replaced(raised, store):
    with (
        pytest.raises(PrivacyError, match=f"stopped by {type(raised).__name__}") as caught,
        value_free_errors("s", store),
    ):
        raise raised
    assert SECRET not in str(caught.value)
    assert SECRET in kept(store)


def interrupted() -> None:
    try:
        raise ValueError(SECRET)
    finally:
        raise KeyboardInterrupt(SECRET)


def test_an_interruption_passes_without_its_message_or_what_it_interrupted(store):
    with pytest.raises(KeyboardInterrupt) as caught, value_free_errors("s", store):
        interrupted()
    assert caught.value.args == ()
    assert caught.value.__suppress_context__


def test_where_the_private_store_cannot_be_written_the_message_is_lost_and_not_told(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where the store should be")
    store = FolderStore(blocked / "private", is_private=True)
    with pytest.raises(PrivacyError, match="kept in nowhere") as caught, value_free_errors("s", store):
        raise ValueError(SECRET)
    assert SECRET not in str(caught.value)


def test_a_command_masks_counts_and_leaves_crashes_to_its_own_handler(store):
    with pytest.raises(TableError, match="some rows"), masked_counts(store):
        raise TableError("12 rows are null")
    with pytest.raises(KeyError, match="x"), masked_counts(store):
        raise KeyError("x")


@pytest.mark.parametrize("error", [BudgetRefused("the cap is 1"), CheckFailed("check 'x' failed")])
def test_a_refusal_of_our_family_passes_a_private_stage_unharmed(error, store):
    with pytest.raises(type(error), match=str(error)), private_stage("s", store):
        raise error


# ------------------------------------------------------------------------------------------------ output


def say(how: str) -> None:
    """One line in each of the ways in which libraries talk."""
    match how:
        case "print":
            print(SECRET)  # noqa: T201
        case "stderr":
            sys.stderr.write(SECRET)
        case "descriptor 1" | "descriptor 2":
            os.write(int(how[-1]), SECRET.encode())
        case "C":
            ctypes.CDLL(None).dprintf(2, SECRET.encode())
        case "child":
            subprocess.run(["sh", "-c", f"echo {SECRET} >&2"], check=True)
        case "warning":
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn(f"could not infer format of {SECRET}", UserWarning, stacklevel=1)
        case "log":
            logging.getLogger("a.library").error("bad cell %s", SECRET, exc_info=(ValueError, ValueError(SECRET), None))


WAYS = ["print", "stderr", "descriptor 1", "descriptor 2", "C", "child", "warning", "log"]


@pytest.mark.parametrize("way", WAYS)
def test_what_a_private_stage_says_in_any_way_is_kept_in_the_private_store_and_told_nowhere(
    way, store, capfd, caplog, recwarn
):
    with caplog.at_level(logging.DEBUG), private_stage("profile", store):
        say(way)
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err + caplog.text + str([item.message for item in recwarn])
    assert SECRET in kept(store)
    assert all(is_owner_only(path) for path in store.root.rglob("*"))


@pytest.mark.parametrize("way", WAYS)
def test_the_control_says_it_where_it_is_seen(way, capfd, caplog, recwarn):
    with caplog.at_level(logging.DEBUG):
        say(way)
    told = capfd.readouterr()
    assert SECRET in told.out + told.err + caplog.text + str([item.message for item in recwarn])


def test_after_a_private_stage_everything_is_as_before(store, capfd):
    streams, factory = (sys.stdout, sys.stderr), logging.getLogRecordFactory()
    with pytest.raises(TableError), private_stage("s", store):
        raise TableError("no")
    print("seen again")  # noqa: T201
    os.write(2, b"and this")
    assert (sys.stdout, sys.stderr) == streams
    assert logging.getLogRecordFactory() is factory
    told = capfd.readouterr()
    assert (told.out, told.err) == ("seen again\n", "and this")


def test_a_silent_stage_leaves_no_file(store):
    with private_stage("profile", store):
        pass
    assert list((store.root / "output").iterdir()) == []


def test_what_is_told_of_the_output_does_not_depend_on_it(store):
    told = []
    with private_stage("profile", store, log=told.append):
        assert [line.value.split(" is kept in ")[0] for line in told] == [
            "profile: reads real rows; whatever is printed or warned meanwhile"
        ]
        say("print")
    assert len(told) == 1


def test_lines_of_the_orchestrators_logger_keep_their_words(store, caplog):
    with caplog.at_level(logging.INFO), withheld_output("s", store):
        logging.getLogger("dagster").info("profile: 30%")
        logging.getLogger("dagsterish").info(SECRET)
    assert "profile: 30%" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("death", ["os._exit(3)", "os.kill(os.getpid(), 9)", "ctypes.string_at(0)"])
def test_a_process_that_dies_in_a_private_stage_leaves_its_words_in_the_private_store(death, tmp_path):
    script = f"""
    import ctypes, faulthandler, os
    from pathlib import Path
    from synth_pipeline.integrations.stores import FolderStore
    from synth_pipeline.privacy.gate import private_stage
    faulthandler.enable()
    with private_stage("profile", FolderStore(Path({str(tmp_path)!r}) / "private", is_private=True)):
        secret = {SECRET!r}
        os.write(2, secret.encode())
        {death}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert SECRET.encode() not in done.stdout + done.stderr
    (file,) = (tmp_path / "private" / "output").iterdir()
    assert SECRET in file.read_text()
    assert is_owner_only(file)


def test_a_process_that_has_read_rows_leaves_no_core_file_when_it_crashes_later(tmp_path):
    code = f"""
    import os, resource, signal
    from pathlib import Path
    from synth_pipeline.integrations.stores import FolderStore
    from synth_pipeline.privacy.gate import private_stage

    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    with private_stage("profile", FolderStore(Path({str(tmp_path / "private")!r}), is_private=True)):
        pass
    print(resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.stdout == "0\n"
    assert ended.returncode < 0
    assert [path.name for path in tmp_path.iterdir()] == ["private"]
