"""The released encoder: native codes → small codes, column by column, following the profile."""

from dataclasses import dataclass

import numpy as np

from synth_pipeline.errors import ModelError
from synth_pipeline.table.calendar import CalendarPart, Part
from synth_pipeline.table.column import category_key
from synth_pipeline.table.encoded import Codes, Domain
from synth_pipeline.table.native import NULL, NativeTable
from synth_pipeline.table.partition import Intervals
from synth_pipeline.table.profile import CategoryProfile, NumericProfile, Profile


@dataclass(frozen=True)
class Encoder:
    """Maps native codes to codes of a released domain; each row's codes depend on that row alone.

    Attributes:
        profile: the released profile, whose bins and categories it follows.
    """

    profile: Profile

    @property
    def domain(self) -> Domain:
        """Names and sizes of the encoded columns, in table order."""
        columns = self.profile.columns
        return Domain(tuple(column.name for column in columns), tuple(column.codes for column in columns))

    def encode(self, table: NativeTable) -> Codes:
        """Codes of each row; int32, rows × columns."""
        codes = np.empty((table.rows, len(self.profile.columns)), dtype=np.int32)
        for index, column in enumerate(self.profile.columns):
            if isinstance(column, NumericProfile):
                codes[:, index] = _bins(table.columns[column.name].astype(np.int64), column)
            elif column.part_of is not None and column.part is not None:
                codes[:, index] = self._part(table, column, column.part)
            else:
                native = table.columns[column.name].astype(np.int64)
                codes[:, index] = _categories(native, column, table.vocabularies.get(column.name))
        return codes

    def _part(self, table: NativeTable, column: CategoryProfile, part: Part) -> np.ndarray:
        parent = next(item for item in self.profile.columns if item.name == column.part_of)
        if not isinstance(parent, NumericProfile):
            raise ModelError(
                f"{column.name}: a calendar part of {parent.name!r}, which holds no moments; fit the model again"
            )
        native = table.columns[parent.name].astype(np.int64)
        return np.where(
            native == NULL, column.codes - 1, CalendarPart(parent.native, part).assign(np.maximum(native, 0))
        )


def _bins(native: np.ndarray, column: NumericProfile) -> np.ndarray:
    bins = Intervals(column.edges, column.grid, column.native).assign(np.maximum(native, 0))
    return np.where(native == NULL, column.codes - 1, bins)


def _categories(native: np.ndarray, column: CategoryProfile, vocabulary: tuple[str, ...] | None) -> np.ndarray:
    """Declared categories keep their index; discovered ones are looked up by name, all others are the rest."""
    if vocabulary is not None:
        found = {
            category_key(category): group for category, group in zip(column.categories, column.group_of, strict=True)
        }
        lookup = np.array([found.get(key, column.known) for key in vocabulary] or [0], dtype=np.int64)
        coded = lookup[np.maximum(native, 0)]
    else:
        coded = column.group_of[np.maximum(native, 0)]
    return np.where(native == NULL, column.codes - 1, coded)
