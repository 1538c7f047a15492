"""The benchmark harness: names, what counts as done, medians and verdicts, and one failing cell that stops no other."""

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.cell import judge_figures, own_figures
from benchmarks.datasets import NIST_FEATURES, MissingTableError, four_thousand, prepare, ten_features
from benchmarks.matrix import (
    ROOT,
    Cell,
    Choice,
    all_results,
    chosen,
    code_digest,
    fingerprint,
    imported_files,
    is_finished,
    read_result,
    write_result,
)
from benchmarks.run import Job, Runner, run_all
from benchmarks.table import (
    Row,
    Spread,
    cell_line,
    markdown,
    peer_rows,
    rows_of,
    table_lines,
    target_lines,
    verdict,
    with_section,
)

CELL = Cell("adult", "maxent", 1.0, 0)
SAME = {"code": "c", "spec": "s", "judge": "j"}


def result(engine: str = "auto", seed: int = 0, **extra: object) -> dict:
    """A result as a cell writes it."""
    scores = {"tvd2": 0.02 + seed / 1000, "auc": 0.908, "real_auc": 0.932}
    cell = {"dataset": "adult", "engine": engine, "epsilon": 1.0, "seed": seed, "quick": False}
    done = {"status": "done", "kind": "maxent", "fit_cpu_seconds": 9.0, "load_at_start": [0.5], "scored_by": "judge 1"}
    return {**done, **cell, "scores": scores, **extra}


def package(root: Path, files: dict[str, str]) -> None:
    """A small `synth_pipeline` with the modules that every digest starts from."""
    starts = {"snapshot/take.py": "", "profile/build.py": "", "generate/plan.py": "", "release/model.py": ""}
    for name, text in {**starts, **files}.items():
        path = root / "synth_pipeline" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "cell, name",
    [
        (CELL, "adult.maxent.eps1.seed0"),
        (Cell("bank-4k", "aim", 0.3, 2), "bank-4k.aim.eps0.3.seed2"),
        (Cell("nist10", "auto", 10.0, 1, quick=True), "nist10.auto.eps10.seed1"),
    ],
)
def test_a_cell_is_named_by_what_it_measures(cell: Cell, name: str) -> None:
    assert cell.name == name
    assert cell.path(Path("r")) == Path("r") / ("quick" if cell.quick else "full") / f"{name}.json"


def test_first_repeats_of_everything_come_before_second_ones() -> None:
    cells = Choice(("a", "b"), ("x", "y"), (1.0, 3.0), (0, 1)).cells(quick=False)
    assert len(cells) == len({cell.name for cell in cells}) == 16
    assert [cell.seed for cell in cells] == [0] * 8 + [1] * 8


def test_a_fingerprint_changes_with_the_cell_the_code_the_spec_and_the_judge() -> None:
    known = {
        fingerprint(CELL, **SAME),
        fingerprint(Cell("adult", "maxent", 1.0, 1), **SAME),
        fingerprint(Cell("adult", "maxent", 1.0, 0, quick=True), **SAME),
        *(fingerprint(CELL, **{**SAME, part: "other"}) for part in SAME),
    }
    assert len(known) == 6
    assert fingerprint(CELL, **SAME) in known


def test_code_counts_as_changed_only_where_the_engine_imports_it(tmp_path: Path) -> None:
    files = {
        "generate/one.py": "from synth_pipeline.generate import shared\n",
        "generate/__init__.py": "",
        "generate/shared.py": "def f():\n    import synth_pipeline.deep\n",
        "deep.py": "x = 1\n",
        "generate/other.py": "y = 1\n",
    }
    package(tmp_path, files)
    module = "synth_pipeline.generate.one"
    before = code_digest(module, tmp_path)
    names = {path.name for path in imported_files([module], tmp_path)}
    assert names == {"one.py", "__init__.py", "shared.py", "deep.py"}
    package(tmp_path, {**files, "generate/other.py": "y = 2\n"})
    assert code_digest(module, tmp_path) == before
    package(tmp_path, {**files, "deep.py": "x = 2\n"})
    assert code_digest(module, tmp_path) != before


@pytest.mark.parametrize(
    "found, options, expected",
    [
        (None, {}, False),
        ({"status": "done", "fingerprint": "now"}, {}, True),
        ({"status": "done", "fingerprint": "old"}, {}, False),
        ({"status": "done", "fingerprint": "old"}, {"any_code": True}, True),
        ({"status": "failed", "fingerprint": "now"}, {}, False),
        ({"status": "failed", "fingerprint": "now"}, {"keep_failed": True}, True),
        ({"status": "failed", "fingerprint": "old"}, {"keep_failed": True}, False),
    ],
)
def test_a_cell_is_done_when_the_same_code_measured_it(found: dict | None, options: dict, expected: bool) -> None:
    assert is_finished(found, "now", **options) is expected


