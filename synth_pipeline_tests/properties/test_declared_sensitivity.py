"""Replay on neighbouring tables with equal noise: every kind of answer moves by no more than the sensitivity that it is charged for."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.privacy.answer import JointPartition, Noisy, PairPartition
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.events import Event
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.privacy.view import VECTOR_UNITS, EncodedView
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.native import to_native
from synth_pipeline.snapshot.take import with_person_rows
from synth_pipeline.table.partition import Whole
from synth_pipeline.table.person import PERSON_ROWS
from synth_pipeline.table.profile import Profile
from synth_pipeline_tests.seeded_noise import SeededNoise
from synth_pipeline_tests.toy_table import toy_curator, toy_frame, toy_spec

SPEC = toy_spec()
COST = 1e-3


PEOPLE = 1 + 1e-9
"""What a person moves an answer in people by, and rounding."""


def neighbours(rows: int, seed: int, most_rows: int = 1) -> tuple[Curator, Curator]:
    """Curators over a table and the same table without one person, with the same noise; people have 1 to `most_rows` rows."""
    table, unit = to_native(toy_frame(rows, seed), SPEC)[0], PrivacyUnit("id" if most_rows > 1 else None, most_rows)
    units = np.unique(random_people(rows, seed, most_rows), return_inverse=True)[1].reshape(-1)
    left = np.flatnonzero(units < units.max())
    budget = Budget.for_walk(epsilon=SPEC.privacy.epsilon, delta=SPEC.privacy.delta, discovered_columns=1)
    whole, less = (
        Curator(with_person_rows(held, most_rows), unit=unit, budget=budget, noise=SeededNoise(seed))
        for held in (replace(table, units=units), replace(table, units=units).take(left))
    )
    return whole, less


def random_people(rows: int, seed: int, most_rows: int) -> np.ndarray:
    """The person of each row, in no order; some people have one row, some as many as allowed."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, most_rows + 1, rows)
    return rng.permutation(np.repeat(np.arange(rows), sizes)[:rows])


def released_profile(seed: int) -> Profile:
    """A profile of some other table; what matters is only that both neighbours are asked with the same one."""
    return build_profile(toy_curator(SPEC, toy_frame(500, seed + 1), seed=seed), SPEC.modelled)


def within_people(curator: Curator, most_rows: int) -> Noisy:
    """Each of the numbers by itself moves by at most one, so the largest counts here."""
    asked = {"cost": COST, "stage": "profile", "purpose": "replay"}
    noisy = curator.within_people(["age", "member", PERSON_ROWS][: 2 + (most_rows > 1)], ["age", "visit"], **asked)
    return Noisy(noisy.values / np.sqrt(len(noisy.values)), noisy.sigma)


