"""How old a release may grow is written as people write it."""

import datetime as dt

import pytest

from synth_pipeline.errors import SpecError
from synth_pipeline.spec import Spec


def spec_with(**release):
    return Spec.from_mapping(
        {"dataset": "d", "columns": {"x": {"kind": "boolean"}}, "privacy": {"epsilon": 1}, "release": release}
    )


@pytest.mark.parametrize(
    "text, length",
    [
        ("30 days", dt.timedelta(days=30)),
        ("36h", dt.timedelta(hours=36)),
        ("1 week", dt.timedelta(weeks=1)),
        ("90 min", dt.timedelta(minutes=90)),
        ("2 minutes", dt.timedelta(minutes=2)),
    ],
)
def test_lengths_of_time_are_read(text, length):
    assert spec_with(max_age=text).release.max_age_window == length


def test_without_one_a_release_may_be_of_any_age():
    assert spec_with().release.max_age_window is None


@pytest.mark.parametrize("text", ["soon", "30", "1 minute", "0 days", "-3 days", "2 months", "1.5 days", "30 days ago"])
def test_anything_else_is_refused_in_words(text):
    with pytest.raises(SpecError, match="max_age") as caught:
        spec_with(max_age=text)
    assert "\n" not in str(caught.value)
