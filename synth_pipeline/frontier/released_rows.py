"""The released rows that a frontier is measured on: some in the place of the private rows, others in the place of the holdout.

With a generator at hand the walk is repeated on as many rows as the real one had, drawn from it, and the holdout is drawn beside them. With
a table alone, a share of it is held out; the walks on the rest are given a little more ε, so that noise weighs as much beside them as
beside all of the rows.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synth_pipeline.errors import SpecError, TableError
from synth_pipeline.privacy.gaussian_dp import gaussian_epsilon, gaussian_mu
from synth_pipeline.release.model import ReleasedModel
from synth_pipeline.snapshot.check import check_schema
from synth_pipeline.spec import Spec

LARGEST_EPSILON = 100.0
"""The most that a specification may ask for."""

LEAST_ROWS = 200
"""Rows below which a score says nothing."""

_UNBOUNDED_CAP = 1_000_000.0
_AS_MANY = 0.01
"""Share of rows by which a simulation may differ from what is asked without being told apart."""


@dataclass(frozen=True, eq=False)
class ReleasedRows:
    """Rows of a release, dealt for a simulation; released facts only.

    Attributes:
        spec: the specification of the dataset.
        train: rows in the place of the private ones.
        holdout: rows in the place of people who were held out.
        rows: rows of the real table that the answer is about.
        origin: where the rows come from, in words.
    """

    spec: Spec
    train: pd.DataFrame
    holdout: pd.DataFrame
    rows: int
    origin: str

    def __post_init__(self) -> None:
        least = min(len(self.train), 4 * len(self.holdout))
        if least < LEAST_ROWS:
            raise TableError(
                f"frontier: {len(self.train):,} released rows to train on and {len(self.holdout):,} to score by are too few;"
                f" at least {LEAST_ROWS} and {LEAST_ROWS // 4} are needed"
            )

    def simulated_epsilon(self, epsilon: float) -> float:
        """The ε at which noise weighs as much beside the rows of `train` as ε does beside `rows` of them.

        A Gaussian sum's noise is as 1/μ, and its weight beside n rows as 1/(μ n), so μ grows by the ratio of the numbers of rows.

        Raises:
            SpecError: if that is beyond what a specification may ask for.
        """
        if abs(len(self.train) - self.rows) <= _AS_MANY * self.rows:
            return epsilon
        delta = self.spec.privacy.delta
        matched = gaussian_epsilon(gaussian_mu(epsilon, delta) * self.rows / len(self.train), delta)
        if not 0 < matched <= LARGEST_EPSILON:
            raise SpecError(
                f"--epsilons: {epsilon:g} for {self.rows:,} rows cannot be simulated on {len(self.train):,}; leave it out, or give the "
                "generator (--model), which draws as many rows as are needed"
            )
        return matched

    def spec_at(self, epsilon: float) -> Spec:
        """The specification at another ε, for a simulation alone: its cap is lifted, its shares and engine stay.

        Nothing is granted by it: it is only ever charged to a ledger that is thrown away.
        """
        return simulated_spec(self.spec, self.simulated_epsilon(epsilon))


def simulated_spec(spec: Spec, epsilon: float) -> Spec:
    """A copy of a specification at another ε under no cap; a drift report keeps its share of ε, groups are not scored.

    Raises:
        SpecError: if the specification does not allow this ε.
    """
    content = spec.model_dump(mode="json", by_alias=True)
    privacy = content["privacy"]
    cap = {"epsilon": _UNBOUNDED_CAP, "delta": max(spec.privacy.cap_delta, spec.privacy.delta)}
    content["privacy"] = {**privacy, "epsilon": epsilon, "cap": cap, "cohorts": {"by": None}}
    if content.get("drift") is not None:
        content["drift"]["epsilon"] *= epsilon / spec.privacy.epsilon
    content |= {"fairness": None, "source": None, "schedule": None}
    content.pop("release", None)
    return Spec.from_mapping(content, where=f"{spec.dataset} at ε = {epsilon:g}").in_order(spec.columns)


def rows_from_model(model: ReleasedModel, *, rows: int | None = None, seed: int = 0, origin: str) -> ReleasedRows:
    """Rows of a released generator: as many to train on as the real table had, and a holdout beside them.

    Both come from one draw, dealt at random. An engine may draw its rows more evenly than chance would (in strata), and two such draws lie
    closer together than two samples of people; parts of one draw, dealt at random, differ as samples do.

    Args:
        model: the generator.
        rows: rows of the real table that the answer is about; default: the released row count.
        seed: of the draw.
        origin: where the generator comes from, in words.
    """
    count = model.profile.row_count if rows is None else rows
    share = model.spec.holdout / (1 - model.spec.holdout)
    drawn = model.sample(count + max(math.ceil(share * count), LEAST_ROWS), seed=seed)
    train, holdout = _dealt(drawn, model.spec, count, seed=seed)
    return ReleasedRows(model.spec.in_order(model.dtypes), train, holdout, count, origin)


def rows_from_table(
    table: pd.DataFrame, spec: Spec, *, rows: int | None = None, seed: int = 0, origin: str
) -> ReleasedRows:
    """Rows of a released table alone, a share of whose people is held out as the specification says.

    Args:
        table: the released table.
        spec: its specification.
        rows: rows of the real table that the answer is about; default: as many as the released one has.
        seed: of who is held out.
        origin: where the table comes from, in words.

    Raises:
        TableError: if the table does not hold what the specification declares.
    """
    check_schema(table, spec, where="released table")
    train, holdout = _dealt(table, spec, round((1 - spec.holdout) * len(table)), seed=seed)
    return ReleasedRows(spec.in_order(map(str, table.columns)), train, holdout, rows or len(table), origin)


def _dealt(table: pd.DataFrame, spec: Spec, rows: int, *, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """So many rows, or a few more so that nobody's are torn apart, and the others; at random by person."""
    unit = spec.privacy.unit.column
    person = np.arange(len(table)) if unit is None else pd.factorize(table[unit])[0]
    place = np.random.default_rng(seed).permutation(person.max() + 1 if len(table) else 0)[person]
    order = np.argsort(place, kind="stable")
    cut = int(np.searchsorted(place[order], place[order[min(rows, len(table)) - 1]], side="right"))
    return table.iloc[order[:cut]].reset_index(drop=True), table.iloc[order[cut:]].reset_index(drop=True)
