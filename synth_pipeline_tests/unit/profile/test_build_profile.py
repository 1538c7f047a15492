"""The profile stage on a table with every kind of column."""

import numpy as np
import pytest

from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.share import LARGEST_SHARE, SMALLEST_SHARE
from synth_pipeline.table.profile import CategoryProfile, NumericProfile, Profile
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SPEC = toy_spec()
ROWS = 4000


@pytest.fixture(scope="module")
def profile() -> Profile:
    return build_profile(toy_curator(SPEC, toy_frame(ROWS)), SPEC.modelled)


def test_it_spends_its_share_and_no_more() -> None:
    curator = toy_curator(SPEC, toy_frame(ROWS))
    profile = build_profile(curator, SPEC.modelled, share=0.2)
    assert (
        0.95 * 0.2 * curator.budget.cost <= curator.spent_cost <= 0.2 * curator.budget.cost
    )  # no null counts agree: that part is left
    assert profile.cost == pytest.approx(curator.spent_cost)


def test_the_adaptive_share_stays_between_its_bounds() -> None:
    for rows in (30, 3000, 100_000):
        curator = toy_curator(SPEC, toy_frame(rows))
        build_profile(curator, SPEC.modelled)
        assert SMALLEST_SHARE * 0.949 <= curator.spent_cost / curator.budget.cost <= LARGEST_SHARE * 1.001


def test_its_events_compose_to_less_than_the_walk(profile: Profile) -> None:
    curator = toy_curator(SPEC, toy_frame(ROWS))
    build_profile(curator, SPEC.modelled)
    assert composed_epsilon(curator.events, SPEC.privacy.delta) < SPEC.privacy.epsilon


def test_the_row_count_is_near_and_never_exact_by_construction(profile: Profile) -> None:
    assert abs(profile.rows - ROWS) < 6 * profile.rows_sigma
    assert profile.rows_sigma > 1


def test_frequent_categories_are_discovered_and_counted(profile: Profile) -> None:
    city = profile.column("city")
    assert isinstance(city, CategoryProfile)
    assert city.categories[:2] == ("Aachen", "Bonn")
    assert city.codes == len(city.categories) + 1


def test_a_spike_is_an_atom_with_a_bin_of_its_own(profile: Profile) -> None:
    gain = profile.column("gain")
    assert isinstance(gain, NumericProfile)
    spike = int(np.searchsorted(gain.edges, 0, side="right")) - 1
    assert gain.edges[spike + 1] - gain.edges[spike] == 1
    assert profile.shares([c.name for c in profile.columns].index("gain"))[spike] == pytest.approx(0.9, abs=0.05)


def test_a_coarser_granularity_is_found(profile: Profile) -> None:
    income, visit = profile.column("income"), profile.column("visit")
    assert isinstance(income, NumericProfile)
    assert isinstance(visit, NumericProfile)
    assert income.grid.stride == 10_000  # cents; incomes are multiples of 100
    assert visit.grid.stride == 86_400  # seconds; visits are days


def test_edges_cover_the_grid_and_leaves_refine_the_bins(profile: Profile) -> None:
    for column in profile.columns:
        if isinstance(column, NumericProfile):
            assert column.edges[0] == 0
            assert column.edges[-1] == column.grid.cells
            assert (np.diff(column.edges) > 0).all()
            assert set(column.edges.tolist()) <= {0, column.grid.cells, *column.leaves[:, 0].tolist()}
            assert len(column.counts) == len(column.sigma) == column.codes


def test_it_survives_json(profile: Profile) -> None:
    again = Profile.from_json(profile.to_json())
    assert again.to_json() == profile.to_json()


def test_a_table_without_rows_of_a_kind_still_gives_a_profile() -> None:
    frame = toy_frame(60)
    frame["income"] = np.nan
    frame["grade"] = None
    frame["grade"] = frame["grade"].astype("str")
    profile = build_profile(toy_curator(SPEC, frame), SPEC.modelled)
    for index in range(len(profile.columns)):
        shares = profile.shares(index)
        assert shares.sum() == pytest.approx(1.0)
        assert (shares > 0).all()
