"""DP-SGD for people with several rows: what is clipped is a person, in every mode and for every layer, and no row counts twice."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.dpsgd.blocks import TransformerBlock
from synth_pipeline.generate.dpsgd.clipping import CLIPPINGS
from synth_pipeline.generate.dpsgd.config import DPSGDConfig, Execution
from synth_pipeline.generate.dpsgd.loop import DPTrainer
from synth_pipeline.generate.dpsgd.oracle import clipped_sum_one_by_one
from synth_pipeline.generate.dpsgd.persons import Persons, cut
from synth_pipeline.generate.dpsgd.rules import RowGradients, register_rule
from synth_pipeline.generate.neural.couplings import SymmetricCouplings
from synth_pipeline.privacy.batch import Batch
from synth_pipeline.privacy.events import SubsampledGaussianEvent
from synth_pipeline_tests.seeded_noise import seeded_gaussians
from synth_pipeline_tests.small_networks import CodeNet, drawn, drawn_codes, half_squares, next_code_loss, unknown_kind

CONFIG = DPSGDConfig(sample_rate=0.2, steps=5, clip_norm=0.3, learning_rate=0.04)
OWNERS = torch.tensor([0, 1, 1, 2, 2, 2, 3, 4, 4, 4, 4, 4])
ROWS = len(OWNERS)
Loss = Callable[[nn.Module, Tensor], Tensor]


CASES: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "linear": (lambda: nn.Linear(6, 4), drawn(ROWS, 6)),
    "linear, wide (Gram)": (lambda: nn.Linear(40, 40), drawn(ROWS, 40)),
    "linear with places": (lambda: nn.Linear(6, 4), drawn(ROWS, 3, 6)),
    "embedding": (lambda: nn.Embedding(5, 4), drawn_codes(ROWS)),
    "embedding, repeated": (lambda: nn.Embedding(5, 4), drawn_codes(ROWS, 7)),
    "embedding with padding": (lambda: nn.Embedding(5, 4, padding_idx=2), drawn_codes(ROWS, 7)),
    "layer norm": (lambda: nn.LayerNorm(6), drawn(ROWS, 6)),
    "layer norm of two dimensions": (lambda: nn.LayerNorm((4, 6)), drawn(ROWS, 4, 6)),
    "a layer of Opacus' rules": (lambda: nn.Conv1d(2, 3, 2), drawn(ROWS, 2, 6)),
    "transformer block": (lambda: TransformerBlock(8, 2, 16, causal=True), drawn(ROWS, 5, 8)),
    "perceptron": (lambda: nn.Sequential(nn.Linear(6, 30), nn.ReLU(), nn.Linear(30, 3)), drawn(ROWS, 6)),
}


def build(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    model = make().double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def person_norms(model: nn.Module, loss: Loss, inputs: Tensor) -> Tensor:
    """Norms of the people's gradients by autograd."""
    found: list[Tensor] = []
    for person in OWNERS.unique():
        mean = loss(model, inputs[person == OWNERS]).mean()
        parts = torch.autograd.grad(mean, list(model.parameters()), allow_unused=True)
        found.append(torch.cat([part.flatten() for part in parts if part is not None]).norm())
    return torch.stack(found)


