"""Replay of refreshes on neighbouring tables: with equal answers a refresh asks both the same and releases the same, bit by bit.

The earlier release enters as a constant. What a refresh reads of the fresh table must all be answers.
"""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth_pipeline.audit.neighbour import neighbours
from synth_pipeline.audit.twin import compare_answers
from synth_pipeline.audit.watch import Record, RepeatingDesk, WatchingDesk
from synth_pipeline.generate.engine_registry import engine_for
from synth_pipeline.generate.plan import budget_of
from synth_pipeline.generate.protocol import Generator, RuntimeConfig
from synth_pipeline.privacy.answer import Noisy
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.desk import Desk
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.profile.person import profiled_columns
from synth_pipeline.profile.refresh import refresh_profile
from synth_pipeline.spec import Spec
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.profile import Profile
from synth_pipeline_tests.audited_table import audited_frame, audited_spec
from synth_pipeline_tests.seeded_noise import SeededNoise

ROWS = 150
CHANGES = (frozenset[str](), frozenset({"age"}), frozenset({"city", "fee", "ward"}))


def desk(spec: Spec, make: Callable[..., Desk]) -> Desk:
    unit = PrivacyUnit(spec.privacy.unit.column, spec.privacy.unit.max_rows)
    return make(unit=unit, budget=budget_of(spec), spent=(), before_first_answer=None)


@cache
def earlier(kind: str, max_rows: int) -> tuple[Profile, Generator]:
    spec = audited_spec(kind, max_rows=max_rows)
    table = neighbours(spec, audited_frame(ROWS, 1, max_rows=max_rows), 0).larger
    curator = Curator.at_desk(table, desk(spec, lambda **asked: Desk(noise=SeededNoise(1), **asked)))
    profile = build_profile(curator, profiled_columns(spec, table.columns))
    engine = engine_for(kind)
    config = engine.make_config(spec)
    return profile, engine.fit(curator, profile, config, budget=curator.budget, runtime=RuntimeConfig(seed=0))


def refreshed(spec: Spec, table: NativeTable, changed: frozenset[str], watched: Desk, folder: Path) -> dict[str, str]:
    """Digests of everything that a refresh of a table releases."""
    prior, generator = earlier(spec.generator.kind, spec.privacy.unit.max_rows)
    curator, engine = Curator.at_desk(table, watched), engine_for(spec.generator.kind)
    assert engine.refresh is not None
    columns, rows = profiled_columns(spec, table.columns), Noisy(np.array([140.0]), 5.0)
    profile = refresh_profile(curator, prior, columns, changed=changed, fresh={}, rows=rows)
    found: Any = engine.refresh(
        curator,
        profile,
        engine.make_config(spec),
        budget=curator.budget,
        runtime=RuntimeConfig(seed=0),
        prior=generator,
        changed=changed,
    )
    folder.mkdir()
    found.save(folder)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    return {**digests, "profile": json.dumps(profile.to_json(), sort_keys=True), "events": repr(found.events)}


@pytest.mark.parametrize("changed", CHANGES, ids=lambda changed: "+".join(sorted(changed)) or "nothing")
@pytest.mark.parametrize("max_rows", [1, 3])
@pytest.mark.parametrize("kind", ["maxent", "hybrid", "mixture"])
def test_a_refresh_asks_neighbours_the_same_and_releases_the_same(
    kind: str, max_rows: int, changed: frozenset[str], tmp_path: Path
) -> None:
    spec = audited_spec(kind, max_rows=max_rows)
    pair = neighbours(spec, audited_frame(ROWS, 2, max_rows=max_rows), 17)
    first, second = Record(), Record()
    noise = SeededNoise(3)
    watching = desk(spec, lambda **asked: WatchingDesk(first, noise=noise, **asked))
    ended = refreshed(spec, pair.larger, changed, watching, tmp_path / "larger")
    repeating = desk(spec, lambda **asked: RepeatingDesk(second, first, noise=noise, **asked))
    also_ended = refreshed(spec, pair.smaller, changed, repeating, tmp_path / "smaller")
    assert first.findings == second.findings == []
    assert len(first.asked) == len(second.asked)
    assert ended == also_ended
    found = [finding for pair in zip(first.asked, second.asked, strict=True) for finding in compare_answers(*pair)]
    assert found == []
    charged = sum(event.mu_squared for event in watching.events if hasattr(event, "mu_squared"))
    assert charged <= budget_of(spec).cost * (1 + 1e-9)
