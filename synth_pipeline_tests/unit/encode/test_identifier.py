"""Identifiers are invented: repeatable, of the asked length, and only by providers that Faker has."""

import uuid

import pandas as pd
import pytest

from synth_pipeline.encode.identifier import MAX_INVENTED_ROWS, check_providers, invent_identifiers
from synth_pipeline.errors import SpecError
from synth_pipeline.table.column import IdentifierColumn

COLUMNS = {name: IdentifierColumn(faker=name) for name in ("uuid4", "name", "pyint", "date_of_birth")}


@pytest.mark.parametrize("rows", [0, 1, 50])
def test_every_column_gets_a_value_in_every_row_and_the_seed_decides_it(rows):
    first, again = (invent_identifiers(COLUMNS, rows, seed=4) for _ in range(2))
    assert first.shape == (rows, 4)
    assert first.notna().all(axis=None)
    pd.testing.assert_frame_equal(first, again)
    if rows:
        assert not first.equals(invent_identifiers(COLUMNS, rows, seed=5))


def test_uuids_are_valid_and_all_different():
    values = invent_identifiers({"key": IdentifierColumn()}, 60_000, seed=1)["key"]
    assert values.is_unique
    assert {uuid.UUID(value).version for value in values.head(100)} == {4}
    assert all(
        str(uuid.UUID(value)) == value and uuid.UUID(value).variant == uuid.RFC_4122 for value in values.head(100)
    )


def test_two_columns_of_one_provider_differ():
    frame = invent_identifiers({"a": IdentifierColumn(faker="name"), "b": IdentifierColumn(faker="name")}, 20, seed=1)
    assert (frame["a"] != frame["b"]).any()


def test_longer_tables_repeat_invented_values():
    values = invent_identifiers({"x": IdentifierColumn(faker="pyint")}, MAX_INVENTED_ROWS + 10, seed=1)["x"]
    assert len(values) == MAX_INVENTED_ROWS + 10


@pytest.mark.parametrize(
    "provider, fault",
    [
        ("full_nam", "columns.who.faker: Faker has no provider 'full_nam'"),
        ("emial", "did you mean email"),
        ("seed_instance", "has no provider"),
        ("profile", "invents no single value"),
        ("binary", "invents no single value"),
        ("pylist", "invents no single value"),
    ],
)
def test_a_provider_that_cannot_be_used_is_refused(provider, fault):
    with pytest.raises(SpecError, match=fault):
        check_providers({"fine": IdentifierColumn(), "who": IdentifierColumn(faker=provider)})
