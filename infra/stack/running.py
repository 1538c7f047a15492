"""The whole stack for the length of a block: every part started, waited for and, at the end, stopped in order."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.stack.postgres import Cluster
from infra.stack.processes import Server, ServerFailed, free_port, start, wait_for_page, wait_for_port
from infra.stack.topology import BUCKETS, DATABASES, REGION, Ports, Topology

_INFRA = Path(__file__).parents[1]
_MAKE_DATABASE = (
    "from dagster import DagsterInstance\nwith DagsterInstance.get() as instance: instance.get_runs_count()"
)
Tell = Callable[[str, float], None]


def untold(_message: str, _done: float) -> None:
    """Where nobody is told what is going on."""


@dataclass(frozen=True)
class Stack:
    """A running stack.

    Attributes:
        topology: where every part is.
        servers: the parts, by name, in the order in which they were started.
        cluster: the databases.
    """

    topology: Topology
    servers: dict[str, Server]
    cluster: Cluster

    def kill(self, name: str) -> None:
        """End a part as a crash would."""
        self.servers[name].kill()

    def restart(self, name: str) -> None:
        """Start a part again that has ended, with the same command and place."""
        self.servers[name] = self.servers[name].again()
        port = {"postgresql": self.topology.ports.postgres, "s3": self.topology.ports.s3}.get(name)
        if port is not None:
            wait_for_port(self.servers[name], port)
        if name == "s3":
            replay_objects(self.topology)


@contextmanager
def running_stack(
    folder: Path, *, ports: Ports | None = None, own: Path | None = None, tell: Tell | None = None
) -> Generator[Stack]:
    """Start everything, wait until it answers, and stop it at the end of the block.

    Args:
        folder: holds what is kept on disk, between starts too.
        ports: where the servers listen; default: free ones.
        own: folder of the datasets' declarations.
        tell: told what is going on, and the share that is done.

    Raises:
        ServerFailed: if a part does not come up; those that did are stopped.
    """
    say = tell or untold
    topology = _prepared(folder.resolve(), ports or _free_ports(), own)
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        stack.callback(_stop_all, servers)
        say("PostgreSQL and the S3 endpoint", 0.0)
        place = folder.resolve() / "postgres"
        cluster = Cluster.at(place, topology.ports.postgres, topology.password, stack=stack)
        servers["postgresql"] = cluster.start(topology.logs, DATABASES)
        servers["s3"] = _started(topology, "s3", topology.s3_command(), {**_moto(topology)})
        wait_for_port(servers["s3"], topology.ports.s3)
        replay_objects(topology)
        make_buckets(topology)
        say("Dagster's tables", 0.2)
        servers["mlflow"] = _started(topology, "mlflow", topology.mlflow_command())
        servers["code server"] = _started(topology, "code server", topology.code_command())
        _make_tables(topology)
        say("the code server", 0.4)
        wait_for_port(servers["code server"], topology.ports.code)
        say("Dagster's web server and daemon", 0.6)
        servers["web server"] = _started(topology, "web server", topology.web_command())
        servers["daemon"] = _started(topology, "daemon", topology.daemon_command())
        wait_for_page(servers["web server"], f"{topology.web}/server_info")
        say("MLflow", 0.9)
        wait_for_page(servers["mlflow"], f"{topology.mlflow}/health")
        say("up", 1.0)
        yield Stack(topology, servers, cluster)


def make_buckets(topology: Topology) -> None:
    """Make the buckets that are not there yet."""
    objects = client(topology)
    there = {bucket["Name"] for bucket in objects.list_buckets()["Buckets"]}
    for bucket in BUCKETS.values():
        if bucket not in there:
            objects.create_bucket(Bucket=bucket)


def replay_objects(topology: Topology) -> None:
    """Give the S3 endpoint, which keeps objects in memory, those of its last life back."""
    record = _record(topology)
    if record.exists() and record.stat().st_size:
        import urllib.request

        request = urllib.request.Request(f"{topology.s3}/moto-api/recorder/replay-recording", method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=300):  # noqa: S310  (our own endpoint)
            return


def client(topology: Topology) -> Any:
    """A client of the stack's S3 endpoint."""
    from boto3.session import Session

    keys = {"aws_access_key_id": "stack", "aws_secret_access_key": "stack", "region_name": REGION}
    return Session(**keys).client("s3", endpoint_url=topology.s3)


def _prepared(folder: Path, ports: Ports, own: Path | None) -> Topology:
    """The folders and settings of a stack, and its secrets, which are drawn once."""
    for place in (folder, folder / "home", folder / "dagster", folder / "logs", folder / "steps"):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copyfile(_INFRA / name, folder / "dagster" / name)
    word = _secret(folder / "password", secrets.token_urlsafe(24).encode()).decode()
    topology = Topology(folder, ports, word, own.resolve() if own else None)
    _secret(topology.key_file, secrets.token_bytes(32))
    return topology


def _secret(path: Path, fresh: bytes) -> bytes:
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(fresh)
    return path.read_bytes()


def _started(topology: Topology, name: str, command: list[str], more: dict[str, str] | None = None) -> Server:
    environment = {**topology.environment(), **(more or {})}
    return start(name, command, logs=topology.logs, env=environment, folder=topology.folder)


def _make_tables(topology: Topology) -> None:
    """Dagster's tables, once, before three processes try to at the same time."""
    done = subprocess.run(  # noqa: S603  (our own interpreter)
        [sys.executable, "-c", _MAKE_DATABASE], env=topology.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServerFailed(f"dagster: its tables could not be made: {done.stderr.strip().splitlines()[-1]}")


def _moto(topology: Topology) -> dict[str, str]:
    """Moto keeps objects in memory, and a record of requests on disk, from which it gets them back."""
    return {"MOTO_ENABLE_RECORDING": "true", "MOTO_RECORDER_FILEPATH": str(_record(topology))}


def _record(topology: Topology) -> Path:
    return topology.folder / "objects.jsonl"


def _free_ports() -> Ports:
    return Ports(*(free_port() for _ in range(5)))


def _stop_all(servers: dict[str, Server]) -> None:
    """Those that use others first, all at once: runs end before what keeps their records does."""
    keepers = ("postgresql", "s3")
    users = [server for name, server in servers.items() if name not in keepers]
    for server in users:
        server.signal(server.ending)
    for server in (*users, *(servers[name] for name in reversed(keepers) if name in servers)):
        server.stop()
