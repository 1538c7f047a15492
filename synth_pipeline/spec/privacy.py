"""The `privacy` section: ε and δ of a walk, whose privacy, the cap over time, and how snapshots share people."""

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from synth_pipeline.spec.period import ALLOWED, Period
from synth_pipeline.spec.section import Section

EVERYONE = "all"
"""The block that overlaps every other one: whoever may be in the dataset."""

Block = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$")]
PeriodText = Annotated[str, AfterValidator(lambda text: Period(text).text)]


class Unit(Section):
    """Whose privacy is protected: a row's, or a person's with all their rows.

    With max_rows above 1 people are weighed, not rows: the noise is that of people with one row each, whatever max_rows is. The number of a
    person's rows and which columns are constant within a person are measured, and the synthetic table has people with several rows.
    """

    column: str | None = Field(
        default=None,
        description="Identifier column that names the person a row belongs to, never null; null: each row is a person.",
    )
    max_rows: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Rows kept of each person (a keyed random choice); more are dropped. Take what most people stay below: it does not"
        " multiply the noise.",
    )

    @model_validator(mode="after")
    def _rows_need_a_column(self) -> "Unit":
        if self.column is None and self.max_rows != 1:
            raise ValueError("max_rows above 1 needs `column`: without it each row is one person")
        return self


class CapSpec(Section):
    """What the ledger lets be spent on the same people, over all releases together."""

    epsilon: float = Field(
        default=10.0, gt=0, le=1_000_000, description="Composed ε (at the cap's δ) that no charge may pass."
    )
    delta: float | None = Field(
        default=None, gt=0, lt=1, description="δ at which the cap's ε is composed; default: privacy.delta."
    )
    period: PeriodText | None = Field(
        default=None, description=f"Calendar period (UTC) after which the cap renews: {ALLOWED}; null: never."
    )
    lifetime_epsilon: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Beside a cap that renews: composed ε (at the cap's δ) that all periods together may not pass; null: no such cap.",
    )

    @model_validator(mode="after")
    def _a_lifetime_is_longer_than_a_period(self) -> "CapSpec":
        if self.lifetime_epsilon is not None and self.period is None:
            raise ValueError("lifetime_epsilon goes with `period`: without one, `epsilon` is the cap of the lifetime")
        if self.lifetime_epsilon is not None and self.lifetime_epsilon < self.epsilon:
            raise ValueError(
                f"lifetime_epsilon ({self.lifetime_epsilon:g}) is below epsilon ({self.epsilon:g}), the cap of one period"
            )
        return self


class Cohorts(Section):
    """How the people of different snapshots relate.

    Blocks are public facts: their names, and which snapshots touch which, are declared by the operator, who vouches that
    nobody is in two blocks.
    """

    by: Literal["disjoint", "blocks"] | None = Field(
        default=None,
        description="`disjoint`: each person is in one snapshot only, so snapshots compose in parallel; "
        "`blocks`: each person is in one block only, and `of` says which blocks a snapshot touches; null: they overlap.",
    )
    of: dict[str, tuple[Block, ...]] = Field(
        default={},
        description="Shell pattern of snapshot names (`2026-h1*`) → blocks of people that they touch; a snapshot touches the "
        "blocks of every pattern that it matches, and everyone where it matches none.",
    )

    @model_validator(mode="after")
    def _blocks_are_named(self) -> "Cohorts":
        if (self.by == "blocks") != bool(self.of):
            raise ValueError('`by: blocks` and `of` go together: {by: blocks, of: {"2026-h1*": [q1, q2]}}')
        if not all(self.of.values()):
            raise ValueError("of: every pattern needs at least one block")
        if any(EVERYONE in blocks for blocks in self.of.values()):
            raise ValueError(f"of: {EVERYONE!r} is everyone, not a block; leave the pattern out")
        return self

    def touched_by(self, snapshot: str) -> tuple[str, ...]:
        """Return the blocks that a snapshot touches, sorted; another content of the same name (`name@2`) holds the same people.

        Example:
            >>> Cohorts(by="blocks", of={"2026-h1*": ("q1", "q2"), "*": ("staff",)}).touched_by("2026-h1-final")
            ('q1', 'q2', 'staff')
        """
        snapshot = snapshot.partition("@")[0]
        if self.by == "disjoint":
            return (snapshot,)
        touched = {block for pattern, blocks in self.of.items() if fnmatchcase(snapshot, pattern) for block in blocks}
        return tuple(sorted(touched)) or (EVERYONE,)


class Privacy(Section):
    """The guarantee: ε, δ, whose privacy, and the cap over time."""

    epsilon: float = Field(
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="ε of one full walk: drift report, profile and generator; nothing outside it.",
    )
    delta: float = Field(
        default=1e-6, gt=0, lt=0.01, description="δ of one full walk; well below 1 / number of people."
    )
    unit: Unit = Field(default=Unit(), description="The privacy unit: a row, or a person with several rows.")
    cap: CapSpec = Field(default=CapSpec(), description="Cap over all releases.")
    cohorts: Cohorts = Field(default=Cohorts(), description="Whether snapshots hold the same people.")

    @model_validator(mode="after")
    def _walk_fits_cap(self) -> "Privacy":
        if self.cap.epsilon < self.epsilon:
            raise ValueError(
                f"cap.epsilon ({self.cap.epsilon:g}) is below epsilon ({self.epsilon:g}): no walk could ever run"
            )
        if self.cap_delta < self.delta:
            raise ValueError(f"cap.delta ({self.cap_delta:g}) is below delta ({self.delta:g}): no walk could ever run")
        return self

    @property
    def cap_delta(self) -> float:
        """δ of the cap."""
        return self.cap.delta if self.cap.delta is not None else self.delta
