"""What the attacks found, as frozen values and as JSON.

Every number is computed on real rows without noise, so a report is internal (`zone`): it stays in the private store and is never part of
a release. It holds rates, counts of people and column names, but no cell of any table.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synth_pipeline.audit.attack.rates import Measured
from synth_pipeline.errors import TableError

LEVEL = 0.95
FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Attack: TypeAlias = Literal[
    "membership_distance",
    "membership_density",
    "exact_copies",
    "near_copies",
    "attribute_inference",
    "linkability",
    "singling_out_univariate",
    "singling_out_multivariate",
]
Measure: TypeAlias = Literal["auc", "recognised_at_1_percent", "advantage", "risk"]
Verdict: TypeAlias = Literal["found", "found alone", "no better than chance", "not measured"]


class Rate(BaseModel):
    """How often an attack succeeded, with Wilson's interval."""

    model_config = FROZEN

    successes: int = Field(description="Targets or predicates it got right.")
    trials: int = Field(description="Targets or predicates it tried.")
    value: float = Field(description="The rate; scaled to train's people where the groups differ in size.")
    low: float = Field(description="Lower end.")
    high: float = Field(description="Upper end.")


class AttackFigure(BaseModel):
    """One figure of one attack, with its control."""

    model_config = FROZEN

    attack: Attack = Field(description="The attack.")
    measure: Measure = Field(description="What the figure is.")
    column: str | None = Field(default=None, description="The column that is the secret, in attribute inference.")
    value: float | None = Field(description="The effect; null when it was not measured.")
    low: float | None = Field(description="Lower end of its interval.")
    high: float | None = Field(description="Upper end of its interval.")
    chance: float | None = Field(description="What an attack gets that learnt nothing about who was in train.")
    verdict: Verdict = Field(
        description="`found`: above chance with every figure of the report in mind; `found alone`: above chance by its own"
        " interval only; `no better than chance`: the attack cannot be trusted to find anything."
    )
    method: str = Field(description="How the interval was made, or why nothing was measured.")
    rates: Mapping[str, Rate] = Field(default={}, description="Success on train, on the control, and of a naive guess.")


class AttackReport(BaseModel):
    """Every attack on one synthetic table.

    A report with m figures calls one *found* when its interval at level 1 - 0.05 / m lies above chance (Bonferroni): of tables that
    leak nothing, at most about 2.5 % get a report with anything found in it.

    Privacy:
        Internal. The figures are computed on real rows without noise and are not covered by any ε. They are diagnostics: no release
        is allowed or stopped by them.
    """

    model_config = FROZEN

    version: Literal[1] = Field(default=1, description="Format of the report.")
    zone: Literal["internal"] = Field(default="internal", description="Where it may go: not out of the private store.")
    dataset: str = Field(description="Name of the dataset.")
    spec_digest: str = Field(description="Digest of the specification that the tables were read under.")
    seed: int = Field(description="Seed of the samples of people, cuts and predicates.")
    level: float = Field(default=LEVEL, description="Confidence level of every interval.")
    people: Mapping[Literal["train", "holdout"], int] = Field(description="People of the two real tables.")
    synthetic_rows: int = Field(description="Rows of the attacked table.")
    columns: int = Field(description="Modelled columns; identifiers are left out.")
    figures: tuple[AttackFigure, ...] = Field(description="What was measured.")
    warnings: tuple[str, ...] = Field(default=(), description="What limits the trust in the figures.")

    @property
    def measured(self) -> int:
        """How many figures were measured; the m of the verdicts."""
        return sum(figure.value is not None for figure in self.figures)

    @property
    def found(self) -> tuple[AttackFigure, ...]:
        """The figures above chance with all of them in mind."""
        return tuple(figure for figure in self.figures if figure.verdict == "found")

    def of(self, attack: Attack) -> tuple[AttackFigure, ...]:
        """The figures of one attack."""
        return tuple(figure for figure in self.figures if figure.attack == attack)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data that `from_dict` reads back to an equal one."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "AttackReport":
        """A report from plain data.

        Raises:
            TableError: if the data is not a report of attacks.
        """
        try:
            return cls.model_validate(dict(content))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "top level"
            raise TableError(f"attacks: {place}: {first['msg']}; give what `AttackReport.to_dict` wrote") from None


def figure_of(
    attack: Attack, measure: Measure, measured: Measured | None, *, column: str | None = None, family: int, reason: str
) -> AttackFigure:
    """A figure with its verdict.

    Args:
        attack: the attack.
        measure: what the figure is.
        measured: the figure, or None when it could not be measured.
        column: the secret of an attribute inference.
        family: how many figures the report measures.
        reason: why it was not measured, where it was not.
    """
    if measured is None:
        return AttackFigure(
            attack=attack, measure=measure, column=column, value=None, low=None, high=None, chance=None,
            verdict="not measured", method=reason,
        )  # fmt: skip
    low, high = measured.ends(LEVEL)
    strict = 1 - (1 - LEVEL) / max(family, 1)
    is_above = low > measured.chance(LEVEL)
    verdict: Verdict = "found alone" if is_above else "no better than chance"
    if measured.ends(strict)[0] > measured.chance(strict):
        verdict = "found"
    rates: dict[str, Rate] = {}
    for name, count in measured.counts.items():
        ends = count.ends(LEVEL)
        rates[name] = Rate(successes=count.successes, trials=count.trials, value=count.rate, low=ends[0], high=ends[1])
    return AttackFigure(
        attack=attack, measure=measure, column=column, value=measured.value, low=low, high=high,
        chance=measured.chance(LEVEL), verdict=verdict, method=measured.method, rates=rates,
    )  # fmt: skip
