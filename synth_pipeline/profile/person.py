"""How rows fall to people: which columns are constant within a person, and which never repeat."""

from collections.abc import Collection, Mapping

from synth_pipeline.privacy.curator import Curator
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import (
    DatetimeColumn,
    IntegerColumn,
    ModelledColumn,
    OrdinalColumn,
    declared_categories,
)
from synth_pipeline.table.grid import native_grid
from synth_pipeline.table.person import PERSON_ROWS, PersonFacts, person_column

_LARGEST_SHARE = 0.03
_ENOUGH = 0.02


def profiled_columns(spec: Spec, order: Collection[str] | None = None) -> dict[str, ModelledColumn]:
    """The columns that a walk profiles: the modelled ones, and the number of a person's rows last where people may have several.

    Args:
        spec: the specification.
        order: names in the order of the table; None for that of the specification.
    """
    names = [name for name in (spec.modelled if order is None else order) if name in spec.modelled]
    columns: dict[str, ModelledColumn] = {name: spec.modelled[name] for name in names}
    if spec.privacy.unit.max_rows > 1:
        columns[PERSON_ROWS] = person_column(spec.privacy.unit.max_rows)
    return columns


def profile_people(curator: Curator, columns: Mapping[str, ModelledColumn], *, people: float) -> PersonFacts:
    """Count the people with several rows, those in whom each column varies, and those in whom an ordered column repeats a value.

    Args:
        curator: holder of the training rows.
        columns: declared columns, with `PERSON_ROWS`.
        people: noisy number of people.

    Privacy:
        One discrete-Gaussian vector (see `Curator.within_people`). It costs what makes its noise 2 % of the people, and at most 3 % of the
        walk's μ²; both hang on the noisy number of people only.
    """
    most = columns[PERSON_ROWS]
    most_rows = most.max if isinstance(most, IntegerColumn) else 1
    varying = [name for name in columns if name != PERSON_ROWS]
    repeating = [name for name in varying if _may_be_distinct(columns[name], most_rows)]
    enough = (1 + len(varying) + len(repeating)) / (_ENOUGH * max(people, 1.0)) ** 2
    noisy = curator.within_people(
        varying,
        repeating,
        cost=min(_LARGEST_SHARE * curator.budget.cost, enough),
        stage="profile",
        purpose="people: columns that vary or repeat within a person",
    )
    several, *numbers = noisy.values.tolist()
    return PersonFacts(
        most_rows=most_rows,
        several=several,
        sigma=noisy.sigma,
        varying=dict(zip(varying, numbers[: len(varying)], strict=True)),
        repeating=dict(zip(repeating, numbers[len(varying) :], strict=True)),
    )


def _may_be_distinct(column: ModelledColumn, most_rows: int) -> bool:
    """Whether a column can tell a person's rows apart and put them in an order."""
    least = max(3, most_rows // 2)
    if isinstance(column, (IntegerColumn, DatetimeColumn)):
        return native_grid(column).cells >= least
    return isinstance(column, OrdinalColumn) and len(declared_categories(column)) >= least
