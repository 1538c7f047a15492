import json

import dagster as dg
import pandas as pd
import pytest
from dagster._utils.error import serializable_error_info_from_exc_info

from synth_pipeline.errors import BudgetRefused, PrivacyError, TableError
from synth_pipeline.integrations.stores import FolderStore, is_owner_only
from synth_pipeline.orchestration.metadata import Gate, check_result
from synth_pipeline.privacy.gate import Internal, Released, value_free_errors

SECRET = "Wilhelmina Harker 31337"


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "private", is_private=True)


def test_released_values_pass_as_metadata(store):
    shown = Gate(store, ("d", "s", "asset")).pass_through(
        {"rows": Released(100), "note": Released("ok"), "ε": Released(0.5)}
    )
    assert {name: value.value for name, value in shown.items()} == {"rows": 100, "note": "ok", "ε": 0.5}


def test_a_value_without_a_zone_is_refused(store):
    with pytest.raises(PrivacyError, match=r"metadata 'rows': int has no zone"):
        Gate(store, ("d",)).pass_through({"rows": 100})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "value", [pd.DataFrame({"a": [1]}), pd.Series([1]), {"a": 1}, [1, 2], None, dg.TableSchema([])]
)
def test_a_released_value_that_could_hold_rows_is_refused(store, value):
    with pytest.raises(PrivacyError, match="is not shown"):
        Gate(store, ("d",)).pass_through({"x": Released(value)})


def test_a_check_shows_released_figures_only():
    shown = check_result("c", passed=True, is_blocking=True, description="d", observed={"share": Released(0.5)})
    assert shown.metadata["share"].value == 0.5
    with pytest.raises(PrivacyError, match="'c: share': float has no zone"):
        check_result("c", passed=True, is_blocking=True, description="d", observed={"share": 0.5})


def test_the_result_of_an_asset_shows_what_the_gate_passed(store):
    made = Gate(store, ("d", "s", "asset")).materialized(
        "the value", {"rows": Released(3), "counts": Internal({"n": 31337})}
    )
    assert made.value == "the value"
    assert made.metadata["rows"].value == 3
    assert "31337" not in str(made.metadata)


def test_an_internal_value_goes_to_the_private_store_and_only_its_place_is_shown(store):
    shown = Gate(store, ("d", "s", "asset.internal")).pass_through(
        {"scores": Internal({"auc": 0.8765}), "counts": Internal([31337])}
    )
    text = repr({name: value.value for name, value in shown.items()})
    assert "0.8765" not in text
    assert "31337" not in text
    kept = store.place("d", "s", "asset.internal") / "internal.json"
    assert str(kept) in text
    assert json.loads(kept.read_text()) == {"scores": {"auc": 0.8765}, "counts": [31337]}
    assert is_owner_only(kept)


def test_an_internal_value_does_not_show_itself():
    assert SECRET not in repr(Internal(SECRET))


def test_an_error_of_our_family_keeps_its_class_and_message(store):
    with pytest.raises(BudgetRefused, match="the cap is 1"), value_free_errors("profile", store):
        raise BudgetRefused("the cap is 1")


def test_counts_of_real_rows_leave_the_message_and_stay_in_the_private_store(store):
    with pytest.raises(TableError) as caught, value_free_errors("real_snapshot", store):
        raise TableError("column 'age': 1,234 rows outside the declared range 0 to 99; widen min and max")
    assert "some rows outside the declared range 0 to 99" in str(caught.value)
    assert "1,234" not in str(caught.value)
    (kept,) = store.root.glob("errors/*/error.txt")
    assert "1,234 rows" in kept.read_text()


def test_any_other_error_is_replaced_with_all_that_hangs_on_it(store):
    def stage():
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise ValueError(f"bad cell {SECRET}") from error

    told = r"profile: stopped by ValueError at test_metadata_gate.py:\d+"
    with pytest.raises(PrivacyError, match=told) as caught, value_free_errors("profile", store):
        stage()
    # What Dagster would write into its event log: message, stack, causes and contexts.
    logged = serializable_error_info_from_exc_info((type(caught.value), caught.value, caught.value.__traceback__))
    assert SECRET not in logged.to_string()
    (kept,) = store.root.glob("errors/*/error.txt")
    assert SECRET in kept.read_text()
    assert is_owner_only(kept)
