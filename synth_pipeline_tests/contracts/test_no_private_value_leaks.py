"""Values and exact counts planted in a raw table are searched for in everything that a fit, a sample and a whole Dagster walk leave behind.

They may be in the raw files and in `<home>/private`, and nowhere else: no artefact, log, event record, page, tracker, ledger, release,
message. What crashes, failed checks and talkative libraries leave behind is searched in `test_no_leak_from_faults`.
"""

import json
import re

import pytest

from synth_pipeline_tests.marked_walk import COUNTS, MARKERS, ROWS, Trace, contents, exact

COMMANDS = {
    "keys of who asks": "keys new --out home/keys/requester.key --passphrase-file home/keys/requester.passphrase --json",
    "keys of who approves": "keys new --out officer.key --passphrase-file officer.passphrase --json",
    "fit": "fit --spec marked.yaml --data raw/first.parquet --out model",
    "fit of a bad table": "fit --spec marked.yaml --data raw/bad.parquet --out model2",
    "sample": "sample model --rows 300 --out rows.parquet --where income>=0 --json",
    "walk": "run marked --snapshot raw/first.parquet --json",
    "approval": "approve marked --key officer.key --passphrase-file officer.passphrase --purpose teaching --json",
    "lineage": "lineage marked --html lineage.html --json",
    "rebalancing": "rebalance model --rows 300 --by ward --out balanced.parquet --json",
    "walk of a bad table": "run marked --snapshot raw/bad.parquet --json",
    "fit of a bad table that has no header": "fit --spec marked.yaml --data raw/headerless.csv --out model2",
    "walk of a bad table that has no header": "run marked --snapshot raw/headerless.csv --json",
}
EXIT_CODES = {name: 2 if "bad table" in name else 0 for name in COMMANDS}


@pytest.fixture(scope="module")
def codes() -> dict[str, int]:
    return {}


@pytest.fixture(scope="module")
def trace(tmp_path_factory, codes) -> Trace:
    trace = Trace.prepare(tmp_path_factory.mktemp("marked"))
    for file in ("home/keys/requester.passphrase", "officer.passphrase"):
        (trace.folder / file).parent.mkdir(mode=0o700, exist_ok=True)
        (trace.folder / file).write_text("a dozen words that nobody guesses\n")
        (trace.folder / file).chmod(0o600)
    for name, command in COMMANDS.items():
        codes[name] = trace.run(name, ["-m", "synth_pipeline", *command.split()])
    return trace


def test_the_runs_ended_as_they_should(trace, codes):
    assert codes == EXIT_CODES, {name: trace.said(name) for name in codes}


def test_the_runs_left_every_kind_of_record_to_search(trace):
    names = {str(path.relative_to(trace.folder)) for path in trace.open_files()}
    for part in (
        "home/ledger.sqlite",
        "home/mlflow.db",
        "home/mlflow-artifacts/",
        "home/dagster/",
        "compute_logs/",
        "home/released/",
        "home/releases/",
        "data_docs",
        "home/openlineage/events.jsonl",
        "home/keys/",
        "/report/",
        "/approval",
        "lineage.json",
        "trust_map.json",
        "card.json",
        "published_score/score.json",
        "model/",
        "said/",
    ):
        assert any(part in name for name in names), part
    kept = {path.name for path in trace.private.rglob("*")}
    assert {"internal_report.html", "attacks.json", "scorecard.json"} <= kept
    assert not {"internal_report.html", "attacks.json", "attacks.html", "scorecard.json"} & {
        name.rpartition("/")[2] for name in names
    }


@pytest.mark.parametrize("marker", MARKERS)
def test_the_search_finds_what_is_planted(trace, marker):
    files = [*trace.raw.iterdir(), *(path for path in trace.private.rglob("*") if path.is_file())]
    stated = marker in ("people", "rows of a category", "rows with a pattern of nulls")  # in no file as a number
    found = any(
        MARKERS[marker].search(content) for path in files if path.suffix != ".npz" for content in contents(path)
    )
    assert found or stated


def test_the_private_zone_is_closed_to_others(trace):
    for path in (trace.private, *trace.private.rglob("*")):
        assert not path.stat().st_mode & 0o077, path


@pytest.mark.parametrize("marker", MARKERS)
def test_no_planted_value_or_count_is_anywhere_but_in_the_private_zone(trace, marker):
    assert trace.leaks(MARKERS[marker], in_cells=marker not in COUNTS) == []


@pytest.mark.parametrize("which", ["train_rows", "holdout_rows"])
def test_no_exact_count_of_the_split_is_anywhere_but_in_the_private_zone(trace, which):
    (file,) = trace.private.glob("marked/*/real_snapshot/snapshot.json")
    count = json.loads(file.read_text())["counts"][which]
    assert 1_000 < count < ROWS
    (profile,) = trace.folder.glob("home/released/marked/*/profile/profile.json")
    noisy = round(json.loads(profile.read_bytes())["rows"])
    if noisy == count or exact(count).search(profile.read_bytes()):
        pytest.skip("a noisy answer happens to be the exact one: noise is 0 now and then, or it would not be noise")
    assert trace.leaks(exact(count), in_cells=False) == []


def test_the_fingerprint_that_tells_equal_snapshots_stays_in_the_private_zone(trace):
    (file,) = trace.private.glob("marked/*/real_snapshot/snapshot.json")
    content = re.compile(json.loads(file.read_text())["fingerprint"].encode())
    assert any(content.search(path.read_bytes()) for path in trace.private.rglob("value.txt"))
    assert trace.leaks(content, in_cells=True) == []


@pytest.mark.parametrize("name", ["fit of a bad table", "walk of a bad table"])
def test_a_refused_table_is_told_by_columns_alone(trace, name):
    told = trace.said(name).strip().splitlines()[-1]
    assert "column 'income': some rows outside the declared range" in told
    assert re.search(r"counts: .*/private/errors/\w+/error.txt", told)


def test_the_scores_of_a_walk_are_told_as_internal_and_without_counts(trace):
    told = json.loads("{" + trace.said("walk").split("\n{", 1)[1])
    assert told["scores_zone"].startswith("internal")
    assert [name for name in told["scores"] if "rows" in name.split("_")] == []
