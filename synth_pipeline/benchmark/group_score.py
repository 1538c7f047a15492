"""Scores by group and of the rarest class, as frozen values of the scorecard.

Every score stands three times, by what the classifier was trained on (`Source`): real rows, the synthetic table, and a table that the same
model drew with equal shares of every group and class (`release.rebalance`). All are tested on the same real rows, the holdout. Internal.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import BaseModel, Field

from synth_pipeline.benchmark.interval import FROZEN, Interval

Source: TypeAlias = Literal["real", "synthetic", "rebalanced"]
"""What a classifier was trained on; it is tested on the holdout always."""

GroupMetric: TypeAlias = Literal[
    "selection_rate", "tpr", "fpr", "selection_rate_at_share", "tpr_at_share", "fpr_at_share", "auc", "accuracy",
]  # fmt: skip
"""Score of one group. `_at_share`: not the likeliest class is chosen; as many rows are selected as the favourable class has in train."""

GapMetric: TypeAlias = Literal[
    "demographic_parity_difference", "demographic_parity_ratio", "equalized_odds_difference", "tpr_difference", "fpr_difference",
    "demographic_parity_difference_at_share", "demographic_parity_ratio_at_share", "equalized_odds_difference_at_share",
    "tpr_difference_at_share", "fpr_difference_at_share", "auc_difference",
]  # fmt: skip
"""Distance between the groups: differences are largest minus smallest (0 is best), ratios smallest over largest (1 is best)."""

RareMetric: TypeAlias = Literal[
    "ap", "recall_at_argmax", "recall_at_share", "precision_at_argmax", "precision_at_share"
]
"""Score of the rarest class; `argmax` and `share` as above, for that class."""


class GroupScores(BaseModel):
    """One group of holdout rows, and what each classifier does to it."""

    model_config = FROZEN

    group: Mapping[str, str | None] = Field(
        description="Value of each sensitive column; for a number its bin, such as `30 to under 50`; a category that the specification"
        " does not list has a number. None is null."
    )
    rows: int = Field(description="Holdout rows of the group with a valid target.")
    favourable_rows: int = Field(description="How many of them are truly of the favourable class.")
    scores: Mapping[Source, Mapping[GroupMetric, Interval]] = Field(
        description="Scores by what was trained on; empty for a group that is too small."
    )
    reason: str | None = Field(default=None, description="Why scores are missing: the group is too small.")

    @property
    def name(self) -> str:
        """The group for people.

        Example:
            >>> GroupScores(group={"sex": "Female", "race": None}, rows=0, favourable_rows=0, scores={}).name
            'sex Female, race null'
        """
        return ", ".join(f"{column} {'null' if value is None else value}" for column, value in self.group.items())


class Grouping(BaseModel):
    """The groups that some sensitive columns make, and the gaps between them."""

    model_config = FROZEN

    columns: tuple[str, ...] = Field(description="The sensitive columns: one, or all together for the intersections.")
    groups: tuple[GroupScores, ...] = Field(description="Every group that occurs in the holdout, the largest first.")
    gaps: Mapping[Source, Mapping[GapMetric, Interval]] = Field(
        description="Gaps between the groups that are large enough; empty where fewer than two are."
    )

    @property
    def too_small(self) -> tuple[GroupScores, ...]:
        """The groups without scores, or without some of them."""
        return tuple(group for group in self.groups if group.reason is not None)


class FairnessScores(BaseModel):
    """What a classifier does to each group, by what it was trained on.

    Privacy:
        Internal: computed on real rows without noise.
    """

    model_config = FROZEN

    target: str = Field(description="The column that is predicted.")
    favourable: str | None = Field(
        description="The class that counts as selected; None when nothing could be measured."
    )
    favourable_share: float | None = Field(description="Its share in train; as many rows are selected `at_share`.")
    learner: str = Field(default="gradient_boosting", description="The classifier.")
    least_rows: int = Field(description="Holdout rows that a group needs for any score.")
    least_class_rows: int = Field(
        description="Rows of the favourable class, and of the others, that it needs for rates among them."
    )
    overall: Mapping[Source, Mapping[GroupMetric, Interval]] = Field(
        description="The same scores over all holdout rows: what rebalancing costs."
    )
    groupings: tuple[Grouping, ...] = Field(
        description="One a sensitive column, and one of all of them together where there are several."
    )
    reason: str | None = Field(default=None, description="Why scores are missing.")


class RareClassScores(BaseModel):
    """How well the rarest class of the target is found, by what the classifier was trained on.

    Privacy:
        Internal: computed on real rows without noise.
    """

    model_config = FROZEN

    target: str = Field(description="The column that is predicted.")
    label: str = Field(
        description="Its rarest class in train: its text where the specification lists it, else its number."
    )
    share: Mapping[Literal["train", "holdout", "synthetic", "rebalanced"], float] = Field(
        description="Share of that class among the rows with a valid target of each table."
    )
    learner: str = Field(default="gradient_boosting", description="The classifier.")
    scores: Mapping[Source, Mapping[RareMetric, Interval]] = Field(
        description="Average precision, and recall and precision of two ways to decide. A source that could not be trained on is left"
        " out, as is the rebalanced one where no rebalanced table was given."
    )
