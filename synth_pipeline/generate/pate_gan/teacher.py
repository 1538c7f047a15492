"""A teacher: Fisher's discriminant between the rows of its part and generated rows, on public random features.

    ψ(x) = cos(R·φ(x) + b),    w = (Σ + λI)⁻¹(m_part − m_generated),    yes if w·ψ(q) > w·(m_part + m_generated)/2

Σ and m_generated are those of generated rows: released. Only m_part is private, so a teacher costs one product of matrices, and there can
be thousands of teachers of few rows. Deviation from Jordon et al., whose teachers are networks trained by gradient steps on their parts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_pipeline.generate.neural.space import CodeSpace
from synth_pipeline.table.encoded import Codes

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RandomFeatures:
    """Random Fourier features of rows (Rahimi and Recht 2007); public.

    Attributes:
        table: features of all codes, projected (codes, D).
        offsets: place of each column's codes in it.
        phases: b (D,).
    """

    table: Floats
    offsets: npt.NDArray[np.int64]
    phases: Floats

    @classmethod
    def draw(cls, space: CodeSpace, size: int, rng: np.random.Generator) -> "RandomFeatures":
        """Features whose kernel is as wide as two rows are far apart under the released one-ways."""
        table = space.features.table.astype(np.float64)
        spread = sum(
            float(part @ (block**2).sum(axis=1) - ((part @ block) ** 2).sum())
            for part, block in zip(space.by_column, (table[piece] for piece in space.domain.slices()), strict=True)
        )
        directions = rng.normal(size=(table.shape[1], size)) / np.sqrt(max(2 * spread, 1e-12))
        return cls(table @ directions, np.array(space.domain.offsets[:-1]), rng.uniform(0, 2 * np.pi, size))

    def of_rows(self, codes: Codes) -> Floats:
        """ψ of rows (rows, D)."""
        return np.cos(self.table[codes + self.offsets].sum(axis=1) + self.phases)


@dataclass(frozen=True, eq=False)
class Ballot:
    """One query to the teachers: released records, and what all teachers know about generated rows.

    Attributes:
        features: random features.
        mean: m_generated.
        inverse: (Σ + λI)⁻¹.
        records: ψ of the records that are voted on (records, D).
    """

    features: RandomFeatures
    mean: Floats
    inverse: Floats
    records: Floats

    @classmethod
    def prepare(cls, features: RandomFeatures, generated: Codes, records: Codes, ridge: float) -> "Ballot":
        """A ballot on records, against a pool of generated rows."""
        known = features.of_rows(generated)
        covariance = np.cov(known, rowvar=False)
        eye = np.eye(len(covariance))
        inverse = np.linalg.inv(covariance + ridge * np.trace(covariance) / len(covariance) * eye)
        return cls(features, known.mean(axis=0), inverse, features.of_rows(records))

    def vote(self, part: Codes) -> npt.NDArray[np.bool_]:
        """A teacher's votes (records,): which records look like the rows of its part. A teacher without rows votes no throughout."""
        if not len(part):
            return np.zeros(len(self.records), dtype=np.bool_)
        mean = self.features.of_rows(part).mean(axis=0)
        direction = self.inverse @ (mean - self.mean)
        return (self.records - (mean + self.mean) / 2) @ direction > 0
