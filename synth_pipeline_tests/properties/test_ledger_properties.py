"""What holds of the ledger for any walks and any tampering; any sequence of its operations: test_ledger_machine."""

from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.privacy import accounting
from synth_pipeline.privacy.events import (
    DiscoveryEvent,
    DiscreteGaussianEvent,
    ExponentialEvent,
    GaussianPoolEvent,
    SubsampledGaussianEvent,
)
from synth_pipeline.privacy.ledger import Head
from synth_pipeline.privacy.ledger.chain import GENESIS, entry_digest, verify_chain

DELTA = 1e-5
gaussians = st.builds(
    DiscreteGaussianEvent,
    sigma=st.floats(1.5, 200.0),
    sensitivity=st.integers(1, 3),
    count=st.integers(1, 20),
)
pools = st.builds(GaussianPoolEvent, mu_squared=st.floats(1e-6, 0.5))
discoveries = st.builds(
    DiscoveryEvent,
    sigma=st.floats(2.0, 50.0),
    sensitivity=st.integers(1, 3),
    threshold=st.integers(1, 500),
    delta=st.floats(1e-12, 1e-7),
)
training = st.sampled_from([SubsampledGaussianEvent(4.0, 0.1, 50), SubsampledGaussianEvent(8.0, 0.3, 20)])
choices = st.builds(ExponentialEvent, epsilon=st.sampled_from([0.01, 0.1]), count=st.integers(1, 5))
walks = st.lists(st.one_of(pools, gaussians, discoveries), min_size=1, max_size=3)
mixed_walks = st.lists(st.one_of(pools, training, choices), min_size=1, max_size=2)


@settings(max_examples=60, deadline=None)
@given(st.lists(walks, max_size=5), walks)
def test_another_walk_never_lowers_the_total_and_never_hides_a_single_walk(earlier, another):
    before = accounting.filter_epsilon(earlier, DELTA)
    after = accounting.filter_epsilon([*earlier, another], DELTA)
    assert after >= before * (1 - 1e-12)
    assert after >= accounting.composed_epsilon(another, DELTA)


@settings(max_examples=5, deadline=None)
@given(st.lists(mixed_walks, min_size=1, max_size=3), mixed_walks)
def test_the_same_holds_with_training_and_choices(earlier, another):
    after = accounting.filter_epsilon([*earlier, another], DELTA)
    assert after >= accounting.filter_epsilon(earlier, DELTA) * (1 - 1e-12)
    assert after >= accounting.composed_epsilon(another, DELTA)


@settings(max_examples=60, deadline=None)
@given(st.lists(walks, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_total_does_not_depend_on_the_order_of_walks_or_of_their_events(given_walks, random):
    shuffled = [random.sample(walk, len(walk)) for walk in random.sample(given_walks, len(given_walks))]
    assert accounting.filter_epsilon(shuffled, DELTA) == accounting.filter_epsilon(given_walks, DELTA)


def chain_of(bodies):
    entries, previous = [], GENESIS
    for sequence, body in enumerate(bodies, start=1):
        fields = {"sequence": sequence, "kind": "read", "body": {"stage": body}, "previous": previous}
        previous = entry_digest(fields)
        entries.append(fields | {"digest": previous})
    return entries, Head(len(entries), previous)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=5), min_size=2, max_size=8), st.data())
def test_any_edit_gap_reorder_or_cut_of_a_chain_is_found(bodies, data):
    entries, head = chain_of(bodies)
    assert verify_chain(entries, head).is_intact
    place = data.draw(st.integers(0, len(entries) - 1))
    how = data.draw(st.sampled_from(["edit", "forge", "gap", "swap", "cut", "repeat"]))
    tampered = list(entries)
    match how:
        case "edit":
            tampered[place] = entries[place] | {"body": {"stage": bodies[place] + "x"}}
        case "forge":  # edited, and its own digest made to fit again
            forged = entries[place] | {"body": {"stage": bodies[place] + "x"}}
            tampered[place] = forged | {"digest": entry_digest(forged)}
        case "gap":
            del tampered[place]
        case "swap":
            other = (place + 1) % len(entries)
            tampered[place], tampered[other] = tampered[other], tampered[place]
        case "cut":
            tampered = tampered[:place]
        case "repeat":
            tampered.insert(place, entries[place])
    assert not verify_chain(tampered, head).is_intact
