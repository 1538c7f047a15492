"""What a classifier does to each group of people, by what it was trained on: real rows, the synthetic table, a rebalanced one.

The benchmark's gradient boosting is fitted on each and tested on the holdout. For each sensitive column, and for all of them together,
it is told what happens to each group: selection rate, true and false positive rate (fairlearn's `MetricFrame`), accuracy and AUC; and the
gaps between groups: demographic parity difference and ratio, equalized odds difference (Agarwal et al. 2018; Weerts et al. 2023), and the
largest differences of the rates and of AUC. Two decisions, as `benchmark.one_class` says: the likeliest class, and an equal number of
selected rows.

A group needs 50 holdout rows for any score, and 10 of a class for a rate among it; one that has fewer is listed with that reason, and takes
no part in the gaps.

Intervals: bootstrap over the holdout's people, for the fitted models: percentile for rates, normal for gaps (resampling widens a largest
minus smallest). They do not cover another synthetic table. Internal.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from synth_pipeline.benchmark.group import LEAST_CLASS_ROWS, LEAST_ROWS, Groups, everyone, groups_of
from synth_pipeline.benchmark.group_score import FairnessScores, Grouping, GroupScores
from synth_pipeline.benchmark.holdout_prediction import GROUP_LEARNER, HoldoutPredictions
from synth_pipeline.benchmark.interval import Floats, Interval
from synth_pipeline.benchmark.one_class import (
    OneClass,
    blocks,
    draw_people,
    gap_interval,
    one_class,
    score_interval,
)
from synth_pipeline.benchmark.resample import Bag
from synth_pipeline.benchmark.scored_table import Ints, ScoredTables
from synth_pipeline.spec import Fairness
from synth_pipeline.table.column import category_key

_BOOTSTRAP_STREAM = 17
_SUFFIXES = ("", "_at_share")


def measure_fairness(
    predicted: HoldoutPredictions,
    tables: ScoredTables,
    fairness: Fairness,
    units: Ints,
    *,
    seed: int,
    resamples: int,
) -> FairnessScores:
    """Scores and gaps of every group of the sensitive columns.

    Args:
        predicted: predictions of the holdout.
        tables: the tables of the scorecard.
        fairness: sensitive columns, their bins, and the class that counts as selected.
        units: the person of each holdout row with a valid target, numbered from 0.
        seed: seed of the resamples.
        resamples: number of resamples.
    """
    guesses, labelled = predicted.by_source(), predicted.labelled
    label, reason = _favourable(predicted, fairness)
    if reason is not None:
        return _unmeasured(predicted.target, reason)
    target = labelled.holdout.target.astype(np.int64)
    share = float((labelled.train.target == label).mean())
    views = {source: one_class(guess, target, label=label, share=share) for source, guess in guesses.items()}
    bag = draw_people(units, resamples, np.random.default_rng([seed, _BOOTSTRAP_STREAM]))
    method = f"bootstrap over people of the holdout, {resamples} resamples"
    columns = fairness.sensitive
    listed = [(name,) for name in columns] + ([columns] if len(columns) > 1 else [])
    is_positive = target == label
    groupings = [groups_of(labelled.holdout.rows, tables, names, fairness, is_positive) for names in listed]
    overall = everyone(is_positive)
    return FairnessScores.model_validate(
        {
            "target": predicted.target,
            "favourable": labelled.shown[label] if fairness.favourable is None else category_key(fairness.favourable),
            "favourable_share": share,
            "learner": GROUP_LEARNER,
            "least_rows": LEAST_ROWS,
            "least_class_rows": LEAST_CLASS_ROWS,
            "overall": {source: _measured(view, overall, bag, method)[0][0] for source, view in views.items()},
            "groupings": [_grouping(views, groups, bag, method) for groups in groupings],
        }
    )


def group_rates(view: OneClass, codes: Ints, size: int) -> dict[str, Floats]:
    """Selection rate, true and false positive rate and accuracy of each group, by fairlearn.

    Shapes:
        codes: rows, each below `size`. Results: size × 1.

    Source:
        fairlearn.metrics.MetricFrame (Weerts et al. 2023).
    """
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
    from sklearn.metrics import accuracy_score

    metrics: dict[str, Any] = {"selection_rate": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate}
    found: dict[str, Floats] = {}
    for suffix, taken in zip(_SUFFIXES, (view.chosen, view.selected), strict=True):
        wanted = metrics if suffix else {**metrics, "accuracy": accuracy_score}
        cells, counts = np.unique(np.stack([codes, view.is_positive, taken], axis=1), axis=0, return_counts=True)
        frame: Any = MetricFrame(  # of weighted cells: of rows it takes seconds
            metrics=wanted,
            y_true=cells[:, 1],
            y_pred=cells[:, 2],
            sensitive_features=cells[:, 0],
            sample_params={name: {"sample_weight": counts} for name in wanted},
        )
        by_group = frame.by_group.reindex(range(size))
        found |= {f"{name}{suffix}": by_group[name].to_numpy(dtype=np.float64)[:, None] for name in wanted}
    return found


def gaps_of(rates: Mapping[str, Floats]) -> dict[str, Floats]:
    """Gaps between the groups of each resample; NaN with fewer than two groups.

    Shapes:
        rates: groups × resamples, NaN for a group that takes no part. Results: resamples.
    """
    gaps: dict[str, Floats] = {"auc_difference": _spread(rates["auc"])}
    for suffix in _SUFFIXES:
        selection = rates[f"selection_rate{suffix}"]
        tpr, fpr = _spread(rates[f"tpr{suffix}"]), _spread(rates[f"fpr{suffix}"])
        lowest, highest = _ends(selection)
        gaps[f"demographic_parity_difference{suffix}"] = highest - lowest
        gaps[f"demographic_parity_ratio{suffix}"] = np.divide(
            lowest, highest, out=np.full_like(lowest, np.nan), where=highest > 0
        )
        gaps[f"tpr_difference{suffix}"], gaps[f"fpr_difference{suffix}"] = tpr, fpr
        gaps[f"equalized_odds_difference{suffix}"] = np.maximum(tpr, fpr)
    return gaps


def _favourable(predicted: HoldoutPredictions, fairness: Fairness) -> tuple[int, str | None]:
    """The class that counts as selected, and why there is none."""
    labelled = predicted.labelled
    if predicted.reason is not None:
        return -1, predicted.reason
    if not labelled.classes:
        return -1, "the target is a number, of which no class can be selected"
    if fairness.favourable is None:
        return labelled.rarest, None
    wanted = category_key(fairness.favourable)
    if wanted not in labelled.keys:
        return -1, "the favourable class never occurs in train"
    return labelled.keys.index(wanted), None


def _unmeasured(target: str, reason: str) -> FairnessScores:
    return FairnessScores(
        target=target,
        favourable=None,
        favourable_share=None,
        least_rows=LEAST_ROWS,
        least_class_rows=LEAST_CLASS_ROWS,
        overall={},
        groupings=(),
        reason=reason,
    )


def _grouping(views: Mapping[Any, OneClass], groups: Groups, bag: Bag, method: str) -> Grouping:
    found = {source: _measured(view, groups, bag, method) for source, view in views.items()}
    listed = [
        GroupScores.model_validate(
            {
                "group": dict(zip(groups.columns, values, strict=True)),
                "rows": int(groups.rows[place]),
                "favourable_rows": int(groups.positive_rows[place]),
                "scores": {source: scores[place] for source, (scores, _) in found.items() if scores[place]},
                "reason": groups.reason(place),
            }
        )
        for place, values in enumerate(groups.values)
    ]
    gaps = {source: gaps for source, (_, gaps) in found.items() if gaps}
    return Grouping.model_validate({"columns": groups.columns, "groups": listed, "gaps": gaps})


def _measured(
    view: OneClass, groups: Groups, bag: Bag, method: str
) -> tuple[list[dict[str, Interval]], dict[str, Interval]]:
    """Scores of each group, and the gaps between them, of one model."""
    size, bagged = len(groups.rows), view.take(bag.rows)
    codes = groups.codes[bag.rows]
    values = {
        **group_rates(view, groups.codes, size),
        "auc": _areas(view, groups.codes, groups, np.ones((len(groups.codes), 1))),
    }
    values = _without_small(values, groups)
    centres = _replicates(bagged, codes, groups, np.ones((len(codes), 1)))
    parts = [_replicates(bagged, codes, groups, weights) for weights in blocks(bag)]
    replicates = {metric: np.concatenate([part[metric] for part in parts], axis=1) for metric in centres}
    scores: list[dict[str, Interval]] = [{} for _ in range(size)]
    for metric, value in values.items():
        for group in range(size):
            centre, spread = float(centres[metric][group, 0]), replicates[metric][group]
            interval = score_interval(float(value[group, 0]), centre, spread, method=method)
            if interval is not None:
                scores[group][metric] = interval
    moved = {metric: replicates[metric] + (values[metric] - centres[metric]) for metric in values}
    gaps = {
        metric: gap_interval(float(value[0]), gaps, method=method)
        for (metric, value), gaps in zip(gaps_of(values).items(), gaps_of(moved).values(), strict=True)
    }
    return scores, {metric: interval for metric, interval in gaps.items() if interval is not None}


def _replicates(view: OneClass, codes: Ints, groups: Groups, weights: Floats) -> dict[str, Floats]:
    rates = {**view.rates(codes, len(groups.rows), weights), "auc": _areas(view, codes, groups, weights)}
    return _without_small(rates, groups)


def _areas(view: OneClass, codes: Ints, groups: Groups, weights: Floats) -> Floats:
    """AUC of each group that is large enough.

    Shapes:
        weights: rows × resamples. Result: groups × resamples.
    """
    areas = np.full((len(groups.rows), weights.shape[1]), np.nan)
    for group in np.flatnonzero(~groups.undefined("auc")):
        rows = np.flatnonzero(codes == group)
        if len(rows):
            areas[group] = view.take(rows).auc(weights[rows])
    return areas


def _without_small(rates: Mapping[str, Floats], groups: Groups) -> dict[str, Floats]:
    return {metric: np.where(groups.undefined(metric)[:, None], np.nan, values) for metric, values in rates.items()}


def _ends(values: Floats) -> tuple[Floats, Floats]:
    """The smallest and the largest group of each resample; NaN with fewer than two."""
    has_two = np.isfinite(values).sum(axis=0) >= 2
    lowest = np.where(np.isfinite(values), values, np.inf).min(axis=0)
    highest = np.where(np.isfinite(values), values, -np.inf).max(axis=0)
    return np.where(has_two, lowest, np.nan), np.where(has_two, highest, np.nan)


def _spread(values: Floats) -> Floats:
    lowest, highest = _ends(values)
    return highest - lowest
