"""Singling out: does a predicate guessed from the synthetic table fit exactly one person of train?

Any predicate of the right weight singles somebody out by luck (Cohen & Nissim 2020), in a large table more often than in a small one.
Giomi et al. 2023 fit a curve to correct for the sizes of train and control. Deviation: a predicate counts when it fits exactly one
person of *all* people, train and holdout together. If it learnt nothing about train, that person is one of train's with odds of
train's people to the holdout's, whatever its weight, so the control needs no model. A person is counted once, however many predicates
fit them.
"""

import numpy as np

from synth_pipeline.audit.attack.people import AttackedTables
from synth_pipeline.audit.attack.predicate import (
    SIZES,
    Predicate,
    distinct_rows,
    fitting_people,
    multivariate,
    random_predicates,
    univariate,
)
from synth_pipeline.audit.attack.rates import Count, Measured, excess_risk

MOST_PREDICATES = 1_000
LEAST_PREDICATES = 20


def single_out(tables: AttackedTables, rng: np.random.Generator, *, is_multivariate: bool) -> Measured | None:
    """The excess risk of being singled out; None when the synthetic table gives fewer than 20 predicates to try."""
    synthetic = distinct_rows(tables.searched)
    synthetic = synthetic.take(rng.permutation(len(synthetic.persons)))
    ordered = [kind != "categorical" for kind in tables.kinds.values()]
    search = multivariate if is_multivariate else univariate
    predicates = search(synthetic, ordered, MOST_PREDICATES, rng)
    if len(predicates) < LEAST_PREDICATES:
        return None
    found, control = _people_found(tables, predicates)
    sizes = SIZES if is_multivariate else (1,)
    naive, _ = _people_found(tables, random_predicates(synthetic, ordered, len(predicates), rng, sizes=sizes))
    return excess_risk(found, control, naive)


def _people_found(tables: AttackedTables, predicates: list[Predicate]) -> tuple[Count, Count]:
    """People of train, and of the holdout at train's size, that a predicate fits alone among all people."""
    found: tuple[set[int], set[int]] = (set(), set())
    repeated = 0
    for predicate in predicates:
        fitting = [fitting_people(people, predicate) for people in (tables.train, tables.holdout)]
        if len(fitting[0]) + len(fitting[1]) != 1:
            continue
        side = 0 if len(fitting[0]) else 1
        person = fitting[side][0]
        repeated += person in found[side]
        found[side].add(person)
    tried = len(predicates) - repeated
    return Count(len(found[0]), tried), Count(len(found[1]), tried, tables.train.count / tables.holdout.count)
