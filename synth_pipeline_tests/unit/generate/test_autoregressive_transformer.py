"""The transformer network of `autoregressive`: what it may see, its start, exact clipping, a whole training and its files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from synth_pipeline.encode.condition import compile_condition
from synth_pipeline.errors import PrivacyError
from synth_pipeline.generate.autoregressive import engine
from synth_pipeline.generate.autoregressive.config import AutoregressiveConfig
from synth_pipeline.generate.autoregressive.model import log_sum_exp, softmax
from synth_pipeline.generate.autoregressive.transformer import OrderLoss, TransformerModel, make_network
from synth_pipeline.generate.dpsgd.clipping import CLIPPINGS
from synth_pipeline.generate.dpsgd.oracle import clipped_sum_one_by_one
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.profile.build import build_profile
from synth_pipeline.table.encoded import Domain
from synth_pipeline.table.predicate import parse_predicate, region_table
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SPEC = toy_spec()
DOMAIN = Domain(("a", "b", "c"), (3, 2, 4))
SMALL = AutoregressiveConfig(target="member", network="transformer", steps=6, width=8, heads=2)
ROWS = np.stack([np.random.default_rng(0).integers(0, size, 12) for size in DOMAIN.sizes], axis=1)


def small_model(seed: int = 0, *, is_trained: bool = True) -> TransformerModel:
    network = make_network(DOMAIN, SMALL, seed=seed).eval()
    if is_trained:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for head in network.heads:
                torch.nn.init.normal_(head.weight)
    return TransformerModel(DOMAIN, network, (0, 1, 2), np.log(np.full(9, 0.3, dtype=np.float32)))


def loss_of(model: TransformerModel) -> OrderLoss:
    return OrderLoss(DOMAIN, torch.tensor(model.bias), (1.0, 1.0, 2.0), (0.7, 0.3))


def test_it_starts_as_independent_columns_with_the_released_shares() -> None:
    model = small_model(is_trained=False)
    known = model.blank(5)
    model.learn(known, 0, np.array([0, 1, 2, 0, 1]))
    assert softmax(model.logits(1, known)) == pytest.approx(0.5)


def test_a_column_is_predicted_from_the_known_columns_alone() -> None:
    model = small_model()
    known = np.array([[0, -1, -1], [1, -1, -1], [0, 1, 3]])
    first, second, third = model.logits(1, known)
    assert not np.allclose(first, second)
    assert not np.allclose(first, third)
    assert model.logits(1, np.array([[0, 0, -1]])) == pytest.approx(first[None], abs=1e-5)


def test_the_loss_is_the_likelihood_that_rows_are_drawn_by() -> None:
    model = small_model()
    loss = OrderLoss(DOMAIN, torch.tensor(model.bias), (1.0, 1.0, 1.0), (1.0,))
    found = loss.per_row(model.network, torch.tensor(ROWS), np.array([[0, 1, 2]])).detach().numpy()
    assert -found * 3 == pytest.approx(model.log_likelihood(ROWS.astype(np.int32), (0, 1, 2)), abs=1e-4)


def test_probabilities_of_all_rows_sum_to_one() -> None:
    model = small_model()
    every = np.stack(np.meshgrid(*(np.arange(size) for size in DOMAIN.sizes), indexing="ij"), -1).reshape(-1, 3)
    total = np.exp(model.log_likelihood(every.astype(np.int32), (2, 0, 1))).sum()
    assert total == pytest.approx(1.0, abs=1e-5)
    assert log_sum_exp(np.zeros((1, 2), np.float32)) == pytest.approx(np.log(2))


def test_book_keeping_clips_the_mean_over_orders_as_one_gradient_a_row() -> None:
    model = small_model()
    network, loss = model.network.double().train(), loss_of(model)
    orders = np.array([[0, 1, 2], [2, 0, 1]])

    def per_row(_: torch.nn.Module, codes: torch.Tensor) -> torch.Tensor:
        return loss.per_row(network, codes, orders)

    expected = clipped_sum_one_by_one(network, per_row, torch.tensor(ROWS), 0.1)
    sums, _ = CLIPPINGS["bookkeeping"](network, 0.1).sums(lambda: per_row(network, torch.tensor(ROWS)))
    for name, parameter in network.named_parameters():
        assert sums[parameter].detach().numpy() == pytest.approx(expected[name].detach().numpy(), abs=1e-6)


@pytest.mark.slow
def test_a_whole_training_spends_the_budget_samples_conditions_and_loads(tmp_path: Path) -> None:
    curator = toy_curator(SPEC, toy_frame(800))
    columns = {name: SPEC.modelled[name] for name in ("age", "grade", "member")}
    profile = build_profile(curator, columns, share=0.15)
    generator = engine.fit(curator, profile, SMALL, budget=curator.budget, runtime=RuntimeConfig(seed=0))
    assert composed_epsilon(generator.events, 1e-5) <= SPEC.privacy.epsilon * (1 + 1e-9)
    table = region_table([parse_predicate("member = true and age < 40", columns)], columns, semantics="where")
    held = generator.sample(50, where=compile_condition(table, profile), rng=np.random.default_rng(0))
    assert (held.codes[:, 2] == 1).all()
    given = held.codes.copy()
    given[:20, 0] = -1
    assert (
        engine.Autoregressive.impute(generator, replaced(held, given), rng=np.random.default_rng(1)).codes >= 0
    ).all()
    generator.save(tmp_path)
    first, second = (item.sample(40, rng=np.random.default_rng(2)) for item in (generator, engine.load(tmp_path)))
    assert (first.codes == second.codes).all()


def test_a_network_that_does_not_exist_is_refused() -> None:
    with pytest.raises(PrivacyError, match="couplings or transformer"):
        AutoregressiveConfig(network="mamba")  # pyright: ignore[reportArgumentType]


def replaced(table, codes: np.ndarray):
    return type(table)(codes, table.domain)