def moved(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(first - second)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([5, 60, 400]), st.sampled_from([1, 4, 15]))
def test_answers_about_single_columns_move_by_at_most_the_unit(seed: int, rows: int, most_rows: int) -> None:
    whole, less = neighbours(rows, seed, most_rows)
    ask = {"cost": COST, "stage": "profile", "purpose": "replay"}
    answers = [
        (
            curator.count_rows(**ask),
            curator.histogram("age", Whole(100), with_null=False, **ask),
            curator.histogram("grade", Whole(3), with_null=True, **ask),
            curator.key_histogram("city", ("Aachen", "Bonn"), with_null=False, **ask),
            curator.null_differences([("income", "grade")], **ask),
            within_people(curator, most_rows),
        )
        for curator in (whole, less)
    ]
    for first, second in zip(*answers, strict=True):
        assert np.linalg.norm(moved(first.values, second.values)) <= PEOPLE
    assert whole.events == less.events


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([5, 60, 400]), st.sampled_from([1, 4, 15]))
def test_answers_about_pairs_move_by_at_most_the_unit(seed: int, rows: int, most_rows: int) -> None:
    curators = neighbours(rows, seed, most_rows)
    encoder = Encoder(released_profile(seed % 7))
    views = [curator.encoded(encoder) for curator in curators]
    rng = np.random.default_rng(seed)
    parts = [random_partition(views[0], rng) for _ in range(4)]
    expected = [rng.integers(0, 50, part.size) for part in parts]
    ask = {"cost": COST, "stage": "generator", "purpose": "replay"}
    tables, errors, dominance = zip(
        *(
            (
                [view.pair_counts(part, **ask).values for part in parts],
                view.pair_errors(parts, expected, **ask).values,
                view.dominance([(0, 1), (1, 0), (2, 3)], **ask).values,
            )
            for view in views
        ),
        strict=True,
    )
    assert all(np.linalg.norm(moved(first, second)) <= PEOPLE for first, second in zip(*tables, strict=True))
    assert moved(*errors).max() <= PEOPLE
    assert moved(*dominance).max() <= PEOPLE


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([5, 60, 400]), st.sampled_from([1, 4, 15]))
def test_answers_about_several_columns_move_by_at_most_what_is_charged(seed: int, rows: int, most_rows: int) -> None:
    """The norm of a vector of sums may move by its declared sensitivity, and a score of dependence by one a row."""
    curators = neighbours(rows, seed, most_rows)
    encoder = Encoder(released_profile(seed % 7))
    views = [curator.encoded(encoder) for curator in curators]
    rng = np.random.default_rng(seed)
    joint = random_joint(views[0], rng)
    families = [random_joint(views[0], rng) for _ in range(4)]
    shares = [rng.dirichlet(np.ones(family.shape[0])) for family in families]
    scores = [rng.integers(-40, 41, size) for size in views[0].domain.sizes]
    bound = int(rng.integers(3, 120))
    ask = {"cost": COST, "stage": "generator", "purpose": "replay"}
    counts = [view.joint_counts(joint, **ask).values for view in views]
    sums = [view.score_products(scores, bound=bound, **ask).values for view in views]
    dependence = [[view._family_score(*item) for item in zip(families, shares, strict=True)] for view in views]
    weight = curators[0].unit.weight
    assert np.linalg.norm(moved(*counts)) <= PEOPLE
    assert np.linalg.norm(moved(*sums)) * weight <= views[0].events[-1].sensitivity * (1 + 1e-12)
    assert views[0].events[-1].sensitivity >= weight * bound**2 / np.sqrt(2)
    assert moved(*np.array(dependence)).max() <= weight * PEOPLE
    assert views[0].events == views[1].events


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([5, 60, 400]),
    st.sampled_from([1, 4, 15]),
    st.sampled_from([0.01, 1.0, 1e30]),
)
def test_sums_of_clipped_vectors_move_by_at_most_the_unit_whatever_the_vectors(
    seed: int, rows: int, most_rows: int, size: float
) -> None:
    curators = neighbours(rows, seed, most_rows)
    encoder = Encoder(released_profile(seed % 7))

    def vectors(codes: np.ndarray) -> np.ndarray:
        found = np.random.default_rng(seed).normal(size=(codes.shape[1], 30)) * size
        product = codes.astype(np.float64) @ found
        product[codes[:, 0] % 11 == 0] = np.nan
        return product

    first, second = (
        curator.encoded(encoder).clipped_sum(vectors, cost=COST, stage="generator", purpose="replay")
        for curator in curators
    )
    assert np.linalg.norm(first.values - second.values) <= VECTOR_UNITS * (1 + 1e-12)
    assert first.sigma >= VECTOR_UNITS / COST**0.5
    assert curators[0].events == curators[1].events


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_the_whole_profile_asks_neighbours_the_same_questions_until_an_answer_differs(seed: int) -> None:
    """No branch depends on the rows but through released answers: where all answers agree, so do all events."""
    whole, less = neighbours(300, seed)
    columns = {
        name: SPEC.modelled[name] for name in ("age", "member", "grade")
    }  # fixed questions: no tree, no discovery
    build_profile(whole, columns, share=0.2)
    build_profile(less, columns, share=0.2)
    assert shapes(whole.events) == shapes(less.events)


def shapes(events: tuple[Event, ...]) -> list[dict[str, object]]:
    return [event.to_dict() for event in events]


def random_partition(view: EncodedView, rng: np.random.Generator) -> PairPartition:
    first, second = (int(index) for index in rng.choice(len(view.domain), 2, replace=False))
    shape = (view.domain.sizes[first], view.domain.sizes[second])
    labels = rng.integers(0, 6, shape)
    return PairPartition(first, second, labels, 6, "random")


def random_joint(view: EncodedView, rng: np.random.Generator) -> JointPartition:
    columns = tuple(int(index) for index in rng.choice(len(view.domain), 3, replace=False))
    maps = tuple(np.arange(view.domain.sizes[column]) % (2 + number) for number, column in enumerate(columns))
    return JointPartition(columns, maps, "random")
