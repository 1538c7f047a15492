"""The reference engines (independent, copula, privbayes): their laws by enumeration, what they keep, what they spend, their files."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2, multivariate_normal

from synth_pipeline.encode.condition import Condition, SubDomain
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import ConstraintError, ModelError
from synth_pipeline.generate import copula, independent, privbayes
from synth_pipeline.generate.engine_registry import engine_for
from synth_pipeline.generate.plan import budget_of
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.accounting import composed_epsilon, pooled_mu_squared
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import WEIGHT_UNITS, PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.spec import Spec
from synth_pipeline.table.encoded import Domain
from synth_pipeline_tests.seeded_noise import SeededNoise
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SPEC = toy_spec()
SIZES = (3, 4, 2, 5)
DOMAIN = Domain(("a", "b", "c", "d"), SIZES)
FALSE_ALARM = 1e-4
POOL_NOISE = 1.6
"""Rows resampled from a pool of twice their effective number vary more than independent ones."""
ENGINES = {"independent": independent, "copula": copula, "privbayes": privbayes}

Law = dict[tuple[int, ...], float]


def small_independent() -> independent.Independent:
    rng = np.random.default_rng(1)
    shares = tuple(rng.dirichlet(np.full(size, 2.0)) for size in SIZES)
    return independent.Independent(DOMAIN, shares, independent.IndependentConfig(), (), {"codes": 14})


def small_privbayes() -> privbayes.PrivBayes:
    """b → a, b → c, (a, c) → d, with strong conditionals and one coarse parent."""
    rng = np.random.default_rng(2)

    def table(rows: int, size: int) -> np.ndarray:
        return rng.dirichlet(np.full(size, 0.6), size=rows)

    coarse = np.array([0, 0, 1], dtype=np.int64)
    families = (
        privbayes.Family(1, (), (), table(1, 4)),
        privbayes.Family(0, (1,), (np.arange(4),), table(4, 3)),
        privbayes.Family(2, (1,), (np.arange(4),), table(4, 2)),
        privbayes.Family(3, (0, 2), (coarse, np.arange(2)), table(4, 5)),
    )
    return privbayes.PrivBayes(DOMAIN, privbayes.Network(families), privbayes.PrivBayesConfig(), (), {})


def small_copula() -> copula.Copula:
    """Four strongly correlated normals; the codes of the third column lie in reverse latent order."""
    rng = np.random.default_rng(3)
    bounds = tuple(copula._quantiles(rng.dirichlet(np.full(size, 3.0))) for size in SIZES)
    orders = tuple(np.arange(size)[:: -1 if size == 2 else 1].copy() for size in SIZES)
    correlation = np.array([[1, 0.7, -0.5, 0.3], [0.7, 1, -0.2, 0.6], [-0.5, -0.2, 1, 0.1], [0.3, 0.6, 0.1, 1.0]])
    return copula.Copula(DOMAIN, bounds, orders, correlation, (0, 1), copula.CopulaConfig(), (), {})


SMALL: dict[str, Callable[[], Any]] = {
    "independent": small_independent,
    "copula": small_copula,
    "privbayes": small_privbayes,
}


def law_of(model: Any) -> Law:
    """Probability of every state, computed from the model's definition and by no code that samples it."""
    states = list(product(*(range(size) for size in SIZES)))
    if isinstance(model, independent.Independent):
        return {s: float(np.prod([model.shares[i][s[i]] for i in range(4)])) for s in states}
    if isinstance(model, privbayes.PrivBayes):
        b, a, c, d = (family.conditional for family in model.network.families)
        return {s: float(b[0, s[1]] * a[s[1], s[0]] * c[s[1], s[2]] * d[(s[0] // 2) * 2 + s[2], s[3]]) for s in states}
    normal = multivariate_normal(np.zeros(4), model.correlation, abseps=1e-6, releps=1e-6, seed=0)
    found: Law = {}
    for state in states:
        cells = [int(np.flatnonzero(order == code)[0]) for order, code in zip(model.orders, state, strict=True)]
        low = np.array([ends[cell] for ends, cell in zip(model.bounds, cells, strict=True)])
        high = np.array([ends[cell + 1] for ends, cell in zip(model.bounds, cells, strict=True)])
        found[state] = max(float(normal.cdf(high, lower_limit=low)), 0.0)
    return found


@pytest.fixture(scope="module")
def laws() -> dict[str, Law]:
    return {kind: law_of(make()) for kind, make in SMALL.items()}


def pearson(codes: np.ndarray, expected: Law) -> tuple[float, float]:
    """Pearson statistic against a law, cells of fewer than 5 expected rows pooled, and its rejection point."""
    total = sum(expected.values())
    states, counts = np.unique(codes, axis=0, return_counts=True)
    seen = {tuple(int(v) for v in state): int(count) for state, count in zip(states, counts, strict=True)}
    assert set(seen) <= set(expected)
    pairs = [(share / total * len(codes), seen.get(state, 0)) for state, share in expected.items()]
    cells = [pair for pair in pairs if pair[0] >= 5]
    rare = [pair for pair in pairs if pair[0] < 5]
    if sum(e for e, _ in rare) > 1:
        cells.append((sum(e for e, _ in rare), sum(o for _, o in rare)))
    return sum((o - e) ** 2 / e for e, o in cells), float(chi2.isf(FALSE_ALARM, len(cells) - 1))


def regions_of(column: int, groups: list[list[int]], shares: list[list[float]] | None = None) -> SubDomain:
    """Regions that are sets of whole codes, or of given shares of them."""
    parent = np.array([code for group in groups for code in group])
    region = np.array([number for number, group in enumerate(groups) for _ in group])
    share = np.array([part for group in shares for part in group]) if shares else np.ones(len(parent))
    order = np.argsort(parent, kind="stable")
    return SubDomain(column, parent[order], region[order], np.log(share[order]))


CASES = {
    "the last column": ([regions_of(3, [[0, 1], [2, 3, 4]])], np.array([True, False]), lambda s: s[3] < 2),
    "a corner": (
        [regions_of(1, [[0, 1], [2, 3]]), regions_of(0, [[0], [1, 2]])],
        np.array([[False, True], [False, False]]),
        lambda s: s[1] < 2 and s[0] > 0,
    ),
    "an exclusive or": (
        [regions_of(0, [[0], [1, 2]]), regions_of(3, [[0, 1, 2], [3, 4]])],
        np.array([[True, False], [False, True]]),
        lambda s: (s[0] == 0) == (s[3] < 3),
    ),
}


@pytest.mark.parametrize("kind", SMALL)
def test_rows_follow_the_law(kind: str, laws: dict[str, Law]) -> None:
    rows = SMALL[kind]().sample(20_000, rng=np.random.default_rng(5)).codes
    statistic, limit = pearson(rows, laws[kind])
    assert statistic < limit


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("case", CASES)
def test_rows_under_a_condition_satisfy_it_and_follow_the_conditional_law(
    kind: str, case: str, laws: dict[str, Law]
) -> None:
    subdomains, allowed, is_met = CASES[case]
    table = SMALL[kind]().sample(6000, where=Condition(tuple(subdomains), allowed), rng=np.random.default_rng(6))
    met = {state: share for state, share in laws[kind].items() if is_met(state)}
    statistic, limit = pearson(table.codes, met)
    assert statistic / POOL_NOISE < limit


@pytest.mark.parametrize("kind", SMALL)
def test_a_code_that_straddles_two_regions_counts_by_its_share(kind: str, laws: dict[str, Law]) -> None:
    sub = regions_of(3, [[0, 1], [1, 2, 3, 4]], [[1.0, 0.25], [0.75, 1.0, 1.0, 1.0]])
    table = SMALL[kind]().sample(6000, where=Condition((sub,), np.array([True, False])), rng=np.random.default_rng(7))
    assert (table.regions[3] == 0).all()
    weight = {0: 1.0, 1: 0.25}
    met = {state: share * weight[state[3]] for state, share in laws[kind].items() if state[3] in weight}
    statistic, limit = pearson(table.codes, met)
    assert statistic / POOL_NOISE < limit


@pytest.mark.parametrize("kind", SMALL)
def test_a_condition_that_nothing_satisfies_is_refused(kind: str) -> None:
    sub = regions_of(0, [[0], [1, 2]])
    with pytest.raises(ConstraintError, match="condition"):
        SMALL[kind]().sample(10, where=Condition((sub,), np.array([False, False])), rng=np.random.default_rng(0))


def test_a_condition_too_rare_to_be_weighted_is_refused_with_a_reason() -> None:
    """Codes of a and c that exclude each other but for one in a billion, given only through their common parent's children."""
    model = small_privbayes()
    b, a, c, d = model.network.families
    sure = np.array([[1.0, 0.0], [1 - 1e-9, 1e-9], [1.0, 0.0], [1.0, 0.0]])
    impossible = np.array([[1e-9, 0.5, 0.5 - 1e-9]] * 4)
    families = (b, privbayes.Family(0, (1,), a.maps, impossible), privbayes.Family(2, (1,), c.maps, sure), d)
    model = privbayes.PrivBayes(DOMAIN, privbayes.Network(families), model.config, (), {})
    where = Condition(
        (regions_of(2, [[0], [1]]), regions_of(0, [[0], [1, 2]])), np.array([[False, False], [True, False]])
    )
    table = model.sample(
        100, where=where, rng=np.random.default_rng(0)
    )  # rare, but the proposal is guided: it can be met
    assert (table.codes[:, 2] == 1).all()
    assert (table.codes[:, 0] == 0).all()
    split = np.zeros((4, 3))
    split[:, 1:] = 0.5
    split[3] = [1.0, 0.0, 0.0]
    root = np.array([[1 / 3, 1 / 3, 1 / 3 - 1e-8, 1e-8]])
    families = (privbayes.Family(1, (), (), root), privbayes.Family(0, (1,), a.maps, split), c, d)
    model = privbayes.PrivBayes(DOMAIN, privbayes.Network(families), model.config, (), {})
    with pytest.raises(ConstraintError, match="too rare"):
        model.sample(
            100, where=Condition((regions_of(0, [[0], [1, 2]]),), np.array([True, False])), rng=np.random.default_rng(0)
        )


def fitted(kind: str, spec: Spec = SPEC, rows: int = 3000, seed: int = 0) -> tuple[Curator, Any]:
    native, _ = to_native(toy_frame(rows), spec)
    budget = budget_of(spec)
    curator = Curator(native, unit=PrivacyUnit(None, 1), budget=budget, noise=SeededNoise(seed))
    module: Any = ENGINES[kind]
    profile = build_profile(curator, spec.modelled, share=module.PROFILE_SHARE)
    runtime = RuntimeConfig(seed=0)
    return curator, module.fit(curator, profile, module.make_config(spec), budget=budget, runtime=runtime)


@pytest.fixture(scope="module")
def trained() -> dict[str, tuple[Curator, Any]]:
    return {kind: fitted(kind) for kind in ENGINES}


@pytest.mark.parametrize("kind", ENGINES)
def test_it_spends_what_its_plan_reserves_and_not_more(kind: str, trained: dict[str, tuple[Curator, Any]]) -> None:
    _, generator = trained[kind]
    # No two null counts of the toy table agree, so that the profile keeps its 5 % for null blocks, which only `independent` leaves.
    least = 0.94 if kind == "independent" else 0.99
    planned = engine_for(kind).plan(SPEC, budget_of(SPEC))
    assert pooled_mu_squared(generator.events) <= pooled_mu_squared(planned.events) * (1 + 1e-9)
    assert pooled_mu_squared(generator.events) > least * pooled_mu_squared(planned.events)
    assert composed_epsilon(generator.events, SPEC.privacy.delta) <= SPEC.privacy.epsilon * (1 + 1e-9)
    assert sum(line.epsilon for line in planned.lines) == pytest.approx(SPEC.privacy.epsilon)


@pytest.mark.parametrize("kind", ENGINES)
def test_every_charge_says_its_stage_and_purpose(kind: str, trained: dict[str, tuple[Curator, Any]]) -> None:
    assert all(event.stage in ("profile", "generator") and event.purpose for event in trained[kind][1].events)


@pytest.mark.parametrize("kind", ["copula", "privbayes"])
def test_a_strong_association_survives(kind: str, trained: dict[str, tuple[Curator, Any]]) -> None:
    """Of people above 50 four in five are members, of the others one in five."""
    curator, generator = trained[kind]
    table = generator.sample(6000, rng=np.random.default_rng(1))
    age, member = generator.domain.index("age"), generator.domain.index("member")
    is_high = table.codes[:, age] > np.median(table.codes[:, age])
    gap = table.codes[is_high, member].mean() - table.codes[~is_high, member].mean()
    assert gap > 0.3
    assert curator.spent_cost <= curator.budget.cost * (1 + 1e-9)


def test_independent_columns_keep_their_margins_and_no_association(trained: dict[str, tuple[Curator, Any]]) -> None:
    generator = trained["independent"][1]
    codes = generator.sample(6000, rng=np.random.default_rng(1)).codes
    for column, share in enumerate(generator.shares):
        counts = np.bincount(codes[:, column], minlength=len(share))
        assert np.abs(counts - 6000 * share).max() <= 1
    assert abs(np.corrcoef(codes[:, 0], codes[:, -1])[0, 1]) < 5 / np.sqrt(6000)


@pytest.mark.parametrize("kind", ENGINES)
def test_a_saved_generator_is_the_same_after_loading(
    kind: str, trained: dict[str, tuple[Curator, Any]], tmp_path: Path
) -> None:
    generator = trained[kind][1]
    generator.save(tmp_path)
    loaded: Any = engine_for(kind).load(tmp_path)
    assert (loaded.kind, loaded.config, loaded.events) == (generator.kind, generator.config, generator.events)
    first, second = (g.sample(300, rng=np.random.default_rng(3)) for g in (generator, loaded))
    assert np.array_equal(first.codes, second.codes)


@pytest.mark.parametrize("kind", ENGINES)
def test_a_damaged_file_is_a_model_error(kind: str, trained: dict[str, tuple[Curator, Any]], tmp_path: Path) -> None:
    trained[kind][1].save(tmp_path)
    (tmp_path / f"{kind}.json").write_text(json.dumps({"names": []}), encoding="utf-8")
    with pytest.raises(ModelError, match="fit it again"):
        engine_for(kind).load(tmp_path)


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("names", [["member"], ["age", "city"]])
def test_tables_of_one_or_two_columns_are_fitted_and_sampled(kind: str, names: list[str]) -> None:
    plain = SPEC.model_dump(mode="json", by_alias=True, exclude_none=True)
    plain["columns"] = {name: plain["columns"][name] for name in names}
    del plain["benchmark"]
    _, generator = fitted(kind, Spec.from_mapping(plain), rows=400)
    assert generator.sample(50, rng=np.random.default_rng(0)).codes.shape == (50, len(generator.domain))
    assert generator.sample(0, rng=np.random.default_rng(0)).codes.shape == (0, len(generator.domain))


def test_the_latent_correlation_of_coarse_codes_is_recovered() -> None:
    """Binary cuts of normals of correlation 0.6 have a product-moment of a third of that; the polychoric inversion undoes it."""
    bounds = [copula._quantiles(np.array([0.8, 0.2])), copula._quantiles(np.array([0.1, 0.6, 0.3]))]
    scores = [copula._scores(ends, np.diff(copula.ndtr(ends)), 16) for ends in bounds]
    rng = np.random.default_rng(0)
    normals = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 400_000)
    cells = [np.searchsorted(ends[1:-1], normals[:, i]) for i, ends in enumerate(bounds)]
    moment = (scores[0][cells[0]] * scores[1][cells[1]]).mean()
    expansions = [copula._expand(score, ends) for score, ends in zip(scores, bounds, strict=True)]
    found = copula._invert(np.array([moment]), (expansions[0] * expansions[1])[None])
    assert found[0] == pytest.approx(0.6, abs=0.02)


def test_a_network_is_charged_choice_by_choice_and_table_by_table(trained: dict[str, tuple[Curator, Any]]) -> None:
    generator = trained["privbayes"][1]
    kinds = [event.kind for event in generator.events if event.stage == "generator"]
    others = len(generator.domain) - 1
    assert kinds == ["exponential"] * others + ["discrete_gaussian"] * others


def test_parents_come_before_their_children_and_tables_stay_useful(trained: dict[str, tuple[Curator, Any]]) -> None:
    generator = trained["privbayes"][1]
    drawn: set[int] = set()
    for family in generator.network.families:
        assert set(family.parents) <= drawn
        assert not family.parents or family.conditional.size <= generator.facts["most_cells"] + 1
        assert family.conditional.sum(axis=1) == pytest.approx(1.0)
        drawn.add(family.column)
    assert drawn == set(range(len(generator.domain)))


def test_the_same_noise_and_seed_give_the_same_network() -> None:
    first, second = (fitted("privbayes", rows=800)[1] for _ in range(2))
    assert first.facts == second.facts
    assert all(
        np.array_equal(a.conditional, b.conditional)
        for a, b in zip(first.network.families, second.network.families, strict=True)
    )


def test_people_with_several_rows_are_weighed_in_every_answer() -> None:
    frame = toy_frame(600)
    curator = toy_curator(SPEC, frame, max_rows=3)
    profile = build_profile(curator, SPEC.modelled, share=0.5)
    generator = copula.fit(
        curator, profile, copula.make_config(SPEC), budget=curator.budget, runtime=RuntimeConfig(seed=0)
    )
    assert generator.events[-1].sensitivity % WEIGHT_UNITS == 0  # pyright: ignore[reportAttributeAccessIssue]
    assert Encoder(profile).domain == generator.domain
