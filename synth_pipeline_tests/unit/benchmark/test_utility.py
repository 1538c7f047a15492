"""Train on synthetic, test on real."""

import numpy as np
import pytest

from synth_pipeline.benchmark.holdout_prediction import predict_holdout
from synth_pipeline.benchmark.scored_table import read_tables
from synth_pipeline.benchmark.target import check_task
from synth_pipeline.benchmark.utility import utility_of
from synth_pipeline.errors import SpecError


def utility(tables, spec, progress):
    """TSTR of three tables, quick."""
    options = {"seed": 0, "quick": True, "progress": progress}
    return utility_of(predict_holdout(read_tables(*tables, spec), spec.benchmark, **options), **options)


@pytest.fixture
def measure(make_spec):
    """TSTR of three tables for a target, quick."""

    def run(tables, target="member", task="classification"):
        spec = make_spec(target, task)
        said: list[str] = []
        return utility(tables, spec, said.append), said

    return run


def test_a_binary_target_has_every_metric_of_both_learners_with_an_interval(frames, measure):
    result, said = measure(frames)
    assert result.task == "binary"
    assert set(result.learners) == {"gradient_boosting", "linear"}
    for scores in result.learners.values():
        assert set(scores.tstr) == set(scores.trtr) == {"auc", "ap_rarest", "macro_f1", "accuracy"}
        assert set(scores.ratio) == {"auc", "auc_lift", "ap_rarest", "macro_f1", "accuracy"}
        for interval in (*scores.tstr.values(), *scores.ratio.values()):
            assert interval.low < interval.value < interval.high
    assert result.baseline["auc"].value == 0.5
    assert len(said) == 5


def test_the_ratio_of_a_table_to_itself_is_one_without_doubt(frames, measure):
    train, holdout, _ = frames
    result, _ = measure((train, holdout, train))
    ratio = result.learners["linear"].ratio["auc"]
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((1, 1, 1))


def test_shuffled_targets_teach_less(frames, measure):
    train, holdout, _ = frames
    shuffled = train.assign(member=train["member"].sample(frac=1, random_state=0).to_numpy())
    result, _ = measure((train, holdout, shuffled))
    assert result.learners["linear"].ratio["auc"].high < 1


def test_three_classes_and_values_are_tasks_of_their_own(frames, measure):
    multiclass, _ = measure(frames, "level")
    regression, _ = measure(frames, "wage", "regression")
    assert multiclass.task == "multiclass"
    assert multiclass.learners["gradient_boosting"].trtr["auc"].value > 0.95
    assert regression.task == "regression"
    assert set(regression.learners["linear"].ratio) == {"r2", "rmse"}
    assert regression.learners["linear"].trtr["r2"].value > 0.7
    assert regression.rarest_class_share is None


def test_a_time_can_be_predicted_and_a_hopeless_ratio_is_left_out(frames, measure):
    result, _ = measure(frames, "seen_at", "regression")
    assert result.learners["linear"].trtr["r2"].value < 0.1
    assert "r2" not in result.learners["linear"].ratio


def test_a_number_as_a_class_works_while_it_has_few_values(frames, measure):
    few = tuple(frame.assign(age=frame["age"] // 40) for frame in frames)
    assert measure(few, "age")[0].task == "multiclass"
    result, _ = measure(frames, "age")
    assert result.task is None
    assert "more than 50 classes" in result.reason


def test_synthetic_rows_without_a_valid_target_are_counted_and_left_out(frames, measure):
    train, holdout, synthetic = frames
    strange = synthetic.assign(job=synthetic["job"].fillna("clerk").where(synthetic.index >= 10, "astronaut"))
    result, _ = measure((train, holdout, strange), "job")
    assert result.synth_rows_without_valid_target == 10


@pytest.mark.parametrize("column", ["age", "wage", "job", "level", "seen_at"])
def test_a_synthetic_feature_of_nulls_only_is_scored(column, frames, measure):
    train, holdout, synthetic = frames
    result, _ = measure((train, holdout, synthetic.assign(**{column: None})))
    assert result.learners["gradient_boosting"].tstr["auc"].value > 0.5


def test_a_synthetic_target_of_nulls_only_leaves_the_real_scores_and_a_reason(frames, measure):
    train, holdout, synthetic = frames
    result, _ = measure((train, holdout, synthetic.assign(member=None)))
    assert result.learners["linear"].tstr == {}
    assert result.learners["linear"].trtr["auc"].value > 0.6
    assert "fewer than 30 synthetic rows" in result.reason


def test_a_synthetic_target_that_is_constant_predicts_like_chance(frames, measure):
    train, holdout, synthetic = frames
    result, _ = measure((train, holdout, synthetic.assign(member=True)))
    assert result.learners["gradient_boosting"].tstr["auc"].value == 0.5


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda t, h: (t.assign(member=True), h), "constant in train"),
        (lambda t, h: (t.iloc[:20], h), "fewer than 30 rows of train"),
        (lambda t, h: (t, h.iloc[:20]), "fewer than 30 rows of holdout"),
        (lambda t, h: (t.assign(member=None), h), "fewer than 30 rows of train"),
    ],
)
def test_what_cannot_be_learned_has_a_reason_instead_of_scores(change, reason, frames, measure):
    train, holdout, synthetic = frames
    result, _ = measure((*change(train, holdout), synthetic))
    assert result.task is None
    assert result.learners == {}
    assert reason in result.reason


def test_a_holdout_of_one_class_leaves_out_what_is_undefined(frames, measure):
    train, holdout, synthetic = frames
    result, _ = measure((train, holdout.assign(member=True), synthetic))
    assert set(result.learners["linear"].tstr) == {"macro_f1", "accuracy"}
    constant, _ = measure((train, holdout.assign(wage=1.0), synthetic), "wage", "regression")
    assert set(constant.learners["linear"].tstr) == {"rmse"}


@pytest.mark.parametrize("target", ["job", "level", "member"])
def test_regression_of_categories_is_refused(target, make_spec):
    with pytest.raises(SpecError, match=rf"task regression needs a number, but target '{target}'"):
        check_task(make_spec(target, "regression"))
    check_task(make_spec("wage", "regression"))
    check_task(make_spec(None))


def test_the_only_column_cannot_be_predicted(frames, measure):
    from synth_pipeline.spec import Spec

    spec = Spec.from_mapping(
        {
            "dataset": "one",
            "columns": {"member": {"kind": "boolean"}},
            "privacy": {"epsilon": 1.0},
            "benchmark": {"target": "member"},
        }
    )
    result = utility(frames, spec, str)
    assert result.reason == "there is no other column to predict from"
    assert np.isfinite(result.synth_rows_without_valid_target)
