"""Numbers as commands print them."""

import pytest

from synth_pipeline.cli.output import aligned


@pytest.mark.parametrize(
    "values, shown",
    [
        ([0.002, 0.158, 1.4484], ["0.0020", "0.1580", "1.4484"]),
        ([1.0, 2.5], ["1.00", "2.50"]),
        ([0.0, 3e-9], ["0.000000", "0.000000"]),
        ([], []),
    ],
)
def test_the_points_of_a_column_of_numbers_stand_below_one_another(values, shown):
    assert aligned(values) == shown
