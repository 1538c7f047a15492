"""How well the trust map foretells the error of synthetic marginals, on public tables: `python -m benchmarks.trust_map`.

Each fit's map is made from released facts alone. Then the total variation distance of the synthetic table to the private rows is computed
over the very cells that the map speaks of, and both are compared. The ledger is a fresh one in a temporary folder: what is measured here is
charged to nobody, so it is for public tables only.
"""

import argparse
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.datasets import MissingTableError, prepare, read_spec

if TYPE_CHECKING:
    import pandas as pd

    from synth_pipeline.release.model import ReleasedModel
    from synth_pipeline.spec import Spec

RESULT = Path(__file__).parent / "results" / "trust_map.md"
HEAD = (
    "data", "engine", "ε", "marginals", "tables", "median expected", "median true", "true / expected: median [5 %, 95 %]", "within × 2",
    "true ≤ expected",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """One marginal: what was foretold and what came."""

    columns: int
    state: str
    expected: float
    true: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each kind of marginal of each fit, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", nargs="+", default=["adult", "bank", "gss"])
    parser.add_argument("--engines", nargs="+", default=["auto", "aim", "mst", "privbayes"])
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1.0])
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args(arguments)
    lines: list[str] = []
    for name in asked.datasets:
        for engine in asked.engines:
            for epsilon in asked.epsilons:
                try:
                    kind, found = measure(name, engine, epsilon)
                except MissingTableError as error:
                    print(error)
                    continue
                fresh = [_line(name, kind, epsilon, words, part) for words, part in _groups(found)]
                print("\n".join(fresh), flush=True)
                lines += fresh
                _write(asked.out, lines)


def measure(name: str, engine: str, epsilon: float) -> tuple[str, list[Found]]:
    """The kind of engine, and every marginal of one fit for which an error is foretold."""
    from synth_pipeline.encode.encoder import Encoder
    from synth_pipeline.release.trust_map import known_tables
    from synth_pipeline.snapshot.native import to_native
    from synth_pipeline.snapshot.read import read_table

    tables = prepare(name)
    spec = read_spec(tables.spec, engine=engine, epsilon=epsilon).model_copy(update={"drift": None})
    train = read_table(tables.train, spec)
    model = fitted(spec, train)
    synthetic = model.sample(len(train), seed=0)
    encoder = Encoder(model.profile)
    real, made = (encoder.encode(to_native(frame, spec)[0]) for frame in (train, synthetic))
    trust = model.trust_map(rows=len(train))
    found: list[Found] = []
    for item, (table, _) in zip(trust.marginals, known_tables(model).values(), strict=True):
        if table is None or item.expected is None:
            continue
        shares = [np.bincount(table.cells_of(codes), minlength=table.cells) / len(codes) for codes in (real, made)]
        found.append(
            Found(len(item.columns), item.state, item.expected, float(np.abs(shares[0] - shares[1]).sum() / 2))
        )
    return model.generator.kind, found


def fitted(spec: "Spec", train: "pd.DataFrame") -> "ReleasedModel":
    """A model of all rows, charged to a ledger of its own."""
    from synth_pipeline.privacy.ledger import open_ledger
    from synth_pipeline.walk import fit

    with TemporaryDirectory() as scratch:
        return fit(spec, train, ledger=open_ledger(Path(scratch) / "ledger.sqlite"), key=uuid.uuid4().bytes)


def _groups(found: list[Found]) -> Iterator[tuple[str, list[Found]]]:
    for words, columns, state in (
        ("columns", 1, "measured"),
        ("pairs, measured", 2, "measured"),
        ("pairs, covered", 2, "covered"),
        ("larger, measured", 0, "measured"),
    ):
        part = [
            item
            for item in found
            if item.state == state and (item.columns == columns or (columns == 0 and item.columns > 2))
        ]
        if part:
            yield words, part


def _line(name: str, kind: str, epsilon: float, words: str, part: list[Found]) -> str:
    expected, true = (np.array([getattr(item, what) for item in part]) for what in ("expected", "true"))
    ratio = true / expected
    low, middle, high = np.quantile(ratio, [0.05, 0.5, 0.95])
    within = np.mean((ratio >= 0.5) & (ratio <= 2))
    cells = (name, kind, f"{epsilon:g}", words, len(part), f"{np.median(expected):.4f}", f"{np.median(true):.4f}",
             f"{middle:.2f} [{low:.2f}, {high:.2f}]", f"{within:.0%}", f"{np.mean(ratio <= 1):.0%}")  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def _write(path: Path, lines: list[str]) -> None:
    head = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    words = [
        "# Trust map: foretold and true error",
        "",
        "`python -m benchmarks.trust_map`; one fit a line, noise is fresh in each. *Expected* is what `ReleasedModel.trust_map` says from",
        "released facts alone; *true* is the total variation distance of as many synthetic rows as there are private rows to these, over",
        f"the same cells. Medians over marginals. Last run {time.strftime('%Y-%m-%d', time.gmtime())}.",
        "",
        "How to read it: maxent, hybrid, aim and mst smooth tables that overlap, and draw rows that are closer to the model than",
        "independent ones, so the truth lies below what is expected. A network (privbayes) draws a column from noisy conditionals given",
        "columns that are off already, so the truth lies above. Nothing is foretold of what was not measured, so it is not in this table.",
        "",
    ]
    draft = path.with_suffix(".draft")
    draft.write_text("\n".join([*words, *head, *lines]) + "\n", encoding="utf-8")
    draft.replace(path)


if __name__ == "__main__":
    main()
