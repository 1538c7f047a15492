"""Progress lines where there is no terminal."""

from synth_pipeline.cli.progress import progress


def test_elsewhere_than_in_a_terminal_each_stage_is_told_once(capsys):
    with progress("fit: clinic") as tell:
        for step in range(100):
            tell("profile: age", step / 100)
        for step in range(100):
            tell("training: round 1 of 9", step / 100)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["profile: age", "training: round 1 of 9"]


def test_progress_leaves_stdout_to_the_result(capsys):
    with progress("fit") as tell:
        tell("training", 0.5)
    assert capsys.readouterr().out == ""


def test_a_stage_named_twice_is_told_once(capsys):
    with progress("run") as tell:
        tell("profile: profile: age", 0.5)
    assert capsys.readouterr().err.split(" ", 1)[1] == "profile: age (50%)\n"
