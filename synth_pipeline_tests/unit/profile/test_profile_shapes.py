"""Columns of unusual shape in the profile: long scales, long lists, calendars, few exact values, heavy tails, small tables."""

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.encode.decode import decode
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.shrinkage import standing_out, without_noise_tails
from synth_pipeline.profile.signal import WEAK, noise_number, rows_wanted
from synth_pipeline.spec import Spec
from synth_pipeline.table.encoded import EncodedTable
from synth_pipeline.table.profile import CategoryProfile, NumericProfile, Profile
from synth_pipeline_tests.toy_table import toy_curator

ROWS = 8000


def profile_of(frame: pd.DataFrame, columns: dict[str, dict[str, object]], epsilon: float = 3.0) -> Profile:
    spec = Spec.from_mapping({"dataset": "d", "columns": columns, "privacy": {"epsilon": epsilon, "delta": 1e-5}})
    profile = build_profile(toy_curator(spec, frame), spec.modelled)
    again = Profile.from_json(profile.to_json())
    assert again.to_json() == profile.to_json()
    return again


def redrawn(profile: Profile, rows: int = ROWS) -> pd.DataFrame:
    """Independent columns from the released one-ways."""
    rng = np.random.default_rng(0)
    sizes = range(len(profile.columns))
    codes = np.stack([rng.choice(profile.columns[i].codes, rows, p=profile.shares(i)) for i in sizes], axis=1)
    return decode(EncodedTable(codes.astype(np.int32), Encoder(profile).domain), profile, rng=rng)


def test_a_scale_of_hundreds_is_binned_and_comes_back_whole() -> None:
    rng = np.random.default_rng(0)
    prestige = np.clip(rng.normal(250, 80, ROWS).round(), 1, 500).astype(int)
    profile = profile_of(
        pd.DataFrame({"prestige": prestige}), {"prestige": {"kind": "ordinal", "categories": [*range(1, 501)]}}
    )
    column = profile.column("prestige")
    assert isinstance(column, CategoryProfile)
    assert 8 <= column.codes <= 40
    assert (np.diff(column.groups) >= 0).all()  # neighbours share codes
    drawn = redrawn(profile)["prestige"].astype(int)
    assert len(set(drawn)) > 200
    assert abs(np.quantile(drawn, [0.1, 0.5, 0.9]) - np.quantile(prestige, [0.1, 0.5, 0.9])).max() < 10


def test_a_short_scale_keeps_its_codes() -> None:
    grades = np.random.default_rng(0).integers(0, 5, ROWS)
    column = profile_of(pd.DataFrame({"g": grades}), {"g": {"kind": "ordinal", "categories": [*range(5)]}}).column("g")
    assert isinstance(column, CategoryProfile)
    assert not column.groups


def test_rare_categories_of_a_long_list_share_a_code_and_all_come_back() -> None:
    rng = np.random.default_rng(0)
    names = [f"n{i:03d}" for i in range(300)]
    share = 1 / np.arange(1, 301)
    city = pd.Series(np.array(names, dtype=object)[rng.choice(300, ROWS, p=share / share.sum())], dtype="str")
    profile = profile_of(pd.DataFrame({"city": city}), {"city": {"kind": "categorical", "categories": names}})
    column = profile.column("city")
    assert isinstance(column, CategoryProfile)
    assert column.codes < 150
    drawn = redrawn(profile)["city"]
    assert set(drawn) <= set(names)
    assert len(set(drawn)) > column.codes
    shares = pd.concat([city.value_counts(normalize=True), drawn.value_counts(normalize=True)], axis=1).fillna(0)
    assert (shares.iloc[:, 0] - shares.iloc[:, 1]).abs().sum() / 2 < 0.2


def test_a_datetime_gets_calendar_parts_after_the_columns_of_the_table() -> None:
    rng = np.random.default_rng(0)
    visit = pd.Timestamp("2018-01-01") + pd.to_timedelta(rng.integers(0, 3 * 365 * 24, ROWS), unit="h")
    frame = pd.DataFrame({"visit": visit, "x": rng.integers(0, 2, ROWS).astype(bool)})
    profile = profile_of(
        frame, {"visit": {"kind": "datetime", "min": "1990-01-01", "max": "2030-01-01"}, "x": {"kind": "boolean"}}
    )
    assert [column.name for column in profile.table_columns] == ["visit", "x"]
    assert set(profile.parts("visit")) >= {"weekday", "hour"}
    assert set(profile.parts("visit").values()) == set(range(2, len(profile.columns)))


def test_weekly_and_daily_rhythm_survive_in_a_column_of_seconds() -> None:
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 730, 4 * ROWS), unit="D")
    days = days[(days.day_of_week < 5) | (rng.random(len(days)) < 0.1)][:ROWS]
    seconds = np.clip(rng.normal(14 * 3600, 2 * 3600, len(days)), 0, 86_399).astype(int)
    frame = pd.DataFrame({"at": days + pd.to_timedelta(seconds, unit="s")})
    drawn = redrawn(profile_of(frame, {"at": {"kind": "datetime", "min": "2020-01-01", "max": "2024-01-01"}}))["at"]
    assert (drawn.dt.day_of_week < 5).mean() == pytest.approx((frame["at"].dt.day_of_week < 5).mean(), abs=0.03)
    assert drawn.dt.hour.between(11, 16).mean() == pytest.approx(frame["at"].dt.hour.between(11, 16).mean(), abs=0.04)
    assert drawn.between("2020-10-01", "2023-04-01").mean() > 0.98
    assert drawn.dt.second.nunique() == 60


