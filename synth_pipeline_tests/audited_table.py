"""A small dataset to audit: every kind of question is asked of it, people may have several rows, and walks over it take about a second."""

from dataclasses import replace

import numpy as np
import pandas as pd

from synth_pipeline.generate.engine_registry import Engine, engine_for
from synth_pipeline.spec import Spec

MARGINAL = ("maxent", "mixture", "hybrid", "mst", "aim", "privbayes", "copula", "independent", "pate_gan")
TRAINED = ("autoregressive", "vae", "gan", "diffusion")
ENGINES = (*MARGINAL, *TRAINED)

REGIONS = {"Aachen": "west", "Bonn": "west", "Coburg": "south", "Dresden": "east", "Emden": "north"}


def audited_spec(kind: str = "maxent", *, epsilon: float = 3.0, max_rows: int = 1) -> Spec:
    """A specification with discovered, determined, nullable and ruled columns."""
    unit = {"column": "person", "max_rows": max_rows} if max_rows > 1 else {}
    return Spec.from_mapping(
        {
            "dataset": "audited",
            "columns": {
                "person": {"kind": "identifier"},
                "age": {"kind": "integer", "min": 0, "max": 40},
                "fee": {"kind": "float", "min": 0, "max": 900, "precision": 1, "nullable": True},
                "city": {"kind": "categorical", "discover": True},
                "ward": {"kind": "categorical", "categories": ["A", "B", "C", "D"], "nullable": True},
                "floor": {"kind": "ordinal", "categories": [1, 2], "determined_by": "ward", "nullable": True},
                "ill": {"kind": "boolean"},
            },
            "constraints": ["age >= 3 OR ill"],
            "privacy": {"epsilon": epsilon, "delta": 1e-5, "unit": unit},
            "generator": {"kind": kind},
            "benchmark": {"target": "ill"},
        }
    )


def audited_frame(rows: int = 150, seed: int = 0, *, max_rows: int = 1) -> pd.DataFrame:
    """Rows with rare cities, nulls in two columns together, and people of one to twice `max_rows` rows."""
    rng = np.random.default_rng(seed)
    age = np.clip(rng.normal(20, 9, rows), 0, 40).round().astype(np.int64)
    ward = np.array(list("ABCD"), dtype=object)[rng.choice(4, rows, p=[0.6, 0.25, 0.13, 0.02])]
    is_null = rng.random(rows) < 0.15
    sizes = rng.integers(1, 2 * max_rows + 1, rows) if max_rows > 1 else np.ones(rows, dtype=np.int64)
    return pd.DataFrame(
        {
            "person": np.repeat(np.arange(rows), sizes)[:rows],
            "age": age,
            "fee": np.where(rng.random(rows) < 0.1, np.nan, np.round(rng.exponential(60, rows).clip(0, 900), 1)),
            "city": rng.choice(list(REGIONS), rows, p=[0.5, 0.3, 0.15, 0.04, 0.01]),
            "ward": pd.Series(np.where(is_null, None, ward), dtype="str"),
            "floor": np.where(is_null, np.nan, np.where(np.isin(ward, ["A", "D"]), 1, 2)),
            "ill": (age < 3) | (rng.random(rows) < age / 50),
        }
    )


def small_engine(kind: str) -> Engine:
    """The engine; `pate_gan` with few votes and short steps, which keeps the course of its questions."""
    engine = engine_for(kind)
    if kind != "pate_gan":
        return engine
    from synth_pipeline.generate.pate_gan.config import PateGanConfig

    small = PateGanConfig(rounds=3, records=20, projections=16, student_steps=3, generator_steps=3)
    return replace(engine, make_config=lambda _spec: small)
