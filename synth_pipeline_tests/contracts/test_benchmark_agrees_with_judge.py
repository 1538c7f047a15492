"""The scorecard agrees with the neutral judge (`../shared/bench/score.py`) wherever both measure the same thing."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.benchmark import Scorecard, score
from synth_pipeline.spec import Spec

SHARED = Path(__file__).resolve().parents[3] / "shared"
JUDGE = SHARED / "bench" / "score.py"
EXACT = 1e-6
LEARNED = 1e-3

pytestmark = pytest.mark.skipif(
    not JUDGE.exists(), reason="needs ../shared with the judge and its tables, which is absent"
)


def spec_of(meta: dict) -> Spec:
    """A specification with the kinds of a judge's meta file; bounds do not matter to the scores."""
    columns = {}
    for column in meta["columns"]:
        nullable = {"nullable": True}
        if column["kind"] == "numeric":
            columns[column["name"]] = {"kind": "float", "min": -1e12, "max": 1e12, **nullable}
        elif column["kind"] == "datetime":
            columns[column["name"]] = {"kind": "datetime", "min": "1900-01-01", "max": "2100-01-01", **nullable}
        elif column["kind"] == "ordinal":
            columns[column["name"]] = {"kind": "ordinal", "categories": column.get("categories") or ["a"], **nullable}
        else:
            columns[column["name"]] = {"kind": "categorical", "discover": True, **nullable}
    task = "regression" if meta["task"] == "regression" else "classification"
    content = {"dataset": meta["name"], "columns": columns, "privacy": {"epsilon": 1.0}}
    return Spec.from_mapping({**content, "benchmark": {"target": meta["target"], "task": task}})


def shuffled(train: pd.DataFrame) -> pd.DataFrame:
    """Every column permuted on its own: right marginals, no dependence."""
    rng = np.random.default_rng(1)
    return pd.DataFrame({name: train[name].array[rng.permutation(len(train))] for name in train.columns})


def resampled(train: pd.DataFrame) -> pd.DataFrame:
    """Half as many rows, drawn with replacement."""
    return train.sample(n=len(train) // 2, replace=True, random_state=2).reset_index(drop=True)


def both(name: str, make, folder: Path, *, quick: bool) -> tuple[dict, Scorecard]:
    """The judge's report and our scorecard of the same synthetic table."""
    data = SHARED / "data" / name
    meta = json.loads((data / "meta.json").read_text())
    meta["columns"] = [
        column for column in meta["columns"] if not column.get("leak")
    ]  # the judge would hide them from learners only
    (folder / "meta.json").write_text(json.dumps(meta))
    train, holdout = pd.read_parquet(data / "train.parquet"), pd.read_parquet(data / "holdout.parquet")
    make(train).to_parquet(folder / "synthetic.parquet")
    command = [
        sys.executable,
        str(JUDGE),
        "--real",
        str(data / "train.parquet"),
        "--holdout",
        str(data / "holdout.parquet"),
    ]
    command += ["--meta", str(folder / "meta.json"), "--synth", str(folder / "synthetic.parquet")]
    command += ["--json", str(folder / "judge.json"), "--quiet", "--skip", "privacy", *(["--quick"] if quick else [])]
    subprocess.run(command, check=True, timeout=600)
    card = score(train, holdout, pd.read_parquet(folder / "synthetic.parquet"), spec_of(meta), quick=quick)
    return json.loads((folder / "judge.json").read_text()), card


def check_fidelity(judge: dict, card: Scorecard) -> None:
    fidelity = card.fidelity
    for key, ours in (("1way", fidelity.tvd_1way), ("2way", fidelity.tvd_2way), ("3way", fidelity.tvd_3way)):
        theirs = judge["marginals"][key]
        assert ours.marginals == theirs["n_marginals"]
        assert ours.synthetic.value == pytest.approx(theirs["synth"]["mean"], abs=EXACT)
        assert ours.matched.value == pytest.approx(theirs["synth_matched"]["mean"], abs=EXACT)
        assert ours.floor.value == pytest.approx(theirs["floor"]["mean"], abs=EXACT)
        assert ours.ratio_to_floor.value == pytest.approx(theirs["ratio_to_floor"], abs=EXACT)
        assert ours.worst[0].synthetic == pytest.approx(theirs["synth"]["max"], abs=EXACT)
    for name, theirs in judge["marginals"]["1way"]["by_column"].items():
        assert fidelity.tvd_by_column[name].value == pytest.approx(theirs, abs=EXACT)
    for key, ours in (("k2", fidelity.nist_k2), ("k3", fidelity.nist_k3)):
        assert ours.synthetic.value == pytest.approx(judge["nist"][key]["synth"], abs=1000 * EXACT)
        assert ours.floor.value == pytest.approx(judge["nist"][key]["floor"], abs=1000 * EXACT)
    for key, ours in (("ks_complement", fidelity.ks_complement), ("tv_complement", fidelity.tv_complement)):
        assert dict(ours.by_column) == pytest.approx(judge["univariate"]["synth"][key]["by_column"], abs=EXACT)
        assert ours.floor.value == pytest.approx(judge["univariate"]["floor"][key]["mean"], abs=EXACT)
    for which, ours in (("synth", fidelity.association.synthetic), ("floor", fidelity.association.floor)):
        assert ours.value == pytest.approx(judge["association"][which]["mean_abs_diff"], abs=EXACT)
    for key, theirs in (("pearson", "pearson"), ("cramers_v", "cramers_v"), ("correlation_ratio", "corr_ratio")):
        assert fidelity.association.by_kind[key].synthetic.value == pytest.approx(
            judge["association"]["synth"][theirs], abs=EXACT
        )


def check_learners(judge: dict, card: Scorecard) -> None:
    assert card.c2st.synthetic.value == pytest.approx(judge["c2st"]["synth"]["auc"], abs=LEARNED)
    assert card.c2st.rows_per_side == judge["c2st"]["synth"]["rows_per_side"]
    theirs = judge["tstr"]
    linear = "ridge" if theirs["task"] == "regression" else "logreg"
    assert card.tstr.task == theirs["task"]
    assert card.tstr.synth_rows_without_valid_target == theirs["synth_rows_without_valid_target"]
    for ours, key in (("gradient_boosting", "hgb"), ("linear", linear)):
        for source in ("tstr", "trtr"):
            scores = getattr(card.tstr.learners[ours], source)
            assert scores, f"no {source} scores of {ours}"
            for metric, interval in scores.items():
                assert interval.value == pytest.approx(theirs[key][source][metric], rel=LEARNED, abs=LEARNED)
    for metric, interval in card.tstr.baseline.items():
        assert interval.value == pytest.approx(theirs["baseline"][metric], rel=EXACT, abs=EXACT)


@pytest.mark.parametrize("name", ["adult", pytest.param("bank", marks=pytest.mark.slow)])
@pytest.mark.parametrize("make", [shuffled, pytest.param(resampled, marks=pytest.mark.slow)])
def test_quick_scorecard_agrees_with_the_judge(name, make, tmp_path):
    judge, card = both(name, make, tmp_path, quick=True)
    check_fidelity(judge, card)
    check_learners(judge, card)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adult", "bank", "credit_default", "bike", "nist_national2019"])
def test_full_scorecard_agrees_with_the_judge(name, tmp_path):
    judge, card = both(name, resampled, tmp_path, quick=False)
    check_fidelity(judge, card)
    check_learners(judge, card)
    assert card.c2st.floor.value == pytest.approx(judge["c2st"]["floor"]["auc"], abs=LEARNED)
