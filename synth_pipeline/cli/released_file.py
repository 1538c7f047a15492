"""Whether a file states that it is released, as the data.parquet of a bundle does in its metadata."""

from pathlib import Path


def states_release(path: str | Path) -> bool:
    """Whether a Parquet file's metadata names a certificate. Metadata can be copied, so it is a word and not a proof; `verify` proves."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synth_pipeline.release.statement import METADATA_PREFIX

    place = Path(path)
    try:
        stated = (pq.read_metadata(place).metadata or {}) if place.is_file() else {}
    except (pa.ArrowException, OSError):  # no Parquet, or not to be read: whoever reads it says so
        return False
    return f"{METADATA_PREFIX}certificate_digest".encode() in stated
