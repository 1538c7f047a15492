import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_pipeline.release.schema import released_schema, with_column_metadata
from synth_pipeline_tests.described_release import NOTE, described_spec
from synth_pipeline_tests.released_example import example_facts, example_table


def as_written(frame, folder, *, spec=None):
    spec = spec or described_spec()
    table = with_column_metadata(pa.Table.from_pandas(frame, preserve_index=False), spec)
    pq.write_table(table, folder / "data.parquet")
    return folder / "data.parquet"


def test_description_unit_and_notes_are_in_the_metadata_of_each_field(tmp_path):
    schema = pq.read_schema(as_written(example_table(50), tmp_path))
    assert schema.field("age").metadata == {
        b"description": b"Age at the visit.",
        b"unit": b"years",
        b"notes": NOTE.encode(),
    }
    assert schema.field("fee").metadata == {b"unit": b"EUR"}
    assert schema.field("ward").metadata is None


@pytest.mark.parametrize(
    "dtypes", [{}, {"triage": "Int64", "ward": "category", "insured": "boolean"}, {"visit": "datetime64[ms]"}]
)
def test_rows_come_back_with_the_dtypes_that_they_have_without_metadata(tmp_path, dtypes):
    frame = example_table(50).astype(dtypes)
    frame.to_parquet(tmp_path / "bare.parquet")
    read = pd.read_parquet(as_written(frame, tmp_path))
    pd.testing.assert_frame_equal(read, pd.read_parquet(tmp_path / "bare.parquet"))
    assert dict(read.dtypes) == dict(frame.dtypes)


def test_what_the_table_states_of_itself_is_kept():
    bare = pa.Table.from_pandas(example_table(20), preserve_index=False).replace_schema_metadata({"own": "kept"})
    told = with_column_metadata(bare, described_spec())
    assert told.schema.metadata == {b"own": b"kept"}
    assert told.equals(bare)


def test_schema_json_states_what_the_specification_says_of_a_column():
    facts = example_facts(described_spec())
    columns = {
        column["name"]: column for column in released_schema(facts, dict.fromkeys(facts.spec.columns, "t"))["columns"]
    }
    told = {key: columns["age"][key] for key in ("description", "unit", "notes")}
    assert told == {"description": "Age at the visit.", "unit": "years", "notes": NOTE}
    assert columns["ward"]["notes"] is None
