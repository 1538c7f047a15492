"""DP-SGD broken on purpose, one fault at a time in the real code: each is caught, and the test says by what.

False alarms: `is_refuted` accuses an honest training once in a million audits, every finding of noise or batches once in ten million. So
the unbroken product, which must pass everything, fails here about once in 300,000 runs of this module.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.dpsgd import clipping, loop
from synth_pipeline.generate.dpsgd.bookkeeping import GradSampleModuleBookKeeping
from synth_pipeline.generate.dpsgd.loop import DPTrainer
from synth_pipeline.privacy.batch import Batch
from synth_pipeline.privacy.view import EncodedView
from synth_pipeline_tests.dpsgd_audit import audit, panel_audit, shorten_training

Patch = pytest.MonkeyPatch
CANARIES = "canaries"


@pytest.fixture
def short(monkeypatch: Patch) -> Patch:
    shorten_training(monkeypatch)
    return monkeypatch


def forget_clipping(patch: Patch) -> None:
    patch.setitem(clipping.CLIPPINGS, "bookkeeping", lambda model, _clip: clipping.BookKeeping(model, 1e30))


def clip_each_layer(patch: Patch) -> None:
    """Every layer gets a whole clip, and the charge is for one."""

    def clipped_sums(self: GradSampleModuleBookKeeping, losses: torch.Tensor, persons: object = None) -> object:
        gradients, sums = self._gradients(losses, persons), {}
        self.forget()
        with torch.no_grad():
            squared = torch.stack([gradient.squared_norms for gradient in gradients])
            for gradient in gradients:
                norms = gradient.squared_norms.sqrt()
                sums.update(gradient.weighted_sum((self.max_grad_norm / (norms + 1e-6)).clamp(max=1.0)))
        return sums, squared.sum(dim=0).sqrt()

    patch.setattr(GradSampleModuleBookKeeping, "clipped_sums", clipped_sums)


def quarter_the_noise(patch: Patch) -> None:
    real = loop.noisy_sums
    patch.setattr(
        loop, "noisy_sums", lambda sums, trained, *, scale, noise: real(sums, trained, scale=scale / 4, noise=noise)
    )


def step_an_empty_batch_without_noise(patch: Patch) -> None:
    real = loop.noisy_sums

    def noisy(sums: dict, trained: list, *, scale: float, noise: Callable[[int], np.ndarray]) -> list:
        if not sums:
            return [torch.zeros_like(weight) for weight in trained]
        return real(sums, trained, scale=scale, noise=noise)

    patch.setattr(loop, "noisy_sums", noisy)


def repeat_the_noise(patch: Patch) -> None:
    """The generator is made anew from the same seed in every step."""
    patch.setattr(EncodedView, "step_noise", lambda _view, size: np.random.default_rng(7).standard_normal(size))


def deal_by_shuffling(patch: Patch) -> None:
    """Fixed batches of a shuffled table, accounted as Poisson batches."""

    def deal(self: EncodedView, sample_rate: float, steps: int) -> Iterator[Batch]:
        rng, size, order = np.random.default_rng(), round(sample_rate * len(self._codes)), np.zeros(0, dtype=int)
        for _ in range(steps):
            order = order if len(order) >= size else rng.permutation(len(self._codes))
            yield Batch(self._codes[order[:size]])
            order = order[size:]

    patch.setattr(EncodedView, "_deal", deal)


def deal_batches_of_fixed_size(patch: Patch) -> None:
    """Each batch a fresh sample without replacement of the expected size."""

    def deal(self: EncodedView, sample_rate: float, steps: int) -> Iterator[Batch]:
        rng, rows = np.random.default_rng(), len(self._codes)
        for _ in range(steps):
            yield Batch(self._codes[rng.choice(rows, round(sample_rate * rows), replace=False)])

    patch.setattr(EncodedView, "_deal", deal)


def draw_at_a_rate_of_the_exact_row_count(patch: Patch) -> None:
    """Batches of 170 rows on average, whatever rate was charged."""
    real = EncodedView._deal

    def deal(self: EncodedView, _rate: float, steps: int) -> Iterator[Batch]:
        return real(self, min(170 / max(len(self._codes), 1), 1.0), steps)

    patch.setattr(EncodedView, "_deal", deal)


def clip_rows_of_people(patch: Patch) -> None:
    real = loop.cut

    def rows_alone(batch: Batch, **how: object) -> object:
        return real(Batch(batch.codes), **how)

    patch.setattr(loop, "cut", rows_alone)


def draw_rows_of_people(patch: Patch) -> None:
    """Each row is drawn on its own, so that a person comes with some."""

    def deal(self: EncodedView, sample_rate: float, steps: int) -> Iterator[Batch]:
        rng = np.random.default_rng()
        for _ in range(steps):
            rows = np.flatnonzero(rng.random(len(self._codes)) < sample_rate)
            yield Batch(self._codes[rows], np.unique(self._units[rows], return_inverse=True)[1])

    patch.setattr(EncodedView, "_deal", deal)


def keep_the_best_checkpoint(patch: Patch) -> None:
    """The weights with the least loss on a private batch are kept."""
    real_step, real_averaged = DPTrainer.step, DPTrainer.averaged

    def step(self: DPTrainer, batch: Batch, **how: object) -> None:
        real_step(self, batch, **how)
        if len(batch):
            with torch.no_grad():
                loss = float(self.per_row_loss(self.model, torch.as_tensor(batch.codes).long()).mean())
            if loss < getattr(self, "least", np.inf):
                self.least, self.best = loss, real_averaged(self)

    patch.setattr(DPTrainer, "step", step)
    patch.setattr(DPTrainer, "averaged", lambda self: getattr(self, "best", None) or real_averaged(self))


def shorten_steps_by_private_norms(patch: Patch) -> None:
    """The step length follows the rows of the batch: an exact private number."""
    real = DPTrainer.step

    def step(self: DPTrainer, batch: Batch, **how: object) -> None:
        unit = self.unit
        self.unit = unit / (1 + len(batch) / 100)
        real(self, batch, **how)
        self.unit = unit

    patch.setattr(DPTrainer, "step", step)


def tell_batch_sizes(patch: Patch) -> None:
    """Progress says how large batches are."""

    def run(
        self: DPTrainer, batches: Iterator[Batch], *, progress: Callable, before_step: Callable | None = None
    ) -> None:
        for number, batch in enumerate(batches):
            if before_step is not None:
                before_step(number)
            self.step(batch)
            progress(f"step {number}: {len(batch)} rows", number / self.config.steps)

    patch.setattr(DPTrainer, "run", run)


def draw_in_the_public_stream(patch: Patch) -> None:
    """Losses draw from the stream that everything public is drawn from, as this package once did."""
    from contextlib import nullcontext

    patch.setattr(loop, "_draws_of_its_own", lambda _execution: nullcontext())


MUTANTS: dict[str, tuple[Callable[[Patch], None], str]] = {
    "no clipping": (forget_clipping, CANARIES),
    "clipping by layer, charged once": (clip_each_layer, CANARIES),
    "noise ÷ 4": (quarter_the_noise, CANARIES),
    "noise of one step in all steps": (repeat_the_noise, CANARIES),
    "no noise on an empty batch": (step_an_empty_batch_without_noise, "noise of another scale"),
    "shuffled batches accounted as Poisson": (deal_by_shuffling, "batches of another law"),
    "batches of a fixed size": (deal_batches_of_fixed_size, "batches of another law"),
    "sample rate from the exact row count": (draw_at_a_rate_of_the_exact_row_count, "batches of another law"),
    "best checkpoint on private loss": (keep_the_best_checkpoint, "other release"),
    "step length from the private batch": (shorten_steps_by_private_norms, "other release"),
    "batch sizes in progress messages": (tell_batch_sizes, "other release"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_training_is_caught(name: str, short: Patch) -> None:
    break_it, caught_by = MUTANTS[name]
    break_it(short)
    found = audit(canaries=2000 if caught_by == CANARIES else 600)
    assert found.is_contradicted
    assert found.is_refuted if caught_by == CANARIES else caught_by in {finding.kind for finding in found.findings}


@pytest.mark.parametrize(
    "break_it, caught_by",
    [(clip_rows_of_people, CANARIES), (draw_rows_of_people, "batches of another law")],
    ids=["rows are clipped, not people", "rows are drawn, not people"],
)
def test_a_training_of_people_as_rows_is_caught(
    break_it: Callable[[Patch], None], caught_by: str, short: Patch
) -> None:
    break_it(short)
    found = panel_audit()
    assert found.is_refuted if caught_by == CANARIES else caught_by in {finding.kind for finding in found.findings}


@pytest.mark.slow
def test_a_gan_whose_public_draws_follow_private_batches_is_caught(monkeypatch: Patch) -> None:
    draw_in_the_public_stream(monkeypatch)
    assert "other release" in {finding.kind for finding in audit("gan").findings}


def test_a_rate_in_the_config_other_than_the_charged_one_is_refused() -> None:
    with pytest.raises(PrivacyError, match=r"not the planned one|another training|plan the event"):
        audit(config=AutoregressiveConfig(target="member", sample_rate=0.07))


def test_a_step_more_than_was_charged_is_refused(short: Patch) -> None:
    real = EncodedView._deal
    short.setattr(EncodedView, "_deal", lambda self, rate, steps: real(self, rate, steps + 1))
    with pytest.raises(PrivacyError, match="no further one"):
        audit()


@pytest.mark.usefixtures("short")
def test_the_unbroken_training_passes() -> None:
    for seed in range(2):
        found = audit(seed=seed)
        assert not found.is_refuted
        assert found.findings == ()
        assert 0.5 < found.lower_bound.epsilon < found.training_epsilon * 1.1


@pytest.mark.usefixtures("short")
def test_the_unbroken_training_of_people_passes() -> None:
    found = panel_audit()
    assert not found.is_contradicted


def test_a_training_that_ignores_the_table_shows_almost_no_loss(short: Patch) -> None:
    """The bound is 0 but for one audit in 20; the scores of canaries in and out have one law."""
    real = DPTrainer.step
    short.setattr(DPTrainer, "step", lambda self, batch, **how: real(self, Batch(batch.codes[:0]), **how))
    found = audit()
    assert not found.is_refuted
    assert found.lower_bound.epsilon < 0.6
    assert found.any_mechanism.epsilon < 0.6
    assert {finding.kind for finding in found.findings} == {"batches of another law"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["autoregressive", "transformer", "vae", "diffusion", "gan"])
def test_every_engine_passes_and_shows_most_of_its_claim(kind: str) -> None:
    network = kind == "transformer"
    config = AutoregressiveConfig(target="member", network="transformer") if network else None
    for seed in range(2):
        found = audit("autoregressive" if network else kind, canaries=8000, seed=seed, config=config)
        assert not found.is_contradicted
        assert found.lower_bound.epsilon > 1.2
