"""Every attack on one synthetic table: read this first.

Everything is deterministic for one seed and one set of library versions, and runs on one thread.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from synth_pipeline.audit.attack.copies import exact_copies
from synth_pipeline.audit.attack.inference import infer_attributes
from synth_pipeline.audit.attack.linkability import link_halves
from synth_pipeline.audit.attack.membership import membership_figures, near_copies, score_membership
from synth_pipeline.audit.attack.people import AttackedTables, read_people
from synth_pipeline.audit.attack.rates import Measured
from synth_pipeline.audit.attack.report import Attack, AttackReport, Measure, figure_of
from synth_pipeline.audit.attack.singling_out import single_out
from synth_pipeline.spec import Spec

ENOUGH_PEOPLE = 500

_ALWAYS_RIGHT = "the attack always succeeds on people never seen: nothing is left to learn from train"
_ONE_COLUMN = "needs two modelled columns, or the attack always succeeds on people never seen"
_FEW_PREDICATES = "the synthetic table gives fewer than 20 such predicates, or they single out everybody of the holdout"

Results = list[tuple[Attack, Measure, str | None, Measured | None, str]]


def attack_table(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    spec: Spec,
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> AttackReport:
    """Attack a synthetic table as somebody would who knows real people's rows, with people never seen as the control.

    Args:
        train: the real rows that the generator saw.
        holdout: real rows of other people that it did not see, exchangeable with train.
        synthetic: the rows to attack, not looked at to choose them (see `warnings` of the report otherwise).
        spec: the specification; its identifiers are left out, `privacy.unit.column` says whose a row is.
        seed: seed of the samples of people, cuts and predicates.
        progress: called with one line before each attack.

    Raises:
        TableError: if a table is empty or lacks a column, people are in both real tables, or one of these has fewer than 20.

    Privacy:
        Reads real rows without noise: the report is internal and no ε covers it. A diagnostic, never a gate.
    """
    tell = progress or _say_nothing
    streams = iter(np.random.default_rng(seed).spawn(8))
    frames = {"train": train, "holdout": holdout, "synthetic": synthetic}
    tables = read_people(frames, spec, next(streams))
    results: Results = []
    tell("attacks: membership inference and near copies")
    results += _attack_membership(tables, next(streams))
    tell("attacks: exact copies")
    copies = exact_copies(tables, next(streams))
    results.insert(-1, ("exact_copies", "risk", None, copies, _ALWAYS_RIGHT))
    tell("attacks: linkability")
    results.append(("linkability", "risk", None, link_halves(tables, next(streams)), _ONE_COLUMN))
    tell("attacks: singling out")
    univariate = single_out(tables, next(streams), is_multivariate=False)
    multivariate = single_out(tables, next(streams), is_multivariate=True)
    results.append(("singling_out_univariate", "risk", None, univariate, _FEW_PREDICATES))
    results.append(("singling_out_multivariate", "risk", None, multivariate, _FEW_PREDICATES))
    tell("attacks: attribute inference")
    for name, inferred in infer_attributes(tables, next(streams)).items():
        results.append(("attribute_inference", "risk", name, inferred, _ALWAYS_RIGHT))
    family = sum(measured is not None for _, _, _, measured, _ in results)
    return AttackReport(
        dataset=spec.dataset,
        spec_digest=spec.digest,
        seed=seed,
        people={"train": tables.train.count, "holdout": tables.holdout.count},
        synthetic_rows=len(tables.synthetic.persons),
        columns=len(tables.names),
        figures=tuple(
            figure_of(attack, measure, measured, column=column, family=family, reason=reason)
            for attack, measure, column, measured, reason in results
        ),
        warnings=tuple(_warnings(tables)),
    )


def _attack_membership(tables: AttackedTables, rng: np.random.Generator) -> Results:
    scores = score_membership(tables, rng)
    results: Results = []
    attacks: tuple[tuple[Attack, dict[str, Measured]], ...] = (
        ("membership_distance", membership_figures(scores.near_members, scores.near_others, rng)),
        ("membership_density", membership_figures(scores.ratio_members, scores.ratio_others, rng)),
    )
    for attack, figures in attacks:
        results.append((attack, "auc", None, figures["auc"], ""))
        results.append((attack, "recognised_at_1_percent", None, figures["recognised_at_1_percent"], ""))
        results.append((attack, "advantage", None, figures["advantage"], ""))
    results.append(("near_copies", "risk", None, near_copies(scores), _ALWAYS_RIGHT))
    return results


def _warnings(tables: AttackedTables) -> list[str]:
    found: list[str] = []
    for what, people in (("holdout", tables.holdout), ("train", tables.train)):
        if people.count < ENOUGH_PEOPLE:
            found.append(
                f"only {people.count} people in {what}: the control is too small to see any but gross leaks;"
                f" {ENOUGH_PEOPLE} or more are wanted"
            )
    if len(tables.searched.persons) < len(tables.synthetic.persons):
        found.append(
            f"every attack but exact copies searched {len(tables.searched.persons):,} of {len(tables.synthetic.persons):,} synthetic rows,"
            " so a leak is the weaker for it"
        )
    return found


def _say_nothing(message: str) -> None:
    """The progress of a caller who wants none."""
