"""Which columns a walk profiles, and what its plan and its metadata count, where people may have several rows."""

import secrets

from synth_pipeline.audit.canary import _profiled as profiled_for_canaries
from synth_pipeline.audit.public_table import invent_table
from synth_pipeline.generate.plan import make_plan
from synth_pipeline.orchestration.private_assets import _noise_of_count as noise_of_count
from synth_pipeline.profile.person import profiled_columns
from synth_pipeline.snapshot.take import take_snapshot
from synth_pipeline.spec import Spec
from synth_pipeline.table.person import PERSON_ROWS


def spec_of(max_rows: int, generator: str = "maxent") -> Spec:
    return Spec.from_mapping(
        {
            "dataset": "panel",
            "columns": {
                "person": {"kind": "identifier"},
                "year": {"kind": "integer", "min": 68, "max": 88},
                "member": {"kind": "boolean"},
            },
            "privacy": {"epsilon": 3.0, "delta": 1e-5, "unit": {"column": "person", "max_rows": max_rows}},
            "generator": {"kind": generator},
        }
    )


def test_the_number_of_a_persons_rows_comes_last_and_only_where_there_may_be_several() -> None:
    assert list(profiled_columns(spec_of(8), ["member", "person", "year"])) == ["member", "year", PERSON_ROWS]
    assert list(profiled_columns(spec_of(1))) == ["year", "member"]


def test_a_plan_says_how_many_people_it_wants_and_counts_their_rows_as_a_column() -> None:
    people, rows = make_plan(spec_of(8)).to_json(), make_plan(spec_of(1)).to_json()
    assert "rows_wanted" not in people
    assert "people_wanted" not in rows
    assert people["people_wanted"] > rows["rows_wanted"]


def test_an_audit_by_canaries_profiles_what_the_walk_profiles() -> None:
    spec = spec_of(4, "autoregressive")
    native = take_snapshot(invent_table(spec, 300, seed=0), spec, key=secrets.token_bytes(32), holdout=False).native
    profile = profiled_for_canaries(spec, make_plan(spec), native, seed=0, config=None).profile
    assert [column.name for column in profile.columns] == ["year", "member", PERSON_ROWS]
    assert profile.people is not None


def test_the_noise_of_the_count_says_whether_it_counts_people() -> None:
    people = {"people_noisy", "people_noise_deviation"}
    for most, names in ((4, {"rows_noise_deviation", *people}), (1, {"rows_noise_deviation"})):
        spec = spec_of(most, "autoregressive")
        native = take_snapshot(invent_table(spec, 300, seed=0), spec, key=secrets.token_bytes(32), holdout=False).native
        profile = profiled_for_canaries(spec, make_plan(spec), native, seed=0, config=None).profile
        assert set(noise_of_count(profile)) == names
