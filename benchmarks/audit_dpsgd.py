"""The canary audit of every engine that trains by DP-SGD at ε 1, 3 and 10: `python -m benchmarks.audit_dpsgd OUT.json [CANARIES]`.

The table is invented, of the columns of a panel survey; the claim hangs on none of its rows. About a minute an audit.
"""

import json
import sys
from pathlib import Path

from synth_pipeline.audit.canary import CanaryAudit, canary_audit
from synth_pipeline.audit.public_table import invent_table
from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.spec import Spec

EPSILONS = (1.0, 3.0, 10.0)
KINDS = ("autoregressive", "transformer", "vae", "diffusion", "gan")
_DEFAULT_CANARIES = 20_000


def make_spec(kind: str, epsilon: float, *, max_rows: int = 1) -> Spec:
    """A survey's columns under an engine."""
    return Spec.from_mapping(
        {
            "dataset": "survey",
            "columns": {
                "person": {"kind": "identifier", "faker": "uuid4"},
                "age": {"kind": "integer", "min": 17, "max": 90},
                "hours": {"kind": "integer", "min": 0, "max": 99},
                "grade": {"kind": "ordinal", "categories": ["low", "mid", "high"], "nullable": True},
                "region": {"kind": "categorical", "categories": ["north", "east", "south", "west"]},
                "member": {"kind": "boolean"},
            },
            "privacy": {
                "epsilon": epsilon,
                "delta": 1e-5,
                "unit": {"column": "person" if max_rows > 1 else None, "max_rows": max_rows},
            },
            "generator": {"kind": "autoregressive" if kind == "transformer" else kind},
            "benchmark": {"target": "member"},
        }
    )


def measure(kind: str, epsilon: float, *, canaries: int, max_rows: int = 1) -> CanaryAudit:
    """One audit."""
    spec = make_spec(kind, epsilon, max_rows=max_rows)
    config = AutoregressiveConfig(target="member", network="transformer") if kind == "transformer" else None
    return canary_audit(spec, invent_table(spec, 600, seed=0), canaries=canaries, config=config)


def main() -> None:
    """Audit all that the file does not hold yet, print a row each, and write them as JSON after every one."""
    out, canaries = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else _DEFAULT_CANARIES
    rows: list[dict[str, object]] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else []
    done = {(row["network"], row["claimed_epsilon"], row["max_rows"]) for row in rows}
    cells = [(kind, epsilon, 1) for epsilon in EPSILONS for kind in KINDS] + [("autoregressive", 3.0, 4)]
    for kind, epsilon, max_rows in (cell for cell in cells if cell not in done):
        found = measure(kind, epsilon, canaries=canaries, max_rows=max_rows)
        rows.append({"network": kind, "max_rows": max_rows, **found.to_json()})
        out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        verdict = "CONTRADICTED" if found.is_contradicted else "no finding"
        sys.stdout.write(
            f"{kind:15} {max_rows} ε {epsilon:4g}, training {found.training_epsilon:.2f}: shown {found.lower_bound.epsilon:.2f}, "
            f"one run {found.any_mechanism.epsilon:.2f}; {verdict}; {found.seconds:.0f} s\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
