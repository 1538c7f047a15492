"""The scorecard: every score of a synthetic table as frozen values, and its JSON file.

Every number is computed on real rows without noise, so a scorecard is internal (`zone`): it stays in the private store and is never
part of a release. It holds scores, row counts, and the names of columns and of declared categories, but no cell of any table.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from synth_pipeline.benchmark.group_score import FairnessScores, RareClassScores
from synth_pipeline.benchmark.interval import FROZEN, LEVEL, Interval
from synth_pipeline.errors import TableError


class Compared(BaseModel):
    """A score of the synthetic table beside the same score of fresh real rows."""

    model_config = FROZEN

    synthetic: Interval = Field(description="Synthetic table against train.")
    floor: Interval = Field(description="Holdout against train: what sampling alone does.")


class MarginalDistance(BaseModel):
    """How far one marginal of the synthetic table lies from train's."""

    model_config = FROZEN

    columns: tuple[str, ...] = Field(description="The columns of the marginal.")
    synthetic: float = Field(description="TVD of the synthetic table to train, all rows.")
    floor: float = Field(description="TVD of the holdout to train.")


class MarginalScores(BaseModel):
    """Mean total variation distance over the k-way marginals."""

    model_config = FROZEN

    marginals: int = Field(description="How many marginals were compared.")
    synthetic: Interval = Field(description="Synthetic table against train, all rows; what papers report.")
    matched: Interval = Field(description="The same with as many synthetic rows as holdout rows.")
    floor: Interval = Field(
        description="Holdout against train, the same number of rows: the noise of a fresh real sample."
    )
    ratio_to_floor: Interval | None = Field(
        description="matched / floor: 1 is as good as fresh real rows. None when the floor is 0."
    )
    worst: tuple[MarginalDistance, ...] = Field(description="The marginals furthest from train, worst first.")


class Complement(BaseModel):
    """A per-column similarity (1 is equal), its mean and its worst column."""

    model_config = FROZEN

    synthetic: Interval = Field(description="Mean over columns, synthetic table against train.")
    floor: Interval = Field(description="Mean over columns, holdout against train.")
    worst_column: str = Field(description="The least similar column of the synthetic table.")
    by_column: Mapping[str, float] = Field(description="Similarity of each column of the synthetic table.")


class AssociationScores(BaseModel):
    """Mean absolute difference of pairwise associations from train's."""

    model_config = FROZEN

    synthetic: Interval = Field(description="Over all pairs, synthetic table against train.")
    floor: Interval = Field(description="Over all pairs, holdout against train.")
    by_kind: Mapping[str, Compared] = Field(description="The same for pearson, cramers_v and correlation_ratio alone.")
    worst_pair: tuple[str, str] = Field(description="The pair whose association differs most.")
    worst_difference: float = Field(description="Its absolute difference.")


class Fidelity(BaseModel):
    """How close the synthetic table's distributions are to train's."""

    model_config = FROZEN

    matched_rows: int = Field(
        description="Rows of the row-matched comparisons: the fewer of holdout and synthetic rows."
    )
    tvd_1way: MarginalScores = Field(description="Single columns.")
    tvd_2way: MarginalScores | None = Field(description="All pairs; None with one column.")
    tvd_3way: MarginalScores | None = Field(description="Random triples; None with fewer than three columns.")
    tvd_by_column: Mapping[str, Interval] = Field(
        description="1-way TVD of each column, synthetic table against train."
    )
    nist_k2: Compared | None = Field(description="NIST k-marginal score over pairs, 1000 is best.")
    nist_k3: Compared | None = Field(description="NIST k-marginal score over triples, 1000 is best.")
    ks_complement: Complement | None = Field(
        description="1 - Kolmogorov-Smirnov distance of numeric and datetime columns."
    )
    tv_complement: Complement | None = Field(description="1 - TVD over all categories of category columns.")
    association: AssociationScores | None = Field(description="Pairwise associations; None with one column.")


class TwoSample(BaseModel):
    """Classifier two-sample test: can a classifier tell synthetic rows from unseen real ones? 0.5 is best, 1 is always."""

    model_config = FROZEN

    synthetic: Interval | None = Field(description="AUC, holdout rows against synthetic rows.")
    floor: Interval | None = Field(description="AUC, holdout rows against train rows: about 0.5.")
    rows_per_side: int = Field(description="Rows of each kind.")
    reason: str | None = Field(default=None, description="Why a score is missing.")


