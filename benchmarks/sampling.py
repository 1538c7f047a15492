"""Speed of sampling from a fitted model: unconditional, under conditions, and how much of it is decoding; run by hand.

    synth-pipeline fit --spec adult.yaml --data train.parquet --out MODEL
    python -m benchmarks.sampling --model MODEL --where "sex = 'Female'" --where "age > 85 AND education = 'Doctorate'"

The cases take turns in one process, so that what else the machine does weighs on all of them alike. Times are CPU-seconds of this process
on one thread; the load of the machine is printed beside them. The first call, which may compile, is timed on its own.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded

if TYPE_CHECKING:
    import pandas as pd

    from synth_pipeline.release.model import ReleasedModel

UNCONDITIONAL = "unconditional"


@dataclass(frozen=True)
class Speed:
    """How fast one case is.

    Attributes:
        case: what was asked for.
        rows_per_second: median over the repeats.
        microseconds_per_row: the same, the other way around.
        times_unconditional: median over the repeats of its time, by that of the unconditional rows beside it.
        decoding_share: share of the time that turns codes into values.
        repeated_rows: share of rows that equal an earlier row of the same table.
    """

    case: str
    rows_per_second: float
    microseconds_per_row: float
    times_unconditional: float
    decoding_share: float
    repeated_rows: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sampling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder that `synth-pipeline fit` wrote")
    parser.add_argument("--rows", type=int, default=100_000, help="rows a request; default 100,000")
    parser.add_argument("--repeats", type=int, default=3, help="requests of each case; default 3")
    parser.add_argument("--where", action="append", default=[], help="a condition; may be given several times")
    parser.add_argument("--json", type=Path, help="write the figures here")
    asked = parser.parse_args(argv)
    from synth_pipeline.release.model import load_model

    model = load_model(asked.model)
    begin = time.process_time()
    model.sample(2000, seed=0)
    print(f"first call, compiled code read or made: {time.process_time() - begin:.2f} CPU-s")
    speeds = measure(model, (None, *asked.where), rows=asked.rows, repeats=asked.repeats)
    load = os.getloadavg()[0]
    print(f"{asked.rows:,} rows a request, median of {asked.repeats}; load of the machine {load:.1f}")
    for speed in speeds:
        print(
            f"{speed.rows_per_second:>12,.0f} rows/s  {speed.microseconds_per_row:7.2f} us/row  × {speed.times_unconditional:5.2f}"
            f"  decoding {speed.decoding_share:4.0%}  repeated rows {speed.repeated_rows:6.2%}  {speed.case}"
        )
    if asked.json:
        asked.json.write_text(json.dumps({"load": load, "speeds": [asdict(speed) for speed in speeds]}, indent=1))
    return 0


def measure(model: "ReleasedModel", cases: Sequence[str | None], *, rows: int, repeats: int) -> list[Speed]:
    """Time every case in turn, several times over."""
    seconds: dict[str | None, list[float]] = {case: [] for case in cases}
    drawing: dict[str | None, list[float]] = {case: [] for case in cases}
    repeated: dict[str | None, float] = {}
    for number in range(repeats):
        for case in cases:
            frame, whole, part = _timed(model, rows, case, number)
            seconds[case].append(whole)
            drawing[case].append(part)
            repeated[case] = float(frame.duplicated().mean())
    return [
        Speed(
            case or UNCONDITIONAL,
            rows / statistics.median(seconds[case]),
            1e6 * statistics.median(seconds[case]) / rows,
            statistics.median([mine / plain for mine, plain in zip(seconds[case], seconds[None], strict=True)]),
            1 - statistics.median(drawing[case]) / statistics.median(seconds[case]),
            repeated[case],
        )
        for case in cases
    ]


def _timed(model: "ReleasedModel", rows: int, where: str | None, seed: int) -> tuple["pd.DataFrame", float, float]:
    """A table, the CPU-seconds that it took, and those of them that the generator took."""
    spent: list[float] = []
    watched = _Watched(model.generator.sample, spent)
    kept = model.generator.sample
    object.__setattr__(model.generator, "sample", watched)
    try:
        begin = time.process_time()
        frame = model.sample(rows, where, seed)
        whole = time.process_time() - begin
    finally:
        object.__setattr__(model.generator, "sample", kept)
    return frame, whole, sum(spent)


@dataclass(frozen=True)
class _Watched:
    """A call whose CPU-seconds are noted."""

    call: Callable[..., object]
    spent: list[float]

    def __call__(self, *arguments: object, **named: object) -> object:
        begin = time.process_time()
        result = self.call(*arguments, **named)
        self.spent.append(time.process_time() - begin)
        return result


if __name__ == "__main__":
    raise SystemExit(main())
