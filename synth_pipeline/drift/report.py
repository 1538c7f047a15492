"""The drift report: what a fresh snapshot was found to differ in from the released profile, as plain values (released zone).

Everything here was measured under DP and charged, or follows from such answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from synth_pipeline.drift.baseline import ReleasedPair
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.events import Event, event_from_dict
from synth_pipeline.snapshot.schema_drift import SchemaFinding

__all__ = ["Answers", "ColumnDrift", "DriftReport", "Effect", "PairDrift", "SchemaFinding", "Unknown"]


@dataclass(frozen=True)
class Effect:
    """Size of a change, freed from noise as far as that goes.

    Attributes:
        value: the estimate.
        low: lower end of a 95 % interval; 0 where no change at all is possible.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class ColumnDrift:
    """What one column of the released profile was found to differ in.

    Attributes:
        name: name in the profile: a column, a calendar part of one, or the rows of a person.
        p_value: chance of so large a difference where nothing changed.
        adjusted_p: the same, over all tests of the report (Holm).
        is_drifted: whether it is below the report's alpha; never where the column is ignored.
        is_ignored: whether it is expected to move: tested, but in a family of its own that raises no alarm.
        psi: population stability index over the released codes, in nats.
        js_distance: Jensen-Shannon distance over the released codes, 0 to 1.
        tvd: total variation distance over the released codes, 0 to 1.
        wasserstein: 1-Wasserstein distance, where the codes are ordered: of numbers in the column's unit (days, of datetimes), of ordered
            categories in steps; nulls left out.
        unit: that unit, in words ("" where the column declares none).
        noise_share: how much of the variance of the comparison is DP noise rather than sampling, 0 to 1.
        smallest_shift: smallest share of the people that has to move between two codes to be found with a probability of about 80 %.
    """

    name: str
    p_value: float
    adjusted_p: float
    is_drifted: bool
    is_ignored: bool
    psi: Effect
    js_distance: Effect
    tvd: Effect
    wasserstein: Effect | None = None
    unit: str = ""
    noise_share: float = 0.0
    smallest_shift: float = 1.0


@dataclass(frozen=True)
class PairDrift:
    """What the joint table of two columns was found to differ in.

    Attributes:
        first: name of one column.
        second: name of the other.
        p_value: chance of so large a difference of the tables where nothing changed.
        adjusted_p: the same, over all tests of the report (Holm).
        is_drifted: whether it is below the report's alpha.
        explained_by: those of the two columns that drifted by themselves; empty: what changed is how the two belong together.
        tvd: total variation distance over the cells that were compared.
        cells: how many those are.
    """

    first: str
    second: str
    p_value: float
    adjusted_p: float
    is_drifted: bool
    explained_by: tuple[str, ...]
    tvd: Effect
    cells: int

    @property
    def is_association(self) -> bool:
        """Whether the pair drifted and neither of its columns did."""
        return self.is_drifted and not self.explained_by


@dataclass(frozen=True)
class Unknown:
    """Categories that were found in a fresh snapshot and that the released profile does not know.

    Attributes:
        categories: their names, released by the discovery.
        people: how many each holds at least, but for one discovery in some hundreds.
    """

    categories: tuple[str, ...]
    people: float


@dataclass(frozen=True, eq=False)
class Answers:
    """What was measured of a fresh snapshot, before anything is made of it.

    Attributes:
        rows: noisy people.
        fresh: noisy people of each code, by column of the profile.
        pairs: of each chosen pair the baseline's table, over the cells that were asked about, and the fresh one.
        coarse: of ordered columns with many codes the group of each code, and noisy people of each group, asked for beside the codes.
        unknown: categories that were found and that the profile does not know, by column.
    """

    rows: Noisy
    fresh: Mapping[str, Noisy]
    pairs: tuple[tuple[ReleasedPair, Noisy], ...] = ()
    coarse: Mapping[str, tuple[npt.NDArray[np.int64], Noisy]] = field(default_factory=dict)
    unknown: Mapping[str, Unknown] = field(default_factory=dict[str, Unknown])


