import pytest

from synth_pipeline.orchestration.drift_display import _p_value


@pytest.mark.parametrize("value, shown", [(0.144, 0.144), (1.0, 1.0), (1.3e-300, "< 1e-09"), (0.0, "< 1e-09")])
def test_a_p_value_that_is_all_but_zero_is_told_as_smaller_than_anybody_asks(value, shown):
    assert _p_value(value) == shown
