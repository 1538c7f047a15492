"""What more or less budget would buy, asked of a release through the command line; the real ledger is the same before and after."""

import csv
import json
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from synth_pipeline.cli import main
from synth_pipeline.cli.frontier import _require_released
from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.in_force import note_in_force
from synth_pipeline.privacy.ledger import WalkKey, open_ledger
from synth_pipeline.release.origin import release_version
from synth_pipeline.release.statement import METADATA_PREFIX
from synth_pipeline.walk import fit
from synth_pipeline_tests.toy_table import toy_frame, toy_spec

WALK = WalkKey("toy", "s1", "d" * 64, "0.1", "walk-1")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose ledger was charged for a model, which is that of the release in force."""
    made = Home.at(tmp_path_factory.mktemp("home")).make()
    spec = toy_spec(cap={"epsilon": 3.0}).with_generator("independent")
    model = fit(spec, toy_frame(700), ledger=open_ledger(made.ledger))

    def save(folder):
        model.save(folder / "model")
        origin = {"walk": asdict(WALK), "reservation": 1, "fingerprint": "f"}
        (folder / "origin.json").write_text(json.dumps(origin))

    made.released.write(save, "toy", "s1", "generator")
    note_in_force(made, model, walk=WALK, rows=700)
    model.sample(600, seed=0).to_parquet(made.folder / "data.parquet", index=False)
    (made.folder / "toy.yaml").write_text(yaml.safe_dump(json.loads(spec.model_dump_json(by_alias=True))))
    return made


def state(home):
    """Everything that would show that somebody used the ledger."""
    ledger = open_ledger(home.ledger)
    return ledger.head(), len(ledger.history()), ledger.account("toy").spent_epsilon, ledger.verify([]).is_intact


@pytest.fixture(scope="module")
def asked(home, tmp_path_factory):
    """One frontier of the release in force: what it printed, its files, and the ledger before and after."""
    out, before = tmp_path_factory.mktemp("asked") / "frontier", state(home)
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("click.echo", lambda text="", **_: printed.append(str(text)))
        code = main(
            [
                "frontier",
                "toy",
                "--home",
                str(home.folder),
                "--epsilons",
                ".1,30",
                "--repeats",
                "2",
                "--out",
                str(out),
                "--json",
            ]
        )
    return code, printed, out, before, state(home)


def test_the_real_ledger_is_neither_charged_nor_touched(asked):
    code, _, _, before, after = asked
    assert code == 0
    assert before == after
    assert before[1] > 0


def test_an_epsilon_above_the_cap_is_answered_and_more_budget_is_expected_to_bring_tables_closer(asked):
    content = json.loads((asked[2] / "frontier.json").read_text())
    little, much = content["points"]
    assert (content["cap_epsilon"], much["epsilon"]) == (3.0, 30.0)
    assert little["scores"]["tvd_2way"]["value"] > 1.5 * much["scores"]["tvd_2way"]["value"]
    assert content["rows"] == content["simulated_rows"]
    assert content["origin"] == f"of release {release_version(WALK.snapshot, WALK.walk_id)}"
    assert any(sentence.startswith("Doubling ε from 2 to 4") for sentence in content["sentences"])


def test_the_result_is_printed_and_written_as_json_table_and_page(asked):
    _, printed, out, _, _ = asked
    said = json.loads(next(text for text in printed if text.startswith("{")))
    written = json.loads((out / "frontier.json").read_text())
    assert {**said, "files": []} == written
    assert [place.rsplit("/", 1)[1] for place in said["files"]] == ["frontier.json", "frontier.csv", "frontier.html"]
    assert {line["epsilon"] for line in csv.DictReader((out / "frontier.csv").open())} == {"0.1", "30"}
    assert (out / "frontier.html").read_text().count("<svg ") >= 6
    assert any("4 walks on" in text and "expected to take" in text for text in printed)


@pytest.mark.parametrize(
    "options, words",
    [
        (("nobody",), "dataset 'nobody': unknown; the definitions hold: "),
        (("gss",), "gss: nothing is released yet; walk it first"),
        ((), "exactly one of the three"),
        (("toy", "--model", "m"), "exactly one of the three"),
        (("--table", "t.parquet"), "exactly one of the three"),
        (("--model", "nowhere"), "no model there"),
        (("toy", "--epsilons", "1"), "give 2 to 12 different numbers"),
        (("toy", "--epsilons", "1,200"), "at most 100"),
        (("toy", "--epsilons", "1,x"), "give numbers between commas"),
        (("toy", "--repeats", "1"), "2<=x<=20"),
        (("toy", "--rows", "0"), "--rows"),
        (("toy", "--rows", "50"), "too few"),
    ],
)
def test_bad_input_ends_with_exit_code_2_and_one_line(home, capsys, options, words):
    assert main(["frontier", *options, "--home", str(home.folder)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["private.parquet", "private.csv", "nowhere.parquet"])
def test_a_table_that_does_not_state_a_guarantee_is_not_taken_for_a_released_one(home, capsys, tmp_path, name):
    """Its scores would be exact, uncharged, and written down as free to show."""
    private = tmp_path / name
    if name == "private.parquet":
        toy_frame(900).to_parquet(private)
    elif name == "private.csv":
        toy_frame(900).to_csv(private, index=False)
    options = ["--table", str(private), "--spec", str(home.folder / "toy.yaml"), "--out", str(tmp_path / "out")]
    assert main(["frontier", *options]) == 2
    assert "does not state that it is released" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_table_of_a_bundle_states_it_itself(tmp_path):
    path = tmp_path / "data.parquet"
    table = pa.Table.from_pandas(toy_frame(900), preserve_index=False)
    own = {METADATA_PREFIX + "certificate_digest": "0" * 64}
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **own}), path)
    _require_released(path)


def test_a_generator_that_a_later_walk_replaced_is_not_taken_for_the_release_in_force(home, capsys, tmp_path):
    other = Home.at(tmp_path).make()
    note = {"version": "s1-00000000", "snapshot": "s1"}
    other.released.write(
        lambda folder: (folder / "release.json").write_text(json.dumps(note)), "toy", "release.in_force"
    )
    source = home.released.place("toy", "s1", "generator")

    def copy(folder):
        (folder / "origin.json").write_text((source / "origin.json").read_text())

    other.released.write(copy, "toy", "s1", "generator")
    assert main(["frontier", "toy", "--home", str(tmp_path)]) == 2
    assert "a later walk of snapshot 's1' replaced the generator" in capsys.readouterr().err


@pytest.mark.slow
def test_a_released_table_alone_is_enough_and_a_model_too(home, capsys):
    spec, table = str(home.folder / "toy.yaml"), str(home.folder / "data.parquet")
    grid = ("--epsilons", "1,5", "--repeats", "2", "--json")
    assert main(["frontier", "--table", table, "--spec", spec, "--released", *grid]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert (alone["rows"], alone["simulated_rows"]) == (600, 480)
    assert alone["points"][0]["simulated_epsilon"] > 1
    model = str(home.released.place("toy", "s1", "generator") / "model")
    assert main(["frontier", "--model", model, "--rows", "400", *grid]) == 0
    drawn = json.loads(capsys.readouterr().out)
    assert (drawn["rows"], drawn["simulated_rows"], drawn["points"][0]["simulated_epsilon"]) == (400, 400, 1.0)
    assert main(["frontier", "--model", model, "--rows", "400", "--epsilons", "1,5", "--repeats", "2"]) == 0
    assert "Every walk here read the released synthetic table" in capsys.readouterr().out
