"""A page of scores says what their names mean."""

import pytest

from synth_pipeline.report.score_words import score_words


@pytest.mark.parametrize(
    "line, names",
    [
        ("2-way TVD: floor 0.08; matched/floor 1.2", ["TVD", "matched"]),
        ("C2ST AUC", ["C2ST", "AUC"]),
        ("sex: equalized odds difference, equal number selected", ["share, or equal number, selected", "equalized odds difference"]),
        ("R²", []),
    ],
)  # fmt: skip
def test_each_name_that_occurs_is_told_and_no_other(line, names):
    assert [name for name, _ in score_words(line)] == names


def test_every_meaning_is_one_line_of_words():
    told = score_words("TVD matched NIST KS TV association C2ST TSTR AUC AP selected parity odds")
    assert len(told) == 13
    assert all(words and "\n" not in words and len(words) < 150 for _, words in told)
