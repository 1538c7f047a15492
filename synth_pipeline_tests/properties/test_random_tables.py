"""Whatever table and declaration come, profile, codes and decoding keep to the declared domain, its steps, its nulls and its dtypes."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.encode.decode import decode, region_mass
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.dtypes import physical_dtypes, restore_dtypes
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import CategoryColumn, declared_categories
from synth_pipeline.table.encoded import EncodedTable
from synth_pipeline.table.grid import native_grid
from synth_pipeline.table.region import Region
from synth_pipeline_tests.toy_table import toy_curator


@st.composite
def numeric(draw: st.DrawFn) -> dict[str, object]:
    low = draw(st.integers(-(10**6), 10**6))
    width = draw(st.sampled_from([1, 3, 60, 127, 128, 129, 500, 10**4, 10**6, 10**9]))
    if draw(st.booleans()):
        return {"kind": "integer", "min": low, "max": low + width}
    precision = draw(st.sampled_from([None, 0, 2, 5]))
    return {"kind": "float", "min": low / 7, "max": low / 7 + width} | (
        {} if precision is None else {"precision": precision}
    )


@st.composite
def moment(draw: st.DrawFn) -> dict[str, object]:
    year = draw(st.integers(1900, 2030))
    last = pd.Timestamp(year, 1, 1) + pd.Timedelta(days=draw(st.sampled_from([2, 20, 28, 90, 400, 3000, 30_000])))
    step = draw(st.sampled_from([None, "day", "hour", "minute", "second"]))
    return {"kind": "datetime", "min": f"{year}-01-01", "max": str(last.date())} | (
        {} if step is None else {"precision": step}
    )


@st.composite
def category(draw: st.DrawFn) -> dict[str, object]:
    kind = draw(st.sampled_from(["categorical", "ordinal", "boolean"]))
    return (
        {"kind": kind}
        if kind == "boolean"
        else {"kind": kind, "categories": [*range(draw(st.sampled_from([1, 2, 13, 40, 300])))]}
    )


@st.composite
def tables(draw: st.DrawFn) -> tuple[Spec, pd.DataFrame]:
    """A random declaration and rows that keep to it: values crowd on few cells, some columns are null together, some always."""
    columns = draw(st.lists(st.one_of(numeric(), moment(), category()), min_size=1, max_size=4))
    declared = {f"c{index}": {**column, "nullable": draw(st.booleans())} for index, column in enumerate(columns)}
    spec = Spec.from_mapping(
        {"dataset": "d", "privacy": {"epsilon": draw(st.sampled_from([0.3, 5.0]))}, "columns": declared}
    )
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    rows = draw(st.sampled_from([1, 30, 600]))
    null_share = draw(st.sampled_from([0.0, 0.3, 1.0]))
    null = rng.random(rows) < null_share
    frame: dict[str, pd.Series] = {}
    for name, column in spec.modelled.items():
        size = len(declared_categories(column)) if isinstance(column, CategoryColumn) else native_grid(column).cells
        cells = np.minimum((size * rng.random(rows) ** rng.choice([1, 8])).astype(np.int64), size - 1)
        if isinstance(column, CategoryColumn):
            values = pd.Series(np.array(declared_categories(column), dtype=object)[cells], dtype=object).infer_objects()
        else:
            values = pd.Series(native_grid(column).values(cells))
        frame[name] = values.mask(null) if column.nullable and null.any() else values
    return spec, pd.DataFrame(frame)


@settings(max_examples=25, deadline=None)
@given(tables(), st.integers(0, 10**6))
def test_decoded_rows_keep_to_the_declared_domain(table: tuple[Spec, pd.DataFrame], seed: int) -> None:
    spec, frame = table
    profile = build_profile(toy_curator(spec, frame, seed=seed), spec.modelled)
    encoder = Encoder(profile)
    own = encoder.encode(to_native(frame, spec)[0])
    assert (own >= 0).all()
    assert (own < np.array(encoder.domain.sizes)).all()
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, 300) for size in encoder.domain.sizes], axis=1).astype(np.int32)
    decoded = decode(EncodedTable(codes, encoder.domain), profile, rng=rng)
    assert list(decoded.columns) == list(frame.columns)
    restored = restore_dtypes(decoded, physical_dtypes(frame), spec.columns)
    native, clipped = to_native(restored, spec)  # refuses values outside, and nulls where none may be
    assert clipped == {}
    assert native.rows == 300
    for name, column in spec.modelled.items():
        if not isinstance(column, CategoryColumn):
            values = native_grid(column).values(np.maximum(native.columns[name].astype(np.int64), 0))
            kept = decoded[name].notna().to_numpy()
            assert (np.asarray(values)[kept] == decoded[name].to_numpy()[kept]).all()
        has_null = bool(decoded[name].isna().any())
        assert column.nullable or not has_null
        if not has_null and not frame[name].isna().any():
            assert restored[name].dtype == frame[name].dtype
    again = encoder.encode(native)
    count = len(profile.table_columns)
    whole = np.ones(
        len(codes), dtype=bool
    )  # rows that no null block was mixed in: only those of a mixed block are repaired
    for block in profile.null_blocks:
        nulls = [profile.columns[index].codes - 1 for index in block]
        before, after = codes[:, list(block)] == nulls, again[:, list(block)] == nulls
        assert (after.all(1) | ~after.any(1)).all()
        whole &= before.all(1) | ~before.any(1)
    assert np.array_equal(again[whole, :count], codes[whole, :count])


@settings(max_examples=20, deadline=None)
@given(tables(), st.integers(0, 10**6), st.floats(0, 1))
def test_the_shares_of_a_region_and_of_the_rest_sum_to_one(
    table: tuple[Spec, pd.DataFrame], seed: int, cut: float
) -> None:
    spec, frame = table
    profile = build_profile(toy_curator(spec, frame, seed=seed), spec.modelled)
    for index, released in enumerate(profile.columns):
        if released not in profile.table_columns:
            continue
        column = spec.modelled[released.name]
        size = len(declared_categories(column)) if isinstance(column, CategoryColumn) else native_grid(column).cells
        place = min(int(cut * size), size - 1)
        parts = [((0, place),) if place else (), ((place, size),)]
        masses = [region_mass(profile, index, Region(ranges, has_null=bool(part))) for part, ranges in enumerate(parts)]
        assert np.allclose(masses[0] + masses[1], 1.0)
