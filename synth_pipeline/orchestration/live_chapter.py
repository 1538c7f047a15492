"""What became of one snapshot in the live demo: drift, decision, ε, quality, release.

Belongs here: reading them from where the walk left them (ledger, stores, event log). Does not: anything that is computed anew.

The scores of quality are internal: they come from the private store, and whoever shows them says so.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg

from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.benchmark.summary import flat_metrics
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.asset_options import PRIVATE_ASSETS
from synth_pipeline.orchestration.codecs import CODECS
from synth_pipeline.orchestration.keys import AssetName
from synth_pipeline.privacy.ledger import WalkRecord, open_ledger
from synth_pipeline.spec import Spec

_LEARNER = "gradient_boosting"


@dataclass(frozen=True)
class Quality:
    """Scores of the synthetic table on the snapshot's real rows; internal.

    Attributes:
        tvd_2way: mean total variation distance over the pairs of columns.
        tvd_2way_floor: the same of real rows that were held out.
        tstr_auc: of a model that was trained on synthetic rows, tested on real ones; None where it could not be measured.
        trtr_auc: of the same model, trained on real rows.
    """

    tvd_2way: float | None
    tvd_2way_floor: float | None
    tstr_auc: float | None
    trtr_auc: float | None

    @classmethod
    def of(cls, scorecard: Scorecard) -> "Quality":
        """The headline scores of a scorecard."""
        scores = flat_metrics(scorecard)
        return cls(
            tvd_2way=scores.get("tvd_2way"),
            tvd_2way_floor=scores.get("tvd_2way_floor"),
            tstr_auc=scores.get(f"tstr_{_LEARNER}_auc"),
            trtr_auc=scores.get(f"trtr_{_LEARNER}_auc"),
        )


@dataclass(frozen=True)
class Chapter:
    """One snapshot of the live demo.

    Attributes:
        snapshot: partition key.
        run_id: Dagster's run.
        drifted: columns whose drift was found; None where there was nothing to compare with.
        decision: reuse, resample, refresh, refit; None where the dataset declares no `drift`.
        reason: why.
        drift_epsilon: ε of the drift report, where it was reserved by itself; else it is part of the walk's.
        walk_epsilon: ε of what followed, as the ledger charges it; 0 where nothing more was read.
        spent_epsilon: composed ε of the snapshot's people, both together.
        quality: internal scores.
        release: version of the release in force.
        waited_seconds: from the file's arrival to the start of its run.
        walked_seconds: from there to its end.
    """

    snapshot: str
    run_id: str
    drifted: tuple[str, ...] | None
    decision: str | None
    reason: str | None
    drift_epsilon: float
    walk_epsilon: float
    spent_epsilon: float
    quality: Quality
    release: str | None
    waited_seconds: float
    walked_seconds: float

    @property
    def lines(self) -> tuple[str, ...]:
        """What was spent and how good the table is, in words."""
        scores = self.quality
        real = f"of held-out real rows {_score(scores.tvd_2way_floor)}"
        auc = f"TSTR AUC {_score(scores.tstr_auc)}, TRTR {_score(scores.trtr_auc)}"
        parts = f"drift report {self.drift_epsilon:.3g}, profile and generator {self.walk_epsilon:.3g}"
        return (
            f"ε spent on its people: {self.spent_epsilon:.3g} ({parts})",
            f"quality (internal): 2-way TVD {_score(scores.tvd_2way)}, {real}; {auc}",
            f"walked in {self.walked_seconds:.0f} s",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def read_chapter(
    spec: Spec, home: Home, run: dg.DagsterRun, *, waited_seconds: float, walked_seconds: float
) -> Chapter:
    """What became of the snapshot of a run that has ended well."""
    partition = run.tags["dagster/partition"]
    outcome = _value(home, spec, partition, "drift_report")
    account = open_ledger(home.ledger).account(spec.dataset)
    charged = {record.reservation.key.walk_id: record.epsilon for record in _charged(account.walks, run)}
    blocks = {block.cohort: block.spent_epsilon for block in account.blocks}
    return Chapter(
        snapshot=partition,
        run_id=run.run_id,
        drifted=None if outcome is None or outcome.report is None else tuple(outcome.report.drifted),
        decision=None if outcome is None else outcome.decision.kind,
        reason=None if outcome is None else outcome.decision.reason,
        drift_epsilon=charged.get(f"{_root(run)}:drift", 0.0),
        walk_epsilon=charged.get(_root(run), 0.0),
        spent_epsilon=blocks.get(partition, account.spent_epsilon),
        quality=Quality.of(_value(home, spec, partition, "tstr_benchmark")),
        release=_value(home, spec, partition, "release").name,
        waited_seconds=waited_seconds,
        walked_seconds=walked_seconds,
    )


def _root(run: dg.DagsterRun) -> str:
    """The run under whose id the walk is charged: the first of its repeats."""
    return run.root_run_id or run.run_id


def _charged(walks: Sequence[WalkRecord], run: dg.DagsterRun) -> list[WalkRecord]:
    own = (_root(run), f"{_root(run)}:drift")
    return [record for record in walks if record.reservation.key.walk_id in own and record.status != "released"]


def _value(home: Home, spec: Spec, partition: str, name: AssetName) -> Any:
    """The stored value of an asset, or None where there is none."""
    is_private = name in PRIVATE_ASSETS
    store = home.private if is_private else home.released
    return (
        store.read(CODECS[name].load, spec.dataset, partition, name)
        if store.has(spec.dataset, partition, name)
        else None
    )


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
