"""The benchmark as tables: median and spread over repeats, beside the recorded figures of public systems, and which targets are met.

    python -m benchmarks.table [--quick] [--datasets adult,bank --epsilons 1] [--readme README.md]

`recorded_peers.json` holds what other systems scored; those rows are marked, because they were measured once, elsewhere. `targets.json`
holds what this project asks of itself. With `--readme` the Markdown goes between the lines `<!-- bench:start -->` and `<!-- bench:end -->`.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.matrix import DATASETS, ENGINES, RESULTS, ROOT, all_results

HERE = Path(__file__).resolve().parent
START, END = "<!-- bench:start -->", "<!-- bench:end -->"
LOWER_IS_BETTER = frozenset(
    {"tvd1", "tvd2", "tvd3", "ratio1", "ratio2", "ratio3", "c2st", "fit_cpu_seconds", "peak_megabytes"}
)
NAMES = {
    "tvd1": "1-way TVD", "tvd2": "2-way TVD", "tvd3": "3-way TVD", "ratio2": "2-way / floor", "k2": "k2", "k3": "k3",
    "grouped": "k2 by group", "auc": "TSTR AUC", "r2": "TSTR R²", "tstr_ratio": "TSTR / TRTR", "c2st": "C2ST",
    "fit_cpu_seconds": "fit CPU-s", "sample_rows_per_second": "rows/s", "conditional_rows_per_second": "rows/s where",
    "peak_megabytes": "peak MB",
}  # fmt: skip
COLUMNS = tuple(NAMES)


@dataclass(frozen=True)
class Spread:
    """A figure over repeats.

    Attributes:
        values: one a repeat.
    """

    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        """Median."""
        return median(self.values)

    def text(self, figure: str) -> str:
        """Median, and the range where there are several repeats.

        Example:
            >>> Spread((0.0203, 0.0201, 0.0208)).text("tvd2")
            '.0203 [.0201, .0208]'
        """
        ends = sorted({shown(figure, min(self.values)), shown(figure, max(self.values))}, key=len)
        low, high = shown(figure, min(self.values)), shown(figure, max(self.values))
        return shown(figure, self.middle) if len(ends) == 1 else f"{shown(figure, self.middle)} [{low}, {high}]"


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        dataset: name of the data set.
        epsilon: ε of the whole walk.
        system: engine, or another system.
        figures: what was measured.
        is_recorded: whether it was measured elsewhere.
        repeats: number of fits.
        remark: what a reader must know.
    """

    dataset: str
    epsilon: float
    system: str
    figures: dict[str, Spread]
    is_recorded: bool = False
    repeats: int = 1
    remark: str = ""


def shown(figure: str, value: float) -> str:
    """A figure as it is printed: shares without their leading zero, counts with separators.

    Example:
        >>> shown("auc", 0.9081), shown("k2", 978.6), shown("sample_rows_per_second", 123456.0), shown("c2st", 1.0)
        ('.9081', '979', '123,456', '1.000')
    """
    if figure in ("k2", "k3", "grouped", "peak_megabytes", "sample_rows_per_second", "conditional_rows_per_second"):
        return f"{value:,.0f}"
    if figure == "fit_cpu_seconds":
        return f"{value:.1f}"
    digits = 2 if figure.startswith("ratio") else 3 if figure in ("c2st", "tstr_ratio") else 4
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text


def rows_of(results: Sequence[dict[str, Any]]) -> list[Row]:
    """One row a data set, ε and engine, over the repeats that are done; failures become remarks."""
    groups: dict[tuple[str, float, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["dataset"], float(result["epsilon"]), result["engine"]), []).append(result)
    rows: list[Row] = []
    for (dataset, epsilon, engine), members in groups.items():
        done = [member for member in members if member["status"] == "done"]
        figures: dict[str, Spread] = {}
        for name in (*COLUMNS, "ratio1", "ratio3", "real_auc", "real_r2"):
            values = [value for member in done if (value := _value(member, name)) is not None]
            if values:
                figures[name] = Spread(tuple(values))
        rows.append(Row(dataset, epsilon, _system(engine, done), figures, repeats=len(done), remark=_remark(members)))
    return rows


