"""Whatever a declared domain can hold survives the way to native codes, through a file of either format, and back."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.snapshot.dtypes import physical_dtypes, restore_dtypes
from synth_pipeline.snapshot.read import read_table, write_table
from synth_pipeline.snapshot.take import take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import CategoricalColumn, declared_categories
from synth_pipeline.table.grid import native_grid

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=6).filter(
    lambda text: text == text.strip()
)


@st.composite
def declarations(draw):
    """A random declaration of one column of each kind."""
    low = draw(st.integers(-1000, 1000))
    words = draw(st.lists(WORDS, min_size=2, max_size=5, unique=True))
    columns = {
        "whole": {"kind": "integer", "min": low, "max": low + draw(st.integers(1, 10**6))},
        "real": {
            "kind": "float",
            "min": low / 8,
            "max": low / 8 + draw(st.integers(1, 1000)),
            "precision": draw(st.integers(0, 6)),
        },
        "word": {"kind": "categorical", "categories": words},
        "number": {
            "kind": "ordinal",
            "categories": draw(st.lists(st.integers(-5, 99), min_size=2, max_size=5, unique=True)),
        },
        "truth": {"kind": "boolean"},
        "moment": {
            "kind": "datetime",
            "min": "2019-12-01",
            "max": "2020-03-01",
            "precision": draw(st.sampled_from(["day", "second"])),
        },
    }
    for column in columns.values():
        column["nullable"] = draw(st.booleans())
    return Spec.from_mapping({"dataset": "d", "privacy": {"epsilon": 1}, "columns": columns})


def values_of(codes, column):
    """The values that native codes stand for, by the definition of the grid."""
    null = codes < 0
    if hasattr(column, "categories") or column.kind == "boolean":
        listed = np.array([*declared_categories(column), None], dtype=object)
        return pd.Series(listed[codes], dtype=object).infer_objects()
    values = pd.Series(native_grid(column).values(np.where(null, 0, codes)))
    return values.mask(null) if null.any() else values


def random_codes(spec, rows, seed):
    rng = np.random.default_rng(seed)
    codes = {}
    for name, column in spec.modelled.items():
        is_listed = isinstance(column, CategoricalColumn) or column.kind in ("ordinal", "boolean")
        size = len(declared_categories(column)) if is_listed else native_grid(column).cells
        codes[name] = rng.integers(-1 if column.nullable else 0, size, rows)
    return codes


@settings(max_examples=40, deadline=None)
@given(declarations(), st.integers(1, 30), st.integers(0, 2**32), st.sampled_from([".parquet", ".csv"]))
def test_codes_survive_the_way_to_a_file_and_back(spec, rows, seed, extension):
    codes = random_codes(spec, rows, seed)
    frame = pd.DataFrame({name: values_of(codes[name], column) for name, column in spec.modelled.items()})
    with tempfile.TemporaryDirectory() as folder:
        write_table(frame, Path(folder) / f"t{extension}")
        read = read_table(Path(folder) / f"t{extension}", spec)
    snapshot, direct = (take_snapshot(table, spec, key=bytes(32), holdout=False) for table in (read, frame))
    assert {name: found.tolist() for name, found in snapshot.native.columns.items()} == {
        name: c.tolist() for name, c in codes.items()
    }
    assert snapshot.fingerprint == direct.fingerprint
    pd.testing.assert_frame_equal(restore_dtypes(read, physical_dtypes(read), spec.columns), read)