@pytest.mark.parametrize("mode", ["bookkeeping", "hooks"])
@pytest.mark.parametrize("case", CASES)
def test_norms_and_clipped_sum_are_those_of_autograd_one_person_at_a_time(case: str, mode: str) -> None:
    make, inputs = CASES[case]
    if mode == "hooks" and case == "embedding with padding":
        pytest.skip("Opacus gives a padding number a gradient")
    model = build(make)
    expected_norms = person_norms(model, half_squares, inputs)
    clip = float(expected_norms.median())
    expected = clipped_sum_one_by_one(model, half_squares, inputs, clip, OWNERS)
    persons = Persons.of(OWNERS)
    sums, norms = CLIPPINGS[mode](model, clip).sums(lambda: persons.weigh(half_squares(model, inputs)), persons)
    torch.testing.assert_close(norms, expected_norms, rtol=1e-9, atol=1e-9)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(sums[parameter], expected[name], rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("places", [1, 4])
def test_symmetric_couplings_clip_people(places: int) -> None:
    torch.manual_seed(0)
    model = SymmetricCouplings((2, 3, 2)).double()
    model.kept, model.member = model.kept.double(), model.member.double()
    nn.init.normal_(model.weight)
    inputs = drawn(ROWS, places, 7) if places > 1 else drawn(ROWS, 7)
    expected = clipped_sum_one_by_one(model, half_squares, inputs, 0.7, OWNERS)
    persons = Persons.of(OWNERS)
    sums, _ = CLIPPINGS["bookkeeping"](model, 0.7).sums(lambda: persons.weigh(half_squares(model, inputs)), persons)
    torch.testing.assert_close(sums[model.weight], expected["weight"], rtol=1e-9, atol=1e-9)


def test_ghost_clipping_refuses_people_with_several_rows() -> None:
    model, persons = build(lambda: nn.Linear(6, 4)), Persons.of(OWNERS)
    with pytest.raises(PrivacyError, match="clips rows"):
        CLIPPINGS["ghost"](model, 1.0).sums(lambda: half_squares(model, drawn(ROWS, 6)), persons)


def test_a_rule_that_does_not_take_places_is_refused_for_people() -> None:
    kind = unknown_kind()

    @register_rule(kind)
    def rule(layer: nn.Module, _: Tensor, backprops: Tensor) -> RowGradients:
        return RowGradients((backprops**2).sum(dim=1), lambda weights: {layer.shift: weights @ backprops})

    model, persons = build(kind), Persons.of(OWNERS)
    with pytest.raises(PrivacyError, match="Shift"):
        CLIPPINGS["bookkeeping"](model, 1.0).sums(lambda: half_squares(model, drawn(ROWS, 4)), persons)


def people(count: int = 25, most: int = 6, seed: int = 0) -> Batch:
    """People of 1 to `most` rows, their rows in no order."""
    rng = np.random.default_rng(seed)
    owners = rng.permutation(np.repeat(np.arange(count), rng.integers(1, most + 1, count)))
    return Batch(rng.integers(0, 6, (len(owners), 3)).astype(np.int32), owners)


def net() -> CodeNet:
    torch.manual_seed(0)
    return CodeNet().double()


def trainer(*, multiplier: float = 1e-9, row_loss: Loss = next_code_loss, **execution) -> DPTrainer:
    event = SubsampledGaussianEvent(
        purpose="toy", noise_multiplier=multiplier, sample_rate=CONFIG.sample_rate, steps=CONFIG.steps
    )
    how = Execution(noise=seeded_gaussians(11), **execution)
    return DPTrainer(net(), row_loss, config=CONFIG, event=event, execution=how)


def released_sum(run: DPTrainer, batch: Batch) -> Tensor:
    """The noisy sum of a first step, recovered from how far the weights moved."""
    before = [weight.detach().clone() for weight in run.model.parameters()]
    run.step(batch)
    moved = [(old - new.detach()).flatten() for old, new in zip(before, run.model.parameters(), strict=True)]
    return torch.cat(moved) / (run.unit * CONFIG.learning_rate)


def truth(batch: Batch) -> Tensor:
    codes, owners = torch.as_tensor(batch.codes).long(), torch.as_tensor(batch.persons)
    sums = clipped_sum_one_by_one(net(), next_code_loss, codes, CONFIG.clip_norm, owners)
    return torch.cat([value.flatten() for value in sums.values()])


@pytest.mark.parametrize("mode", ["bookkeeping", "hooks"])
@pytest.mark.parametrize("piece_rows", [4, 1024])
def test_a_step_moves_by_the_sum_of_peoples_clipped_gradients_whatever_the_pieces(mode: str, piece_rows: int) -> None:
    batch = people()
    found = released_sum(trainer(grad_mode=mode, piece_rows=piece_rows), batch)
    torch.testing.assert_close(found, truth(batch), rtol=1e-6, atol=1e-6)


def clip_rows_not_persons(batch: Batch) -> Batch:
    """A mutant's view of a batch: every row a person of its own."""
    return Batch(batch.codes, None)


@pytest.mark.parametrize("mutant", [False, True], ids=["as built", "mutant: rows are clipped, not persons"])
@pytest.mark.parametrize("most", [2, 8])
def test_a_person_of_identical_rows_moves_the_sum_by_at_most_the_clip(most: int, mutant: bool) -> None:
    """The worst case of clipping rows: equal gradients add up. The mutant must be caught."""
    seen = clip_rows_not_persons if mutant else (lambda batch: batch)
    rest = people()
    row = np.array([[5, 0, 5]], dtype=np.int32).repeat(most, axis=0)
    joined = Batch(np.concatenate([rest.codes, row]), np.concatenate([rest.persons, np.full(most, 25)]))
    run, other = trainer(row_loss=steep), trainer(row_loss=steep)
    moved = float((released_sum(run, seen(joined)) - released_sum(other, seen(rest))).norm())
    assert moved > 0.99 * CONFIG.clip_norm
    assert (moved <= CONFIG.clip_norm * (1 + 1e-6)) is not mutant


def steep(model: nn.Module, codes: Tensor) -> Tensor:
    """Every row's gradient is far above the clip."""
    return 100 * next_code_loss(model, codes)


@pytest.mark.parametrize("left_out", range(4))
def test_leaving_out_any_person_moves_a_step_by_at_most_the_clip(left_out: int) -> None:
    batch = people()
    kept = batch.persons != left_out
    owners = np.unique(batch.persons[kept], return_inverse=True)[1]
    moved = released_sum(trainer(row_loss=steep), batch) - released_sum(
        trainer(row_loss=steep), Batch(batch.codes[kept], owners)
    )
    assert 0 < float(moved.norm()) <= CONFIG.clip_norm * (1 + 1e-6)


def test_people_weigh_the_same_whatever_their_number_of_rows() -> None:
    """Below the clip, a person whose rows are all alike adds what one such row would."""
    row = np.array([[1, 2, 3]], dtype=np.int32)
    one = released_sum(trainer(row_loss=flat_loss), Batch(row, np.array([0])))
    many = released_sum(trainer(row_loss=flat_loss), Batch(row.repeat(7, axis=0), np.zeros(7, dtype=np.int64)))
    torch.testing.assert_close(many, one, rtol=1e-5, atol=1e-7)


def flat_loss(model: nn.Module, codes: Tensor) -> Tensor:
    return 0.01 * next_code_loss(model, codes)


def test_a_person_with_one_row_whose_gradient_is_not_finite_adds_nothing() -> None:
    batch = people()
    bad = int(np.flatnonzero(np.bincount(batch.persons) > 2)[0])
    codes = batch.codes.copy()
    codes[:, 0] %= 5
    codes[np.flatnonzero(batch.persons == bad)[1], 0] = 5

    def broken(model: nn.Module, given: Tensor) -> Tensor:
        return next_code_loss(model, given) * torch.where(given[:, 0] == 5, float("inf"), 1.0)

    kept = batch.persons != bad
    expected = truth(Batch(codes[kept], np.unique(batch.persons[kept], return_inverse=True)[1]))
    found = released_sum(trainer(row_loss=broken), Batch(codes, batch.persons))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_people_of_one_row_each_make_the_very_step_of_rows() -> None:
    codes = people(40, most=1).codes
    by_row = released_sum(trainer(multiplier=1.0), Batch(codes))
    by_person = released_sum(trainer(multiplier=1.0), Batch(codes, np.arange(40)))
    assert torch.equal(by_row, by_person)


@pytest.mark.parametrize("piece_rows", [1, 5, 100])
def test_pieces_hold_whole_people_and_every_row_once(piece_rows: int) -> None:
    batch = people(30, most=9)
    codes = np.arange(len(batch))[:, None].astype(np.int32)
    seen: list[int] = []
    for rows, persons in cut(Batch(codes, batch.persons), piece_rows=piece_rows, device="cpu"):
        held = rows[:, 0].numpy()
        seen += held.tolist()
        owners = batch.persons[held]
        assert all((batch.persons == owner).sum() == (owners == owner).sum() for owner in set(owners))
        if persons is None:
            assert len(set(owners)) == len(owners)
        else:
            assert len(persons) == len(set(owners))
            assert len(persons) * persons.most <= 2 * len(held)
    assert sorted(seen) == list(range(len(batch)))


def test_the_noise_is_the_charged_one_also_for_people() -> None:
    empty = Batch(np.empty((0, 3), dtype=np.int32), np.empty(0, dtype=np.int64))
    rows = released_sum(trainer(multiplier=2.0), replace(empty, persons=None))
    assert torch.equal(released_sum(trainer(multiplier=2.0), empty), rows)
    assert 0.8 < float(rows.std()) / (2.0 * CONFIG.clip_norm) < 1.2
