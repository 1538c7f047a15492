"""The internal report of one walk: everything that real rows say about its synthetic table, and what was tried against it, on one page.

For the privacy officer and the data scientist. It needs no script and no network, and is bounded in size.

Privacy: it shows numbers computed on real rows without noise, and rows as points. It carries a banner that says so, and must stay in the
private store.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from synth_pipeline.audit.attack.report import AttackReport
from synth_pipeline.audit.verdict import MechanismAudit
from synth_pipeline.benchmark.scorecard import Scorecard
from synth_pipeline.report.attack_page import attack_content
from synth_pipeline.report.chart import Score, ScoreChart
from synth_pipeline.report.comparison import Tables
from synth_pipeline.report.drift_history import MOST_STEPS, DriftStep, evidence_chart
from synth_pipeline.report.embedding import MOST_ROWS, draw_pictures, embed_rows
from synth_pipeline.report.evaluation_page import score_content
from synth_pipeline.report.page import render
from synth_pipeline.spec import Spec

MOST_BYTES = 5_000_000
"""A page never gets larger: without its pictures, the greatest part of it, where it would."""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its place, for links.
        title: its name in the table of contents.
    """

    anchor: str
    title: str


@dataclass(frozen=True)
class Link:
    """Where something else about the walk lies.

    Attributes:
        what: what it is.
        place: a path or address, as text.
        is_address: whether a browser can open it.
    """

    what: str
    place: str
    is_address: bool = False


@dataclass(frozen=True, repr=False, eq=False)
class Evidence:
    """What the report is made of; internal.

    Attributes:
        spec: the specification.
        snapshot: partition key of the snapshot.
        tables: train, holdout and synthetic rows.
        card: the scores.
        audit: the measured lower bound on ε, beside the claim.
        attacks: what the attacks found, or why nothing was attacked.
        history: the snapshots so far, oldest first; empty where drift is not looked for.
        links: where else to look.
    """

    spec: Spec
    snapshot: str
    tables: Tables
    card: Scorecard
    audit: MechanismAudit
    attacks: AttackReport | str
    history: tuple[DriftStep, ...] = ()
    links: tuple[Link, ...] = field(default=())

    def __repr__(self) -> str:
        return f"Evidence({self.spec.dataset}, {self.snapshot}, contents withheld)"


def sections_of(spec: Spec) -> tuple[Section, ...]:
    """The sections that a walk's report has, in their order; public, for they follow from the specification alone."""
    is_classified = spec.benchmark is not None and spec.benchmark.task == "classification"
    wanted = (
        ("scores", "Scores", True),
        ("fidelity", "Fidelity", True),
        ("columns", "Columns, real beside synthetic", True),
        ("associations", "Associations", len(spec.modelled) > 1),
        ("pairs", "Worst pairs", len(spec.modelled) > 1),
        ("plane", "Rows in a plane", True),
        ("prediction", "Train on synthetic, test on real", spec.benchmark is not None),
        ("rare", "Rare classes", is_classified),
        ("fairness", "Fairness by group", spec.fairness is not None),
        ("attacks", "Attacks and their controls", True),
        ("bound", "Measured lower bound on ε", True),
        ("drift", "Drift history", spec.drift is not None),
        ("places", "Where everything lies", True),
    )
    return tuple(Section(anchor, title) for anchor, title, is_there in wanted if is_there)


def internal_report(evidence: Evidence, *, seed: int = 0, plane_rows: int = MOST_ROWS) -> str:
    """The report as one HTML file that needs nothing else; internal.

    Args:
        evidence: what it is made of.
        seed: of the rows drawn into the plane, and of their places.
        plane_rows: rows of each table that are drawn into it.

    Raises:
        TableError: if a table does not hold what the specification declares.
    """
    embedding = embed_rows(evidence.tables, evidence.spec, most_rows=plane_rows, seed=seed)
    pictures = draw_pictures(embedding) if embedding is not None else ()
    content = {
        **score_content(evidence.card, evidence.tables, evidence.spec),
        "evidence": evidence,
        "sections": sections_of(evidence.spec),
        "embedding": embedding,
        "attacks": attack_content(evidence.attacks) if isinstance(evidence.attacks, AttackReport) else None,
        "bound": bound_chart(evidence.audit),
        "history": evidence.history[-MOST_STEPS:],
        "left_out": max(len(evidence.history) - MOST_STEPS, 0),
        "evidence_chart": evidence_chart(evidence.history[-MOST_STEPS:]),
    }
    page = render("internal.html.j2", **content, pictures=pictures)
    if len(page.encode()) <= MOST_BYTES:
        return page
    return render("internal.html.j2", **content, pictures=())


def bound_chart(audit: MechanismAudit) -> ScoreChart:
    """The ε that was shown to be lost, beside the ε that is claimed."""
    shown, claimed = audit.lower_bound, audit.claimed_epsilon
    scores: Sequence[Score] = (
        Score("claimed: at most", "baseline", claimed, claimed, claimed, f"{claimed:g}"),
        Score(
            f"shown: at least, with {shown.confidence:.0%} confidence",
            "synthetic",
            shown.epsilon,
            shown.epsilon,
            max(claimed, shown.epsilon),
            f"{shown.epsilon:.3f}",
        ),
    )
    reading = "The true ε lies on the line, between what was shown and what is claimed; a dot past the claim would contradict it."
    return ScoreChart(
        "Lower bound on ε beside the claim", reading, 0.0, 1.1 * max(claimed, shown.epsilon), tuple(scores)
    )
