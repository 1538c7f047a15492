"""A small panel from `fit` to rows and to a release: people come back with several rows, and what is theirs stays theirs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.privacy.ledger.contract import Ledger
from synth_pipeline.release.model import ReleasedModel, load_model
from synth_pipeline.spec import Spec
from synth_pipeline.walk import fit, run_walk

MOST = 6
KEY = b"panel" * 7


def panel(people: int = 1500) -> pd.DataFrame:
    """People of 1 to 6 rows; sex and birth year are theirs, the year never repeats, pay hangs on how many rows a person has."""
    rng = np.random.default_rng(3)
    number = rng.integers(1, MOST + 1, people)
    person = np.repeat(np.arange(people), number)
    rows = len(person)
    lots = rng.random((people, 10)).argsort(axis=1)
    year = np.concatenate([np.sort(lots[one, : number[one]]) for one in range(people)]) + 2010
    sex = np.array(["f", "m"], dtype=object)[rng.integers(0, 2, people)]
    return pd.DataFrame(
        {
            "person": [f"p{one:05d}" for one in person],
            "sex": pd.Series(sex[person], dtype="str"),
            "born": rng.integers(1950, 1990, people)[person],
            "year": year,
            "pay": np.clip(rng.normal(20 + 10 * number[person], 5), 0, 99).round(1),
            "member": rng.random(rows) < 0.3,
        }
    )


def spec_of(generator: str = "mixture", **more: object) -> Spec:
    return Spec.from_mapping(
        {
            "dataset": "panel",
            "columns": {
                "person": {"kind": "identifier"},
                "sex": {"kind": "categorical", "categories": ["f", "m"]},
                "born": {"kind": "integer", "min": 1950, "max": 1990},
                "year": {"kind": "integer", "min": 2010, "max": 2019},
                "pay": {"kind": "float", "min": 0, "max": 100, "precision": 1},
                "member": {"kind": "boolean"},
            },
            "privacy": {
                "epsilon": 8,
                "delta": 1e-5,
                "unit": {"column": "person", "max_rows": MOST},
                "cap": {"epsilon": 100},
            },
            "generator": {"kind": generator},
            **more,
        }
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReleasedModel:
    ledger = Ledger.open(tmp_path_factory.mktemp("panel") / "ledger.sqlite")
    return fit(spec_of(), panel(), ledger=ledger, key=KEY)


def test_people_come_back_with_several_rows_and_what_is_constant_stays(model: ReleasedModel) -> None:
    real, made = panel(), model.sample(6000, seed=1)
    people = made.groupby("person")
    numbers = people.size()
    assert list(made.columns) == list(real.columns)
    assert numbers.max() <= MOST
    law = np.bincount(numbers, minlength=MOST + 1) / len(numbers)
    true_law = np.bincount(real.groupby("person").size(), minlength=MOST + 1) / real["person"].nunique()
    assert np.abs(law - true_law).sum() / 2 < 0.08
    assert model.facts["people"]["constant_columns"] == ["sex", "born"]
    assert model.facts["people"]["order_column"] == "year"
    assert len(made[["person", "sex", "born"]].drop_duplicates()) == len(numbers)
    assert (people["year"].nunique() < numbers).mean() < 0.2
    assert (people["year"].apply(lambda years: years.is_monotonic_increasing)).all()


def test_rows_follow_the_law_of_rows_and_not_that_of_people(model: ReleasedModel) -> None:
    """Long-stayers earn more, so the mean pay of rows is above that of people by 5.8: ten times what may be missed."""
    real, made = panel(), model.sample(20_000, seed=2)
    of_people = real.groupby("person")["pay"].mean().mean()
    assert abs(real["pay"].mean() - of_people) > 5
    assert abs(made["pay"].mean() - real["pay"].mean()) < 1
    assert abs(model.profile.row_count - len(real)) < 0.1 * len(real)


def test_a_condition_holds_for_every_row_of_every_person(model: ReleasedModel) -> None:
    made = model.sample(800, where="sex = 'f' AND year >= 2014", seed=3)
    assert (made["sex"] == "f").all()
    assert made["year"].min() >= 2014
    assert made.groupby("person").size().max() > 1


def test_one_row_and_a_saved_model_are_no_exceptions(model: ReleasedModel, tmp_path: Path) -> None:
    again = load_model(model.save(tmp_path / "model"))
    assert len(again.sample(1, seed=4)) == 1
    pd.testing.assert_frame_equal(model.sample(50, seed=5), again.sample(50, seed=5))


def test_given_rows_come_back_completed_in_their_order(model: ReleasedModel) -> None:
    given = pd.DataFrame({"sex": ["f", "m", "f"], "born": [1960, 1970, 1980], "pay": [np.nan, 30.0, np.nan]})
    made = model.sample(given=given, seed=6)
    assert made["sex"].tolist() == ["f", "m", "f"]
    assert made["born"].tolist() == [1960, 1970, 1980]
    assert made["pay"].notna().all()
    assert list(made.columns) == list(panel().columns)


@pytest.mark.parametrize("generator", ["maxent", "independent"])
def test_a_whole_walk_scores_checks_and_releases_people(generator: str, tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    spec = spec_of(generator, constraints=["born + 18 <= year"] if generator == "independent" else [])
    frame = panel(900)
    frame = frame[frame["born"] + 18 <= frame["year"]] if spec.constraints else frame
    result = run_walk(spec, frame, snapshot="first", ledger=ledger, key=KEY, releases=tmp_path / "releases")
    made = result.synthetic
    failed = [item.expectation.name for item in result.outcomes if not item.passed]
    assert failed == []
    assert abs(len(made) - 0.8 * len(frame)) < 0.2 * len(frame)
    assert made["person"].nunique() < len(made) / 2
    assert "person:rows" not in made.columns
    sheet = (result.release / "datasheet.md").read_text(encoding="utf-8")
    assert "invented person" in sheet
    assert f"at most {MOST} of each person" in sheet
    assert ("does not know how a column hangs on" in sheet) == (generator == "independent")
    page = (result.release / "report.html").read_text(encoding="utf-8")
    assert f"<b>{made['person'].nunique():,}</b>synthetic people" in page
