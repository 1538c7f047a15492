"""Servers as child processes: started in a group of their own, waited for, stopped as a group, gone when this process is.

Belongs here: processes. Does not: which servers there are (topology).
"""

import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_GRACE_SECONDS = 25.0
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's <sys/prctl.h>


class ServerFailed(Exception):
    """A server stopped by itself or did not answer; the message names its log."""


@dataclass
class Server:
    """A running server.

    Attributes:
        name: what it is called on the screen.
        process: the leader of its group.
        log: the file that holds what it prints.
        again: starts it anew with the same command and place.
        ending: the signal that it ends in order at.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    again: Callable[[], "Server"] = field(repr=False)
    ending: signal.Signals = signal.SIGTERM

    def stop(self) -> None:
        """Ask the whole group to stop, then make it."""
        for number, patience_seconds in ((self.ending, _GRACE_SECONDS), (signal.SIGKILL, 5.0)):
            if not self.is_alive():
                return
            self.signal(number)
            deadline = time.monotonic() + patience_seconds
            while time.monotonic() < deadline and self.is_alive():
                time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash would."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the group."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return

    def is_alive(self) -> bool:
        """Whether any process of the group is left."""
        self.process.poll()  # collects the leader, which would else count as alive
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


def start(
    name: str, command: Sequence[str], *, logs: Path, env: Mapping[str, str], folder: Path | str, **identity: Any
) -> Server:
    """Start a server in a process group of its own.

    Args:
        name: what it is called.
        command: program and arguments.
        logs: folder of the logs.
        env: its whole environment.
        folder: where it runs.
        identity: who it runs as, as `subprocess` takes it.
    """
    log = logs / f"{name.replace(' ', '-')}.log"
    with log.open("ab") as output:
        process: Any = subprocess.Popen(  # noqa: S603  (our own commands, no shell)
            list(command),
            env=dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # an interrupt from the keyboard reaches the stack alone, which stops all in order
            preexec_fn=_die_with_parent,  # noqa: PLW1509  (one system call, before the program is loaded)
            **identity,
        )

    def again() -> Server:
        return start(name, command, logs=logs, env=env, folder=folder, **identity)

    return Server(name, process, log, again)


def wait_for_page(server: Server, address: str, *, patience_seconds: float = 180.0) -> None:
    """Wait until an address answers, whatever it says.

    Raises:
        ServerFailed: if the server stops, or does not answer in time.
    """
    _wait(server, lambda: _answers(address), patience_seconds)


def wait_for_port(server: Server, port: int, *, patience_seconds: float = 180.0) -> None:
    """Wait until a port of this machine takes connections.

    Raises:
        ServerFailed: if the server stops, or does not answer in time.
    """
    _wait(server, lambda: is_taken(port), patience_seconds)


def wait_for(server: Server, is_ready: Callable[[], bool], *, patience_seconds: float = 180.0) -> None:
    """Wait until a server is ready by its own measure.

    Raises:
        ServerFailed: if the server stops, or is not ready in time.
    """
    _wait(server, is_ready, patience_seconds)


def free_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_taken(port: int) -> bool:
    """Whether somebody listens at a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(server: Server, is_ready: Callable[[], bool], patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise ServerFailed(f"{server.name} stopped by itself (exit {server.process.returncode}); see {server.log}")
        if is_ready():
            return
        time.sleep(0.2)
    raise ServerFailed(f"{server.name} did not answer within {patience_seconds:.0f} s; see {server.log}")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310  (our own address)
            return True
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, OSError):
        return False


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)
