"""A dataset whose snapshots are files in a folder, its home, and the home's Dagster instance."""

import pytest

from synth_pipeline.integrations.stores import Home
from synth_pipeline.orchestration.launch import open_instance
from synth_pipeline.spec import Spec


@pytest.fixture(scope="package")
def spec():
    """Dataset `d` of one boolean column, from the folder `in` of its home, with a schedule."""
    return Spec.from_mapping(
        {
            "dataset": "d",
            "source": {"uri": "./in"},
            "columns": {"x": {"kind": "boolean"}},
            "privacy": {"epsilon": 1},
            "schedule": "0 4 * * 1",
        }
    )


@pytest.fixture
def home(tmp_path):
    """A home whose folder of snapshots is empty."""
    (tmp_path / "in").mkdir()
    return Home.at(tmp_path)


@pytest.fixture
def instance(home):
    """The Dagster instance of the home."""
    with open_instance(home) as opened:
        yield opened
