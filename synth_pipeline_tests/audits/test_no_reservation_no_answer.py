"""Without a reservation no engine gets an answer: every stage asks the ledger before a row is read, and stops where it refuses."""

import uuid
from pathlib import Path

import numpy as np
import pytest

from synth_pipeline import reserve, walk
from synth_pipeline.errors import LedgerError, SynthPipelineError
from synth_pipeline.generate.engine_registry import engine_for
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.profile.build import build_profile
from synth_pipeline_tests.audited_table import ENGINES, audited_frame, audited_spec, small_engine
from synth_pipeline_tests.toy_table import toy_curator


class Refused(Exception):
    """What the ledger's stand-in says when it is told that rows are about to be read."""


class SilentNoise:
    """A source that keeps count of what was drawn of it."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def discrete_gaussian(self, size: int, sigma: float) -> np.ndarray:
        self.drawn.append("discrete_gaussian")
        return np.zeros(size, dtype=np.int64)

    def exponential_choice(self, scores: np.ndarray, scale: float) -> int:
        self.drawn.append("exponential_choice")
        return 0

    def words(self, size: int) -> np.ndarray:
        self.drawn.append("words")
        return np.zeros(size, dtype=np.uint64)


@pytest.mark.parametrize("max_rows", [1, 3])
@pytest.mark.parametrize("kind", ENGINES)
def test_an_engine_that_the_ledger_refuses_gets_no_answer(kind: str, max_rows: int, monkeypatch) -> None:
    spec, frame = audited_spec(kind, max_rows=max_rows), audited_frame(100, max_rows=max_rows)
    engine, answered = small_engine(kind), []
    watch = Desk.noisy
    profile = build_profile(toy_curator(spec, frame), spec.modelled, share=engine.profile_share)
    monkeypatch.setattr(Desk, "noisy", lambda self, *asked: answered.append(asked) or watch(self, *asked))
    curator, noise = toy_curator(spec, frame, max_rows=max_rows), SilentNoise()
    curator._desk.noise = noise
    told: list[str] = []

    def refuse() -> None:
        told.append("asked")
        raise Refused

    curator._desk._before_first_answer = refuse
    with pytest.raises(Refused):
        build_profile(curator, spec.modelled, share=engine.profile_share)
    if kind != "independent":  # it asks nothing beyond the profile
        with pytest.raises(Refused):
            engine.fit(curator, profile, engine.make_config(spec), budget=curator.budget, runtime=RuntimeConfig(seed=0))
        assert told == ["asked", "asked"]
    assert curator.events == ()
    assert answered == []
    assert set(noise.drawn) <= {"words"}  # teachers are dealt their parts before they may vote


@pytest.mark.parametrize("kind", ENGINES)
def test_a_walk_whose_reservation_was_given_back_is_stopped_before_the_first_answer(kind: str, tmp_path: Path) -> None:
    ledger, spec, frame = open_ledger(tmp_path / "ledger.sqlite"), audited_spec(kind), audited_frame(100)
    opened = reserve.open_walk(spec, snapshot="s", ledger=ledger, walk_id=uuid.uuid4().hex)
    snapshot = walk.take(opened, frame, key=b"0" * 32, holdout=False)
    reserve.give_back(opened, "the test")
    with pytest.raises(LedgerError):
        walk.profile(opened, snapshot)
    columns = {name: spec.modelled[name] for name in snapshot.dtypes if name in spec.modelled}
    profile = build_profile(toy_curator(spec, frame), columns, share=engine_for(kind).profile_share)
    with pytest.raises(SynthPipelineError):
        walk.train(opened, snapshot, walk.Profiled(profile, ()))
    assert [entry.kind for entry in ledger.history(spec.dataset)] == ["reserve", "release"]
