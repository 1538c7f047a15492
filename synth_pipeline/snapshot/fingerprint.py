"""The fingerprint of a snapshot: tells whether two snapshots hold the same rows; and the one that is shown, which tells nobody."""

import hmac

import pandas as pd

from synth_pipeline.snapshot.keyed import DIGEST_BYTES, purpose_key, row_digests
from synth_pipeline.spec import Spec


def fingerprint(frame: pd.DataFrame, spec: Spec, *, key: bytes) -> str:
    """HMAC-SHA256 of the content, as 64 hexadecimal digits.

    It does not depend on the order of rows or columns, on the file format, or on how a number is stored; it covers the modelled columns
    and the privacy unit's, with their names and kinds.

    Privacy: keyed, so that nobody without the key can test a guess of the table against it. It stays in the private zone: of two snapshots
    it tells exactly whether they are equal, which may hang on one person. What leaves is `released_fingerprint`.
    """
    secret = purpose_key(key, "fingerprint")
    digests = row_digests(frame, spec, secret)
    rows = sorted(digests[start : start + DIGEST_BYTES] for start in range(0, len(digests), DIGEST_BYTES))
    seal = hmac.new(secret, digestmod="sha256")
    seal.update(repr([(name, column.kind) for name, column in sorted(spec.modelled.items())]).encode())
    seal.update(len(rows).to_bytes(8, "big"))
    for row in rows:
        seal.update(row)
    return seal.hexdigest()


def released_fingerprint(content: str, *, dataset: str, snapshot: str, key: bytes) -> str:
    """The fingerprint of a snapshot that may be shown: of its name and content together, as 64 hexadecimal digits.

    With the key at hand it can be made again from a snapshot's content and name, and so be checked.

    Args:
        content: what `fingerprint` said of it.
        dataset: which dataset.
        snapshot: name of the snapshot.
        key: the home's key.

    Privacy: of one snapshot it is the output of a pseudorandom function; of two snapshots, equal or not, they have nothing to do with one
    another, so releases that show them compose as if they showed none.
    """
    secret = purpose_key(key, "released fingerprint")
    return hmac.new(secret, repr((dataset, snapshot, content)).encode(), "sha256").hexdigest()
