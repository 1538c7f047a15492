"""Keyed hashes (HMAC-SHA256) of persons and of rows: what the split, the contribution bound and the fingerprint are decided by.

A row's hash depends on the content of its modelled columns alone: not on its place in the file, the file's format, or its identifiers
(the column of the privacy unit excepted). A number is hashed by its value, so 1 and 1.0 are the same; a category by its key.
"""

import hmac
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from synth_pipeline.snapshot.held import column_values, plain_dates
from synth_pipeline.spec import Spec
from synth_pipeline.table.column import BooleanColumn, DatetimeColumn, FloatColumn, IntegerColumn, ModelledColumn
from synth_pipeline.table.predicate_values import category_codes

Words: TypeAlias = npt.NDArray[np.uint64]
DIGEST_BYTES = 32
_CHUNK_ROWS = 65_536
_NULL_NUMBER = 0x7FF8_0000_0000_0001


def purpose_key(key: bytes, purpose: str) -> bytes:
    """A key for one purpose, so that hashes made for different purposes have nothing to do with one another."""
    return hmac.digest(key, f"synth_pipeline/{purpose}".encode(), "sha256")


def row_digests(frame: pd.DataFrame, spec: Spec, key: bytes) -> bytes:
    """32 bytes a row, one row after the other; rows of equal content have equal digests."""
    digests: list[bytes] = []
    for start in range(0, len(frame), _CHUNK_ROWS):
        content = _content(frame.iloc[start : start + _CHUNK_ROWS], spec, key)
        width = content.shape[1] * 8
        digests += _digests(content.tobytes(), width, key)
    return b"".join(digests)


def numbered(digests: bytes, persons: npt.NDArray[np.int64] | None = None) -> Words:
    """Rows × 5 words: each row's digest and its number among the rows of equal digest (of the same person, where persons are given).

    Which of several equal rows gets which number cannot matter: they are equal.
    """
    words = np.frombuffer(digests, dtype=np.uint64).reshape(-1, DIGEST_BYTES // 8)
    equal = pd.DataFrame({"high": words[:, 0], "low": words[:, 1]})
    if persons is not None:
        equal["person"] = persons
    occurrence = equal.groupby(list(equal.columns), sort=False).cumcount().to_numpy(dtype=np.uint64)
    return np.column_stack([words, occurrence])


def hashed(words: Words, key: bytes) -> Words:
    """One keyed 64-bit hash for each row of words, uniform over all 64-bit numbers."""
    digests = b"".join(_digests(np.ascontiguousarray(words).tobytes(), words.shape[1] * 8, key))
    return np.frombuffer(digests, dtype=np.uint64).reshape(-1, DIGEST_BYTES // 8)[:, 0]


def person_words(persons: pd.Series, key: bytes) -> Words:
    """Keyed hash of the person of each row, as two words; the same person has the same hash in every snapshot."""
    return _text_words(persons, key)


def _digests(content: bytes, width: int, key: bytes) -> list[bytes]:
    return [hmac.digest(key, content[start : start + width], "sha256") for start in range(0, len(content), width)]


def _content(frame: pd.DataFrame, spec: Spec, key: bytes) -> Words:
    """Content of each row as words: one for a number, two for a category."""
    parts = [_column_words(column_values(frame, name), column, key) for name, column in spec.modelled.items()]
    if spec.privacy.unit.column is not None:
        parts.append(_text_words(column_values(frame, spec.privacy.unit.column), key))
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def _column_words(values: pd.Series, column: ModelledColumn, key: bytes) -> Words:
    if isinstance(column, DatetimeColumn):
        moments = plain_dates(values).to_numpy(dtype="datetime64[us]")
        return moments.astype(np.int64).view(np.uint64).reshape(-1, 1)
    if isinstance(column, (IntegerColumn, FloatColumn)):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # makes -0.0 zero
        words = numbers.view(np.uint64).copy()
        words[np.isnan(numbers)] = _NULL_NUMBER
        return words.reshape(-1, 1)
    return _text_words(values, key, is_boolean=isinstance(column, BooleanColumn))


def _text_words(values: pd.Series, key: bytes, *, is_boolean: bool = False) -> Words:
    codes, keys = category_codes(values, is_boolean=is_boolean)
    digests = [hmac.digest(key, b"\x01" + text.encode("utf-8", "surrogatepass"), "sha256")[:16] for text in keys]
    table = np.frombuffer(b"".join([*digests, bytes(16)]), dtype=np.uint64).reshape(-1, 2)
    return table[codes]
