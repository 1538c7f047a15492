"""The benchmark: engines × ε × data sets × repeats, each cell in a process of its own, resumable.

    make bench, or python -m benchmarks.run                          the whole matrix; what is done already is skipped
    python -m benchmarks.run --engines maxent,aim --epsilons 1 --datasets adult,bank --seeds 0 --quick
    python -m benchmarks.run --list                                  what would run, and what is done

A cell is done when its result was measured by the same code (every file of ours that its engine imports), specification and judge. A cell
that fails is recorded with its reason, stops no other, and is tried again by the next run. Stop with Ctrl-C at any time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.datasets import MissingTableError, prepare, read_spec
from benchmarks.matrix import (
    DATASETS,
    ENGINES,
    EPSILONS,
    JUDGE,
    RESULTS,
    ROOT,
    SEEDS,
    Cell,
    Choice,
    chosen,
    code_digest,
    fingerprint,
    is_finished,
    read_result,
    write_result,
)
from benchmarks.table import cell_line, write_report

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """A cell to run.

    Attributes:
        cell: what to measure.
        fingerprint: what its result will stand for.
    """

    cell: Cell
    fingerprint: str


@dataclass(frozen=True)
class Runner:
    """Starts cells and records those that fail.

    Attributes:
        results: folder of results.
        judge: the judge's script, or None.
        timeout_seconds: longest that one cell may take.
    """

    results: Path
    judge: Path | None
    timeout_seconds: float

    def run(self, job: Job) -> dict[str, Any]:
        """Run a cell to its end, whatever that is; the result that is now on disk."""
        path = job.cell.path(self.results)
        load, begin = os.getloadavg(), time.monotonic()
        reason = self._attempt(job)
        result = read_result(path)
        if reason is None and result is not None and result.get("fingerprint") == job.fingerprint:
            return result
        if result is not None and result.get("status") == "done":
            # An older measurement is worth more than none; the report says that it is of older code, and why there is no newer one.
            result |= {"failed_since": reason or "it ended without a result"}
            write_result(path, result)
            return {**result, "status": "failed", "reason": result["failed_since"]}
        failed = {
            "status": "failed",
            "fingerprint": job.fingerprint,
            **asdict(job.cell),
            "reason": reason or "it ended without a result",
            "wall_seconds": {"all": round(time.monotonic() - begin, 1)},
            "load_at_start": [round(value, 2) for value in load],
        }
        write_result(path, failed)
        return failed

    def _attempt(self, job: Job) -> str | None:
        """None if the process ended well, else the last line of what it said."""
        arguments = [json.dumps(asdict(job.cell)), str(self.results), *([str(self.judge)] if self.judge else [])]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "BENCH_FINGERPRINT": job.fingerprint}
        log = self.results / "scratch" / "logs" / f"{job.cell.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            try:
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.cell", *arguments],
                    cwd=ROOT,
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                    timeout=self.timeout_seconds,
                )
            except subprocess.TimeoutExpired:
                return f"not finished after {self.timeout_seconds:.0f} s"
        if done.returncode == 0:
            return None
        if done.returncode < 0:
            return f"ended by signal {-done.returncode} (out of memory?)"
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return without_places(lines[-1] if lines else f"exit code {done.returncode}")[:300]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing of the chosen cells, and write the report."""
    asked, choice = _arguments(argv)
    judge = asked.judge if asked.judge.exists() else None
    if judge is None:
        print(f"no judge at {asked.judge}: scores are our own (synth_pipeline.benchmark), and the results say so")
    cells = choice.cells(quick=asked.quick)
    fingerprints = Fingerprints(judge)
    jobs: list[Job] = []
    for cell in cells:
        job = Job(cell, fingerprints.of(cell))
        known = read_result(cell.path(asked.results))
        if not is_finished(known, job.fingerprint, keep_failed=asked.keep_failed, any_code=asked.any_code):
            jobs.append(job)
    print(
        f"{len(cells)} cells chosen, {len(cells) - len(jobs)} done before, {len(jobs)} to run, {asked.jobs} at a time"
    )
    if asked.list:
        print("\n".join(job.cell.name for job in jobs))
        return 0
    failed = run_all(jobs, Runner(asked.results, judge, asked.timeout), workers=asked.jobs)
    print(write_report(asked.results, quick=asked.quick))
    return 1 if failed else 0


def without_places(text: str) -> str:
    """A line without the folders of this machine: results are committed.

    Example:
        >>> without_places(f"{ROOT}/benchmarks/run.py is here")
        'benchmarks/run.py is here'
    """
    for place, name in ((ROOT, ""), (ROOT.parent, "../"), (Path.home(), "~/"), (Path(tempfile.gettempdir()), "")):
        text = text.replace(f"{place}/", name)
    return text


