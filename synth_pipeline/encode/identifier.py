"""Identifier columns: invented by Faker, never read from the real table, so they cost no privacy."""

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.errors import SpecError
from synth_pipeline.table.column import IdentifierColumn

if TYPE_CHECKING:
    from faker import Faker

MAX_INVENTED_ROWS = 100_000
_PLAIN = (str, int, float, bool)


def check_providers(columns: Mapping[str, IdentifierColumn]) -> None:
    """Checks that Faker has every named provider, and that it invents single values.

    Raises:
        SpecError: one line that names the columns and what to write instead.
    """
    faker = _faker(0)
    faults = [fault for name, column in columns.items() for fault in _faults(faker, name, column)]
    if faults:
        raise SpecError("; ".join(faults))


def invent_identifiers(columns: Mapping[str, IdentifierColumn], rows: int, *, seed: int) -> pd.DataFrame:
    """Invented values for identifier columns.

    `uuid4` values are all different. Other providers invent up to 100,000 values a column; longer tables repeat them at random.

    Args:
        columns: the identifier columns by name.
        rows: rows of the table.
        seed: the same seed gives the same values.

    Raises:
        SpecError: if Faker has no such provider.
    """
    check_providers(columns)
    invented: dict[str, pd.Series] = {}
    for place, (name, column) in enumerate(columns.items()):
        rng = np.random.default_rng([seed, place])
        if column.faker == "uuid4":
            invented[name] = pd.Series(_uuids(rows, rng), dtype="str")
            continue
        provider = _provider(_faker(int(rng.integers(2**63))), column.faker)
        values = pd.Series(
            [_plain(provider()) for _ in range(min(rows, MAX_INVENTED_ROWS))], dtype=None if rows else "str"
        )
        if rows > len(values):
            values = values.iloc[rng.integers(len(values), size=rows)].reset_index(drop=True)
        invented[name] = values
    return pd.DataFrame(invented, index=pd.RangeIndex(rows))


def invent_people(name: str, column: IdentifierColumn, person: npt.NDArray[np.int64], *, seed: int) -> pd.Series:
    """Invented identifiers of people: the same in all rows of a person, and another for each person.

    Where the provider repeats itself, numbers go on after the largest, and texts get a number behind them.

    Args:
        name: name of the column.
        column: its declaration.
        person: the person of each row, numbered from 0.
        seed: the same seed gives the same values.
    """
    people = int(person.max(initial=-1)) + 1
    values = pd.Series(invent_identifiers({name: column}, people, seed=seed)[name])
    again = values.duplicated().to_numpy(dtype=bool)
    if again.any() and pd.api.types.is_integer_dtype(values.dtype):
        numbers = values.to_numpy(dtype=np.int64, copy=True)
        numbers[again] = numbers.max() + 1 + np.arange(int(again.sum()))
        values = pd.Series(numbers)
    elif again.any():
        texts, number = values.astype(str).to_numpy(dtype=object), 2
        while again.any():
            texts[again] += [f" {item}" for item in range(number, number + int(again.sum()))]
            number += int(again.sum())
            again = pd.Series(texts).duplicated().to_numpy(dtype=bool)
        values = pd.Series(texts).astype("str")
    return pd.Series(values.array.take(person))


def _faker(seed: int) -> "Faker":
    from faker import Faker

    faker = Faker(use_weighting=False)
    faker.seed_instance(seed)
    return faker


def _provider(faker: "Faker", name: str) -> Callable[[], object]:
    return getattr(faker.factories[0], name)  # the generator behind the proxy, which looks a locale up on every call


def _known(faker: "Faker") -> set[str]:
    """Names of the public methods of Faker's providers."""
    return {
        method
        for provider in faker.get_providers()
        for method in dir(provider)
        if not method.startswith("_") and callable(getattr(provider, method, None))
    }


def _faults(faker: "Faker", name: str, column: IdentifierColumn) -> list[str]:
    known = _known(faker)
    if column.faker not in known:
        close = difflib.get_close_matches(column.faker, sorted(known), n=3)
        hint = (
            f"did you mean {' or '.join(close)}?"
            if close
            else "use one such as name, email, phone_number, address, uuid4"
        )
        return [f"columns.{name}.faker: Faker has no provider {column.faker!r}; {hint}"]
    try:
        value = _plain(_provider(faker, column.faker)())
    except Exception:  # noqa: BLE001  # whatever a provider raises without arguments, it cannot be used
        value = None
    if not isinstance(value, _PLAIN):
        return [
            f"columns.{name}.faker: provider {column.faker!r} invents no single value; use one such as name, email or uuid4"
        ]
    return []


def _plain(value: object) -> object:
    """The value as something that a table holds: text, a number, or the text of a date and the like."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (bytes, list, tuple, set, dict)) or value is None:
        return None
    return str(value)


def _uuids(rows: int, rng: np.random.Generator) -> list[str]:
    """Random (version 4) UUIDs."""
    raw: npt.NDArray[np.uint8] = rng.integers(0, 256, size=(rows, 16), dtype=np.uint8)
    raw[:, 6] = (raw[:, 6] & 0x0F) | 0x40
    raw[:, 8] = (raw[:, 8] & 0x3F) | 0x80
    digits = raw.tobytes().hex()
    whole = (digits[start : start + 32] for start in range(0, 32 * rows, 32))
    return [f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" for text in whole]
