"""The prediction target of each table: class numbers or values, and the rows that can be learned from or tested on."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from synth_pipeline.benchmark.interval import Floats
from synth_pipeline.benchmark.scored_table import Ints, ScoredTable, ScoredTables
from synth_pipeline.errors import SpecError
from synth_pipeline.spec import Benchmark, Spec
from synth_pipeline.table.column import category_key

LEAST_ROWS = 30
MOST_CLASSES = 50
MOST_TRAINED_ROWS, MOST_TRAINED_ROWS_QUICK = 60_000, 10_000
FULLY_TRAINED_CLASSES = 10

_SUBSAMPLE_STREAM = 5


@dataclass(frozen=True, repr=False, eq=False)
class Labelled:
    """Rows of a table with a valid target.

    Attributes:
        rows: the rows, subsampled where there are too many to train on.
        target: class numbers, or values.
        invalid: rows of the table without a valid target.
        places: positions of the rows in the table.
    """

    rows: ScoredTable
    target: Floats | Ints
    invalid: int
    places: npt.NDArray[np.intp]


@dataclass(frozen=True, repr=False, eq=False)
class LabelledTables:
    """The tables with their targets.

    Attributes:
        classes: number of classes; 0 for regression.
        train: the real rows that the generator saw.
        holdout: real rows that it did not see.
        synthetic: the rows that it made.
        rebalanced: rows that it made with equal shares of groups and classes, or None.
        keys: the classes by number, as text; private where they were not declared.
        shown: the classes for people: their text where it is public, else their number.
    """

    classes: int
    train: Labelled
    holdout: Labelled
    synthetic: Labelled
    rebalanced: Labelled | None = None
    keys: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()

    @property
    def rarest(self) -> int:
        """The class that is rarest among the training rows, among those that occur."""
        counts = np.bincount(self.train.target.astype(np.int64), minlength=self.classes)
        return int(np.flatnonzero(counts == counts[counts > 0].min())[0])

    def reason_against(self) -> str | None:
        """Why nothing can be learned or tested, or None."""
        for what, labelled in (("train", self.train), ("holdout", self.holdout)):
            if labelled.rows.rows < LEAST_ROWS:
                return f"fewer than {LEAST_ROWS} rows of {what} have a valid target"
        if self.classes > MOST_CLASSES:
            return f"the target has more than {MOST_CLASSES} classes; declare task: regression for a number, or another target"
        if len(np.unique(self.train.target)) < 2:
            return "the target is constant in train"
        return None


def check_task(spec: Spec) -> None:
    """Refuse a regression of categories before any row is read.

    Raises:
        SpecError: if the task of the benchmark does not fit the kind of its target.
    """
    if spec.benchmark is None or spec.benchmark.task == "classification":
        return
    kind = spec.modelled[spec.benchmark.target].kind
    if kind not in ("integer", "float", "datetime"):
        raise SpecError(
            f"benchmark: task regression needs a number, but target {spec.benchmark.target!r} is {kind};"
            " use task: classification, or declare the column as integer or float"
        )


def label_tables(tables: ScoredTables, benchmark: Benchmark, *, seed: int, quick: bool) -> LabelledTables:
    """The rows of each table that have a valid target, subsampled for training."""
    most = MOST_TRAINED_ROWS_QUICK if quick else MOST_TRAINED_ROWS
    rng = np.random.default_rng([seed, _SUBSAMPLE_STREAM])
    sources = {"train": tables.train, "synthetic": tables.synthetic, "holdout": tables.holdout}
    if tables.rebalanced is not None:  # last: the subsamples of the others do not depend on it
        sources["rebalanced"] = tables.rebalanced
    raw = {which: _raw_target(table, benchmark.target) for which, table in sources.items()}
    classes = np.zeros(0)
    if benchmark.task == "classification":
        classes = np.unique(raw["train"][~np.isnan(raw["train"])])
        raw = {which: _class_numbers(values, classes) for which, values in raw.items()}
        most = most * FULLY_TRAINED_CLASSES // max(len(classes), FULLY_TRAINED_CLASSES)  # one tree a class and round
    labelled = {
        which: _label(sources[which], target, most=most if which != "holdout" else len(target), rng=rng)
        for which, target in raw.items()
    }
    if benchmark.task == "classification":
        labelled = {which: replace(part, target=part.target.astype(np.int64)) for which, part in labelled.items()}
    keys, shown = _class_names(tables, benchmark.target, classes)
    return LabelledTables(len(classes), **labelled, keys=keys, shown=shown)


def _class_names(tables: ScoredTables, target: str, classes: Floats) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The classes as text, and as they may be shown: the values of a number are cells of the table."""
    if target in tables.vocabularies:
        codes = [int(code) for code in classes]
        return (
            tuple(tables.vocabularies[target][code] for code in codes),
            tuple(tables.shown(target, code) for code in codes),
        )
    return (
        tuple(category_key(float(value)) for value in classes),
        tuple(f"class {number + 1} of {len(classes)}" for number in range(len(classes))),
    )


@dataclass(frozen=True, repr=False, eq=False)
class TrainLabels:
    """Classes that train has, rows of train to learn them from, and each row of the holdout by them.

    Attributes:
        classes: number of classes in train.
        rows: rows of train with a class, subsampled where there are too many.
        target: their class numbers.
        held: class number of each holdout row; -1 where it has none of train's.
        is_unknown: which holdout rows have no target at all.
    """

    classes: int
    rows: ScoredTable
    target: Ints
    held: Ints
    is_unknown: npt.NDArray[np.bool_]


def labels_like_train(tables: ScoredTables, target: str, *, most: int, seed: int) -> TrainLabels:
    """The holdout's rows, every one of them, under the classes of train alone."""
    raw, held = _raw_target(tables.train, target), _raw_target(tables.holdout, target)
    classes = np.unique(raw[~np.isnan(raw)])
    most = most * FULLY_TRAINED_CLASSES // max(len(classes), FULLY_TRAINED_CLASSES)
    rng = np.random.default_rng([seed, _SUBSAMPLE_STREAM])
    learnt = _label(tables.train, _class_numbers(raw, classes), most=most, rng=rng)
    numbers = _class_numbers(held, classes)
    known = np.where(np.isnan(numbers), -1, numbers).astype(np.int64)
    return TrainLabels(len(classes), learnt.rows, learnt.target.astype(np.int64), known, np.isnan(held))


def _raw_target(table: ScoredTable, name: str) -> Floats:
    """Values of a number, codes of a category; NaN is null."""
    if name in table.numbers:
        return table.numbers[name]
    codes = table.categories[name]
    return np.where(codes < 0, np.nan, codes)


def _class_numbers(values: Floats, classes: Floats) -> Floats:
    """Position of each value among train's classes; NaN where it is none of them."""
    if not len(classes):
        return np.full(len(values), np.nan)
    found = np.minimum(np.searchsorted(classes, values), len(classes) - 1)
    return np.where(classes[found] == values, found, np.nan)


def _label(table: ScoredTable, target: Floats, *, most: int, rng: np.random.Generator) -> Labelled:
    valid: npt.NDArray[np.intp] = np.flatnonzero(~np.isnan(target))
    kept = np.sort(rng.permutation(valid)[:most]) if len(valid) > most else valid
    return Labelled(table.take(kept), target[kept], len(target) - len(valid), kept)
