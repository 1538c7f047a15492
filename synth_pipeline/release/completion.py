"""Given rows completed: missing cells drawn by the model given the known ones, again where a completion breaks a rule."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.constrain.rules import Rules
from synth_pipeline.encode.decode import decode
from synth_pipeline.encode.encoder import Encoder
from synth_pipeline.encode.people import kept_as_row
from synth_pipeline.errors import ConstraintError, ModelError
from synth_pipeline.generate.protocol import Generator, Imputer
from synth_pipeline.release.given import WHERE, GivenRows, take_given
from synth_pipeline.snapshot.held import column_values
from synth_pipeline.spec import Spec
from synth_pipeline.table.encoded import EncodedTable
from synth_pipeline.table.person import PERSON_ROWS
from synth_pipeline.table.profile import Profile

_COPIES = (1, 1, 2, 4, 8, 16, 32, 64, 64, 64)
_MOST_DRAWN = 262_144


class Completing(Protocol):
    """What a released model offers for this."""

    @property
    def spec(self) -> Spec:
        """The specification."""
        ...

    @property
    def profile(self) -> Profile:
        """The released profile."""
        ...

    @property
    def generator(self) -> Generator:
        """The trained generator."""
        ...


def complete_given(
    model: Completing, frame: pd.DataFrame, rng: np.random.Generator, *, null_token: str | None = None
) -> tuple[pd.DataFrame, Mapping[str, pd.Series]]:
    """The given rows with every modelled column filled, and the identifiers that were given.

    Completions that break a rule are drawn again for that row, up to 256 times in all, which leaves the model's law given the known cells
    and the rules. Where people may have several rows, a completion whose person has k of at most m rows is kept with probability k/m until
    the last 192 draws, so that completions follow the law of rows.

    Raises:
        ModelError: if the generator cannot fill given rows.
        TableError: if the rows do not fit the declared columns.
        ConstraintError: if no completion of some row was found that obeys the rules.
    """
    imputer = model.generator
    if not isinstance(imputer, Imputer):
        raise ModelError(
            f"{WHERE}: the generator {model.generator.kind!r} cannot fill given rows; fit the model with --generator mixture (exact), "
            "maxent, hybrid or autoregressive"
        )
    people = model.profile.people
    given = take_given(frame, model.spec, model.profile, null_token=null_token)
    rules = Rules.from_spec(model.spec)
    found: list[pd.DataFrame] = []
    pending = np.arange(given.rows)
    for copies in _COPIES:
        drawn = [
            _draw_once(model, imputer, given, rows=np.repeat(part, copies), rng=rng)
            for part in np.array_split(pending, -(-len(pending) * copies // _MOST_DRAWN))
        ]
        candidates = pd.concat(drawn) if len(drawn) > 1 else drawn[0]
        obeying = candidates.loc[rules.obeyed(candidates)]
        if people is not None and copies < _COPIES[-1]:
            obeying = obeying.loc[kept_as_row(obeying, people.most_rows, rng)]
        first = obeying.loc[~obeying.index.duplicated()]
        found.append(first)
        pending = np.setdiff1d(pending, first.index.to_numpy())
        if len(pending) == 0:
            complete = pd.concat(found).sort_index().reset_index(drop=True)
            return complete.drop(columns=PERSON_ROWS, errors="ignore"), given.identifiers
    raise ConstraintError(
        f"{WHERE}: {len(pending)} rows (the first is row {int(pending[0]) + 1}) have no completion among {sum(_COPIES)} drawn that obeys "
        f"the rules; check their known cells against: {'; '.join(rule.sql for rule in rules.predicates)}"
    )


def _draw_once(
    model: Completing, imputer: Imputer, given: GivenRows, *, rows: npt.NDArray[np.int64], rng: np.random.Generator
) -> pd.DataFrame:
    """A completion of each of the rows, indexed by the rows' numbers."""
    filled = imputer.impute(EncodedTable(given.codes[rows], Encoder(model.profile).domain), rng=rng)
    frame = decode(filled, model.profile, rng=rng)
    for name, column in given.columns.items():
        frame[name] = column.put_into(column_values(frame, name), rows)
    return frame.set_axis(rows, axis=0)
