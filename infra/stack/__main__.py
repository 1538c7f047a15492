"""`make stack`: the parts of production as processes of this machine, until Ctrl-C; with --once, one walk through them."""

import signal
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.stack.processes import ServerFailed, free_port, is_taken
from infra.stack.running import Stack, running_stack
from infra.stack.topology import BUCKETS, Ports
from infra.stack.walk_once import Landed, WalkFailed, walk_once

_DATASET = "gss"


@click.command()
@click.option("--home", default=".synth_pipeline/stack", show_default=True, help="Folder that keeps what is on disk.")
@click.option("--once", is_flag=True, help="One walk of gss through the daemon, show where it landed, stop.")
@click.option("--port", default=3000, show_default=True, help="Dagster's pages; another free port where it is taken.")
@click.option("--mlflow-port", default=5000, show_default=True, help="MLflow's pages; the same.")
def stack(*, home: str, once: bool, port: int, mlflow_port: int) -> None:
    """Start PostgreSQL, an S3 endpoint, MLflow, and Dagster's code server, daemon and web server; stop them on Ctrl-C."""
    console = Console(stderr=once)
    for number in (signal.SIGTERM, signal.SIGINT):  # also where a shell started us in the background
        signal.signal(number, signal.default_int_handler)
    ports = Ports(free_port(), free_port(), _or_free(mlflow_port), free_port(), _or_free(port))
    try:
        with _progress(console) as progress:
            task = progress.add_task("starting", total=1.0)

            def tell(message: str, done: float) -> None:
                progress.update(task, description=message, completed=done)

            with running_stack(Path(home), ports=ports, tell=tell) as running:
                progress.stop()
                console.print(_places(running))
                if once:
                    _walk(running, console)
                else:
                    console.print("Ctrl-C stops it all. The sensors are off until you switch them on in the pages.")
                    _watch(running)
    except KeyboardInterrupt:
        console.print("stopped")
    except (ServerFailed, WalkFailed) as failure:
        console.print(f"stack: {failure}", style="red", soft_wrap=True)
        sys.exit(1)


def _walk(running: Stack, console: Console) -> None:
    from synth_pipeline.integrations.demo_data import write_snapshots

    with _progress(console) as progress:
        task = progress.add_task("the table: preparing the snapshots", total=1.0)
        snapshot = write_snapshots(running.topology.home / "snapshots" / _DATASET)[-1]
        landed = walk_once(
            running,
            _DATASET,
            snapshot.stem,
            tell=lambda words, done: progress.update(task, description=words, completed=done),
        )
    console.print(_landed(landed))


def _watch(running: Stack) -> None:
    """Wait for an interrupt; a part that stops by itself ends the stack.

    Raises:
        ServerFailed: naming it.
    """
    while True:
        for name, server in running.servers.items():
            if server.process.poll() is not None:
                raise ServerFailed(f"{name} stopped by itself (exit {server.process.returncode}); see {server.log}")
        time.sleep(1.0)


def _places(running: Stack) -> Table:
    topology = running.topology
    table = Table("part", "where", "process", title="the stack is up")
    places: dict[str, str] = {
        "postgresql": topology.database("{dagster,mlflow,ledger}", is_shown=True),
        "s3": f"{topology.s3}  buckets {', '.join(BUCKETS.values())}",
        "mlflow": topology.mlflow,
        "code server": f"127.0.0.1:{topology.ports.code}",
        "web server": topology.web,
        "daemon": "sensors, schedules, queue, monitoring",
    }
    for name, where in places.items():
        table.add_row(name, where, str(running.servers[name].process.pid))
    table.add_row("settings", f"{topology.dagster_home}/dagster.yaml (a copy of infra/dagster.yaml)", "")
    table.add_row("home", f"{topology.home}  (snapshots in snapshots/<dataset>)", "")
    table.add_row("logs", str(topology.logs), "")
    return table


def _landed(landed: Landed) -> Table:
    table = Table("what", "how many", title=f"run {landed.run_id}: where it landed")
    for what, count in landed.rows.items():
        table.add_row(what, str(count))
    for bucket, count in landed.objects.items():
        table.add_row(f"objects in s3://{BUCKETS[bucket]}", str(count))
    return table


def _progress(console: Console) -> Progress:
    columns: Any = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _or_free(port: int) -> int:
    return free_port() if port == 0 or is_taken(port) else port


if __name__ == "__main__":
    stack()
