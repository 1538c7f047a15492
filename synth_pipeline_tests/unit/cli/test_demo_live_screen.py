"""What the viewer of the live demo is shown, without Dagster's servers."""

import json
from dataclasses import replace

import pytest

from synth_pipeline.cli.demo_keys import make_demo_keys
from synth_pipeline.cli.demo_live import show
from synth_pipeline.cli.entry import main
from synth_pipeline.cli.live_screen import screen
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.live_chapter import Chapter, Quality
from synth_pipeline.orchestration.live_news import Moment

FIRST = Chapter(
    snapshot="gss_1974_1984",
    run_id="a6f377af",
    drifted=None,
    decision="refit",
    reason="there is no release to compare with",
    drift_epsilon=0.0,
    walk_epsilon=1.0,
    spent_epsilon=1.0,
    quality=Quality(tvd_2way=0.0612, tvd_2way_floor=0.0541, tstr_auc=0.8112, trtr_auc=0.8342),
    release="gss_1974_1984-a6f377af",
    waited_seconds=41.2,
    walked_seconds=48.4,
)
SECOND = replace(
    FIRST,
    snapshot="gss_1985_1994",
    drifted=("realrinc", "educcat"),
    decision="refresh",
    reason="2 of 11 columns moved",
    drift_epsilon=0.1,
    walk_epsilon=0.5,
    spent_epsilon=0.525,
)


def printed(capsys, chapters, tmp_path, *, as_json=False):
    show("gss", chapters, Home.at(tmp_path), as_json=as_json)
    return capsys.readouterr().out


def test_the_table_has_a_line_for_each_snapshot_with_what_was_found_decided_and_spent(capsys, tmp_path):
    lines = printed(capsys, [FIRST, SECOND], tmp_path).splitlines()
    (first,) = [line.split() for line in lines if line.startswith("gss_1974_1984 ")]
    (second,) = [line.split() for line in lines if line.startswith("gss_1985_1994 ")]
    assert "first snapshot refit – 1 1 0.061 (0.054) 0.811 / 0.834" in " ".join(first)
    assert "realrinc, educcat refresh 0.1 0.5 0.525 0.061 (0.054) 0.811 / 0.834" in " ".join(second)


def test_every_decision_comes_with_its_reason_and_scores_are_said_to_be_internal(capsys, tmp_path):
    text = printed(capsys, [FIRST, SECOND], tmp_path)
    assert "gss_1985_1994: refresh: 2 of 11 columns moved" in text
    assert "internal" in text


def test_a_release_stands_on_one_line_and_how_to_approve_it_follows(capsys, tmp_path):
    drifted = replace(
        SECOND, drifted=("prestg10", "full_time", "educcat", "maritalcat"), release="gss_1985_1994-80350377"
    )
    assert "\nNext, with what" not in printed(capsys, [FIRST, drifted], tmp_path)
    make_demo_keys(Home.at(tmp_path))
    text = printed(capsys, [FIRST, drifted], tmp_path)
    (line,) = [line for line in text.splitlines() if line.startswith("gss_1985_1994 ")]
    assert " gss_1985_1994-80350377 " in line
    assert "\napprove   synth-pipeline approve gss/gss_1985_1994-80350377 --key " in text


def test_no_drift_and_no_score_are_said_in_words_and_dashes(capsys, tmp_path):
    plain = replace(SECOND, drifted=(), quality=Quality(None, None, None, None), release=None)
    (line,) = [line for line in printed(capsys, [plain], tmp_path).splitlines() if line.startswith("gss_1985_1994 ")]
    assert " ".join(line.split()) == "gss_1985_1994 none refresh 0.1 0.5 0.525 – (–) – / – none 48"


def test_the_table_as_json_is_one_document_with_every_fact(capsys, tmp_path):
    content = json.loads(printed(capsys, [FIRST, SECOND], tmp_path, as_json=True))
    assert content["home"] == str(tmp_path)
    assert content["quality_zone"].startswith("internal")
    assert [entry["decision"] for entry in content["snapshots"]] == ["refit", "refresh"]
    assert content["snapshots"][1]["drifted"] == ["realrinc", "educcat"]
    assert content["snapshots"][1]["quality"]["tstr_auc"] == 0.8112


def test_elsewhere_than_in_a_terminal_news_are_lines_and_progress_is_silent(capsys):
    with screen(2) as watch:
        watch(Moment("a", "a.parquet put into the source folder", 0.0))
        watch(Moment("a", "generator: 20%", 0.2, is_news=False))
        watch(Moment("a", "generator (4.4 s)", 0.4))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(" ", 1)[1] for line in err.splitlines()] == [
        "a: a.parquet put into the source folder",
        "a: generator (4.4 s)",
    ]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--keep"], "--keep and --port go with --live"),
        (["--port", "3999"], "--keep and --port go with --live"),
        (["--live", "--snapshot", "gss_2011_2018"], "--snapshot goes without --live"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(arguments, words, capsys):
    assert main(["demo", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_home_that_has_snapshots_is_refused_before_anything_is_started(tmp_path, capsys):
    folder = tmp_path / "snapshots" / "gss"
    folder.mkdir(parents=True)
    (folder / "gss_1974_1984.parquet").write_bytes(b"")
    assert main(["demo", "--live", "--home", str(tmp_path)]) == 2
    assert "fresh --home" in capsys.readouterr().err
    assert not (tmp_path / "dagster").exists()
    assert list(tmp_path.glob(".waiting-*")) == []
