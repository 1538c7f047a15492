"""Signals to real processes: which one ended a command is told right, whoever handles it, and none is lost on the way."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from synth_pipeline.cli.signals import heard_signals

_COMMAND = """
import gc, pathlib, signal, sys, time
import click
from synth_pipeline.cli import entry
from synth_pipeline.cli.refusal import refusing

started, cleaned_up = pathlib.Path(sys.argv[1], "started"), pathlib.Path(sys.argv[1], "cleaned-up")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had us started with Ctrl-C ignored

def waits():
    started.touch()
    time.sleep(60)

class Dying:
    def __del__(self):
        waits()

def as_dagster_leaves_it():
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    waits()

def while_an_object_dies():
    Dying()
    time.sleep(60)

def while_garbage_is_collected():
    gc.callbacks.append(lambda phase, _: waits() if phase == "start" and not started.exists() else None)
    gc.collect()
    time.sleep(60)

@click.command()
@refusing
def waiting():
    try:
        globals()[sys.argv[2]]()
    finally:
        cleaned_up.touch()

entry.program.add_command(waiting)
sys.exit(entry.main(["waiting"]))
"""
TERMINATED, INTERRUPTED = (signal.SIGTERM, "terminated", 143), (signal.SIGINT, "interrupted", 130)


@pytest.mark.parametrize(
    "moment, sent",
    [
        ("as_dagster_leaves_it", TERMINATED),
        ("as_dagster_leaves_it", INTERRUPTED),
        ("while_an_object_dies", TERMINATED),
        ("while_garbage_is_collected", INTERRUPTED),
    ],
    ids=lambda value: value if isinstance(value, str) else value[1],
)
def test_a_signal_ends_a_command_as_what_it_is_whatever_is_under_way(moment, sent, tmp_path):
    number, word, code = sent
    process = subprocess.Popen([sys.executable, "-c", _COMMAND, tmp_path, moment], stderr=subprocess.PIPE, text=True)
    try:
        while not (tmp_path / "started").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        told = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    assert told.strip() == f"synth-pipeline: {word}; what was read stays charged: see `synth-pipeline ledger show`"
    assert process.returncode == code
    assert (tmp_path / "cleaned-up").exists()


def test_what_hears_signals_leaves_the_process_as_it_was():
    before = sys.unraisablehook, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with heard_signals() as heard:
        assert heard.last is None
    assert (sys.unraisablehook, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_outside_the_main_thread_nothing_is_heard_and_nothing_changed():
    found = []

    def hear():
        with heard_signals() as heard:
            found.append((heard.last, heard.is_termination, sys.unraisablehook))

    before = sys.unraisablehook
    thread = threading.Thread(target=hear)
    thread.start()
    thread.join()
    assert found == [(None, False, before)]
