"""Exact copies: are people of train found in the synthetic table more often than people it cannot have copied?

Rows of a table with few columns are equal by chance, and a larger table holds more of them. So the question is asked of people, not of
synthetic rows: people of train and of the holdout are exchangeable, and the share of them that has an equal synthetic row needs no
correction for the sizes of the tables.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.core.util.hashing import hash_pandas_object

from synth_pipeline.audit.attack.people import AttackedTables, People
from synth_pipeline.audit.attack.rates import Count, Measured, excess_risk

Digests = npt.NDArray[np.uint64]


def exact_copies(tables: AttackedTables, rng: np.random.Generator) -> Measured | None:
    """Excess of people of train with a synthetic row equal to one of theirs in every modelled column, over people of the holdout.

    The counts also hold, for the reader, how many synthetic rows equal a row of train and of the holdout, each of as many people.
    """
    synthetic = _digests(tables.synthetic)
    found = excess_risk(_copied_people(tables.train, synthetic), _copied_people(tables.holdout, synthetic))
    if found is not None:
        equal_people = min(tables.train.count, tables.holdout.count)
        for what, people in (("train", tables.train), ("holdout", tables.holdout)):
            is_copy = np.isin(synthetic, _digests(people.sample(equal_people, rng)))
            found = found.with_count(f"synthetic rows equal to {what}", Count(int(is_copy.sum()), len(synthetic)))
    return found


def _copied_people(people: People, synthetic: Digests) -> Count:
    is_copied = np.isin(_digests(people), synthetic)
    return Count(len(np.unique(people.persons[is_copied])), people.count)


def _digests(people: People) -> Digests:
    """A 64-bit digest of each row's values; two different rows share one with probability 2⁻⁶⁴."""
    table = pd.DataFrame(people.values.T)
    return np.asarray(hash_pandas_object(table, index=False), dtype=np.uint64)
