"""A stage that is cut off after any number of answers and gone on with releases what one that was never cut off does, bit by bit."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_pipeline_tests.cut_walks import Bench, Cut, ForeseenNoise, cut_after, foreseen

FAST = ("independent", "copula", "mst", "aim", "privbayes", "maxent")
SLOW = ("hybrid", "mixture", "pate_gan", "autoregressive", "vae", "gan", "diffusion")
ENGINES = (*FAST, *SLOW)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What each engine releases in a walk that is not cut off, how many answers it draws, and what the ledger says."""
    found = {}

    def of(kind, max_rows=1):
        if (kind, max_rows) not in found:
            bench = Bench(tmp_path_factory.mktemp(kind), kind, max_rows)
            with pytest.MonkeyPatch.context() as patch:
                foreseen(patch)
                found[kind, max_rows] = bench.run(bench.open(), seed=7), ForeseenNoise.drawn, bench.kinds()
        return found[kind, max_rows]

    return of


def cut_and_resumed(bench, cuts, *, torn, last_seed):
    """Run a walk, cut off after each of some numbers of answers in turn, then to its end; what it releases, and how many it drew."""
    walk = bench.open()
    with pytest.MonkeyPatch.context() as noise:
        foreseen(noise)
        for answers in cuts:
            with pytest.MonkeyPatch.context() as patch, suppress(Cut):
                cut_after(patch, answers, torn=torn)
                bench.run(walk, seed=7)
            walk = bench.resume()
        released = bench.run(walk, seed=last_seed)
        return released, ForeseenNoise.drawn


def check(bench, whole, cuts, *, torn=False, last_seed=7):
    expected, drawn, kinds = whole(bench.kind, bench.max_rows)
    released, drawn_again = cut_and_resumed(bench, cuts, torn=torn, last_seed=last_seed)
    assert released == expected
    if not torn:  # a torn answer is drawn again, for nobody saw it
        assert drawn_again == drawn
    assert bench.kinds() == kinds
    assert kinds.count("reserve") == kinds.count("commit") == 1


@pytest.mark.parametrize("kind", FAST)
def test_a_walk_that_was_cut_off_releases_what_a_whole_one_does(kind, whole, tmp_path):
    drawn = whole(kind)[1]
    check(Bench(tmp_path, kind), whole, [3, drawn - 5], last_seed=99)  # the seed that a stage began with is kept


@pytest.mark.slow
@pytest.mark.parametrize("max_rows", [1, 3])
@pytest.mark.parametrize("kind", ENGINES)
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 60), min_size=1, max_size=3), st.booleans())
def test_every_engine_goes_on_after_any_answer(kind, max_rows, whole, tmp_path_factory, cuts, torn):
    check(Bench(tmp_path_factory.mktemp("cut"), kind, max_rows), whole, sorted(cuts), torn=torn)


@pytest.mark.parametrize("kind", ["mst", pytest.param("vae", marks=pytest.mark.slow)])
def test_a_walk_whose_every_answer_is_kept_is_made_again_without_a_draw(kind, tmp_path):
    bench = Bench(tmp_path, kind)
    first = bench.run(bench.open())
    with pytest.MonkeyPatch.context() as patch:
        foreseen(patch)
        assert bench.run(bench.resume(), seed=5) == first
    assert ForeseenNoise.drawn == 0
    assert bench.kinds() == ["reserve", "read", "read", "commit"]