class LearnerScores(BaseModel):
    """One learner, trained on synthetic rows and on real rows, tested on the holdout."""

    model_config = FROZEN

    tstr: Mapping[str, Interval] = Field(description="Trained on synthetic rows; empty when they cannot be trained on.")
    trtr: Mapping[str, Interval] = Field(description="Trained on train: what real rows give.")
    ratio: Mapping[str, Interval] = Field(
        description="tstr / trtr, paired over holdout rows; auc_lift is (AUC - 1/2) / (AUC - 1/2). Left out where the real rows"
        " themselves predict no better than nothing, since the ratio then means nothing."
    )


class Utility(BaseModel):
    """Train on synthetic, test on real, against train on real."""

    model_config = FROZEN

    target: str = Field(description="The column to predict.")
    task: Literal["binary", "multiclass", "regression"] | None = Field(
        description="Kind of task; None when nothing could be measured."
    )
    learners: Mapping[str, LearnerScores] = Field(description="gradient_boosting and linear.")
    baseline: Mapping[str, Interval] = Field(description="Always the majority class, or train's mean.")
    synth_rows_without_valid_target: int = Field(
        description="Synthetic rows whose target is null or never occurs in train."
    )
    rarest_class_share: Mapping[str, float] | None = Field(
        description="Share of train's rarest class in train, holdout, synthetic."
    )
    reason: str | None = Field(default=None, description="Why scores are missing.")


class Scorecard(BaseModel):
    """Every score of one synthetic table, with intervals.

    Privacy:
        Internal. The scores are computed on real rows without noise and are not covered by any ε.
    """

    model_config = FROZEN

    version: Literal[1] = Field(default=1, description="Format of the scorecard.")
    zone: Literal["internal"] = Field(
        default="internal", description="Where the scorecard may go: nowhere outside the private store."
    )
    dataset: str = Field(description="Name of the dataset.")
    spec_digest: str = Field(description="Digest of the specification that the tables were scored under.")
    seed: int = Field(description="Seed of the subsamples, folds and resamples.")
    quick: bool = Field(description="Whether smaller subsamples and fewer resamples were used.")
    level: float = Field(default=LEVEL, description="Confidence level of every interval.")
    rows: Mapping[Literal["train", "holdout", "synthetic", "rebalanced"], int] = Field(
        description="Rows of each table; the rebalanced one where it was made."
    )
    columns: int = Field(description="Columns scored; identifiers are left out.")
    fidelity: Fidelity = Field(description="Distances of distributions.")
    c2st: TwoSample = Field(description="Classifier two-sample test.")
    tstr: Utility | None = Field(description="Prediction benchmark; None when the specification names no target.")
    rare_class: RareClassScores | None = Field(
        default=None,
        description="The rarest class of the target; None without a classification that could be measured.",
    )
    fairness: FairnessScores | None = Field(
        default=None, description="Scores by group; None when the specification names no sensitive columns."
    )

    def to_dict(self) -> dict[str, Any]:
        """The scorecard as plain data that `from_dict` reads back to an equal one."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Scorecard":
        """A scorecard from plain data.

        Raises:
            TableError: if the data is not a scorecard.
        """
        try:
            return cls.model_validate(dict(content))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "top level"
            raise TableError(
                f"scorecard: {place}: {first['msg']}; give the scorecard.json that `evaluate` wrote"
            ) from None

    def write_scorecard(self, path: str | Path) -> None:
        """Write the scorecard as JSON, whole or not at all, readable by its owner only."""
        target = Path(path)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(self.to_dict(), file, indent=1, allow_nan=False)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def read_scorecard(path: str | Path) -> Scorecard:
    """The scorecard in a JSON file.

    Raises:
        TableError: if the file cannot be read or holds no scorecard.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: cannot be read as JSON ({type(error).__name__}); give a scorecard.json") from None
    if not isinstance(content, dict):
        raise TableError(f"{path}: holds no scorecard; give the scorecard.json that `evaluate` wrote")
    return Scorecard.from_dict(content)
