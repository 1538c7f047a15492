"""Whatever profile is released, encoding and decoding agree: decoded values fall back into the codes that they came from."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.encode.decode import decode, region_mass
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.table.encoded import EncodedTable
from synth_pipeline.table.profile import CategoryProfile, NumericProfile
from synth_pipeline.table.region import Region
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.3, 2.0, 20.0]), st.sampled_from([40, 700, 3000]))
def test_codes_survive_decoding_and_encoding(seed: int, epsilon: float, rows: int) -> None:
    spec = toy_spec(epsilon=epsilon, cap={"epsilon": 100})
    profile = build_profile(toy_curator(spec, toy_frame(rows, seed), seed=seed), spec.modelled)
    encoder = Encoder(profile)
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, 400) for size in encoder.domain.sizes], axis=1).astype(np.int32)
    frame = decode(EncodedTable(codes, encoder.domain), profile, rng=rng)
    again = encoder.encode(to_native(frame, spec)[0])
    for index, column in enumerate(profile.table_columns):  # random calendar parts may contradict their bin
        if isinstance(column, CategoryProfile) and column.has_rest:
            known = codes[:, index] < column.known
            assert np.array_equal(again[known, index], codes[known, index])
        else:
            assert np.array_equal(again[:, index], codes[:, index]), column.name


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 98))
def test_decoding_stays_inside_the_region_and_shares_add_up(seed: int, age: int) -> None:
    spec = toy_spec()
    profile = build_profile(toy_curator(spec, toy_frame(800, seed), seed=seed), spec.modelled)
    encoder = Encoder(profile)
    column = profile.column("age")
    assert isinstance(column, NumericProfile)
    regions = (Region(((0, age),)), Region(((age, 100),)))
    index = encoder.domain.index("age")
    mass = np.stack([region_mass(profile, index, region) for region in regions])
    assert np.allclose(mass.sum(0), 1.0)
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 300)
    codes = np.zeros((300, len(encoder.domain)), dtype=np.int32)
    codes[:, index] = [rng.choice(np.flatnonzero(mass[label] > 0)) for label in labels]
    table = EncodedTable(codes, encoder.domain, regions={index: labels.astype(np.int32)})
    ages = decode(table, profile, rng=rng, regions={index: regions})["age"].to_numpy()
    assert (ages[labels == 0] < age).all()
    assert (ages[labels == 1] >= age).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_the_undiscovered_rest_lies_where_the_discovered_categories_lie(seed: int, cut: int) -> None:
    """A row of the rest is decoded as a discovered category; under a condition as one that the condition allows."""
    profile = build_profile(toy_curator(toy_spec(epsilon=8.0), toy_frame(800, seed), seed=seed), toy_spec().modelled)
    encoder, index = Encoder(profile), [column.name for column in profile.columns].index("city")
    column = profile.columns[index]
    assert isinstance(column, CategoryProfile)
    cut = min(cut, len(column.categories) - 1)
    regions = (Region(((0, cut),)), Region(((cut, len(column.categories)),)))
    mass = np.stack([region_mass(profile, index, region) for region in regions])
    assert np.allclose(mass.sum(0), 1.0)
    assert 0 < mass[0, column.known] < 1
    labels = np.random.default_rng(seed).integers(0, 2, 300)
    codes = np.zeros((300, len(encoder.domain)), dtype=np.int32)
    codes[:, index] = column.known
    table = EncodedTable(codes, encoder.domain, regions={index: labels.astype(np.int32)})
    cities = decode(table, profile, rng=np.random.default_rng(seed), regions={index: regions})["city"]
    places = cities.map({category: place for place, category in enumerate(column.categories)}).to_numpy()
    assert (places[labels == 0] < cut).all()
    assert (places[labels == 1] >= cut).all()
