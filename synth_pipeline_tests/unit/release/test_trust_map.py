import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ModelError
from synth_pipeline.generate.measured import MeasuredPair
from synth_pipeline.release.trust_map import (
    MarginalTrust,
    TrustMap,
    fitted_error,
    make_trust_map,
    noise_error,
    sampling_error,
)
from synth_pipeline.table.encoded import EncodedTable
from synth_pipeline.table.profile import project_simplex
from synth_pipeline_tests.released_example import example_profile, example_spec, example_table


def example_model(*pairs):
    """The example's released profile, and a generator of independent columns that kept some noisy pairs."""
    profile = example_profile(example_spec(), example_table(), sigma=20.0)
    domain = Encoder(profile).domain

    def sample(rows, *, where=None, rng):
        shares = [profile.shares(index) for index in range(len(domain))]
        return EncodedTable(
            np.stack([rng.choice(len(own), rows, p=own) for own in shares], axis=1).astype(np.int32), domain
        )

    sizes = domain.sizes
    kept = tuple(
        MeasuredPair(i, j, np.arange(sizes[i] * sizes[j]).reshape(sizes[i], sizes[j]), sizes[i] * sizes[j],
                     np.zeros(sizes[i] * sizes[j]), 30.0, profile.rows, "full")
        for i, j in pairs
    )  # fmt: skip
    return SimpleNamespace(profile=profile, generator=SimpleNamespace(sample=sample, measured=kept, events=()))


def test_the_noise_of_a_table_by_hand():
    assert noise_error(np.array([0.01, 0.03])) == pytest.approx(0.5 * math.sqrt(2 / math.pi) * 0.04)
    assert noise_error(np.full(10, 5.0)) == 1.0


@pytest.mark.parametrize("spread", [0.001, 0.01, 0.05])
@pytest.mark.parametrize("concentration", [0.1, 5.0])
def test_what_is_left_of_noise_is_that_of_the_closest_table(spread, concentration):
    """Against 400 projections of noisy shares on the simplex; the closed form has to come within 3 %."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(60, concentration))
    noise = spread * rng.uniform(0.5, 1.5, 60)
    draws = [project_simplex(shares + rng.normal(0, noise), 1.0, (noise / noise.min()) ** 2) for _ in range(400)]
    simulated = np.mean([abs(found - shares).sum() / 2 for found in draws])
    assert fitted_error(shares, noise) == pytest.approx(simulated, rel=0.03)


def test_two_cells_cannot_err_apart():
    """Both move by half the difference of their noise: σ √(1/π) each, thus in all."""
    assert fitted_error(np.array([0.5, 0.5]), np.full(2, 0.01)) == pytest.approx(
        0.01 * math.sqrt(1 / math.pi), rel=1e-3
    )


def test_the_sampling_error_is_that_of_drawn_rows():
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.full(20, 2.0))
    drawn = rng.multinomial(500, shares, size=2000) / 500
    assert sampling_error(shares, 500) == pytest.approx(np.abs(drawn - shares).sum(axis=1).mean() / 2, rel=0.02)


def test_every_column_and_pair_is_listed_once_with_how_it_is_known():
    trust = make_trust_map(example_model((0, 2), (2, 4)), rows=1000)
    columns = [column.name for column in example_model().profile.table_columns]
    assert trust.names == tuple(columns)
    assert len(trust.marginals) == len(columns) + math.comb(len(columns), 2)
    measured = {item.columns for item in trust.marginals if len(item.columns) == 2 and item.state == "measured"}
    assert measured == {(columns[0], columns[2]), (columns[2], columns[4])}


def test_no_number_is_stated_where_no_noise_bounds_the_error():
    unknown = make_trust_map(example_model()).of("age", "ward")
    assert (unknown.state, unknown.noise, unknown.fitted, unknown.expected) == ("model", None, None, None)
    assert unknown.sampling > 0


def test_the_figures_of_a_column_follow_from_its_noise():
    model = example_model()
    item, column = make_trust_map(model, rows=10**9).of("insured"), model.profile.column("insured")
    assert item.noise == pytest.approx(noise_error(column.sigma / model.profile.rows))
    assert item.expected == pytest.approx(item.fitted, rel=1e-3)


def test_more_synthetic_rows_leave_the_noise_and_take_the_sampling_error():
    few, many = (make_trust_map(example_model((0, 2)), rows=rows).of("ward", "age") for rows in (100, 100_000))
    assert few.noise == many.noise
    assert few.sampling == pytest.approx(many.sampling * math.sqrt(1000), rel=0.15)
    assert few.expected > many.expected


def test_a_map_is_the_same_at_every_call_and_after_json():
    trust = make_trust_map(example_model((0, 2)))
    assert make_trust_map(example_model((0, 2))) == trust
    written = json.dumps(trust.to_json(), allow_nan=False)
    read = TrustMap.from_json(json.loads(written))
    assert [(item.columns, item.state, item.cells) for item in read.marginals] == [
        (item.columns, item.state, item.cells) for item in trust.marginals
    ]
    assert [item.noise for item in read.marginals] == [
        None if item.noise is None else pytest.approx(item.noise, rel=1e-3) for item in trust.marginals
    ]
    assert read.of("age", "ward").state == "measured"


def test_a_larger_table_that_was_not_measured_is_refused_by_name():
    with pytest.raises(ModelError, match="no marginal over age, ward, fee"):
        make_trust_map(example_model()).of("age", "ward", "fee")


def test_an_expected_error_is_never_above_one():
    assert MarginalTrust(("x",), "measured", 9, 0.9, 1.0, 0.9).expected == 1.0
