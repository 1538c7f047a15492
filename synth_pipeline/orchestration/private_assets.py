"""The assets that see raw rows: real_snapshot, profile, generator. Each stage is a function of `walk`; here is only where and when.

Materializing real_snapshot opens a walk: its budget is reserved before the file is opened, under Dagster's root run id. Profile and
generator belong to that walk, in the same run or a later one, and ask once each: run again, they get the same answers and spend nothing.
"""

import dagster as dg

from synth_pipeline import reserve
from synth_pipeline import walk as stages
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.integrations.ledger_kept import require_same_ledger
from synth_pipeline.integrations.mlflow_place import Tracking
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration import display, pictures
from synth_pipeline.orchestration.abandoned import give_back_abandoned
from synth_pipeline.orchestration.arrivals import refuse_copy
from synth_pipeline.orchestration.asset_options import Result, charged_stage, gate, walk_asset
from synth_pipeline.orchestration.drift_assets import Settled, drift_deps, settled
from synth_pipeline.orchestration.epoch import report_under_epoch
from synth_pipeline.orchestration.in_force import in_force
from synth_pipeline.orchestration.lineage import column_lineage
from synth_pipeline.orchestration.made import Made, Origin, one_origin
from synth_pipeline.orchestration.metadata import Entry, event_log
from synth_pipeline.orchestration.quarantine import taking
from synth_pipeline.orchestration.resources import StageRuntime
from synth_pipeline.orchestration.retries import forget_other_journals, journals_of
from synth_pipeline.orchestration.tracking import WalkRecord
from synth_pipeline.outcome import Profiled
from synth_pipeline.privacy.gate import Internal, Released
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.signer import require_usable
from synth_pipeline.settle import is_compared, settle, share_of
from synth_pipeline.snapshot.fingerprint import released_fingerprint
from synth_pipeline.snapshot.read import read_table
from synth_pipeline.snapshot.take import Snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.profile import Profile


def private_assets(spec: Spec) -> list[dg.AssetsDefinition]:
    """The assets of the stages that see raw rows."""
    return [_real_snapshot(spec), _profile(spec), _generator(spec)]


def _real_snapshot(spec: Spec) -> dg.AssetsDefinition:
    words = "The private snapshot: budget reserved, schema checked, contributions bounded, split by person, fingerprinted with a key."

    @walk_asset(spec, "real_snapshot", description=words, kinds={"parquet"})
    def real_snapshot(
        context: dg.AssetExecutionContext, home: dg.ResourceParam[Home], tracking: dg.ResourceParam[Tracking]
    ) -> Result:
        ledger, partition = open_ledger(home.ledger), context.partition_key
        require_same_ledger(home, spec.dataset)
        give_back_abandoned(ledger, context.instance, dataset=spec.dataset, replaced=partition)
        walk_id = context.run.root_run_id or context.run.run_id
        require_usable(home.signer())
        walk = _opened(spec, home, partition, walk_id)
        with charged_stage(spec, context, home):
            snapshot = _take(walk, home, partition, context.instance)
        shown = released_fingerprint(snapshot.fingerprint, dataset=spec.dataset, snapshot=partition, key=home.key())
        origin = Origin(walk.key, walk.reservation.number, shown)
        forget_other_journals(home, origin)
        record = WalkRecord(context, tracking, origin)
        record.opened(walk, shown)
        entries = {
            "plan": Released(display.charge_table(walk.plan.all_lines)),
            "epsilon_reserved": Released(walk.epsilon if walk.named is None else 0.0),  # an epoch is paid for already
            "delta": Released(walk.plan.budget.delta),
            "ledger": Released(display.ledger_table(ledger.history(spec.dataset), walk.reservation.number)),
            "fingerprint": Released(shown),
            "dagster/column_schema": Released(display.column_schema(spec)),
            **column_lineage(spec, "real_snapshot"),
            "counts": Internal(vars(snapshot.counts)),
            **record.entries,
        }
        return gate(home, context).materialized(Made(snapshot, origin), entries)

    return real_snapshot


def _profile(spec: Spec) -> dg.AssetsDefinition:
    words = "The released domain and the noisy distribution of each column; charged."
    deps = drift_deps(spec)

    @walk_asset(spec, "profile", description=words, kinds={"opendp"}, upstream=["real_snapshot"], deps=deps)
    def profile(
        context: dg.AssetExecutionContext,
        real_snapshot: Made[Snapshot],
        home: dg.ResourceParam[Home],
        runtime: dg.ResourceParam[StageRuntime],
    ) -> Result:
        origin = real_snapshot.origin
        found = settled(spec, home, context.partition_key, origin)
        found.require_budget()
        with charged_stage(spec, context, home):
            if found.keeps_generator:
                profiled = found.kept(home, spec).profiled
            else:
                walk = _resumed(spec, home, origin, found)
                profiled = stages.profile(
                    walk,
                    real_snapshot.value,
                    renewal=found.renewal(home, spec),
                    runtime=_runtime(runtime, "profile", context),
                )
        released = profiled.profile
        entries: dict[str, Entry] = {
            **found.entries,
            "rows_noisy": Released(released.row_count),
            **_noise_of_count(released),
            "columns": Released(display.profile_plots(released)),
            **{
                name: Released(picture) for name, picture in pictures.shown(pictures.profile_pictures(released)).items()
            },
            "charged": Released(display.event_table(profiled.events)),
            "dagster/column_schema": Released(display.column_schema(spec)),
            **({} if found.keeps_generator else column_lineage(spec, "profile")),
        }
        if released.warnings:  # of the released profile: too few rows for so many columns, and the like
            entries["warnings"] = Released("; ".join(released.warnings))
        return gate(home, context).materialized(Made(profiled, origin), entries)

    return profile


