"""Poisson batches of people: all rows of a person or none, each person with the charged probability, independently of everybody else."""

import pickle
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import binom

from synth_pipeline.errors import PrivacyError
from synth_pipeline.privacy.batch import Batch
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.noise import NoiseSource, SecureNoise
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.privacy.view import EncodedView
from synth_pipeline.table.encoded import Domain
from synth_pipeline_tests.seeded_noise import SeededNoise

PEOPLE, RATE, STEPS = 300, 0.2, 40
ROWS_EACH = np.random.default_rng(0).integers(1, 6, PEOPLE)
UNITS = np.random.default_rng(1).permutation(np.repeat(np.arange(PEOPLE), ROWS_EACH))


def view(*, max_rows: int = 5, units: np.ndarray | None = UNITS, noise: NoiseSource | None = None) -> EncodedView:
    """Codes are the row's own number, so a dealt row tells which it is."""
    budget = Budget.for_walk(epsilon=5.0, delta=1e-5, discovered_columns=0)
    unit = PrivacyUnit("person" if max_rows > 1 else None, max_rows)
    desk = Desk(unit=unit, budget=budget, spent=(), noise=noise or SeededNoise(4), before_first_answer=None)
    codes = np.arange(len(UNITS), dtype=np.int32)[:, None]
    return EncodedView(desk, codes, Domain(("row",), (len(UNITS),)), units)


def deal(source: EncodedView, rate: float = RATE) -> Iterator[Batch]:
    return source.poisson_batches(sample_rate=rate, noise_multiplier=6.0, steps=STEPS, purpose="training")


def owners(batch: Batch) -> np.ndarray:
    return UNITS[batch.codes[:, 0]]


def test_a_person_comes_with_all_rows_and_a_number_of_its_own() -> None:
    for batch in deal(view()):
        people, counts = np.unique(owners(batch), return_counts=True)
        assert np.array_equal(counts, ROWS_EACH[people])
        pairs = set(zip(owners(batch).tolist(), batch.persons.tolist(), strict=True))
        assert len(pairs) == len(people)
        assert sorted(number for _, number in pairs) == list(range(len(people)))


@pytest.mark.parametrize("noise", [SeededNoise(8), SecureNoise()], ids=["seeded", "secure"])
def test_people_are_drawn_with_the_charged_probability_whatever_their_rows(noise: NoiseSource) -> None:
    """Three counts of Bernoulli draws; on the secure source one run in 100,000 is a false alarm of any of them."""
    seen = np.zeros((STEPS, PEOPLE), dtype=np.int64)
    for step, batch in enumerate(deal(view(noise=noise))):
        seen[step, np.unique(owners(batch))] = 1
    groups = {"all": np.ones(PEOPLE, dtype=bool), "one row": ROWS_EACH == 1, "five rows": ROWS_EACH == 5}
    for name, group in groups.items():
        draws = int(group.sum()) * STEPS
        low, high = binom.ppf(1.5e-6, draws, RATE), binom.isf(1.5e-6, draws, RATE)
        assert low <= seen[:, group].sum() <= high, name
    together = (seen[:-1] & seen[1:]).sum()
    draws = (STEPS - 1) * PEOPLE
    assert abs(together / draws - RATE**2) < 6 * np.sqrt(RATE**2 / draws)


def test_every_batch_is_a_draw_of_its_own() -> None:
    batches = [tuple(batch.codes[:, 0].tolist()) for batch in deal(view(noise=SecureNoise()))]
    assert len(set(batches)) == STEPS


def test_a_rate_of_one_deals_everybody() -> None:
    source = view()
    batches = source.poisson_batches(sample_rate=1.0, noise_multiplier=40.0, steps=2, purpose="training")
    assert [len(batch) for batch in batches] == [len(UNITS)] * 2


def test_rows_that_are_people_come_without_persons() -> None:
    batch = next(deal(view(max_rows=1, units=None)))
    assert batch.persons is None
    assert 0 < len(batch) < len(UNITS)


def test_a_table_that_does_not_say_whose_rows_are_is_refused() -> None:
    with pytest.raises(PrivacyError, match="whose"):
        view(units=None)


def test_a_batch_shows_nothing_and_does_not_travel() -> None:
    batch = next(deal(view()))
    assert repr(batch) == "Batch(contents withheld)"
    with pytest.raises(PrivacyError, match="pickled"):
        pickle.dumps(batch)


def test_the_noise_of_a_step_comes_from_the_curators_source() -> None:
    assert np.array_equal(view(noise=SeededNoise(2)).step_noise(9), view(noise=SeededNoise(2)).step_noise(9))
    secure = view(noise=SecureNoise())
    assert len(np.unique([secure.step_noise(9), secure.step_noise(9)])) == 18
