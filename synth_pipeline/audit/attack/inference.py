"""Attribute inference: how well does the nearest synthetic row give away one column to somebody who knows all the others?

Source: Giomi et al. 2023 (PoPETs 2023(2)), section 5.3. The attack is the same on people of train and on people of the holdout; what it
learns about both is a fact about the population, and only the difference is a leak. A number counts as guessed within 5 % of the guess
(theirs), a point in time within 1 % of the table's range (relative error means nothing there), anything else when it is equal. One row
of each person is attacked, so that people are the trials.
"""

import numpy as np
import numpy.typing as npt

from synth_pipeline.audit.attack.distance import Gower, affordable_people
from synth_pipeline.audit.attack.people import AttackedTables, People
from synth_pipeline.audit.attack.rates import Count, Measured, excess_risk
from synth_pipeline.table.arrays import Floats

MOST_PEOPLE = 1_000
WITHIN = 0.05
WITHIN_RANGE = 0.01

Flags = npt.NDArray[np.bool_]


def infer_attributes(tables: AttackedTables, rng: np.random.Generator) -> dict[str, Measured | None]:
    """The excess risk of each column as the secret; None where the guess is always right for people never seen.

    With one column there is nothing to infer it from, and no attack.
    """
    if len(tables.names) == 1:
        return {}
    most = affordable_people(MOST_PEOPLE, 2 * len(tables.searched.persons), len(tables.names))
    right: dict[str, Flags] = {}
    for what, people in (("attack", tables.train), ("control", tables.holdout)):
        targets = people.sample(most, rng).one_row_each(rng)
        right[what] = _guesses_right(targets, tables, _nearest_without_each(targets, tables.searched))
        if what == "attack":
            random_rows = rng.integers(len(tables.searched.persons), size=(len(tables.names), len(targets.persons)))
            right["naive"] = _guesses_right(targets, tables, random_rows)
    found: dict[str, Measured | None] = {}
    for column, name in enumerate(tables.names):
        counts = {what: Count(int(flags[column].sum()), flags.shape[1]) for what, flags in right.items()}
        found[name] = excess_risk(counts["attack"], counts["control"], counts["naive"])
    return found


def is_right(guess: Floats, secret: Floats, *, kind: str, width: float) -> Flags:
    """Whether each guess counts as right.

    Args:
        guess: what the attacker says; a null is one value of its own.
        secret: the truth.
        kind: kind of the column.
        width: range of a datetime column.
    """
    if kind == "numeric":
        return np.abs(guess - secret) <= WITHIN * np.abs(guess)
    if kind == "datetime":
        return np.abs(guess - secret) <= WITHIN_RANGE * width
    return guess == secret


def _nearest_without_each(targets: People, synthetic: People) -> npt.NDArray[np.intp]:
    """For each column and target the synthetic row nearest in all other columns; of equally near ones the first, that is any.

    Shapes:
        columns × targets.
    """
    gower = Gower(synthetic)
    columns, rows = targets.places.shape
    nearest = np.empty((columns, rows), dtype=np.intp)
    for index in range(rows):
        for column, distances in gower.without_each(targets.places[:, index]):
            nearest[column, index] = distances.argmin()
    return nearest


def _guesses_right(targets: People, tables: AttackedTables, rows: npt.NDArray[np.integer]) -> Flags:
    return np.stack(
        [
            is_right(
                tables.searched.values[column][rows[column]],
                targets.values[column],
                kind=kind,
                width=tables.widths.get(name, 0.0),
            )
            for column, (name, kind) in enumerate(tables.kinds.items())
        ]
    )