@dataclass(frozen=True, eq=False)
class DriftReport:
    """What a fresh snapshot was found to differ in.

    Attributes:
        alpha: chance of a false alarm over all tests together.
        overall_p: smallest adjusted p-value of the tests that may raise an alarm; 1 where there are none.
        columns: one result for each column of the released profile, in its order.
        pairs: one for each pair that was compared.
        schema: new categories; findings about the file's columns can be added (`with_schema`).
        rows: noisy number of people (of rows, where each is one) of the fresh snapshot, from every answer about it.
        prior_rows: the same of the snapshot that the profile was measured on.
        fresh: noisy people of each code of each column of the profile, in the fresh snapshot.
        events: what was measured.
        warnings: what a reader should know, one sentence each.
        mode: sparse_vector: an answer above or below a noisy threshold; no column is known, `overall_p` is alpha where it is an alarm and 1
            where not, and `rows` repeats `prior_rows`.
    """

    alpha: float
    overall_p: float
    columns: tuple[ColumnDrift, ...]
    pairs: tuple[PairDrift, ...]
    schema: tuple[SchemaFinding, ...]
    rows: Noisy
    prior_rows: Noisy
    fresh: Mapping[str, Noisy]
    events: tuple[Event, ...]
    warnings: tuple[str, ...] = ()
    mode: Literal["test", "sparse_vector"] = "test"

    @property
    def is_alarm(self) -> bool:
        """Whether anything was found that may raise an alarm, at the report's alpha."""
        return self.overall_p <= self.alpha

    @property
    def drifted(self) -> tuple[str, ...]:
        """Columns found drifted: by themselves, or in how two belong together where neither moved by itself; ignored ones never."""
        joint = {name for pair in self.pairs if pair.is_association for name in (pair.first, pair.second)}
        return tuple(column.name for column in self.columns if column.is_drifted or column.name in joint)

    @property
    def changed(self) -> tuple[str, ...]:
        """Columns to measure anew: those found drifted and those that are expected to move."""
        drifted = set(self.drifted)
        return tuple(column.name for column in self.columns if column.is_ignored or column.name in drifted)

    def with_schema(self, findings: tuple[SchemaFinding, ...]) -> "DriftReport":
        """The same report with findings about the columns of the file put before its own."""
        return replace(self, schema=(*findings, *self.schema))

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {
            "alpha": self.alpha,
            "overall_p": self.overall_p,
            "is_alarm": self.is_alarm,
            "columns": [_column_to_json(column) for column in self.columns],
            "pairs": [
                {**vars(pair), "explained_by": list(pair.explained_by), "tvd": vars(pair.tvd)} for pair in self.pairs
            ],
            "schema": [finding.to_json() for finding in self.schema],
            "rows": _noisy_to_json(self.rows),
            "prior_rows": _noisy_to_json(self.prior_rows),
            "fresh": {name: _noisy_to_json(noisy) for name, noisy in self.fresh.items()},
            "events": [event.to_dict() for event in self.events],
            "warnings": list(self.warnings),
            "mode": self.mode,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "DriftReport":
        """The report that `to_json` wrote."""
        return cls(
            alpha=content["alpha"],
            overall_p=content["overall_p"],
            columns=tuple(_column_from_json(item) for item in content["columns"]),
            pairs=tuple(_pair_from_json(item) for item in content["pairs"]),
            schema=tuple(SchemaFinding.from_json(item) for item in content["schema"]),
            rows=_noisy_from_json(content["rows"]),
            prior_rows=_noisy_from_json(content["prior_rows"]),
            fresh={name: _noisy_from_json(item) for name, item in content["fresh"].items()},
            events=tuple(event_from_dict(item) for item in content["events"]),
            warnings=tuple(content["warnings"]),
            mode=content.get("mode", "test"),
        )


_EFFECTS = ("psi", "js_distance", "tvd", "wasserstein")


def _column_to_json(column: ColumnDrift) -> dict[str, Any]:
    effects = {name: getattr(column, name) for name in _EFFECTS}
    return {**vars(column), **{name: None if effect is None else vars(effect) for name, effect in effects.items()}}


def _column_from_json(content: Mapping[str, Any]) -> ColumnDrift:
    effects: dict[str, Any] = {name: None if content[name] is None else Effect(**content[name]) for name in _EFFECTS}
    return ColumnDrift(**{**content, **effects})


def _pair_from_json(content: Mapping[str, Any]) -> PairDrift:
    found: dict[str, Any] = {"explained_by": tuple(content["explained_by"]), "tvd": Effect(**content["tvd"])}
    return PairDrift(**{**content, **found})


def _noisy_to_json(noisy: Noisy) -> dict[str, Any]:
    return {"values": noisy.values.tolist(), "sigma": noisy.sigma}


def _noisy_from_json(content: Mapping[str, Any]) -> Noisy:
    return Noisy(np.array(content["values"], dtype=np.float64), content["sigma"])
