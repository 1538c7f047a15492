"""Linkability: does the synthetic table tell that two half records belong to one person?

Source: Giomi et al. 2023 (PoPETs 2023(2)), section 5.2. The columns are cut into two halves; a person is linked when a synthetic row is
among the nearest of both halves of their record. Deviation: each person's columns are cut in one of four random ways, so that the figure
does not hang on one cut. One row of each person is attacked.
"""

import numpy as np

from synth_pipeline.audit.attack.distance import Gower, affordable_people
from synth_pipeline.audit.attack.people import AttackedTables, People
from synth_pipeline.audit.attack.rates import Count, Measured, excess_risk

MOST_PEOPLE = 1_000
NEIGHBOURS = 10

Cut = tuple[tuple[int, ...], tuple[int, ...]]
_CUTS = 4


def link_halves(tables: AttackedTables, rng: np.random.Generator) -> Measured | None:
    """The excess risk of being linked; None with one column, or when every person of the holdout is linked too."""
    columns = len(tables.names)
    if columns == 1:
        return None
    most = affordable_people(MOST_PEOPLE, 2 * len(tables.searched.persons), columns)
    shuffled = [rng.permutation(columns).tolist() for _ in range(_CUTS)]
    cuts: list[Cut] = [(tuple(order[: columns // 2]), tuple(order[columns // 2 :])) for order in shuffled]
    train, holdout = (people.sample(most, rng).one_row_each(rng) for people in (tables.train, tables.holdout))
    found, control = (count_links(people, tables.searched, cuts) for people in (train, holdout))
    return excess_risk(found, control, _random_links(found.trials, len(tables.searched.persons), rng))


def count_links(targets: People, synthetic: People, cuts: list[Cut], *, neighbours: int = NEIGHBOURS) -> Count:
    """How many targets have a synthetic row among the nearest of both halves; the targets take turns with the cuts."""
    halves = [(Gower(synthetic, left), Gower(synthetic, right)) for left, right in cuts]
    linked = 0
    for index in range(len(targets.persons)):
        left, right = (gower.nearest(targets.places[:, index], neighbours) for gower in halves[index % len(halves)])
        linked += bool(np.isin(left, right).any())
    return Count(linked, len(targets.persons))


def _random_links(trials: int, rows: int, rng: np.random.Generator) -> Count:
    """Links of somebody who draws the neighbours of each half at random."""
    kept = min(NEIGHBOURS, rows)
    found = sum(
        bool(np.isin(rng.choice(rows, kept, replace=False), rng.choice(rows, kept, replace=False)).any())
        for _ in range(trials)
    )
    return Count(found, trials)
