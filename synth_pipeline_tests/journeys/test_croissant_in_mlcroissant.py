"""croissant.json in the hands of the specification's own library, in an environment of its own: its stubs must not enter the project's."""

import json
import subprocess
import sys
import venv

import pandas as pd
import pytest

from synth_pipeline.release.bundle import write_bundle
from synth_pipeline_tests.described_release import described_facts
from synth_pipeline_tests.released_example import example_facts, example_spec, example_table

pytestmark = pytest.mark.slow

PACKAGE = "mlcroissant[parquet]>=1.1,<2"
LOAD = """
import json, sys
import mlcroissant
rows = list(mlcroissant.Dataset(sys.argv[1]).records("rows"))
plain = [{name: value.decode() if isinstance(value, bytes) else str(value) for name, value in row.items()} for row in rows]
print(json.dumps([len(rows), plain[:3]]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlcroissant")
    venv.create(folder, with_pip=True)
    binary = folder / "bin" / "python"
    installed = subprocess.run(
        [binary, "-m", "pip", "install", "--quiet", PACKAGE], capture_output=True, text=True, check=False, timeout=600
    )
    if installed.returncode != 0:
        pytest.skip(f"no package index could be reached: pip install {PACKAGE} failed")
    return binary


def validated(python, bundle):
    """What the validator says, and its exit status."""
    done = subprocess.run(
        [python.parent / "mlcroissant", "validate", "--jsonld", bundle / "croissant.json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


def loaded(python, bundle):
    done = subprocess.run(
        [python, "-c", LOAD, bundle / "croissant.json"], capture_output=True, text=True, check=True, timeout=300
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_project_itself_does_not_have_it():
    assert (
        subprocess.run([sys.executable, "-c", "import mlcroissant"], capture_output=True, check=False).returncode != 0
    )


def test_a_release_whose_owner_states_everything_validates_but_for_its_version_name(python, tmp_path):
    bundle = write_bundle(tmp_path / "v", described_facts(), example_table(), report="<p>x</p>")
    status, words = validated(python, bundle)
    assert status == 0, words
    assert "error" not in words.lower()
    assert "license" not in words
    assert "citeAs" not in words
    assert words.count("  -  ") == 1
    assert "Version doesn't follow MAJOR.MINOR.PATCH" in words


def test_a_release_whose_owner_states_nothing_validates_and_lacks_a_licence(python, tmp_path):
    bundle = write_bundle(tmp_path / "v", example_facts(), example_table(), report="<p>x</p>")
    status, words = validated(python, bundle)
    assert status == 0, words
    assert words.count("  -  ") == 2
    assert 'Property "https://schema.org/license" is recommended' in words


def test_it_loads_the_rows_of_the_release(python, tmp_path):
    frame = example_table().astype({"triage": "Int64", "ward": "category"})
    bundle = write_bundle(tmp_path / "v", described_facts(), frame, report="<p>x</p>")
    rows, first = loaded(python, bundle)
    assert rows == len(frame)
    for number, row in enumerate(first):
        assert list(row) == [f"rows/{name}" for name in frame.columns]
        assert row["rows/age"] == str(frame["age"][number])
        assert row["rows/ward"] == frame["ward"][number]


def test_it_loads_columns_of_any_name(python, tmp_path):
    names = ["a/b", "a b", "a|b", "ä<b>", 'q"uote', "rows"]
    spec = example_spec(columns={name: {"kind": "boolean"} for name in names}, constraints=[])
    frame = pd.DataFrame({name: [True, False] * 50 for name in names})
    bundle = write_bundle(tmp_path / "v", example_facts(spec, frame), frame, report="<p>x</p>")
    status, words = validated(python, bundle)
    assert status == 0, words
    rows, first = loaded(python, bundle)
    assert rows == 100
    assert list(first[0].values()) == ["True"] * len(names)


def test_a_changed_table_is_not_loaded(python, tmp_path):
    bundle = write_bundle(tmp_path / "v", example_facts(), example_table(), report="<p>x</p>")
    example_table(seed=3).to_parquet(bundle / "data.parquet")
    done = subprocess.run([python, "-c", LOAD, bundle / "croissant.json"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "sha256" in done.stderr.lower() or "hash" in done.stderr.lower()