def test_whole_hours_stay_whole_hours() -> None:
    rng = np.random.default_rng(0)
    at = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 700 * 24, ROWS), unit="h")
    drawn = redrawn(
        profile_of(pd.DataFrame({"at": at}), {"at": {"kind": "datetime", "min": "2020-01-01", "max": "2024-01-01"}})
    )["at"]
    assert (drawn.dt.minute + drawn.dt.second == 0).mean() > 0.9


def test_a_float_of_few_odd_values_is_found_to_the_last_digit() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": np.round(np.log(rng.integers(1, 7, ROWS)), 13)})
    drawn = redrawn(profile_of(frame, {"size": {"kind": "float", "min": 0, "max": 3}}))["size"]
    assert drawn.isin(frame["size"].unique()).mean() > 0.95


def test_a_float_that_keeps_to_cents_is_given_in_cents() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"price": np.round(rng.lognormal(3, 1, ROWS), 2).clip(0, 9999)})
    drawn = redrawn(profile_of(frame, {"price": {"kind": "float", "min": 0, "max": 10_000}}))["price"]
    assert (drawn.round(2) == drawn).mean() > 0.99


@pytest.mark.parametrize("bound", [1e4, 1e5, 1e6])
def test_the_mean_of_a_heavy_tailed_column_does_not_follow_its_declared_bound(bound: float) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"pay": np.minimum(rng.lognormal(3, 1, ROWS), 9999.0)})
    drawn = redrawn(profile_of(frame, {"pay": {"kind": "float", "min": 0, "max": bound}}))["pay"]
    assert drawn.mean() == pytest.approx(frame["pay"].mean(), rel=0.5)
    assert drawn.median() == pytest.approx(frame["pay"].median(), rel=0.1)


def test_empty_stretches_are_told_from_thin_ones() -> None:
    rng = np.random.default_rng(0)
    truth = np.concatenate([np.full(40, 30.0), np.zeros(60)])
    noisy = truth + rng.normal(0, 20, 100)
    calm = without_noise_tails(noisy, np.full(100, 400.0))
    assert calm[50:].sum() < 0.25 * np.maximum(noisy[50:], 0).sum()
    assert calm[:40].sum() > 0.8 * truth.sum()


def test_a_cell_that_stands_out_does_not_vouch_for_its_neighbours() -> None:
    assert (
        standing_out(np.array([0.0, 0.0, 100.0, 0.0, 0.0, 0.0, 0.0, 0.0]), np.ones(8)).tolist()
        == [False, False, True] + [False] * 5
    )


def test_nothing_that_stands_out_changes_nothing() -> None:
    counts = np.array([1.0, -2.0, 0.5])
    assert without_noise_tails(counts, np.full(3, 100.0)).tolist() == counts.tolist()


def test_a_small_table_is_warned_of_and_a_large_one_is_not() -> None:
    columns: dict[str, dict[str, object]] = {f"c{i}": {"kind": "integer", "min": 0, "max": 9} for i in range(12)}
    rng = np.random.default_rng(0)
    small = profile_of(pd.DataFrame({name: rng.integers(0, 10, 500) for name in columns}), columns, 1.0)
    assert len(small.warnings) == 1
    assert "12 columns at ε = 1" in small.warnings[0]
    large = profile_of(pd.DataFrame({name: rng.integers(0, 10, 30_000) for name in columns}), columns, 1.0)
    assert large.warnings == ()
    assert large.noise <= WEAK < small.noise


def test_the_rows_wanted_are_those_at_which_the_warning_ends() -> None:
    spec = Spec.from_mapping(
        {"dataset": "d", "columns": {"a": {"kind": "boolean"}, "b": {"kind": "boolean"}}, "privacy": {"epsilon": 1}}
    )
    rows = rows_wanted(spec.modelled, cost=0.05)
    assert noise_number(spec.modelled, rows=rows, cost=0.05) <= WEAK
    assert noise_number(spec.modelled, rows=0.9 * rows, cost=0.05) > WEAK


def test_a_column_of_one_value_and_a_column_of_nulls_are_profiled() -> None:
    frame = pd.DataFrame(
        {"one": np.full(ROWS, 7), "none": np.full(ROWS, np.nan), "only": pd.Series(["x"] * ROWS, dtype="str")}
    )
    profile = profile_of(
        frame,
        {
            "one": {"kind": "integer", "min": 0, "max": 1000},
            "none": {"kind": "float", "min": 0, "max": 1, "nullable": True},
            "only": {"kind": "categorical", "categories": ["x"]},
        },
    )
    drawn = redrawn(profile)
    assert (drawn["one"] == 7).mean() > 0.95
    assert drawn["none"].isna().mean() > 0.97
    assert set(drawn["only"]) == {"x"}
    assert isinstance(profile.column("one"), NumericProfile)


def test_columns_that_are_null_together_are_found_and_decoded_together() -> None:
    rng = np.random.default_rng(0)
    skipped = rng.random(ROWS) < 0.3
    frame = pd.DataFrame({name: np.where(skipped, np.nan, rng.integers(0, 20, ROWS)) for name in "abc"})
    frame["apart"] = np.where(rng.random(ROWS) < 0.3, np.nan, rng.integers(0, 20, ROWS))
    profile = profile_of(frame, {name: {"kind": "integer", "min": 0, "max": 20, "nullable": True} for name in frame})
    assert profile.null_blocks == ((0, 1, 2),)
    nulls = redrawn(profile)[["a", "b", "c"]].isna()
    assert (nulls.all(axis=1) == nulls.any(axis=1)).all()


def test_columns_that_are_only_as_often_null_make_no_block() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: np.where(rng.random(ROWS) < 0.3, np.nan, 1.0) for name in "abcd"})
    columns: dict[str, dict[str, object]] = {
        name: {"kind": "integer", "min": 0, "max": 20, "nullable": True} for name in frame
    }
    assert profile_of(frame, columns).null_blocks == ()
