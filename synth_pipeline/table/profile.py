"""The released profile: what is known about each column after the profile stage, as plain values (released zone).

Everything here is public by declaration or was measured under DP and charged; it can be stored, shown and logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from synth_pipeline.table.calendar import Part
from synth_pipeline.table.column import Category
from synth_pipeline.table.grid import Cells, Grid
from synth_pipeline.table.person import PERSON_ROWS, PersonFacts

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NumericProfile:
    """Released facts about a numeric column.

    Attributes:
        name: column name.
        native: grid of the declaration.
        grid: working grid; coarser than `native` where a granularity was released.
        edges: increasing cells of `grid` that bound the bins; first 0, last `grid.cells`.
        counts: noisy rows of each bin, and of null as the last code where nullable; may be negative.
        sigma: standard deviation of the noise of each count.
        nullable: whether null is a code (always the last).
        leaves: half-open cell ranges that refine the bins, rows (start, stop); empty: uniform inside each bin.
        masses: released rows of each leaf.
        roundness: released rows by roundness class (see `table.partition.Roundness`), or None where the grid needs none.
        radices: the radices of those classes.
    """

    name: str
    native: Grid
    grid: Grid
    edges: Cells
    counts: Floats
    sigma: Floats
    nullable: bool
    leaves: Cells
    masses: Floats
    roundness: Floats | None = None
    radices: tuple[int, ...] = ()

    @property
    def codes(self) -> int:
        """Number of codes: bins and, where nullable, null."""
        return len(self.edges) - 1 + int(self.nullable)

    @property
    def is_ordered(self) -> bool:
        """Whether neighbouring codes are neighbouring values."""
        return True

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {
            "type": "numeric",
            "name": self.name,
            "native": vars(self.native),
            "grid": vars(self.grid),
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "sigma": self.sigma.tolist(),
            "nullable": self.nullable,
            "leaves": self.leaves.tolist(),
            "masses": self.masses.tolist(),
            "roundness": None if self.roundness is None else self.roundness.tolist(),
            "radices": list(self.radices),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "NumericProfile":
        """The profile that `to_json` wrote."""
        return cls(
            name=content["name"],
            native=Grid(**content["native"]),
            grid=Grid(**content["grid"]),
            edges=np.array(content["edges"], dtype=np.int64),
            counts=np.array(content["counts"], dtype=np.float64),
            sigma=np.array(content["sigma"], dtype=np.float64),
            nullable=content["nullable"],
            leaves=np.array(content["leaves"], dtype=np.int64).reshape(-1, 2),
            masses=np.array(content["masses"], dtype=np.float64),
            roundness=None if content["roundness"] is None else np.array(content["roundness"], dtype=np.float64),
            radices=tuple(content["radices"]),
        )


@dataclass(frozen=True, eq=False)
class CategoryProfile:
    """Released facts about a category column.

    Attributes:
        name: column name.
        categories: the values of the codes, in code order; public or discovered under DP.
        is_ordered: whether the order of the codes means something.
        nullable: whether null is a code (always the last).
        has_rest: whether the code after the categories stands for rows whose category was not discovered.
        counts: noisy rows of each code; may be negative.
        sigma: standard deviation of the noise of each count.
        is_boolean: whether the categories are false and true.
        groups: code of each category, where several share one (neighbours of a long scale, rare ones of a long list); empty: each
            category is a code of its own.
        masses: where there are groups, released rows of each category, in which proportion a code is decoded.
        part_of: the datetime column that this is a calendar part of; it is then encoded from that column and no column of the table.
        part: which part.
    """

    name: str
    categories: tuple[Category | bool, ...]
    is_ordered: bool
    nullable: bool
    has_rest: bool
    counts: Floats
    sigma: Floats
    is_boolean: bool = False
    groups: tuple[int, ...] = ()
    masses: tuple[float, ...] = ()
    part_of: str | None = None
    part: Part | None = None

    @property
    def known(self) -> int:
        """Number of codes that stand for categories."""
        return max(self.groups) + 1 if self.groups else len(self.categories)

    @property
    def codes(self) -> int:
        """Number of codes: categories (or groups of them), the undiscovered rest, and null, as far as they apply."""
        return self.known + int(self.has_rest) + int(self.nullable)

    @property
    def group_of(self) -> npt.NDArray[np.int64]:
        """Code of each category."""
        return np.array(self.groups or range(len(self.categories)), dtype=np.int64)

    def within_groups(self) -> Floats:
        """Share of each category in its code; 1 where a code stands for one category. Shares of a code sum to 1."""
        if not self.groups:
            return np.ones(len(self.categories))
        masses = np.maximum(np.array(self.masses), 1e-9)
        return masses / np.bincount(self.group_of, weights=masses)[self.group_of]

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {
            "type": "category",
            **{
                key: value
                for key, value in vars(self).items()
                if key not in ("counts", "sigma", "categories", "groups", "masses")
            },
            "categories": list(self.categories),
            "groups": list(self.groups),
            "masses": list(self.masses),
            "counts": self.counts.tolist(),
            "sigma": self.sigma.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "CategoryProfile":
        """The profile that `to_json` wrote."""
        plain: dict[str, Any] = {key: value for key, value in content.items() if key != "type"}
        plain |= {key: np.array(plain[key], dtype=np.float64) for key in ("counts", "sigma")}
        plain |= {key: tuple(plain.get(key, ())) for key in ("categories", "groups", "masses")}
        return cls(**plain)


ColumnProfile: TypeAlias = NumericProfile | CategoryProfile


@dataclass(frozen=True, eq=False)
class Profile:
    """The released profile of a snapshot.

    Attributes:
        rows: noisy number of rows, or of people where they may have several (inverse-variance mean of every released total); never the
            exact count. Every count of the profile is of the same things.
        rows_sigma: standard deviation of that number.
        columns: profile of each modelled column, in table order, then of the rows of a person where people may have several, then the
            calendar parts of datetime columns.
        cost: privacy cost of everything above, as squared Gaussian-DP parameter μ².
        discovery_delta: δ charged by category discovery.
        warnings: what a reader should know before relying on the tables made from it, one sentence each.
        null_blocks: positions of columns that are null in the same rows, found under DP.
        noise: relative noise of a cell that holds 1/32 of the rows (see `profile.signal`); 0 where it was not computed.
        people: how rows fall to people, where they may have several.
    """

    rows: float
    rows_sigma: float
    columns: tuple[ColumnProfile, ...]
    cost: float
    discovery_delta: float = 0.0
    warnings: tuple[str, ...] = ()
    null_blocks: tuple[tuple[int, ...], ...] = ()
    noise: float = 0.0
    people: PersonFacts | None = None

    @property
    def decoded_columns(self) -> tuple[ColumnProfile, ...]:
        """The columns that are decoded: all but the calendar parts, which come after them."""
        return tuple(
            column
            for column in self.columns
            if not (isinstance(column, CategoryProfile) and column.part_of is not None)
        )

    @property
    def table_columns(self) -> tuple[ColumnProfile, ...]:
        """The columns of the table: the decoded ones but for the number of a person's rows."""
        return tuple(column for column in self.decoded_columns if column.name != PERSON_ROWS)

    @property
    def person_rows(self) -> Floats:
        """Released share of people with 1, 2, … rows; all have one where each row is a person."""
        if self.people is None:
            return np.ones(1)
        index = next(index for index, column in enumerate(self.columns) if column.name == PERSON_ROWS)
        column, law = self.columns[index], np.zeros(self.people.most_rows)
        if isinstance(column, NumericProfile):
            for start, stop, share in zip(column.edges[:-1], column.edges[1:], self.shares(index), strict=True):
                inside = (column.leaves[:, 0] >= start) & (column.leaves[:, 1] <= stop)
                masses = np.maximum(column.masses[inside], 1e-9) if inside.any() else np.ones(1)
                leaves = column.leaves[inside] if inside.any() else np.array([[start, stop]])
                for (low, high), mass in zip(leaves, masses / masses.sum(), strict=True):
                    law[low:high] += share * mass / (high - low)
        return law / law.sum()

    @property
    def mean_person_rows(self) -> float:
        """Released mean number of rows of a person."""
        law = self.person_rows
        return float(law @ np.arange(1, len(law) + 1))

    def parts(self, name: str) -> dict[Part, int]:
        """Position of each calendar part of a datetime column."""
        return {
            column.part: index
            for index, column in enumerate(self.columns)
            if isinstance(column, CategoryProfile) and column.part_of == name and column.part is not None
        }

    @property
    def row_count(self) -> int:
        """Noisy number of rows as a whole number of at least 1: people times their mean number of rows, where they may have several."""
        return max(round(self.rows if self.people is None else self.rows * self.mean_person_rows), 1)

    @property
    def row_count_sigma(self) -> float:
        """Standard deviation of that number; where people may have several rows most of it is noise of how many they have."""
        if self.people is None:
            return self.rows_sigma
        mean = self.mean_person_rows
        column = self.column(PERSON_ROWS)
        numbers = (
            (column.edges[:-1] + column.edges[1:] + 1) / 2 if isinstance(column, NumericProfile) else np.array([mean])
        )
        return float(np.hypot(self.rows_sigma * mean, np.linalg.norm((numbers - mean) * column.sigma[: len(numbers)])))

    def column(self, name: str) -> ColumnProfile:
        """The profile of one column."""
        return next(column for column in self.columns if column.name == name)

    def shares(self, index: int) -> Floats:
        """Released distribution of a column over its codes: noisy counts projected on the simplex (weights: noise variance).

        Every code keeps at least 2 % of its noise scale, so that no code is impossible only because of noise.
        """
        column = self.columns[index]
        weights = (column.sigma / column.sigma.min()) ** 2
        projected = project_simplex(column.counts, max(self.rows, 1.0), weights)
        floored = np.maximum(projected, 0.02 * column.sigma)
        return floored / floored.sum()

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {
            "rows": self.rows,
            "rows_sigma": self.rows_sigma,
            "cost": self.cost,
            "discovery_delta": self.discovery_delta,
            "warnings": list(self.warnings),
            "null_blocks": [list(block) for block in self.null_blocks],
            "noise": self.noise,
            "people": None if self.people is None else self.people.to_json(),
            "columns": [column.to_json() for column in self.columns],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Profile":
        """The profile that `to_json` wrote."""
        kinds = {"numeric": NumericProfile, "category": CategoryProfile}
        columns = tuple(kinds[item["type"]].from_json(item) for item in content["columns"])
        return cls(
            content["rows"],
            content["rows_sigma"],
            columns,
            content["cost"],
            content["discovery_delta"],
            tuple(content.get("warnings", ())),
            tuple(tuple(block) for block in content.get("null_blocks", ())),
            content.get("noise", 0.0),
            PersonFacts.from_json(people) if (people := content.get("people")) else None,
        )


def project_simplex(counts: Floats, total: float, weights: Floats) -> Floats:
    """The closest non-negative vector with the given sum: max(counts − m·weights, 0) for the m that makes it so.

    Weighted least squares with variances `weights`; exact, by sorting the break points.

    Example:
        >>> project_simplex(np.array([3.0, -1.0, 2.0]), 4.0, np.ones(3)).tolist()
        [2.5, 0.0, 1.5]
    """
    order = np.argsort(-counts / weights)
    sums, scales = np.cumsum(counts[order]), np.cumsum(weights[order])
    levels = (sums - total) / scales
    active = int(np.flatnonzero(counts[order] / weights[order] > levels)[-1])
    return np.maximum(counts - levels[active] * weights, 0.0)
