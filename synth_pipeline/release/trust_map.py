"""Trust map: how far each marginal of a synthetic table is expected to lie from the private rows, from released facts alone.

The field's yardstick is the total variation distance, ½ Σ_cell |share − share'|. For a table of counts that was measured with noise of
standard deviation σ_j in cell j, of n rows, three figures are stated; p are the shares of the released model over the same cells:

    noise     = ½ Σ_j √(2/π) σ_j / n                       of the noisy table itself, since E|N(0, σ²)| = σ √(2/π)
    fitted    = ½ Σ_j E|(X_j − t w_j)₊ − p_j|,  X_j ~ N(p_j, s_j²),  w_j ∝ σ_j²,  t such that Σ_j E(X_j − t w_j)₊ = 1,
                                                            s_j² = (σ_j / n)² (1 − σ_j² / Σ_k σ_k²)
    sampling  = ½ Σ_j min(√(2 p_j (1 − p_j) / (π m)), 2 p_j (1 − p_j))      of m synthetic rows drawn independently

`fitted` is what noise leaves once counts may not be negative and sum to the rows, the least that every engine here uses: its closest
table in squared distance, on average (each cell by itself, so that t is one number). `expected` is √(fitted² + sampling²), for the two
errors are independent. All of it is in closed form; nothing is simulated but 20,000 rows of the model, from which p is read.

What the figures assume, and so do not say:
- that the cells of a table are its own: a numeric column counts in released bins, a large pair in groups of codes (`cells`); inside a
  cell the model spreads rows by single columns, and no noise bounds how wrong that is;
- that the model reproduces what was measured. Models that smooth overlapping tables (maxent, hybrid, aim, mst) come out below `expected`;
  a Bayesian network (privbayes) passes errors on from column to column and comes out above it. How well it holds on public tables is in
  benchmarks/results/trust_map.md;
- people with several rows: then shares are of people, each row weighing its part of one.

A marginal is `measured` where it was asked for itself, `covered` where it is a sum of a measured larger table, whose noise adds in squares,
and `model` where it follows from the model alone: no noise bounds its error, so none is stated (`noise`, `fitted`, `expected` are None).

Source:
    E|N| and projection: Duchi, Shalev-Shwartz, Singer & Chandra 2008 (projection on the simplex); Hay, Rastogi, Miklau & Suciu 2010
    (constraints take noise away for free). Sampling: De Moivre's mean absolute deviation, normal approximation.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ModelError
from synth_pipeline.generate.measured_table import MeasuredTable, measured_columns, measured_tables
from synth_pipeline.generate.protocol import Generator
from synth_pipeline.table.profile import Floats, Profile

State: TypeAlias = Literal["measured", "covered", "model"]

STATE_WORDS: Mapping[State, str] = {
    "measured": "measured",
    "covered": "covered by a measured larger table",
    "model": "not measured: from the model",
}
"""How a marginal is known, in words."""

MODEL_ROWS = 20_000
"""Rows of the model from which its shares are read."""

_MOST_DENSE = 4_000_000
_STEPS = 60


@dataclass(frozen=True)
class MarginalTrust:
    """How far one marginal is expected to lie from the private rows, as total variation distances.

    Attributes:
        columns: names, in table order.
        state: how it is known.
        cells: cells over which the figures hold: those of the measured table, or of all codes where none was measured.
        sampling: expected error of the synthetic rows against the model.
        noise: expected error of the noisy table itself; None where none was measured.
        fitted: what is left of it in the closest possible table; None where none was measured.
    """

    columns: tuple[str, ...]
    state: State
    cells: int
    sampling: float
    noise: float | None = None
    fitted: float | None = None

    @property
    def expected(self) -> float | None:
        """Expected error of the synthetic table against the private rows; None where no noise bounds it."""
        return None if self.fitted is None else min(math.hypot(self.fitted, self.sampling), 1.0)

    def to_json(self) -> dict[str, Any]:
        """Plain data; figures to four significant digits."""
        figures = {"expected": self.expected, "noise": self.noise, "fitted": self.fitted, "sampling": self.sampling}
        short = {name: None if value is None else float(f"{value:.4g}") for name, value in figures.items()}
        return {"columns": list(self.columns), "state": self.state, "cells": self.cells, **short}


@dataclass(frozen=True)
class TrustMap:
    """The expected error of every column, every pair, and every larger table that was measured.

    Attributes:
        rows: noisy number of private rows (of people, where they may have several).
        synthetic_rows: rows of the synthetic table, for the sampling error.
        unit: what is counted, "row" or "person".
        marginals: columns, then pairs, then larger tables.
    """

    rows: float
    synthetic_rows: int
    unit: Literal["row", "person"]
    marginals: tuple[MarginalTrust, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in table order."""
        return tuple(item.columns[0] for item in self.marginals if len(item.columns) == 1)

    def of(self, *columns: str) -> MarginalTrust:
        """The marginal of the given columns, in any order.

        Raises:
            ModelError: if the map has none: larger tables are listed only where they were measured.
        """
        found = next((item for item in self.marginals if set(item.columns) == set(columns)), None)
        if found is None:
            raise ModelError(
                f"trust map: no marginal over {', '.join(columns)}; it lists every column of the table, every pair, and larger tables "
                "that were measured"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back, to four significant digits; what `trust_map.json` holds."""
        return {
            "distance": "total variation",
            "unit": self.unit,
            "rows": round(self.rows, 1),
            "synthetic_rows": self.synthetic_rows,
            "states": dict(STATE_WORDS),
            "marginals": [item.to_json() for item in self.marginals],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TrustMap":
        """The map that `to_json` wrote."""
        marginals = tuple(
            MarginalTrust(
                tuple(item["columns"]), item["state"], item["cells"], item["sampling"], item["noise"], item["fitted"]
            )
            for item in content["marginals"]
        )
        return cls(content["rows"], content["synthetic_rows"], content["unit"], marginals)


class Trusting(Protocol):
    """What a released model offers for this."""

    @property
    def profile(self) -> Profile:
        """The released profile."""
        ...

    @property
    def generator(self) -> Generator:
        """The trained generator."""
        ...


def make_trust_map(model: Trusting, *, rows: int | None = None) -> TrustMap:
    """The trust map of a released model.

    Args:
        model: a released model.
        rows: rows of the synthetic table; default: the noisy row count.

    Privacy:
        Post-processing of released values; free of budget, and the same at every call.
    """
    profile, domain = model.profile, Encoder(model.profile).domain
    asked = profile.row_count if rows is None else rows
    codes = model.generator.sample(MODEL_ROWS, rng=np.random.default_rng(0)).codes
    marginals: list[MarginalTrust] = []
    for columns, (table, state) in known_tables(model).items():
        names = tuple(domain.names[index] for index in columns)
        if table is None:
            shape = tuple(domain.sizes[index] for index in columns)
            cells = np.ravel_multi_index(tuple(codes[:, index] for index in columns), shape).astype(np.int64)
            shares = _shares(cells, math.prod(shape))
            marginals.append(MarginalTrust(names, state, math.prod(shape), sampling_error(shares, asked)))
            continue
        shares, noise = (
            np.bincount(table.cells_of(codes), minlength=table.cells) / len(codes),
            table.sigmas / table.rows,
        )
        errors = noise_error(noise), fitted_error(shares, noise)
        marginals.append(MarginalTrust(names, state, table.cells, sampling_error(shares, asked), *errors))
    return TrustMap(profile.rows, asked, "row" if profile.people is None else "person", tuple(marginals))


def known_tables(model: Trusting) -> dict[tuple[int, ...], tuple[MeasuredTable | None, State]]:
    """The noisy table behind each marginal of a trust map, by domain indices: columns, pairs, then larger tables that were measured."""
    profile = model.profile
    tables = measured_tables(model.generator, domain=Encoder(profile).domain, rows=profile.rows)
    listed = {column.name for column in profile.table_columns}
    shown = [index for index, column in enumerate(profile.columns) if column.name in listed]
    told = [table for table in tables if set(table.columns) <= set(shown)]
    larger = sorted({table.columns for table in told if len(table.columns) > 2}, key=lambda one: (len(one), one))
    single = measured_columns(profile)
    known: dict[tuple[int, ...], tuple[MeasuredTable | None, State]] = {
        (index,): (single[index], "measured") for index in shown
    }
    return known | {columns: _best(told, columns) for columns in (*combinations(shown, 2), *larger)}


def noise_error(noise: Floats) -> float:
    """Expected total variation distance of a noisy table to the true one; `noise` are standard deviations of its shares.

    Example:
        >>> round(noise_error(np.full(100, 0.001)), 4)
        0.0399
    """
    return min(math.sqrt(2 / math.pi) * float(noise.sum()) / 2, 1.0)


def fitted_error(shares: Floats, noise: Floats) -> float:
    """What is left of the noise where shares may not be negative and sum to one (see the module); never more than `noise_error` says.

    Args:
        shares: shares of the cells, summing to one.
        noise: standard deviation of the noise of each.
    """
    squares = np.maximum(noise, 1e-300) ** 2
    weights = squares / squares.mean()
    scale = np.sqrt(squares * np.maximum(1 - squares / squares.sum(), 1e-12))  # of what is left beside the common shift
    low, high = 0.0, float(scale.max()) * 40 + 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if float(_positive_part(shares - middle * weights, scale).sum()) > 1:
            low = middle
        else:
            high = middle
    means = shares - (low + high) / 2 * weights
    return min(float(_distance(shares, means, scale).sum()) / 2, noise_error(noise))


def sampling_error(shares: Floats, rows: int) -> float:
    """Expected total variation distance of independently drawn rows to the shares that they are drawn from.

    Example:
        >>> round(sampling_error(np.array([0.5, 0.5]), 10_000), 4)
        0.004
    """
    spread = shares * (1 - shares)
    return min(float(np.minimum(np.sqrt(2 * spread / (math.pi * max(rows, 1))), 2 * spread).sum()) / 2, 1.0)


def _best(tables: Iterable[MeasuredTable], columns: Sequence[int]) -> tuple[MeasuredTable | None, State]:
    """The table of these columns with the most cells, then the least noise; else the least noisy sum of a larger one."""
    own = [table for table in tables if table.columns == tuple(columns)]
    if own:
        return max(own, key=_fineness), "measured"
    larger = [table.over(columns) for table in tables if set(columns) < set(table.columns)]
    sums = [table for table in larger if table is not None]
    return (max(sums, key=_fineness), "covered") if sums else (None, "model")


def _fineness(table: MeasuredTable) -> tuple[int, float]:
    return table.cells, -float(table.sigmas.sum())


def _shares(cells: npt.NDArray[np.int64], size: int) -> Floats:
    """Share of each cell; of the occupied ones alone where there are too many to list."""
    if size > _MOST_DENSE:
        cells = np.unique(cells, return_inverse=True)[1]
        size = int(cells.max()) + 1
    return np.bincount(cells, minlength=size) / max(len(cells), 1)


def _positive_part(means: Floats, scale: Floats) -> Floats:
    """E(X)₊ of X ~ N(mean, scale²)."""
    ratio = means / scale
    return means * ndtr(ratio) + scale * _density(ratio)


def _distance(shares: Floats, means: Floats, scale: Floats) -> Floats:
    """E|(X)₊ − share| of X ~ N(mean, scale²), mean at most share: the mass at zero, then below and above the share."""
    shift, at_zero, at_share = means - shares, -means / scale, (shares - means) / scale
    below = shift * (ndtr(at_share) - ndtr(at_zero)) + scale * (_density(at_zero) - _density(at_share))
    above = shift * ndtr(-at_share) + scale * _density(at_share)
    return shares * ndtr(at_zero) - below + above


def _density(values: Floats) -> Floats:
    return np.exp(-(values**2) / 2) / math.sqrt(2 * math.pi)
