"""The `privacy` section: ε and δ of a walk, whose privacy, the cap over time, and how snapshots share people."""

from typing import Literal

from pydantic import Field, model_validator

from synth_pipeline.spec.section import Section


class Unit(Section):
    """Whose privacy is protected."""

    column: str | None = Field(
        default=None, description="Column that names the person a row belongs to; null: each row is a person."
    )
    max_rows: int = Field(
        default=1, ge=1, le=1000, description="Rows kept of each person (a keyed random choice); more are dropped."
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
    period: str | None = Field(default=None, description="Calendar period after which the cap renews; null: never.")


class Cohorts(Section):
    """How the people of different snapshots relate."""

    by: Literal["disjoint"] | None = Field(
        default=None,
        description="`disjoint`: each person is in one snapshot only, so snapshots compose in parallel; null: they overlap.",
    )


class Privacy(Section):
    """The guarantee: ε, δ, whose privacy, and the cap over time."""

    epsilon: float = Field(
        gt=0, le=100, allow_inf_nan=False, description="ε of one full walk: profile + generator; nothing outside it."
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
