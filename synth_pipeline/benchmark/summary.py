"""Two short readings of a scorecard: lines for people, and flat numbers for an experiment tracker. Both are internal like it."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from synth_pipeline.benchmark.group_score import FairnessScores, GapMetric, RareClassScores, RareMetric, Source
from synth_pipeline.benchmark.interval import Interval
from synth_pipeline.benchmark.scorecard import Fidelity, MarginalScores, Scorecard, TwoSample, Utility

Line: TypeAlias = tuple[str, str, str]

_LEARNER_NAMES = {"gradient_boosting": "boosting", "linear": "linear"}
_METRIC_NAMES = {"auc": "AUC", "ap_rarest": "AP of rarest class", "macro_f1": "macro-F1", "r2": "R²", "rmse": "RMSE"}

_RARE_NAMES: Mapping[RareMetric, str] = {
    "ap": "AP",
    "recall_at_argmax": "recall",
    "recall_at_share": "recall, its share selected",
}
_GAP_NAMES: Mapping[GapMetric, str] = {
    "demographic_parity_difference": "demographic parity difference",
    "equalized_odds_difference": "equalized odds difference",
    "equalized_odds_difference_at_share": "equalized odds difference, equal number selected",
    "auc_difference": "AUC difference",
}


def summary_lines(scorecard: Scorecard) -> list[Line]:
    """Name, score with interval, and how to read it, for a table on a terminal or page.

    Example of a line:
        `("1-way TVD", "0.0052 [0.0041, 0.0063]", "floor 0.0085; matched/floor 1.02 [0.90, 1.15], 1 is as fresh real rows")`
    """
    return [
        *_fidelity_lines(scorecard.fidelity),
        *_two_sample_lines(scorecard.c2st),
        *_utility_lines(scorecard.tstr),
        *_rare_class_lines(scorecard.rare_class),
        *_fairness_lines(scorecard.fairness),
    ]


def flat_metrics(scorecard: Scorecard) -> dict[str, float]:
    """Every headline score as `name`, `name_low` and `name_high`; names hold only letters, digits and underscores."""
    flat: dict[str, float] = {}
    for name, interval in _named_intervals(scorecard):
        flat[name] = interval.value
        flat[f"{name}_low"] = interval.low
        flat[f"{name}_high"] = interval.high
    flat |= {f"rows_{which}": float(rows) for which, rows in scorecard.rows.items()}
    if scorecard.tstr:
        flat["synth_rows_without_valid_target"] = float(scorecard.tstr.synth_rows_without_valid_target)
    return flat


def _fidelity_lines(fidelity: Fidelity) -> Iterator[Line]:
    for name, marginals in (
        ("1-way TVD", fidelity.tvd_1way),
        ("2-way TVD", fidelity.tvd_2way),
        ("3-way TVD", fidelity.tvd_3way),
    ):
        if marginals:
            yield name, marginals.synthetic.text(), _ratio_reading(marginals)
    for name, compared in (("NIST k2 score", fidelity.nist_k2), ("NIST k3 score", fidelity.nist_k3)):
        if compared:
            yield name, compared.synthetic.text(1), f"floor {compared.floor.value:.1f}; 1000 is best"
    for name, complement in (("KS complement", fidelity.ks_complement), ("TV complement", fidelity.tv_complement)):
        if complement:
            yield name, complement.synthetic.text(), f"floor {complement.floor.value:.4f}; 1 is best"
    if fidelity.association:
        floor = fidelity.association.floor.value
        yield "association difference", fidelity.association.synthetic.text(), f"floor {floor:.4f}; 0 is best"


def _ratio_reading(marginals: MarginalScores) -> str:
    floor = f"floor {marginals.floor.value:.4f}"
    if marginals.ratio_to_floor is None:
        return floor
    return f"{floor}; matched/floor {marginals.ratio_to_floor.text(2)}, 1 is as fresh real rows"


def _two_sample_lines(c2st: TwoSample) -> Iterator[Line]:
    name = "C2ST AUC"
    if c2st.synthetic is None:
        yield name, "not measured", c2st.reason or ""
        return
    floor = f"floor {c2st.floor.value:.3f}; " if c2st.floor else ""
    yield name, c2st.synthetic.text(3), f"{floor}0.5 is best, 1 is always told apart"


def _utility_lines(utility: Utility | None) -> Iterator[Line]:
    if utility is None:
        return
    if utility.task is None:
        yield "TSTR", "not measured", utility.reason or ""
        return
    for learner, scores in utility.learners.items():
        for metric, real in scores.trtr.items():
            name = f"TSTR {_LEARNER_NAMES.get(learner, learner)} {_METRIC_NAMES.get(metric, metric)}"
            if metric not in scores.tstr:
                yield name, "not measured", utility.reason or "undefined on these rows"
                continue
            ratio = f"; ratio {scores.ratio[metric].text(3)}" if metric in scores.ratio else ""
            baseline = f"; baseline {utility.baseline[metric].value:.3f}" if metric in utility.baseline else ""
            yield name, scores.tstr[metric].text(), f"real rows {real.value:.4f}{ratio}{baseline}"


def _rare_class_lines(rare: RareClassScores | None) -> Iterator[Line]:
    if rare is None:
        return
    for metric, name in _RARE_NAMES.items():
        found: dict[Source, Interval] = {
            source: scores[metric] for source, scores in rare.scores.items() if metric in scores
        }
        if "real" in found:
            yield f"rarest class {rare.label}: {name}", *_three_ways(found)


def _fairness_lines(fairness: FairnessScores | None) -> Iterator[Line]:
    if fairness is None:
        return
    if fairness.reason is not None:
        yield "fairness", "not measured", fairness.reason
        return
    for grouping in fairness.groupings:
        groups = " × ".join(grouping.columns)
        count = len(grouping.too_small)
        small = f"; {count} group{'s' if count > 1 else ''} too small" if count else ""
        for metric, name in _GAP_NAMES.items():
            found: dict[Source, Interval] = {
                source: gaps[metric] for source, gaps in grouping.gaps.items() if metric in gaps
            }
            if "real" in found:
                value, reading = _three_ways(found)
                yield f"{groups}: {name}", value, f"{reading}{small}"
        if not grouping.gaps:
            yield f"{groups}: gaps", "not measured", f"fewer than two groups are large enough{small}"


def _three_ways(found: Mapping[Source, Interval]) -> tuple[str, str]:
    """The score of the synthetic table where there is one, and those of the other two."""
    synthetic = found["synthetic"].text(3) if "synthetic" in found else "not measured"
    others = [f"{source} rows {found[source].text(3)}" for source in ("real", "rebalanced") if source in found]
    return synthetic, "; ".join(others)


def _group_intervals(scorecard: Scorecard) -> Iterator[tuple[str, Interval]]:
    """Rare class and gaps, by source; groups are numbered, since names of columns may hold any letter."""
    for source, scores in (scorecard.rare_class.scores if scorecard.rare_class else {}).items():
        for metric, interval in scores.items():
            yield f"rare_class_{source}_{metric}", interval
    for number, grouping in enumerate(scorecard.fairness.groupings if scorecard.fairness else ()):
        for source, gaps in grouping.gaps.items():
            for metric, interval in gaps.items():
                yield f"fairness_{number}_{source}_{metric}", interval


def _named_intervals(scorecard: Scorecard) -> Iterator[tuple[str, Interval]]:
    fidelity = scorecard.fidelity
    for order, marginals in (("1way", fidelity.tvd_1way), ("2way", fidelity.tvd_2way), ("3way", fidelity.tvd_3way)):
        if marginals:
            yield f"tvd_{order}", marginals.synthetic
            yield f"tvd_{order}_floor", marginals.floor
            if marginals.ratio_to_floor:
                yield f"tvd_{order}_ratio_to_floor", marginals.ratio_to_floor
    pairs = {
        "nist_k2": fidelity.nist_k2,
        "nist_k3": fidelity.nist_k3,
        "ks_complement": fidelity.ks_complement,
        "tv_complement": fidelity.tv_complement,
        "association_difference": fidelity.association,
        "c2st_auc": scorecard.c2st,
    }
    for name, compared in pairs.items():
        if compared and compared.synthetic:
            yield name, compared.synthetic
        if compared and compared.floor:
            yield f"{name}_floor", compared.floor
    for learner, scores in (scorecard.tstr.learners if scorecard.tstr else {}).items():
        for source, part in (("tstr", scores.tstr), ("trtr", scores.trtr), ("ratio", scores.ratio)):
            for metric, interval in part.items():
                yield f"{source}_{learner}_{metric}", interval
    yield from _group_intervals(scorecard)
