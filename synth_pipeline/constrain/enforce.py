"""Rows that obey every rule: drawn again until there are enough, within a bound, and checked once more before they are released."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from synth_pipeline.constrain.rules import Rules
from synth_pipeline.errors import ConstraintError
from synth_pipeline.table.predicate_tree import Bools

_SPARE = 1.1
_SMALLEST_DRAW = 256
_WORTH_A_TRY = 0.02


def enforce(draw: Callable[[int], pd.DataFrame], rows: int, rules: Rules, *, max_factor: int = 50) -> pd.DataFrame:
    """A table of `rows` rows, none of which breaks a rule.

    Post-processing of drawn rows: costs no privacy. Rejection keeps the generator's distribution, conditioned on the rules.

    Args:
        draw: draws that many fresh rows; called with the number still missing, divided by the share accepted so far.
        rows: rows wanted.
        rules: every rule of the dataset; those that the generator obeys by construction cost nothing here.
        max_factor: rows drawn in all, as a multiple of `rows`, before giving up.

    Raises:
        ConstraintError: if too few drawn rows obey the rules; names the rule most often broken.
    """
    if not rules.predicates:
        return draw(rows)
    kept: list[pd.DataFrame] = []
    broken = dict.fromkeys((predicate.sql for predicate in rules.predicates), 0)
    drawn, accepted, bound = 0, 0, max(rows * max_factor, _SMALLEST_DRAW)
    while accepted < rows:
        if drawn >= bound:
            raise ConstraintError(_too_few(broken, drawn, accepted, rows))
        fresh = draw(_next_draw(rows - accepted, drawn, accepted, bound))
        obeyed = rules.obeyed(fresh)
        drawn, accepted = drawn + len(fresh), accepted + int(obeyed.sum())
        if not obeyed.all():
            broken = {
                sql: count + more
                for (sql, count), more in zip(broken.items(), rules.violations(fresh).values(), strict=True)
            }
            fresh = fresh.loc[obeyed]
        kept.append(fresh)
        if len(fresh) == 0 and drawn == 0:
            raise ConstraintError(
                "constraints: the generator drew no rows, so none can obey the rules; ask for at least one row"
            )
    table = kept[0] if len(kept) == 1 else pd.concat(kept)
    return assert_obeyed(table.iloc[:rows].reset_index(drop=True), rules)


def placed_again(
    table: pd.DataFrame, again: Callable[[Bools], pd.DataFrame], rules: Rules, *, tries: int = 8
) -> pd.DataFrame:
    """The same rows, of which those that break a rule were given other values inside their bins, where some such values obey it.

    Real rows obey the rules, so the measured law of bins knows them already: what breaks a rule that compares columns is, for the most
    part, where a row was put inside its bins. Drawing whole rows again would take weight from every bin in which that happens often, from
    zeros of an amount to its equals; this leaves the law of bins as it was measured. Rows that no try put right come back as they are.
    Post-processing of drawn rows: costs no privacy.

    Args:
        table: drawn rows.
        again: other values for the rows that it is told of, in their order.
        rules: every rule of the dataset.
        tries: how often a row is given other values; fewer where a try puts hardly any right.
    """
    parts: list[pd.DataFrame] = []
    left = table.reset_index(drop=True)
    broken = ~rules.obeyed(left)
    for _ in range(tries):
        if not broken.any():
            break
        parts.append(left.loc[~broken])
        places = left.index[broken]
        is_told = np.zeros(len(table), dtype=bool)
        is_told[places] = True
        left = again(is_told).set_index(places)
        broken = ~rules.obeyed(left)
        if broken.mean() > 1 - _WORTH_A_TRY:
            break
    return pd.concat([*parts, left]).sort_index() if parts else left


def assert_obeyed(table: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """The same table, checked to have no row that breaks a rule.

    Raises:
        ConstraintError: names each broken rule and the number of synthetic rows that break it.
    """
    broken = {sql: count for sql, count in rules.violations(table).items() if count}
    if broken:
        listed = "; ".join(f"{sql!r} in {count} of {len(table)} rows" for sql, count in broken.items())
        raise ConstraintError(
            f"constraints: the synthetic table breaks {listed}; it is not released: draw it again with `enforce`"
        )
    return table


def _next_draw(missing: int, drawn: int, accepted: int, bound: int) -> int:
    share = (accepted + 1) / (drawn + 1) if drawn else 1.0
    wanted = missing if not drawn else max(int(np.ceil(missing / share * _SPARE)), _SMALLEST_DRAW)
    return min(wanted, bound - drawn)


def _too_few(broken: dict[str, int], drawn: int, accepted: int, rows: int) -> str:
    worst = max(broken, key=lambda sql: broken[sql])
    return (
        f"constraints: only {accepted} of {drawn} drawn rows obey every rule ({accepted / drawn:.2%}), and {rows} are wanted; most often "
        f"broken is {worst!r} ({broken[worst] / drawn:.0%} of rows): loosen it, or derive one of its columns after sampling"
    )
