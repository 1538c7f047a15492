"""Membership inference: was this person in the training rows? By distance, and by a ratio of densities.

- By distance: a person is the more likely a member, the nearer its nearest synthetic row (Chen, Yu, Zhang & Fritz 2020, GAN-Leaks,
  CCS, section 5).
- By density ratio: van Breugel, Sun, Qian & van der Schaar 2023, Membership inference attacks against synthetic data through overfitting
  detection, AISTATS (DOMIAS, equation 2): p_synthetic(x) / p_reference(x). The reference is one half of the holdout's people, the
  control the other half. Deviation: nearest-neighbour densities (Loftsgaarden & Quesenberry 1965) on mixed columns instead of flows, that
  is the logarithm of (d_reference + c) / (d_synthetic + c) for the distances to the third nearest reference row and the nearest synthetic
  one. Of the constants tried (c from .003 to .1, ranks 1 and 3, kernels of widths .02 to .4) these found copied rows best.

A person's score is the highest of its rows. Nearness and copies of rows are measured in the same pass.
"""

from dataclasses import dataclass

import numpy as np

from synth_pipeline.audit.attack.distance import affordable_people, nearest_distances
from synth_pipeline.audit.attack.people import AttackedTables
from synth_pipeline.audit.attack.rates import Count, Measured, advantage, auc, excess_risk, recognised_at
from synth_pipeline.table.arrays import Floats

MOST_PEOPLE = 2_000
REFERENCE_RANK = 3
LEAST_DISTANCE = 0.003
NEAR = 0.05


@dataclass(frozen=True, repr=False, eq=False)
class MembershipScores:
    """How strongly each attacked person looks like a member.

    Attributes:
        near_members: minus the distance to the nearest synthetic row, for people of train.
        near_others: the same for people of the holdout.
        ratio_members: logarithm of the density ratio, for people of train.
        ratio_others: the same for the half of the holdout that is not the reference.
        near_within: distance up to which a row counts as a near copy.
    """

    near_members: Floats
    near_others: Floats
    ratio_members: Floats
    ratio_others: Floats
    near_within: float


def score_membership(tables: AttackedTables, rng: np.random.Generator) -> MembershipScores:
    """Distances and density ratios of a sample of people to the synthetic table."""
    rows_each = -(-len(tables.train.persons) // tables.train.count)
    most = affordable_people(MOST_PEOPLE, len(tables.searched.persons) * rows_each, len(tables.names))
    members = tables.train.sample(most, rng)
    reference, others = tables.holdout.sample(2 * most, rng).split(rng)
    nearest = {
        what: nearest_distances(people, tables.searched)
        for what, people in (("members", members), ("others", others), ("reference", reference))
    }
    ratio = {
        what: np.log(nearest_distances(people, reference, rank=REFERENCE_RANK) + LEAST_DISTANCE)
        - np.log(nearest[what] + LEAST_DISTANCE)
        for what, people in (("members", members), ("others", others))
    }
    has_numbers = any(kind in ("numeric", "datetime") for kind in tables.kinds.values())
    return MembershipScores(
        members.highest(-nearest["members"]),
        np.concatenate([others.highest(-nearest["others"]), reference.highest(-nearest["reference"])]),
        members.highest(ratio["members"]),
        others.highest(ratio["others"]),
        NEAR if has_numbers else 1.0,
    )


def membership_figures(members: Floats, others: Floats, rng: np.random.Generator) -> dict[str, Measured]:
    """AUC, true-positive rate at a low false-positive rate, and advantage of one attack."""
    return {
        "auc": auc(members, others),
        "recognised_at_1_percent": recognised_at(members, others),
        "advantage": advantage(members, others, rng),
    }


def near_copies(scores: MembershipScores) -> Measured | None:
    """Excess of people of train with a synthetic row almost equal to one of theirs, over people of the holdout."""
    found, control = (
        Count(int((-near <= scores.near_within).sum()), len(near)) for near in (scores.near_members, scores.near_others)
    )
    return excess_risk(found, control)
