"""People with several rows: their rows side by side, so that a person's gradient is clipped as a whole.

A person's loss is the mean of that one's row losses, so people weigh the same whatever their number of rows, and a person's gradient is

    G_p = Σ_{rows b of p} g_b / k_p,      released: Σ_p G_p · min(1, clip/|G_p|) + noise.

To the book-keeping rules a person is a row with more places: its rows' places, one after the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synth_pipeline.privacy.batch import Batch
from synth_pipeline.table.encoded import Codes


@dataclass(frozen=True, eq=False)
class Persons:
    """Whose each row of a piece is; a person's rows follow one another.

    Attributes:
        number: person of each row, from 0 without gaps, ascending (rows,).
        place: which of its person's rows each row is (rows,).
        rows_each: rows of each person (persons,).
        most: rows of the person with the most.
    """

    number: Tensor
    place: Tensor
    rows_each: Tensor
    most: int

    @classmethod
    def of(cls, owners: Tensor) -> "Persons":
        """From an owner of each row, equal owners side by side."""
        _, number, rows_each = torch.unique_consecutive(owners, return_inverse=True, return_counts=True)
        first = rows_each.cumsum(0) - rows_each
        place = torch.arange(len(owners), device=owners.device) - first[number]
        return cls(number, place, rows_each, int(rows_each.max()) if len(owners) else 0)

    def __len__(self) -> int:
        """Number of people; private."""
        return len(self.rows_each)

    def weigh(self, losses: Tensor) -> Tensor:
        """Row losses over the number of their person's rows."""
        return losses / self.rows_each[self.number].to(losses.dtype)

    def spread(self, rows: Tensor) -> Tensor:
        """Values of rows by person, zeros where a person has no further row.

        Shapes:
            (rows, ...) → (persons, most, ...).
        """
        if len(rows) == len(self) * self.most:
            return rows.reshape(len(self), self.most, *rows.shape[1:])
        spread = rows.new_zeros(len(self), self.most, *rows.shape[1:])
        spread[self.number, self.place] = rows
        return spread

    def sum(self, rows: Tensor) -> Tensor:
        """Sums of values over each person's rows: (rows, ...) → (persons, ...)."""
        return rows.new_zeros(len(self), *rows.shape[1:]).index_add_(0, self.number, rows)

    def keep(self, is_kept: Tensor) -> tuple[Tensor, "Persons"]:
        """Which rows remain if only some people do (rows,), and whose those are."""
        rows = is_kept[self.number]
        return rows, Persons.of(self.number[rows])


Piece = tuple[Tensor, Persons | None]
"""Rows whose gradients are clipped in one go, and whose they are; None where each row is a person."""


def cut(batch: Batch | Codes | Tensor, *, piece_rows: int, device: str) -> Iterator[Piece]:
    """The pieces of a batch, whole people each; their clipped sums are to be added.

    People of one row are taken as rows. Others come with people of up to twice as many rows, so that padding at most doubles a piece.
    """
    if not isinstance(batch, Batch):
        batch = Batch(batch)  # pyright: ignore[reportArgumentType]  rows as a tensor serve as well
    codes = torch.as_tensor(batch.codes, device=device).long()
    if batch.persons is None:
        yield from ((piece, None) for piece in (codes.split(piece_rows) if len(codes) else ()))
        return
    rows_each = np.bincount(batch.persons)
    size = np.frexp(np.maximum(rows_each, 1) - 0.5)[1][batch.persons]  # ⌈log₂ rows⌉ of each row's person
    order = np.lexsort((batch.persons, size))
    owners = torch.as_tensor(batch.persons, device=device)
    for level in np.unique(size):
        members = order[size[order] == level]
        if level == 0:
            yield from ((codes[part], None) for part in _parts(members, piece_rows))
            continue
        heads = np.flatnonzero(np.r_[True, np.diff(batch.persons[members]) != 0])
        most = max(piece_rows >> int(level), 1)
        for part in np.split(members, heads[most::most]):
            yield codes[part], Persons.of(owners[part])


def _parts(members: npt.NDArray[np.intp], size: int) -> list[npt.NDArray[np.intp]]:
    return [members[start : start + size] for start in range(0, len(members), size)]
