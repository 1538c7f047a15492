"""The audit's window on DP-SGD: open inside its block only, set by nobody else, and of no effect on what is trained."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import synth_pipeline
from synth_pipeline.generate.dpsgd.config import DPSGDConfig, Execution
from synth_pipeline.generate.dpsgd.loop import DPTrainer
from synth_pipeline.generate.dpsgd.watch import current_watch, watched_by
from synth_pipeline.privacy.events import SubsampledGaussianEvent

CONFIG = DPSGDConfig(sample_rate=0.2, steps=4, clip_norm=0.5, learning_rate=0.04)
EVENT = SubsampledGaussianEvent(purpose="toy", noise_multiplier=1.5, sample_rate=0.2, steps=4)


class Window:
    """Adds nothing and keeps what is released."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Tensor]] = []

    def join(self, model: nn.Module, per_row_loss, **_: object):
        return model, per_row_loss

    def released(self, noisy: Mapping[str, Tensor]) -> None:
        self.seen.append({name: value.clone() for name, value in noisy.items()})


def noisy_loss(model: nn.Module, codes: Tensor) -> Tensor:
    """A loss that draws numbers for every row."""
    values = nn.functional.one_hot(codes, 6).float().flatten(1)
    return (model(values + torch.randn_like(values)) ** 2).sum(dim=1)


def trainer(per_row_loss=noisy_loss) -> DPTrainer:
    torch.manual_seed(0)
    execution = Execution(noise=np.random.default_rng(3).standard_normal)
    return DPTrainer(nn.Linear(18, 2), per_row_loss, config=CONFIG, event=EVENT, execution=execution)


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 6, (count, 3)).astype(np.int32)


def test_no_training_is_watched_outside_the_block() -> None:
    assert current_watch() is None
    window = Window()
    with watched_by(window):
        watched = trainer()
    unwatched = trainer()
    for run in (watched, unwatched):
        run.step(rows(5))
    assert current_watch() is None
    assert len(window.seen) == 1


def test_the_block_ends_with_an_error_too() -> None:
    with pytest.raises(ValueError, match="inside"), watched_by(Window()):
        raise ValueError("inside")
    assert current_watch() is None


def test_what_is_seen_is_what_moves_the_weights() -> None:
    window = Window()
    with watched_by(window):
        run = trainer()
    before = run.model.weight.detach().clone()
    run.step(rows(9))
    moved = (before - run.model.weight.detach()) / (run.unit * CONFIG.learning_rate)
    torch.testing.assert_close(window.seen[0]["weight"], moved, rtol=1e-4, atol=1e-4)


def test_only_the_audit_opens_a_window() -> None:
    folder = Path(synth_pipeline.__file__).parent
    openers = {
        path.relative_to(folder).parts[0] for path in folder.rglob("*.py") if "watched_by(" in path.read_text("utf-8")
    }
    assert openers == {"audit", "generate"}
    inside = [path.name for path in (folder / "generate").rglob("*.py") if "watched_by(" in path.read_text("utf-8")]
    assert inside == ["watch.py"]


def test_the_public_stream_does_not_move_with_the_size_of_a_batch() -> None:
    after: list[float] = []
    for size in (0, 3, 50):
        run = trainer()
        torch.manual_seed(1)
        run.step(rows(size))
        after.append(float(torch.randn(1)))
    assert len(set(after)) == 1


def test_what_a_loss_draws_hangs_on_the_noise_source_not_on_the_seed() -> None:
    drawn: list[Tensor] = []

    def recording(model: nn.Module, codes: Tensor) -> Tensor:
        drawn.append(torch.randn(4))
        return noisy_loss(model, codes)

    for seed in (1, 2):
        run = trainer(recording)
        torch.manual_seed(seed)
        run.step(rows(5))
        run.step(rows(5))
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