def peer_rows(path: Path = HERE / "recorded_peers.json") -> list[Row]:
    """Rows of the recorded systems."""
    peers = json.loads(path.read_text(encoding="utf-8"))["peers"]
    return [
        Row(
            peer["dataset"],
            float(peer["epsilon"]),
            peer["system"],
            {name: Spread((float(value),)) for name in COLUMNS if (value := _value(peer, name)) is not None},
            is_recorded=True,
            remark=peer.get("note", ""),
        )
        for peer in peers
    ]


def target_lines(results: Sequence[dict[str, Any]], targets: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown of what is asked, what was measured (median of the best named engine), and whether it is met."""
    lines = ["| table | ε | engine | figure | must | aim | measured | |", "|---|---|---|---|---|---|---|---|"]
    for target in targets:
        figure, found = target["figure"], dict[str, Spread]()
        for engine in target["engines"]:
            values = [
                value
                for result in results
                if result["status"] == "done"
                and (result["dataset"], float(result["epsilon"]), result["engine"])
                == (target["dataset"], float(target["epsilon"]), engine)
                and (value := _value(result, figure)) is not None
            ]
            if values:
                found[engine] = Spread(tuple(values))
        asked = [shown(figure, target[level]) if level in target else "–" for level in ("must", "aim")]
        place = f"| {target['dataset']} | {target['epsilon']:g} | {' or '.join(target['engines'])} | {NAMES[figure]}"
        sign = "≤" if figure in LOWER_IS_BETTER else "≥"
        asked = [text if text == "–" else f"{sign} {text}" for text in asked]
        if not found:
            lines.append(f"{place} | {asked[0]} | {asked[1]} | – | not measured |")
            continue
        pick = min if figure in LOWER_IS_BETTER else max
        best = pick(found.values(), key=lambda spread: spread.middle)
        lines.append(f"{place} | {asked[0]} | {asked[1]} | {best.text(figure)} | {verdict(target, best.middle)} |")
    return lines


def verdict(target: dict[str, Any], value: float) -> str:
    """Whether a figure meets what is asked of it.

    Example:
        >>> verdict({"figure": "tvd2", "must": 0.02, "aim": 0.01}, 0.015)
        'met, aim missed'
    """

    def is_met(level: str) -> bool:
        return value <= target[level] if target["figure"] in LOWER_IS_BETTER else value >= target[level]

    words = ["met" if is_met("must") else "**missed**"] if "must" in target else []
    if "aim" in target:
        words.append("aim met" if is_met("aim") else "aim missed")
    return ", ".join(words)


def markdown(
    results: Sequence[dict[str, Any]], *, quick: bool, only: Callable[[str, float], bool] | None = None
) -> str:
    """Everything as Markdown; `only` says of a data set and an ε whether its systems are listed (targets always are)."""
    targets = json.loads((HERE / "targets.json").read_text(encoding="utf-8"))
    peers = peer_rows()
    source = json.loads((HERE / "recorded_peers.json").read_text(encoding="utf-8"))["source"]
    done = [result for result in results if result["status"] == "done"]
    loads = [result["load_at_start"][0] for result in done if result.get("load_at_start")]
    judges = sorted({str(result.get("scored_by")) for result in done})
    how = " (quick scores: differences below .003 in AUC mean nothing)" if quick else ""
    heading = (
        f"{len(done)} fits{how}; median [lowest, highest] over repeats; scored by {', '.join(judges) or 'nobody yet'}; "
        f"load before a fit {min(loads, default=0):.1f}–{max(loads, default=0):.1f}. "
        "CPU-seconds are of one fit after imports, profile included; rows a second include decoding."
    )
    parts = [
        heading,
        "",
        *target_lines(results, targets),
    ]
    ours = rows_of(results)
    keys = sorted(
        {(row.dataset, row.epsilon) for row in ours if only is None or only(row.dataset, row.epsilon)}, key=_order
    )
    for dataset, epsilon in keys:
        here = sorted((row for row in ours if (row.dataset, row.epsilon) == (dataset, epsilon)), key=_row_order)
        others = [row for row in peers if (row.dataset, row.epsilon) == (dataset, epsilon)]
        parts += ["", f"**{dataset}, ε = {epsilon:g}**{_real(here)}", "", *table_lines([*here, *others])]
    return "\n".join([*parts, "", f"*recorded*: {source}", ""])


def table_lines(rows: Sequence[Row]) -> list[str]:
    """A Markdown table of the figures that any of the rows has."""
    shown_columns = [name for name in COLUMNS if any(name in row.figures for row in rows)]
    lines = [
        "| system | " + " | ".join(NAMES[name] for name in shown_columns) + " | fits |",
        "|---" * (len(shown_columns) + 2) + "|",
    ]
    for row in rows:
        cells = [row.figures[name].text(name) if name in row.figures else "–" for name in shown_columns]
        name = f"*{row.system}*" if row.is_recorded else f"`{row.system}`"
        remark = f" ({row.remark})" if row.remark else ""
        lines.append(f"| {name}{remark} | {' | '.join(cells)} | {'recorded' if row.is_recorded else row.repeats} |")
    return lines


def cell_line(result: dict[str, Any]) -> str:
    """One line about a result, for a log."""
    place = f"{result['dataset']} {result['engine']} ε={result['epsilon']:g} seed {result['seed']}"
    if result["status"] != "done":
        return f"{place}: FAILED: {result.get('reason', 'no reason known')}"
    figures = ("tvd2", "k2", "grouped", "auc", "r2", "c2st", "fit_cpu_seconds", "peak_megabytes")
    named = [f"{NAMES[name]} {shown(name, value)}" for name in figures if (value := _value(result, name)) is not None]
    return f"{place}: {', '.join(named)}"


def write_report(results: Path, *, quick: bool) -> str:
    """Write the Markdown beside the results, and return it."""
    text = markdown(all_results(results, quick=quick), quick=quick)
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{'quick' if quick else 'full'}.md").write_text(text, encoding="utf-8")
    return text


def with_section(text: str, section: str) -> str:
    """A document with the part between the marker lines replaced.

    Raises:
        ValueError: if the markers are not there, in order.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"no lines {START} and {END}; add them where the tables shall stand")
    return f"{before}{START}\n{section.strip()}\n{END}{after}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables, and put them into a document if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.table", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the quick scores")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of results")
    parser.add_argument(
        "--readme", type=Path, help=f"document to put the tables into, for example {ROOT / 'README.md'}"
    )
    parser.add_argument(
        "--datasets", help="comma list of data sets to list systems of, in what is printed and in --readme"
    )
    parser.add_argument("--epsilons", help="comma list of ε, likewise")
    asked = parser.parse_args(argv)
    text = write_report(asked.results, quick=asked.quick)
    if asked.datasets or asked.epsilons:
        text = markdown(all_results(asked.results, quick=asked.quick), quick=asked.quick, only=_filter(asked))
    print(text)
    if asked.readme:
        asked.readme.write_text(with_section(asked.readme.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


def _filter(asked: argparse.Namespace) -> Callable[[str, float], bool]:
    datasets = asked.datasets.split(",") if asked.datasets else None
    epsilons = [float(part) for part in asked.epsilons.split(",")] if asked.epsilons else None
    return lambda dataset, epsilon: (
        (datasets is None or dataset in datasets) and (epsilons is None or epsilon in epsilons)
    )


def _value(result: dict[str, Any], name: str) -> float | None:
    value = result.get("scores", {}).get(name, result.get(name))
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _system(engine: str, done: Sequence[dict[str, Any]]) -> str:
    kinds = sorted({str(result.get("kind", engine)) for result in done} - {engine})
    return f"{engine}: {', '.join(kinds)}" if kinds else engine


def _remark(members: Sequence[dict[str, Any]]) -> str:
    failed = [str(member["reason"]) for member in members if member["status"] != "done"]
    failed += [f"older code; now {member['failed_since']}" for member in members if member.get("failed_since")]
    return f"{len(failed)} failed: {failed[0]}".replace("|", "/") if failed else ""


def _real(rows: Sequence[Row]) -> str:
    for name, label in (("real_auc", "AUC"), ("real_r2", "R²")):
        for row in rows:
            if name in row.figures:
                return f" (real rows: {label} {shown('auc', row.figures[name].middle)})"
    return ""


def _order(key: tuple[str, float]) -> tuple[int, float]:
    return (DATASETS.index(key[0]) if key[0] in DATASETS else len(DATASETS), key[1])


def _row_order(row: Row) -> int:
    engine = row.system.split(":")[0]
    return ENGINES.index(engine) if engine in ENGINES else len(ENGINES)


if __name__ == "__main__":
    raise SystemExit(main())