def test_a_result_is_read_back_and_a_broken_one_counts_as_none(tmp_path: Path) -> None:
    path = CELL.path(tmp_path)
    assert read_result(path) is None
    write_result(path, result())
    assert read_result(path) == result()
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    path.write_text('{"status": "do', encoding="utf-8")
    assert read_result(path) is None
    assert all_results(tmp_path, quick=False) == []


def test_unknown_names_are_refused_with_what_there_is() -> None:
    assert chosen(None, ("a", "b"), "--engines") == ("a", "b")
    assert chosen("b, a", ("a", "b"), "--engines") == ("b", "a")
    with pytest.raises(ValueError, match="--engines: c; there are a, b"):
        chosen("a,c", ("a", "b"), "--engines")


def test_a_failing_cell_is_recorded_with_its_reason_and_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [Job(Cell("no-such-table", "maxent", 1.0, seed), f"f{seed}") for seed in (0, 1)]
    assert run_all(jobs, Runner(tmp_path, None, 120), workers=1) == 2
    for job in jobs:
        found = read_result(job.cell.path(tmp_path))
        assert found is not None
        assert (found["status"], found["fingerprint"]) == ("failed", job.fingerprint)
        assert "no-such-table: no table at" in found["reason"]
        assert str(ROOT.parent) not in found["reason"]  # results are committed
    assert "[2/2] no-such-table maxent ε=1 seed 1: FAILED" in capsys.readouterr().out


def test_a_failure_does_not_erase_an_older_measurement(tmp_path: Path) -> None:
    cell = Cell("no-such-table", "maxent", 1.0, 0)
    write_result(cell.path(tmp_path), {**result(), "fingerprint": "old"})
    assert Runner(tmp_path, None, 120).run(Job(cell, "new"))["status"] == "failed"
    kept = read_result(cell.path(tmp_path))
    assert kept is not None
    assert kept["status"] == "done"
    assert "no table at" in kept["failed_since"]
    assert not is_finished(kept, "new")


def test_a_cell_that_takes_too_long_is_ended_and_recorded(tmp_path: Path) -> None:
    cell = Cell("gss", "independent", 1.0, 0)
    found = Runner(tmp_path, None, 0.05).run(Job(cell, "f"))
    assert (found["status"], found["reason"]) == ("failed", "not finished after 0 s")


def test_repeats_are_summed_up_by_median_and_range() -> None:
    rows = rows_of([result(seed=seed) for seed in (2, 0, 1)])
    assert len(rows) == 1
    assert rows[0].repeats == 3
    assert rows[0].figures["tvd2"].text("tvd2") == ".0210 [.0200, .0220]"
    assert rows[0].figures["auc"].text("auc") == ".9080"
    assert rows[0].system == "auto: maxent"


def test_a_failed_repeat_is_said_and_not_counted() -> None:
    failed = {**result(seed=1), "status": "failed", "reason": "ended by signal 9 | sorry"}
    (row,) = rows_of([result(), failed])
    assert row.repeats == 1
    assert row.remark == "1 failed: ended by signal 9 / sorry"
    assert "FAILED" in cell_line(failed)
    (older,) = rows_of([result(failed_since="out of memory")])
    assert "older code; now out of memory" in older.remark


@pytest.mark.parametrize(
    "target, value, words",
    [
        ({"figure": "tvd2", "must": 0.02, "aim": 0.01}, 0.02, "met, aim missed"),
        ({"figure": "tvd2", "must": 0.02, "aim": 0.01}, 0.03, "**missed**, aim missed"),
        ({"figure": "auc", "must": 0.9, "aim": 0.92}, 0.93, "met, aim met"),
        ({"figure": "auc", "must": 0.9}, 0.89, "**missed**"),
        ({"figure": "tstr_ratio", "aim": 0.99}, 0.98, "aim missed"),
    ],
)
def test_a_target_is_met_on_the_side_that_is_better(target: dict, value: float, words: str) -> None:
    assert verdict(target, value) == words


def test_targets_take_the_best_of_the_named_engines_and_say_what_is_not_measured() -> None:
    asked = {"dataset": "adult", "epsilon": 1, "figure": "auc", "must": 0.87, "engines": ["autoregressive", "hybrid"]}
    weak = result("autoregressive", scores={"auc": 0.86})
    lines = target_lines([weak, result("hybrid", scores={"auc": 0.88})], [asked])
    assert lines[2].endswith("| .8800 | met |")
    assert target_lines([weak], [asked])[2].endswith("| .8600 | **missed** |")
    assert target_lines([], [asked])[2].endswith("| – | not measured |")


