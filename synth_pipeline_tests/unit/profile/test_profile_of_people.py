"""What the profile says about people with several rows: how many rows, which columns are theirs, which never repeat."""

import numpy as np
import pytest

from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.errors import SpecError
from synth_pipeline.privacy.budget import Budget
from synth_pipeline.privacy.curator import Curator
from synth_pipeline.privacy.unit import PrivacyUnit
from synth_pipeline.profile.build import build_profile
from synth_pipeline.snapshot.take import with_person_rows
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import BooleanColumn, IntegerColumn
from synth_pipeline.table.native import NativeTable
from synth_pipeline.table.person import PERSON_ROWS, PersonFacts, person_column
from synth_pipeline.table.profile import Profile
from synth_pipeline_tests.seeded_noise import SeededNoise

MOST = 5
PEOPLE = 3000


def panel() -> NativeTable:
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(PEOPLE), rng.choice(MOST, PEOPLE, p=[0.4, 0.3, 0.15, 0.1, 0.05]) + 1)
    first = np.flatnonzero(np.diff(units, prepend=-1))
    wave = np.arange(len(units)) - first[units]
    columns = {
        "born": rng.integers(0, 40, PEOPLE)[units],
        "wave": wave,
        "job": rng.integers(0, 12, len(units)),
        "member": rng.integers(0, 2, len(units)),
    }
    return with_person_rows(NativeTable(columns, units), MOST)


def profiled(epsilon: float = 5.0) -> tuple[Profile, Curator]:
    budget = Budget.for_walk(epsilon=epsilon, delta=1e-6, discovered_columns=0)
    curator = Curator(panel(), unit=PrivacyUnit("id", MOST), budget=budget, noise=SeededNoise(1))
    columns = {
        "born": IntegerColumn(kind="integer", min=1950, max=1989),
        "wave": IntegerColumn(kind="integer", min=0, max=9),
        "job": IntegerColumn(kind="integer", min=0, max=11),
        "member": BooleanColumn(kind="boolean"),
        PERSON_ROWS: person_column(MOST),
    }
    return build_profile(curator, columns, share=0.3), curator


def test_rows_of_people_and_the_columns_that_are_theirs_are_found() -> None:
    profile, curator = profiled()
    people = profile.people
    assert people is not None
    assert people.constant == ("born",)
    assert people.distinct == ("wave",)
    assert abs(profile.rows - PEOPLE) < 6 * profile.rows_sigma
    assert np.abs(profile.person_rows - [0.4, 0.3, 0.15, 0.1, 0.05]).max() < 0.03
    assert abs(profile.row_count - panel().rows) < 0.05 * panel().rows
    assert curator.spent_cost <= 0.3 * curator.budget.cost * (1 + 1e-9)


def test_the_number_of_rows_is_modelled_after_the_tables_columns_and_is_none_of_them() -> None:
    profile, _ = profiled()
    assert [column.name for column in profile.table_columns] == ["born", "wave", "job", "member"]
    assert [column.name for column in profile.decoded_columns][-1] == PERSON_ROWS
    codes = Encoder(profile).encode(panel())
    assert codes.shape == (panel().rows, 5)


def test_the_facts_survive_json() -> None:
    profile, _ = profiled()
    again = Profile.from_json(profile.to_json())
    assert again.people is not None
    assert again.people.to_json() == profile.people.to_json()  # pyright: ignore[reportOptionalMemberAccess]
    assert again.row_count == profile.row_count


def test_nothing_is_called_constant_where_noise_could_hide_a_quarter_of_the_people() -> None:
    facts = PersonFacts(3, several=90.0, sigma=10.0, varying={"a": 0.0}, repeating={"b": 0.0})
    assert facts.constant == facts.distinct == ()


def test_a_rows_number_hangs_on_its_own_persons_rows_and_is_bounded() -> None:
    units = np.array([0, 1, 1, 2, 2, 2, 2])
    table = with_person_rows(NativeTable({"x": np.zeros(7, dtype=np.int64)}, units), 3)
    assert table.columns[PERSON_ROWS].tolist() == [0, 1, 1, 2, 2, 2, 2]
    assert PERSON_ROWS not in with_person_rows(NativeTable({"x": units}, units), 1).columns


def test_a_specification_may_not_name_a_column_as_the_internal_one() -> None:
    content = {
        "dataset": "d",
        "columns": {PERSON_ROWS: {"kind": "boolean"}},
        "privacy": {"epsilon": 1},
    }
    with pytest.raises(SpecError, match="internal column"):
        Spec.from_mapping(content)