def _noise_of_count(released: Profile) -> dict[str, Entry]:
    """The noise of the counts that were released: of rows, and of people where they may have several."""
    rows: dict[str, Entry] = {"rows_noise_deviation": Released(released.row_count_sigma)}
    if released.people is None:
        return rows
    return {
        **rows,
        "people_noisy": Released(max(round(released.rows), 1)),
        "people_noise_deviation": Released(released.rows_sigma),
    }


def _generator(spec: Spec) -> dg.AssetsDefinition:
    words = "The generator, trained under differential privacy; the large charge. It is registered in MLflow, where it samples on demand."

    @walk_asset(
        spec, "generator", description=words, kinds={"pytorch", "mlflow"}, upstream=["real_snapshot", "profile"]
    )
    def generator(
        context: dg.AssetExecutionContext,
        real_snapshot: Made[Snapshot],
        profile: Made[Profiled],
        home: dg.ResourceParam[Home],
        tracking: dg.ResourceParam[Tracking],
        runtime: dg.ResourceParam[StageRuntime],
    ) -> Result:
        with charged_stage(spec, context, home):
            origin = one_origin([real_snapshot, profile], where=f"{spec.dataset}/generator")
            found = settled(spec, home, context.partition_key, origin)
            if found.keeps_generator:
                model = found.kept(home, spec).model
            else:
                model = stages.train(
                    _resumed(spec, home, origin, found),
                    real_snapshot.value,
                    profile.value,
                    renewal=found.renewal(home, spec),
                    runtime=_runtime(runtime, "generator", context),
                )
        made = Made(model, origin)
        record = WalkRecord(context, tracking, origin)
        if not found.keeps_generator:
            record.trained(model)
        entries = {
            **found.entries,
            "generator": Released(model.generator.kind),
            "facts": Released(dg.MetadataValue.json(model.generator.facts)),
            **{name: Released(picture) for name, picture in pictures.shown(pictures.generator_pictures(model)).items()},
            "epsilon": Released(display.composed(model)),
            "delta": Released(spec.privacy.delta),
            "charged": Released(display.event_table(model.events)),
            **({} if found.keeps_generator else column_lineage(spec, "generator")),
            "ledger": Released(
                display.ledger_table(open_ledger(home.ledger).history(spec.dataset), origin.reservation)
            ),
            **record.entries,
        }
        return gate(home, context).materialized(made, entries)

    return generator


def _take(walk: reserve.Walk, home: Home, partition: str, instance: dg.DagsterInstance) -> Snapshot:
    """Read and take the snapshot; whatever goes wrong, nothing was answered, so the reservation is given back."""
    try:
        with taking(walk.spec, home, partition, instance=instance) as found:
            frame = read_table(found.path, walk.spec, what=f"snapshot {partition!r}")
            snapshot = stages.take(walk, frame, key=home.key())
            refuse_copy(walk.spec, home, partition, snapshot.fingerprint)
    except BaseException:
        reserve.give_back(walk, "the snapshot was not taken")
        raise
    return snapshot


def _opened(spec: Spec, home: Home, partition: str, walk_id: str) -> reserve.Walk:
    """Reserve what the walk needs first: its drift report where there is a release to compare with, else profile and generator."""
    ledger, prior = open_ledger(home.ledger), in_force(home, spec)
    if prior is not None and is_compared(spec, prior, partition):
        going_on = report_under_epoch(spec, home, prior, snapshot=partition, walk_id=walk_id)
        return going_on or reserve.open_drift_report(spec, snapshot=partition, ledger=ledger, walk_id=walk_id)
    share = 1.0
    if spec.drift is not None:  # nothing is asked of the rows first, so what follows is known already
        decision = settle(spec, snapshot=partition, walk_id=walk_id, ledger=ledger, prior=prior, report=None)
        Settled(decision).require_budget()
        share = share_of(spec, decision.kind)
    return reserve.open_walk(spec, snapshot=partition, ledger=ledger, walk_id=walk_id, share=share)


def _resumed(spec: Spec, home: Home, origin: Origin, found: Settled) -> reserve.Walk:
    ledger, share = open_ledger(home.ledger), share_of(spec, found.decision.kind)
    return reserve.resume_walk(
        spec,
        snapshot=origin.walk.snapshot,
        ledger=ledger,
        walk_id=origin.walk.walk_id,
        share=share,
        journals=journals_of(home),
    )


def _runtime(runtime: StageRuntime, stage: str, context: dg.AssetExecutionContext) -> RuntimeConfig:
    return RuntimeConfig(runtime.device, runtime.seed, runtime.teller(stage, event_log(context)))
