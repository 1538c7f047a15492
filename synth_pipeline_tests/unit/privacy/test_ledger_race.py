"""Many processes on one cap, both stores: never overspent, nobody stuck, nobody refused who would have fitted."""

import random

import pytest

from synth_pipeline.privacy.accounting import filter_epsilon, gaussian_epsilon, gaussian_mu
from synth_pipeline.privacy.ledger import Cap, open_ledger
from synth_pipeline.privacy.ledger.book import read_book
from synth_pipeline_tests.ledger_racers import DELTA, Racers, Walk, random_pauses

CAP = Cap(3.0, DELTA)
CAP_COST = gaussian_mu(CAP.epsilon, CAP.delta) ** 2
ROOM = 7
ROUND_SECONDS = 120.0  # far beyond any honest wait; only a racer that waits for ever reaches it


def a_walk(dataset, walk_id, cost, rng):
    epsilon = gaussian_epsilon(cost**0.5, DELTA) * (1 + 1e-9)
    return Walk(dataset, walk_id, cost, epsilon, CAP, random_pauses(rng))


def equal_walks(dataset, count, rng):
    """Every racer has a walk of its own; the cap holds seven and a half."""
    return [a_walk(dataset, f"walk-{i}", CAP_COST / (ROOM + 0.5), rng) for i in range(count)]


def mixed_walks(dataset, count, rng):
    """Walks that cost from a thirtieth of the cap to half of it."""
    return [a_walk(dataset, f"walk-{i}", CAP_COST * rng.uniform(1 / 30, 1 / 2), rng) for i in range(count)]


def twin_walks(dataset, count, rng):
    """Two racers for each walk: the second attempt finds the first one's reservation, and only one of them reads."""
    return [a_walk(dataset, f"walk-{i // 2}", CAP_COST / (ROOM + 0.5), rng) for i in range(count)]


MAKERS = (equal_walks, mixed_walks, twin_walks)


def records_of(ledger, dataset):
    return list(read_book(ledger.history(dataset)).values())


def check_round(ledger, walks, ended):
    dataset = walks[0].dataset
    assert not [end for end in ended if end.startswith("error")]
    records = records_of(ledger, dataset)
    assert {record.status for record in records} == {"committed"}
    spent_ids = [walk.walk_id for walk, end in zip(walks, ended, strict=True) if end == "spent"]
    assert sorted(record.reservation.key.walk_id for record in records) == sorted(spent_ids)
    assert len(ledger.history(dataset)) == 3 * len(records)  # nothing else was written, for the refused least of all
    loads = [record.events for record in records]
    assert filter_epsilon(loads, CAP.delta) <= CAP.epsilon * (1 + 1e-9)
    assert ledger.account(dataset, CAP).spent_epsilon <= CAP.epsilon * (1 + 1e-9)
    for walk, end in zip(walks, ended, strict=True):
        if end == "refused":
            assert filter_epsilon([*loads, walk.charge.events], CAP.delta) > CAP.epsilon


def race(place, *, processes, rounds):
    rng, ledger = random.Random(processes * 1000 + rounds), open_ledger(place)
    kept = []
    with Racers(place, processes) as racers:
        for number in range(rounds):
            walks = MAKERS[number % 3](f"round-{number}", processes, rng)
            ended = racers.race(walks, seconds=ROUND_SECONDS)
            check_round(ledger, walks, ended)
            if MAKERS[number % 3] is not mixed_walks:
                kept.append(ended.count("spent"))
    report = ledger.verify()
    assert report.faults == ()
    return kept


def test_racing_processes_never_overspend_a_cap(ledger_place):
    kept = race(ledger_place, processes=8, rounds=6)
    assert kept == [ROOM, 4] * 2  # eight walks of which seven fit; four walks of two attempts each


@pytest.mark.slow
def test_64_processes_never_overspend_a_cap_in_100_rounds(ledger_place):
    kept = race(ledger_place, processes=64, rounds=100)
    assert kept == [ROOM] * len(kept)
