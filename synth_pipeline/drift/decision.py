"""The decision: what a fresh snapshot leads to, as a pure function of released facts, the specification and the room in the budget.

refit     train anew                             a whole fresh budget
refresh   old noisy tables as a prior            a share of it
resample  new rows of the old generator          nothing
reuse     the release in force stands            nothing
refuse    training is needed, the cap forbids    nothing; the release in force stands
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from synth_pipeline.drift.report import ColumnDrift, DriftReport
from synth_pipeline.errors import SpecError
from synth_pipeline.generate.engine_registry import chosen_kind
from synth_pipeline.spec import Spec
from synth_pipeline.table.person import PERSON_ROWS

Kind: TypeAlias = Literal["refit", "refresh", "resample", "reuse", "refuse"]
Ended: TypeAlias = Literal["expired", "withdrawn"]
Room: TypeAlias = Callable[[Kind], str | None]

SPENDING: tuple[Kind, ...] = ("refit", "refresh")
"""The kinds that read private rows for an answer, and are asked of the budget."""

MOST_CHANGED = 0.5
"""A refresh in which more than this share of the columns changed is a refit: little of the prior would be left."""

ROWS_SIGMAS, ROWS_SHARE = 4.0, 0.01
"""The number of rows moved where the noisy counts differ by more than so many standard deviations and by more than this share."""

_NAMED = 4


@dataclass(frozen=True)
class PriorFacts:
    """The release in force.

    Attributes:
        version: its version.
        snapshot: the snapshot that it was made of.
        rows: the noisy number that its table was sized by, of what the drift report counts (people, where they may have several rows).
        spec_digest: digest of what its generator was made by (`Spec.learnt_digest`).
        generator_kind: kind of its engine.
        can_refresh: whether its generator kept its noisy tables and its engine can take them as a prior.
        ended: how its approval ended, as it was when it was looked at; None: it did not, or nobody approved it yet.
    """

    version: str
    snapshot: str
    rows: float
    spec_digest: str
    generator_kind: str
    can_refresh: bool
    ended: Ended | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Decision:
    """What happens with a snapshot, and why.

    Attributes:
        kind: what happens.
        reason: why, in one sentence of released facts.
        changed: columns that a refresh measures anew; for the other kinds those that were found drifted.
        wanted: what would have happened, where the budget or the prior did not allow it.
    """

    kind: Kind
    reason: str
    changed: tuple[str, ...] = ()
    wanted: Kind | None = None

    @property
    def spends(self) -> bool:
        """Whether it reads private rows for an answer."""
        return self.kind in SPENDING

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {**asdict(self), "changed": list(self.changed)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Decision":
        """The decision that `to_json` wrote."""
        return cls(content["kind"], content["reason"], tuple(content["changed"]), content["wanted"])


@dataclass(frozen=True)
class _Wish:
    """What the facts ask for, before the budget is asked."""

    kind: Kind
    why: str
    changed: tuple[str, ...] = ()
    wanted: Kind | None = None
    may_refresh: bool = False


def decide(spec: Spec, *, prior: PriorFacts | None, report: DriftReport | None, room: Room) -> Decision:
    """What follows from a drift report.

    Args:
        spec: the dataset's specification.
        prior: the release in force; None where there is none.
        report: what was measured; None where nothing is (no release in force, another specification, `mode: schedule`, no `drift`).
        room: None where the budget allows a kind, else the refusal in words. Asked of refit and refresh only.

    Raises:
        SpecError: where the specification asks for a test and no report is given, though there is a release to compare with.
    """
    wish = _approvable(_wish(spec, prior, report), prior)
    if wish.kind not in SPENDING:
        return Decision(wish.kind, f"{wish.why}.", wish.changed, wish.wanted)
    refusal = room(wish.kind)
    if refusal is None:
        return Decision(wish.kind, f"{wish.why}.", wish.changed, wish.wanted)
    asked = wish.wanted or wish.kind
    if wish.kind == "refit" and wish.may_refresh and room("refresh") is None:
        why = f"{wish.why}; a refresh instead, because the cap leaves no room for a refit ({refusal})."
        return Decision("refresh", why, wish.changed, asked)
    return Decision("refuse", f"{wish.why}; a {wish.kind} is refused: {refusal}.", wish.changed, asked)


def needs_columns(spec: Spec, *, prior: PriorFacts | None, report: DriftReport) -> bool:
    """Whether an alarm of the above-threshold mode is followed by a measured report, because a refresh has to know what drifted."""
    return (
        spec.drift is not None
        and report.mode == "sparse_vector"
        and report.is_alarm
        and spec.drift.on_drift == "refresh"
        and prior is not None
        and prior.can_refresh
    )


def _approvable(wish: _Wish, prior: PriorFacts | None) -> _Wish:
    """A release whose approval expired is of use to nobody and is approved no more: instead of it, new rows are released."""
    if wish.kind != "reuse" or prior is None or prior.ended != "expired":
        return wish
    why = f"{wish.why}, but the approval of release {prior.version} expired: new rows of its generator make a release that can be approved"
    return replace(wish, kind="resample", why=why)


def _wish(spec: Spec, prior: PriorFacts | None, report: DriftReport | None) -> _Wish:
    if prior is None:
        return _Wish("refit", "First snapshot: there is no release yet")
    unfit = _why_unfit(spec, prior)
    if unfit is not None:
        return _Wish("refit", unfit)
    if spec.drift is None:
        return _Wish("refit", "No drift section in the specification: every snapshot is trained anew")
    if spec.drift.mode == "schedule":
        return _drifted(spec, prior, "Nothing is tested (drift.mode: schedule)", spec.drift.ignore)
    if report is None:
        raise SpecError(
            f"drift.mode: {spec.drift.mode} asks for a drift report, and none was made though release {prior.version} is in force"
        )
    if report.schema:
        return _Wish("refit", f"The schema changed since {prior.snapshot}: {_list([str(f) for f in report.schema])}")
    if not report.is_alarm:
        return _steady(spec, prior, report)
    return _drifted(spec, prior, _found(prior, report), _measured_anew(spec, report))


def _why_unfit(spec: Spec, prior: PriorFacts) -> str | None:
    """Why nothing can be built on the release in force, whatever a fresh snapshot is like; None: something can."""
    if prior.ended == "withdrawn":
        return f"Release {prior.version}, the one in force, was withdrawn: nothing is built on it"
    if prior.spec_digest != spec.learnt_digest:
        return f"The specification changed since release {prior.version}"
    kind = chosen_kind(spec)
    if prior.generator_kind != kind:
        return f"The engine changed since release {prior.version}, from {prior.generator_kind} to {kind}"
    return None


def _steady(spec: Spec, prior: PriorFacts, report: DriftReport) -> _Wish:
    if report.mode == "sparse_vector":
        return _Wish("reuse", f"No alarm against {prior.snapshot}; release {prior.version} stands")
    why = f"No drift against {prior.snapshot} (overall p = {report.overall_p:.3g}, alarm at {report.alpha:g})"
    expected = [column.name for column in report.columns if column.is_ignored and column.adjusted_p <= report.alpha]
    if expected:
        why += f"; {_list(expected)} moved, as expected, and stays as in {prior.snapshot}"
    fresh = float(report.rows.values[0])
    noise = math.hypot(report.rows.sigma, report.prior_rows.sigma)
    moved = abs(fresh - prior.rows)
    if spec.rows == "match" and moved > ROWS_SIGMAS * noise and moved > ROWS_SHARE * max(prior.rows, 1.0):
        counted = "rows" if spec.privacy.unit.max_rows == 1 else "people"
        size = f"{counted} went from {prior.rows:.0f} to {fresh:.0f} (noise ±{noise:.3g})"
        return _Wish("resample", f"{why}, but the number of {size}")
    return _Wish("reuse", f"{why}; release {prior.version} stands")


def _drifted(spec: Spec, prior: PriorFacts, why: str, changed: tuple[str, ...]) -> _Wish:
    asked = "refit" if spec.drift is None else spec.drift.on_drift
    most = len(changed) > MOST_CHANGED * len(spec.modelled)
    if asked == "refit":
        return _Wish(
            "refit", f"{why}; refit, as drift.on_drift says", changed, may_refresh=prior.can_refresh and not most
        )
    if asked != "refresh":
        return _Wish(asked, f"{why}; {asked}, as drift.on_drift says", changed)
    if not prior.can_refresh:
        no = f"release {prior.version} keeps no noisy tables that a {prior.generator_kind} generator could start from"
        return _Wish("refit", f"{why}; refit instead of refresh: {no}", changed, "refresh")
    if most:
        no = f"{len(changed)} of {len(spec.modelled)} columns would be measured anew, more than {MOST_CHANGED:.0%}"
        return _Wish("refit", f"{why}; refit instead of refresh: {no}", changed, "refresh")
    return _Wish("refresh", f"{why}; refresh, as drift.on_drift says", changed)


def _measured_anew(spec: Spec, report: DriftReport) -> tuple[str, ...]:
    """Columns of the table to measure anew: all where an alarm does not say which; a calendar part stands for its column."""
    if report.mode == "sparse_vector":
        return _all_columns(spec)
    named = {name if name in spec.modelled else name.rpartition(":")[0] or name for name in report.changed}
    return tuple(name for name in (*spec.modelled, PERSON_ROWS) if name in named)


def _all_columns(spec: Spec) -> tuple[str, ...]:
    return tuple(spec.modelled)


def _found(prior: PriorFacts, report: DriftReport) -> str:
    if report.mode == "sparse_vector":
        return f"Alarm against {prior.snapshot}, which does not say which columns drifted"
    return f"Drift against {prior.snapshot} (overall p = {report.overall_p:.3g}, alarm at {report.alpha:g}): {_columns(report)}"


def _columns(report: DriftReport) -> str:
    alone = sorted((c for c in report.columns if c.is_drifted), key=lambda c: (c.adjusted_p, -c.tvd.value))
    joint = [f"how {p.first} and {p.second} go together" for p in report.pairs if p.is_association]
    return _list([*(_column(column) for column in alone), *joint])


def _column(column: ColumnDrift) -> str:
    return f"{column.name} (p = {column.adjusted_p:.2g}, {column.tvd.value:.1%} of the people moved, PSI {column.psi.value:.2g})"


def _list(words: list[str]) -> str:
    more = [f"{len(words) - _NAMED} more"] if len(words) > _NAMED else []
    return ", ".join([*words[:_NAMED], *more])