def test_every_target_and_peer_names_figures_that_tables_know() -> None:
    text = markdown([result(seed=seed) for seed in (0, 1, 2)], quick=False)
    assert "| adult | 1 | auto | 2-way TVD | ≤ .0212 | ≤ .0170 | .0210 [.0200, .0220] | met, aim missed |" in text
    assert "*dpmm AIM, 60 rounds*" in text
    assert "real rows: AUC .9320" in text
    assert all(row.figures and row.is_recorded for row in peer_rows())


def test_a_short_table_keeps_every_target_and_lists_only_the_chosen_systems() -> None:
    results = [result(), result(epsilon=3.0)]
    text = markdown(results, quick=False, only=lambda dataset, epsilon: (dataset, epsilon) == ("adult", 3.0))
    assert "**adult, ε = 3**" in text
    assert "**adult, ε = 1**" not in text
    assert "| adult | 1 | auto | 2-way TVD |" in text


def test_a_table_has_a_column_for_each_figure_that_some_row_has() -> None:
    lines = table_lines([Row("adult", 1.0, "maxent", {"tvd2": Spread((0.02,))}), Row("adult", 1.0, "aim", {})])
    assert lines[0] == "| system | 2-way TVD | fits |"
    assert lines[2:] == ["| `maxent` | .0200 | 1 |", "| `aim` | – | 1 |"]
    assert {line.count("|") for line in lines} == {4}


def test_a_section_is_replaced_between_its_markers_only() -> None:
    text = "a\n<!-- bench:start -->\nold\n<!-- bench:end -->\nb\n"
    assert with_section(text, "new\n") == "a\n<!-- bench:start -->\nnew\n<!-- bench:end -->\nb\n"
    with pytest.raises(ValueError, match="bench:start"):
        with_section("a", "new")


def test_figures_of_the_judge_and_of_our_scorecard_get_the_same_names() -> None:
    report = {
        "marginals": {"2way": {"synth": {"mean": 0.02}, "ratio_to_floor": 1.1}},
        "nist": {"k2": {"synth": 980.0}, "grouped": {"synth": {"score": 850.0}}},
        "c2st": {"synth": {"auc": 0.6}},
        "tstr": {"hgb": {"tstr": {"auc": 0.9}, "trtr": {"auc": 0.93}, "ratio": {"auc": 0.97}}},
    }
    found = judge_figures(report)
    assert found == {
        "tvd2": 0.02, "ratio2": 1.1, "k2": 980.0, "grouped": 850.0, "c2st": 0.6, "auc": 0.9, "real_auc": 0.93, "tstr_ratio": 0.97,
    }  # fmt: skip
    assert judge_figures({"tstr": {"hgb": {"tstr": {"r2": 0.7}, "trtr": {"r2": 0.95}}}}) == {"r2": 0.7, "real_r2": 0.95}
    assert own_figures({"tvd_2way": 0.02, "something_else": 1.0}) == {"tvd2": 0.02}


def test_variants_of_tables_are_what_they_say(tmp_path: Path) -> None:
    meta = {
        "name": "n",
        "target": "t",
        "group_feature": "PUMA",
        "columns": [{"name": n} for n in ("PUMA", *NIST_FEATURES)],
    }
    cut = ten_features(meta)
    assert [column["name"] for column in cut["columns"]] == list(NIST_FEATURES)
    assert not {"target", "group_feature"} & set(cut)
    small = four_thousand(pd.DataFrame({"a": range(9000)}))
    assert small["a"].is_unique
    assert len(small) == 4000
    with pytest.raises(MissingTableError, match="adult: no table at"):
        prepare("adult", shared=tmp_path, scratch=tmp_path)


def test_our_own_scorecard_has_the_figures_that_stand_in_for_the_judge() -> None:
    """The names that `own_figures` looks for exist in what `flat_metrics` gives."""
    from synth_pipeline.benchmark.measure import score
    from synth_pipeline.benchmark.summary import flat_metrics
    from synth_pipeline_tests.toy_table import toy_frame, toy_spec

    frames = [toy_frame(300, seed) for seed in range(3)]
    found = own_figures(flat_metrics(score(*frames, toy_spec(), quick=True)))
    assert set(found) == {"tvd1", "tvd2", "tvd3", "k2", "k3", "c2st", "auc", "real_auc"}


def test_recorded_figures_name_their_source() -> None:
    content = json.loads((Path(__file__).resolve().parents[3] / "benchmarks" / "recorded_peers.json").read_text())
    assert "recorded here, not measured" in content["source"]