class Fingerprints:
    """Fingerprints of cells; what they share is computed once.

    Args:
        judge: the judge's script, or None.
    """

    def __init__(self, judge: Path | None) -> None:
        self._judge = judge.read_text(encoding="utf-8") if judge else "own"
        self._specs: dict[str, Path] = {}
        self._code: dict[tuple[str, str], str] = {}

    def of(self, cell: Cell) -> str:
        """The fingerprint of a cell; of a cell that cannot be prepared, one that says only that."""
        spec, code = "", ""
        try:
            if cell.dataset not in self._specs:
                self._specs[cell.dataset] = prepare(cell.dataset).spec
            spec = self._specs[cell.dataset].read_text(encoding="utf-8")
            code = self._digest(cell)
        except Exception as error:  # noqa: BLE001  the cell itself will fail with this reason, and record it
            code = f"not prepared: {type(error).__name__}"
        return fingerprint(cell, code=code, spec=spec, judge=self._judge)

    def _digest(self, cell: Cell) -> str:
        key = (cell.dataset, cell.engine)
        if key not in self._code:
            from synth_pipeline.generate.engine_registry import chosen_kind, engine_for

            kind = chosen_kind(read_spec(self._specs[cell.dataset], engine=cell.engine, epsilon=cell.epsilon))
            self._code[key] = f"{kind} {code_digest(engine_for(kind).fit.__module__)}"
        return self._code[key]


def run_all(jobs: Sequence[Job], runner: Runner, *, workers: int) -> int:
    """Run jobs, `workers` at a time; how many failed."""
    failed = 0
    with _progress(len(jobs)) as (tell, begun, ended), ThreadPoolExecutor(max_workers=workers) as pool:

        def work(job: Job) -> dict[str, Any]:
            begun(job.cell.name)
            return runner.run(job)

        waiting = {pool.submit(work, job): job for job in jobs}
        try:
            for number, future in enumerate(as_completed(waiting), start=1):
                result = future.result()
                failed += result["status"] != "done"
                ended(waiting[future].cell.name)
                tell(f"[{number}/{len(jobs)}] {cell_line(result)}")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            tell("stopped; run again to go on where this ended")
            raise SystemExit(130) from None
    return failed


@contextmanager
def _progress(total: int) -> Generator[tuple[Tell, Tell, Tell]]:
    """Three functions: tell a line, say that a cell began, say that it ended. A bar in a terminal, plain lines elsewhere."""
    if not sys.stdout.isatty():
        yield (lambda line: print(line, flush=True)), (lambda _: None), (lambda _: None)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    running: list[str] = []
    lock = threading.Lock()
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns) as bar:
        task = bar.add_task("", total=total)

        def begun(name: str) -> None:
            with lock:
                running.append(name)
                bar.update(task, description=", ".join(running))

        def ended(name: str) -> None:
            with lock:
                running.remove(name)
                bar.update(task, description=", ".join(running), advance=1)

        yield (lambda line: bar.console.print(line, markup=False, highlight=False)), begun, ended


def _arguments(argv: Sequence[str] | None) -> tuple[argparse.Namespace, Choice]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", help=f"comma list; default: all of {', '.join(ENGINES)}")
    parser.add_argument("--datasets", help=f"comma list; default: all that are here, of {', '.join(DATASETS)}")
    parser.add_argument("--epsilons", help=f"comma list; default: {', '.join(f'{e:g}' for e in EPSILONS)}")
    parser.add_argument("--seeds", help=f"comma list of repeats; default: {', '.join(map(str, SEEDS))}")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time; default 1, which times them best")
    parser.add_argument("--quick", action="store_true", help="the judge's quick scores, kept apart from the full ones")
    parser.add_argument("--judge", type=Path, default=JUDGE, help=f"external scorer; default {JUDGE}")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of results")
    parser.add_argument("--timeout", type=float, default=3600, help="longest that a cell may take, in seconds")
    parser.add_argument("--keep-failed", action="store_true", help="do not try again what failed with the same code")
    parser.add_argument("--any-code", action="store_true", help="let results of older code stand")
    parser.add_argument("--list", action="store_true", help="say what would run, and run nothing")
    asked = parser.parse_args(argv)
    try:
        choice = Choice(
            chosen(asked.engines, ENGINES, "--engines"),
            chosen(asked.datasets, DATASETS if asked.datasets else _present_datasets(), "--datasets"),
            tuple(float(part) for part in asked.epsilons.split(",")) if asked.epsilons else EPSILONS,
            tuple(int(part) for part in asked.seeds.split(",")) if asked.seeds else SEEDS,
        )
    except ValueError as error:
        parser.error(str(error))
    return asked, choice


def _present_datasets() -> tuple[str, ...]:
    found: list[str] = []
    for name in DATASETS:
        try:
            prepare(name)
        except MissingTableError as error:
            print(error)
        else:
            found.append(name)
    return tuple(found)


if __name__ == "__main__":
    raise SystemExit(main())
