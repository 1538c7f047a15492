"""Types and shapes that users have, from a data frame through fit, save, load and sample."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synth_pipeline import fit
from synth_pipeline.errors import ModelError
from synth_pipeline.generate.protocol import RuntimeConfig
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.model import ReleasedModel, load_model
from synth_pipeline.spec import Spec


def fitted(
    frame: pd.DataFrame, columns: dict[str, dict[str, object]], folder: Path, **privacy: object
) -> ReleasedModel:
    """The model as it comes back from its folder."""
    spec = Spec.from_mapping({"dataset": "d", "columns": columns, "privacy": {"epsilon": 2, "delta": 1e-5, **privacy}})
    model = fit(spec, frame, ledger=open_ledger(folder / "ledger.sqlite"), runtime=RuntimeConfig(seed=0))
    return load_model(model.save(folder / "model"))


def every_kind(rows: int) -> tuple[pd.DataFrame, dict[str, dict[str, object]]]:
    rng = np.random.default_rng(0)
    rank = rng.integers(1, 301, rows)
    skipped = rng.random(rows) < 0.3
    at = pd.Timestamp("2021-01-01") + pd.to_timedelta(
        rng.integers(0, 500, rows) * 24 + np.where(rank > 150, 9, 20), unit="h"
    )
    frame = pd.DataFrame(
        {
            "rank": rank,
            "share": rng.random(rows),
            "pay": np.where(rng.random(rows) < 0.6, 0.0, np.round(rng.lognormal(6, 1, rows), 2).clip(0, 1e5)),
            "member": pd.array(np.where(rng.random(rows) < 0.1, None, rank > 150), dtype="boolean"),
            "at": at,
            "day": at.date,
            "city": pd.Series([f"c{int(i) % 97}" for i in rank**2], dtype="str"),
            "part_a": np.where(skipped, np.nan, rng.integers(0, 20, rows)),
            "part_b": pd.Series(np.where(skipped, None, "yes"), dtype="str"),
            "only": pd.Series(["x"] * rows, dtype="str"),
            "none": np.full(rows, np.nan),
        }
    )
    columns: dict[str, dict[str, object]] = {
        "rank": {"kind": "ordinal", "categories": [*range(1, 301)]},
        "share": {"kind": "float", "min": 0, "max": 1},
        "pay": {"kind": "float", "min": 0, "max": 1e6},
        "member": {"kind": "boolean", "nullable": True},
        "at": {"kind": "datetime", "min": "2020-01-01", "max": "2024-01-01"},
        "day": {"kind": "datetime", "min": "2020-01-01", "max": "2024-01-01", "precision": "day"},
        "city": {"kind": "categorical", "categories": [f"c{i}" for i in range(97)]},
        "part_a": {"kind": "integer", "min": 0, "max": 20, "nullable": True},
        "part_b": {"kind": "categorical", "categories": ["yes", "no"], "nullable": True},
        "only": {"kind": "categorical", "categories": ["x"]},
        "none": {"kind": "float", "min": 0, "max": 1, "nullable": True},
    }
    return frame, columns


def test_every_kind_of_column_keeps_its_dtype_its_domain_and_its_ties(tmp_path: Path) -> None:
    frame, columns = every_kind(6000)
    model = fitted(frame, columns, tmp_path, epsilon=5)
    drawn = model.sample(3000, seed=1)
    assert drawn.dtypes.to_dict() == frame.dtypes.to_dict()
    assert (drawn["part_a"].isna() == drawn["part_b"].isna()).all()
    assert drawn["only"].eq("x").all()
    assert drawn["none"].isna().mean() > 0.97
    assert drawn["pay"].eq(0).mean() == pytest.approx(0.6, abs=0.05)
    # Values go to 2e4 and the declared range to 1e6, so now and then a fit puts some rows of noise far out; a plain mean fails then.
    assert drawn["pay"].clip(upper=2e4).mean() == pytest.approx(frame["pay"].mean(), rel=0.8)
    assert drawn["pay"].gt(2e4).mean() < 0.02
    assert drawn["at"].dt.hour.isin([9, 20]).mean() > 0.9
    assert (drawn["rank"] > 150).corr(drawn["at"].dt.hour < 12) > 0.8
    assert drawn["rank"].nunique() > 150
    later = model.sample(200, where="at >= '2021-06-01' AND rank > 250", seed=2)
    assert (later["at"] >= pd.Timestamp("2021-06-01")).all()
    assert (later["rank"] > 250).all()


@pytest.mark.parametrize("rows", [0, 1, 2, 60])
def test_a_table_of_few_rows_gives_rows_of_the_domain_and_a_warning_or_a_clear_refusal(
    tmp_path: Path, rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    frame, columns = every_kind(60)
    refusal = ""
    try:
        model = fitted(frame.head(rows).reset_index(drop=True), columns, tmp_path)
    except ModelError as error:
        refusal = str(error)
    else:
        assert "far too few" in model.profile.warnings[0]
        assert len(model.sample(25, seed=0)) == 25
    assert not refusal or "nothing is released" in refusal
    assert "far too few" in caplog.text


def made(columns: int, rows: int) -> tuple[pd.DataFrame, dict[str, dict[str, object]]]:
    """Numbers, categories, truths and nulls driven by three hidden factors."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(rows, 3))
    values: dict[str, np.ndarray] = {}
    declared: dict[str, dict[str, object]] = {}
    for place in range(columns):
        x = factors @ rng.normal(size=3) * 0.5 + rng.normal(size=rows)
        kinds = (
            (np.clip(np.round(40 + 12 * x), 0, 100).astype(int), {"kind": "integer", "min": 0, "max": 100}),
            (np.digitize(x, [-1, 0, 1, 2]), {"kind": "categorical", "categories": [0, 1, 2, 3, 4]}),
            (np.clip(np.exp(x * 1.2 + 5), 0, 1e5), {"kind": "float", "min": 0, "max": 1e5}),
            (x > 0.5, {"kind": "boolean"}),
            (
                np.where(x > 1, np.nan, np.round(x * 100)).clip(-1000, 1000),
                {"kind": "integer", "min": -1000, "max": 1000, "nullable": True},
            ),
        )
        values[f"c{place}"], declared[f"c{place}"] = kinds[place % 5]
    return pd.DataFrame(values), declared


@pytest.mark.slow
@pytest.mark.parametrize(
    "columns, rows",
    [(2, 500), (15, 500), (60, 500), (150, 500), (15, 20_000), (60, 20_000), (2, 1_000_000), (6, 1_000_000)],
)
def test_narrow_wide_short_and_long_tables_are_fitted(
    tmp_path: Path, columns: int, rows: int, record_property: Callable[[str, object], None]
) -> None:
    frame, declared = made(columns, rows)
    start = time.process_time()
    model = fitted(frame, declared, tmp_path, epsilon=1)
    record_property("fit_cpu_seconds", round(time.process_time() - start, 1))
    record_property("peak_gigabytes", round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2))
    drawn = model.sample(1000, seed=0)
    assert list(drawn.columns) == list(frame.columns)
    assert bool(model.profile.warnings) == (rows < 1000)
    shares = [name for name in frame if declared[name]["kind"] == "boolean" and rows > 1000]
    assert (drawn[shares].mean() - frame[shares].mean()).abs().max() < 0.1 if shares else True
