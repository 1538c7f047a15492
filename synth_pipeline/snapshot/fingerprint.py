"""The fingerprint of a snapshot: tells whether two snapshots hold the same rows, and without the key nothing else."""

import hmac

import pandas as pd

from synth_pipeline.snapshot.keyed import DIGEST_BYTES, purpose_key, row_digests
from synth_pipeline.spec import Spec


def fingerprint(frame: pd.DataFrame, spec: Spec, *, key: bytes) -> str:
    """HMAC-SHA256 of the content, as 64 hexadecimal digits.

    It does not depend on the order of rows or columns, on the file format, or on how a number is stored; it covers the modelled columns
    and the privacy unit's, with their names and kinds.

    Privacy: keyed, so that nobody without the key can test a guess of the table against it.
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
