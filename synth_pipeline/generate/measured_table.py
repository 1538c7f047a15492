"""The noisy tables that stand behind a generator, whatever its engine: over which columns, in how many cells, with how much noise.

Released facts: partitions, noise scales and row counts, no answers. What an engine offers:

| engine | tables |
|---|---|
| maxent, mixture, hybrid | the noisy tables of pairs that they keep (`measured_by`) |
| mst, aim | the pairs that their events name, over the compressed codes |
| privbayes | a column with its parents, for each family of the network |
| independent, copula, autoregressive, vae, gan, diffusion, pate_gan | none: beyond single columns they learn from no table of counts |
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.graphical.compress import Compression
from synth_pipeline.generate.measured import MeasuredPair, measured_by
from synth_pipeline.privacy.events import DiscreteGaussianEvent, Event
from synth_pipeline.table.encoded import Codes, Domain
from synth_pipeline.table.profile import Floats, Profile

if TYPE_CHECKING:
    from synth_pipeline.generate.privbayes import Family

Map = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MeasuredTable:
    """A noisy table of counts that a generator was fitted to.

    Attributes:
        columns: domain indices, ascending.
        maps: for each column the group of each code.
        lookup: cell of each combination of groups, or None where each combination is a cell.
        sigmas: standard deviation of the noise of each cell, (cells,).
        rows: noisy number of rows of the snapshot that was measured.

    Units:
        `sigmas` and `rows` in people where people may have several rows.
    """

    columns: tuple[int, ...]
    maps: tuple[Map, ...]
    lookup: Map | None
    sigmas: Floats
    rows: float

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self.sigmas)

    def cells_of(self, codes: Codes) -> Map:
        """The cell of each encoded row."""
        shape = tuple(int(groups.max()) + 1 for groups in self.maps)
        groups = tuple(own[codes[:, index]] for own, index in zip(self.maps, self.columns, strict=True))
        flat = np.ravel_multi_index(groups, shape).astype(np.int64)
        return flat if self.lookup is None else self.lookup.reshape(-1)[flat]

    def over(self, columns: Sequence[int]) -> "MeasuredTable | None":
        """The table summed over its other columns; independent noise adds in squares. None where its cells are no product of groups."""
        if self.lookup is not None:
            return None
        kept = [place for place, index in enumerate(self.columns) if index in columns]
        shape = tuple(int(groups.max()) + 1 for groups in self.maps)
        gone = tuple(place for place in range(len(shape)) if place not in kept)
        sigmas = np.sqrt((self.sigmas.reshape(shape) ** 2).sum(axis=gone)).reshape(-1)
        names = tuple(self.columns[place] for place in kept)
        return MeasuredTable(names, tuple(self.maps[place] for place in kept), None, sigmas, self.rows)


def measured_columns(profile: Profile) -> tuple[MeasuredTable, ...]:
    """The profile's noisy counts of every column, in its order."""
    rows = max(profile.rows, 1.0)
    return tuple(
        MeasuredTable((index,), (np.arange(column.codes, dtype=np.int64),), None, column.sigma, rows)
        for index, column in enumerate(profile.columns)
    )


def measured_tables(generator: object, *, domain: Domain, rows: float) -> tuple[MeasuredTable, ...]:
    """The noisy tables over two or more columns that a generator was fitted to; empty for engines that learn from none.

    Args:
        generator: a trained generator of any engine.
        domain: its encoded columns.
        rows: noisy number of rows of the snapshot, where the tables do not say their own.

    Privacy:
        Reads released values only.
    """
    kept = measured_by(generator)
    if kept:
        return tuple(_of_pair(item) for item in kept)
    events: tuple[Event, ...] = getattr(generator, "events", ())
    compression, network = getattr(generator, "compression", None), getattr(generator, "network", None)
    if compression is not None:
        return tuple(_of_compressed(events, compression, domain, max(rows, 1.0)))
    if network is not None:
        return tuple(_of_families(events, network.families, domain, max(rows, 1.0)))
    return ()


def _of_pair(item: MeasuredPair) -> MeasuredTable:
    labels, columns = item.labels, (item.first, item.second)
    if item.first > item.second:
        labels, columns = labels.T, (item.second, item.first)
    maps = tuple(np.arange(size, dtype=np.int64) for size in labels.shape)
    return MeasuredTable(columns, maps, np.ascontiguousarray(labels), item.noise, max(item.rows, 1.0))


def _of_compressed(
    events: Sequence[Event], compression: Compression, domain: Domain, rows: float
) -> Iterator[MeasuredTable]:
    """Tables of pairs by the names in their events; one measured again counts with the precision of both."""
    of_name: dict[str, list[tuple[int, int]]] = {}
    for first, second in combinations(range(len(domain)), 2):
        of_name.setdefault(f"table {domain.names[first]} × {domain.names[second]}", []).append((first, second))
    precision: dict[tuple[int, int], float] = {}
    for event in events:
        pairs = of_name.get(event.purpose, [])
        if isinstance(event, DiscreteGaussianEvent) and len(pairs) == 1:  # not where two pairs of odd names read alike
            precision[pairs[0]] = precision.get(pairs[0], 0.0) + _people(event) ** -2
    for (first, second), found in precision.items():
        maps = (compression.groups[first], compression.groups[second])
        cells = compression.sizes[first] * compression.sizes[second]
        yield MeasuredTable((first, second), maps, None, np.full(cells, found**-0.5), rows)


def _of_families(
    events: Sequence[Event], families: "Sequence[Family]", domain: Domain, rows: float
) -> Iterator[MeasuredTable]:
    """Tables of the families of a network, whose events follow in the order of the families (the root has none)."""
    told = [event for event in events if isinstance(event, DiscreteGaussianEvent) and event.stage == "generator"]
    tables = [event for event in told if event.purpose.startswith("table ")]
    if len(tables) != len(families) - 1:
        return
    for event, family in zip(tables, families[1:], strict=True):
        if not family.parents or not event.purpose.startswith(f"table {domain.names[family.column]} | "):
            continue
        columns = (family.column, *family.parents)
        maps = (np.arange(domain.sizes[family.column], dtype=np.int64), *family.maps)
        order = sorted(range(len(columns)), key=columns.__getitem__)
        cells = math.prod(int(groups.max()) + 1 for groups in maps)
        yield MeasuredTable(
            tuple(columns[place] for place in order),
            tuple(maps[place] for place in order),
            None,
            np.full(cells, _people(event)),
            rows,
        )


def _people(event: DiscreteGaussianEvent) -> float:
    """Noise of a count in people, where weights of rows are counted in parts of one."""
    return event.sigma / event.sensitivity
