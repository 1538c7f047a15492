"""Transcripts: which answers are drawn, what their scores show, and what the checks of the noise let pass."""

import numpy as np
import pytest

from synth_pipeline.audit.bound import gaussian_bound
from synth_pipeline.audit.transcript import (
    Cells,
    check_discovery,
    check_fresh_noise,
    check_repeated_answers,
    draw_scores,
    telling_cells,
)
from synth_pipeline.audit.watch import Asked
from synth_pipeline.privacy.accounting import gaussian_epsilon
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.events import DiscoveryEvent, DiscreteGaussianEvent
from synth_pipeline.privacy.noise import SecureNoise
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline_tests.seeded_noise import SeededNoise


def desk(noise: object) -> Desk:
    budget = Budget(3.0, 1e-5, discovery_delta=1e-6)
    return Desk(unit=PrivacyUnit(), budget=budget, spent=(), noise=noise, before_first_answer=None)


def counted(truth: list[int], sigma: float, purpose: str = "counts", released: np.ndarray | None = None) -> Asked:
    event = DiscreteGaussianEvent(stage="profile", purpose=purpose, sigma=sigma)
    values = np.array(truth) if released is None else released
    return Asked("counts", event, len(truth), sigma, np.array(truth), Noisy(values.astype(float), sigma))


def test_only_answers_that_differ_are_drawn_and_the_most_telling_first() -> None:
    pairs = [
        (counted([5, 7, 1], 10.0), counted([5, 6, 1], 10.0)),
        (counted([3, 3], 2.0), counted([2, 3], 2.0)),
    ]
    (cells,), share = telling_cells(pairs, most=1)
    assert (cells.sigma, cells.first.tolist(), cells.second.tolist()) == (2.0, [3], [2])
    assert share == pytest.approx((1 / 4) / (1 / 4 + 1 / 100))
    both, whole = telling_cells(pairs, most=10)
    assert [part.sigma for part in both] == [2.0, 10.0]
    assert whole == pytest.approx(1.0)
    assert telling_cells([pairs[0][:1] * 2], most=10) == ((), 0.0)


def test_scores_of_secure_noise_show_most_of_what_the_answers_lose() -> None:
    cells = (Cells(4.0, np.array([3, 0]), np.array([2, 0])), Cells(1.5, np.array([8]), np.array([7])))
    truth = gaussian_epsilon(np.sqrt(1 / 16 + 1 / 2.25), 1e-5)
    with_person, without, findings = draw_scores(desk(SecureNoise()), cells, runs=4000)
    assert findings == []
    assert 0.7 * truth < gaussian_bound(with_person, without, delta=1e-5, threshold=0.0).epsilon <= truth * 1.05


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_noise_of_another_scale_is_blamed(factor: float) -> None:
    class Scaled(SeededNoise):
        def discrete_gaussian(self, size: int, sigma: float) -> np.ndarray:
            return super().discrete_gaussian(size, factor * sigma)

    cells = (Cells(6.0, np.array([3]), np.array([2]), "profile", "ages"),)
    (finding,) = draw_scores(desk(Scaled(0)), cells, runs=1000)[2]
    assert (finding.kind, finding.stage, finding.purpose) == ("noise of another scale", "profile", "ages")


def test_noise_left_out_where_a_count_is_zero_is_blamed() -> None:
    class Timid(Desk):
        def noisy(self, counts: np.ndarray, sigma: float) -> Noisy:
            found = super().noisy(counts, sigma)
            return Noisy(np.where(counts == 0, 0, found.values), found.sigma)

    timid = Timid(
        unit=PrivacyUnit(), budget=Budget(3.0, 1e-5), spent=(), noise=SeededNoise(1), before_first_answer=None
    )
    assert draw_scores(timid, (Cells(6.0, np.array([1]), np.array([0])),), runs=1000)[2]


def test_fresh_noise_passes_and_repeated_noise_does_not() -> None:
    assert check_fresh_noise(lambda: desk(SecureNoise()), 1.5) == []
    assert check_fresh_noise(lambda: desk(SeededNoise(3)), 1.5) != []


def test_two_recorded_answers_with_the_same_noise_are_blamed() -> None:
    noise = SeededNoise(0).discrete_gaussian(40, 9.0)
    first = counted([0] * 40, 9.0, "ages", noise)
    again = counted([4] * 30, 9.0, "cities", 4 + noise[:30])
    other = counted([4] * 30, 9.0, "wards", 4 + SeededNoise(1).discrete_gaussian(30, 9.0))
    assert check_repeated_answers([first, other]) == []
    (finding,) = check_repeated_answers([first, other, again])
    assert "profile ages" in finding.detail


def test_a_lone_key_is_held_against_the_delta_that_was_charged() -> None:
    event = DiscoveryEvent(sigma=10.0, sensitivity=1, threshold=49, delta=1e-6)
    asked = Asked("keys", event, 0, 0.0, {}, ())
    assert check_discovery(lambda: desk(SeededNoise(0)), asked, keys=5000) == []

    class Generous(Desk):
        def find_keys(self, present, **_: object) -> tuple[str, ...]:
            return tuple(present())[:50]

    def generous() -> Desk:
        return Generous(
            unit=PrivacyUnit(), budget=Budget(3.0, 1e-5), spent=(), noise=SeededNoise(0), before_first_answer=None
        )

    (finding,) = check_discovery(generous, asked, keys=5000)
    assert finding.kind == "published too often"
