"""Tables of `benchmarks.frontier`: what was predicted from a release, what real fits gave, and how far the two lie apart.

Belongs here: reading results that are there. Does not: walks (frontier).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

FIGURES = {
    "tvd_2way": "2-way TVD",
    "tstr": "TSTR AUC",
    "tstr_ratio": "TSTR / TRTR",
    "c2st_auc": "C2ST AUC",
}
BASE_EPSILON = 1.0
Means = dict[tuple[str, str, float, str], float]


def tables(lines: Sequence[dict[str, Any]]) -> str:
    """The tables as Markdown.

    Args:
        lines: results, one a walk.
    """
    means, counts = _means(lines)
    loads = [line["load"] for line in lines]
    rows = ", ".join(
        f"{name} {found:,}" for name, found in sorted({line["dataset"]: line["rows"] for line in lines}.items())
    )
    head = (
        "# How well a frontier predicts the truth",
        "",
        "Made by `python -m benchmarks.frontier`; read in docs/frontier.md. *Predicted*: walks on rows drawn from a release at ε = 1.",
        "*Truth*: walks on the real rows. Both scored by the same quick scorecard, engine `auto`.",
        f"Rows to train on: {rows}. {len(lines)} walks, {min(counts)} to {max(counts)} behind each mean; load of the two-core machine",
        f"{min(loads):.1f} to {max(loads):.1f}.",
        "",
    )
    return "\n".join((*head, *_figures(means), *_summary(means))) + "\n"


def _means(lines: Sequence[dict[str, Any]]) -> tuple[Means, list[int]]:
    """Mean of each figure over its repeats, and how many there were."""
    found: dict[tuple[str, str, float, str], list[float]] = defaultdict(list)
    for line in lines:
        for key in FIGURES:
            if key in line["figures"]:
                found[line["dataset"], key, line["epsilon"], line["what"]].append(line["figures"][key])
    return {place: fmean(values) for place, values in found.items()}, [len(values) for values in found.values()]


def _figures(means: Means) -> Iterator[str]:
    """Predicted and true figure of each data set and ε."""
    yield "| data set | ε | " + " | ".join(f"{label}: predicted | truth" for label in FIGURES.values()) + " |"
    yield "|---|---|" + "---|" * (2 * len(FIGURES))
    for name, epsilon in sorted({(place[0], place[2]) for place in means}):
        cells = [
            f"{means[name, key, epsilon, what]:.4f}" if (name, key, epsilon, what) in means else "–"
            for key in FIGURES
            for what in ("predicted", "truth")
        ]
        yield f"| {name} | {epsilon:g} | " + " | ".join(cells) + " |"
    yield ""


def _summary(means: Means) -> Iterator[str]:
    """Errors over data sets and ε; of the level, and of the change from the ε that the release was made at."""
    yield "| figure | cells | mean error (predicted − truth) | mean absolute error | the same of the change from ε = 1 | ε ranked right |"
    yield "|---|---|---|---|---|---|"
    for key, label in FIGURES.items():
        pairs = {
            (name, epsilon): (value, means[name, figure, epsilon, "truth"])
            for (name, figure, epsilon, what), value in means.items()
            if figure == key and what == "predicted" and (name, figure, epsilon, "truth") in means
        }
        if not pairs:
            continue
        errors = [predicted - truth for predicted, truth in pairs.values()]
        changes = [
            abs((pair[0] - pairs[name, BASE_EPSILON][0]) - (pair[1] - pairs[name, BASE_EPSILON][1]))
            for (name, epsilon), pair in pairs.items()
            if epsilon != BASE_EPSILON and (name, BASE_EPSILON) in pairs
        ]
        right, asked = _ranked(pairs)
        changed = f"{fmean(changes):.4f}" if changes else "–"
        yield (
            f"| {label} | {len(pairs)} | {fmean(errors):+.4f} | {fmean(map(abs, errors)):.4f} | {changed} | {right} of {asked} pairs |"
        )


def _ranked(pairs: dict[tuple[str, float], tuple[float, float]]) -> tuple[int, int]:
    """Of the pairs of ε of one data set, how many are ordered by what is predicted as they are by the truth."""
    right = asked = 0
    for (name, epsilon), (predicted, truth) in pairs.items():
        for (other, more), (later, later_truth) in pairs.items():
            if other == name and more > epsilon:
                asked += 1
                right += (later > predicted) == (later_truth > truth)
    return right, asked
