"""Walks that go through Dagster, as the commands see them: started by name, and told at the end.

Belongs here: what `run` and `demo` have in common. Does not: Dagster, which lives in `orchestration`, a sibling that is not imported but
looked up when a walk starts, so that no other command pays for it.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from synth_pipeline.cli.output import facts, number, table

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.audit.verdict import MechanismAudit
    from synth_pipeline.benchmark.scorecard import Scorecard
    from synth_pipeline.cli.progress import Teller
    from synth_pipeline.integrations.stores import Home, Place
    from synth_pipeline.privacy.ledger import Account
    from synth_pipeline.validate.expectation import Outcome

PORT = 3000
_LAUNCH = "synth_pipeline.orchestration.launch"
_WEB = "synth_pipeline.orchestration.web"


class WalkReport(Protocol):
    """What a walk through Dagster reports; `orchestration.launch.WalkReport` says what each attribute is."""

    dataset: str
    snapshot: str
    run_id: str
    release: "Place"
    approval: str
    synthetic: "Place"
    data_docs: "Place"
    scorecard: "Scorecard"
    scorecard_path: "Place"
    outcomes: "Sequence[Outcome]"
    audit: "MechanismAudit"
    attacks_path: "Place"
    internal_report_path: "Place | None"
    epsilon: float
    delta: float
    account: "Account"
    mlflow_run: str | None
    mlflow_model: str | None
    home: "Home"


def walk_through_dagster(dataset: str, *, snapshot: Path | None, home: "Home", tell: "Teller") -> WalkReport:
    """Run one whole walk and wait for it.

    Raises:
        SynthPipelineError: whatever stopped it, with its exit code.
    """
    launch: Any = import_module(_LAUNCH)
    return launch.run_walk(dataset, snapshot=snapshot, home=home.folder, progress=tell)


def serve(home: "Home", port: int, *, ready: Callable[[str], None]) -> None:
    """Serve Dagster's pages until the process is interrupted.

    Args:
        home: whose runs are shown.
        port: port on this machine.
        ready: called with the address once the page answers.

    Raises:
        SynthPipelineError: if the port is taken, or the server does not come up.
    """
    web: Any = import_module(_WEB)
    web.serve_ui(home.folder, port=port, ready=ready)


def report_json(report: WalkReport) -> dict[str, Any]:
    """The report as plain data; its scores are internal."""
    from synth_pipeline.benchmark.summary import flat_metrics

    scores = flat_metrics(report.scorecard)
    account = {key: value for key, value in report.account.to_dict().items() if key != "entries"}
    return {
        "dataset": report.dataset,
        "snapshot": report.snapshot,
        "epsilon": report.epsilon,
        "delta": report.delta,
        "scores": {name: value for name, value in scores.items() if not _is_count(name)},
        "scores_zone": "internal: computed on real rows without noise",
        "checks": {"passed": _passed(report), "of": len(report.outcomes)},
        "audit": {
            "lower_bound": report.audit.lower_bound.epsilon,
            "confidence": report.audit.lower_bound.confidence,
            "findings": [str(finding) for finding in report.audit.findings],
        },
        "attacks": str(report.attacks_path),
        "internal_report": None if report.internal_report_path is None else str(report.internal_report_path),
        "budget": account,
        "release": str(report.release),
        "approval": report.approval,
        "synthetic_table": str(report.synthetic),
        "scorecard": str(report.scorecard_path),
        "data_docs": str(report.data_docs),
        "mlflow_run": report.mlflow_run,
        "mlflow_model": report.mlflow_model,
        "dagster_run": report.run_id,
        "home": str(report.home.folder),
    }


def render_report(console: "Console", report: WalkReport) -> None:
    """The scorecard, what it cost, and where everything is."""
    from synth_pipeline.benchmark.summary import summary_lines

    console.print(
        f"\n{report.dataset}, snapshot {report.snapshot}: ε = {number(report.epsilon)} spent at δ = {number(report.delta)}\n"
    )
    table(console, ("score", "value [95 % interval]", "how to read it"), summary_lines(report.scorecard))
    console.print("Scores are computed on real rows without noise: internal, not part of the release.\n")
    facts(console, _places(report))


def _places(report: WalkReport) -> Mapping[str, str]:
    account, home, bound = report.account, report.home, report.audit.lower_bound
    pages = f"mlflow ui --backend-store-uri {home.tracking_uri}"
    return {
        "checks": f"{_passed(report)} of {len(report.outcomes)} expectations hold",
        "audit": f"ε ≥ {number(bound.epsilon)} shown with {bound.confidence:.0%} confidence; {len(report.audit.findings)} findings",
        "budget": (
            f"ε = {number(account.spent_epsilon)} spent, {number(account.left_epsilon)} left of the cap {number(account.cap.epsilon)}"
            f" (δ = {number(account.cap.delta)}): synth-pipeline ledger show {report.dataset} --home {home.folder}"
        ),
        "release": str(report.release),
        "approval": report.approval,
        "synthetic table": str(report.synthetic),
        "scorecard": str(report.scorecard_path),
        "attacks": f"{report.attacks_path}  (internal)",
        "internal report": f"{report.internal_report_path}  (internal)" if report.internal_report_path else "not made",
        "Data Docs": report.data_docs.as_uri(),
        "MLflow run": f"{report.mlflow_run}  (start its pages: {pages})" if report.mlflow_run else "not recorded",
        "MLflow model": report.mlflow_model or "not registered",
        "Dagster UI": f"http://127.0.0.1:{PORT}/runs/{report.run_id}  (start it: synth-pipeline ui --home {home.folder})",
    }


def _is_count(name: str) -> bool:
    """Whether a metric is an exact number of rows; those are in the scorecard only, since what a command prints is often kept."""
    return "rows" in name.split("_")


def _passed(report: WalkReport) -> int:
    return sum(outcome.passed for outcome in report.outcomes)
