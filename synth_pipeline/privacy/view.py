"""The private rows under a released encoder: joint counts of pairs, and Poisson batches for training."""

from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.answer import Noisy, PairPartition
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import Event, SubsampledGaussianEvent
from synth_pipeline.table.encoded import Codes, Domain

_CHUNK_ROWS = 1 << 20


class EncodedView:
    """The private rows under a released encoder; answers joint counts and deals Poisson batches, all charged to the curator."""

    def __init__(self, desk: Desk, codes: Codes, domain: Domain) -> None:
        if codes.shape[1] != len(domain):
            raise PrivacyError(f"the encoder gave {codes.shape[1]} columns for a domain of {len(domain)}")
        self._desk = desk
        self._codes = codes
        self.domain = domain
        self._tables: dict[tuple[int, int], npt.NDArray[np.int64]] = {}

    def __repr__(self) -> str:
        return f"EncodedView({len(self.domain)} columns, contents withheld)"

    def __reduce__(self) -> NoReturn:
        raise PrivacyError("an EncodedView holds private rows and cannot be pickled")

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything charged to the curator's budget so far."""
        return self._desk.events

    @property
    def left_cost(self) -> float:
        """Gaussian cost μ² that is left."""
        return self._desk.left_cost

    def pair_counts(self, partition: PairPartition, *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy rows in each cell of a partition of two columns' joint codes.

        Privacy:
            A row falls in one cell, so the L2 sensitivity is max_rows; one discrete Gaussian on every cell.
        """
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose)
        return self._desk.noisy(self._counts(partition), sigma)

    def pair_errors(
        self,
        partitions: Sequence[PairPartition],
        expected: Sequence[npt.NDArray[np.int64]],
        *,
        cost: float,
        stage: str,
        purpose: str,
    ) -> Noisy:
        """Noisy L1 distances between true counts and the given expected counts, one a partition.

        Privacy:
            Adding a row moves one true count by 1, so each distance by at most 1 (the expected counts are released facts): a vector
            of C distances, each of sensitivity max_rows; discrete Gaussian, one event of count C.
        """
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, count=len(partitions))
        distances = [np.abs(self._counts(part) - model).sum() for part, model in zip(partitions, expected, strict=True)]
        return self._desk.noisy(np.array(distances, dtype=np.int64), sigma)

    def dominance(self, pairs: Sequence[tuple[int, int]], *, cost: float, stage: str, purpose: str) -> Noisy:
        """Noisy Σ_a max_b n_ab for each ordered pair (a, b): how many rows the best function a → b gets right.

        Privacy:
            Adding a row moves one count by 1, so each number by at most 1; sensitivity max_rows each, one event of count C.
        """
        sigma = self._desk.charge_gaussian(cost, stage=stage, purpose=purpose, count=len(pairs))
        best = [self._table(a, b).max(axis=1).sum() for a, b in pairs]
        return self._desk.noisy(np.array(best, dtype=np.int64), sigma)

    def poisson_batches(
        self, *, sample_rate: float, noise_multiplier: float, steps: int, purpose: str
    ) -> Iterator[Codes]:
        """Exactly `steps` batches, each row in each batch with probability `sample_rate`, independently.

        A batch may be empty. The trainer must clip each row's gradient and add noise of `noise_multiplier` × clip to every sum, also to
        an empty one: that is what was charged.

        Privacy:
            `steps` Poisson-subsampled Gaussians, charged before the first batch is dealt. Needs one row a person.

        Raises:
            PrivacyError: at once, if people may have several rows, or if the budget does not cover it.
        """
        event = SubsampledGaussianEvent(
            stage="generator", purpose=purpose, noise_multiplier=noise_multiplier, sample_rate=sample_rate, steps=steps
        )
        self._desk.charge_batches(event)
        return self._deal(sample_rate, steps)

    def _deal(self, sample_rate: float, steps: int) -> Iterator[Codes]:
        generator = self._desk.noise.secure_generator()
        for _ in range(steps):
            yield self._codes[generator.random(len(self._codes)) < sample_rate]

    def _counts(self, partition: PairPartition) -> npt.NDArray[np.int64]:
        table = self._table(partition.first, partition.second)
        counts = np.zeros(partition.size, dtype=np.int64)
        np.add.at(counts, partition.labels.reshape(-1), table.reshape(-1))
        return counts

    def _table(self, first: int, second: int) -> npt.NDArray[np.int64]:
        """True joint counts of two columns, counted chunk by chunk and kept for the next question."""
        if (first, second) in self._tables:
            return self._tables[first, second]
        if (second, first) in self._tables:
            return self._tables[second, first].T
        shape = (self.domain.sizes[first], self.domain.sizes[second])
        counts = np.zeros(shape[0] * shape[1], dtype=np.int64)
        for start in range(0, len(self._codes), _CHUNK_ROWS):
            rows = self._codes[start : start + _CHUNK_ROWS]
            joint = rows[:, first].astype(np.int64) * shape[1] + rows[:, second]
            counts += np.bincount(joint, minlength=len(counts))
        self._tables[first, second] = counts.reshape(shape)
        return self._tables[first, second]
