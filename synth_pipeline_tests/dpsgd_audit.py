"""The canary audit of an engine on a small table or a small panel, for tests."""

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.audit.canary import CanaryAudit, canary_audit
from synth_pipeline.audit.public_table import invent_table
from synth_pipeline.generate.autoregressive import engine, planning
from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.protocol import MechanismConfig
from synth_pipeline.spec import Spec


def engine_spec(kind: str, epsilon: float = 3.0) -> Spec:
    """Four columns under an engine."""
    return Spec.from_mapping(
        {
            "dataset": "small",
            "columns": {
                "year": {"kind": "integer", "min": 68, "max": 88},
                "grade": {"kind": "ordinal", "categories": ["low", "mid", "high"]},
                "city": {"kind": "categorical", "categories": ["Aachen", "Bonn", "Coburg"]},
                "member": {"kind": "boolean"},
            },
            "privacy": {"epsilon": epsilon, "delta": 1e-5},
            "generator": {"kind": kind},
            "benchmark": {"target": "member"},
        }
    )


def audit(
    kind: str = "autoregressive",
    *,
    epsilon: float = 3.0,
    canaries: int = 2000,
    seed: int = 0,
    config: MechanismConfig | None = None,
) -> CanaryAudit:
    """An audit with few canaries, on an invented table."""
    spec = engine_spec(kind, epsilon)
    return canary_audit(spec, invent_table(spec, 400, seed=0), canaries=canaries, seed=seed, config=config)


def shorten_training(patch: pytest.MonkeyPatch) -> None:
    """Trainings of couplings in 100 steps, planned, charged and taken."""

    def make_config(spec: Spec) -> AutoregressiveConfig:
        return AutoregressiveConfig(
            target=spec.benchmark.target if spec.benchmark else None, sample_rate=0.1, steps=100
        )

    for module in (engine, planning):
        patch.setattr(module, "make_config", make_config)


def panel_spec(max_rows: int = 4) -> Spec:
    """People with several rows."""
    return Spec.from_mapping(
        {
            "dataset": "panel",
            "columns": {
                "person": {"kind": "identifier", "faker": "uuid4"},
                "year": {"kind": "integer", "min": 68, "max": 88},
                "grade": {"kind": "ordinal", "categories": ["low", "mid", "high"]},
                "member": {"kind": "boolean"},
            },
            "privacy": {"epsilon": 3.0, "delta": 1e-5, "unit": {"column": "person", "max_rows": max_rows}},
            "generator": {"kind": "autoregressive"},
        }
    )


def panel_audit(*, canaries: int = 2000, seed: int = 0) -> CanaryAudit:
    """An audit of people with one to five rows, of which four are kept."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(120), rng.integers(1, 6, 120))
    frame = pd.DataFrame(
        {
            "person": [f"person {number}" for number in person],
            "year": rng.integers(68, 89, len(person)),
            "grade": pd.Series(rng.choice(["low", "mid", "high"], len(person)), dtype="str"),
            "member": rng.random(len(person)) < 0.4,
        }
    )
    return canary_audit(panel_spec(), frame, canaries=canaries, seed=seed)
