"""Where snapshots come from: a local folder, a prefix of an S3 bucket, a query to a PostgreSQL database, behind one protocol.

Belongs here: what is there, what of it is new, and how it is fetched. Does not: reading rows (snapshot), runs (orchestration).
"""

from synth_pipeline.integrations.sources.book import Book, Version, changing_book, read_book
from synth_pipeline.integrations.sources.choice import source_of
from synth_pipeline.integrations.sources.contract import Arrival, SnapshotSource
from synth_pipeline.integrations.sources.news import MOST_AT_ONCE, Look, watch

__all__ = [
    "MOST_AT_ONCE",
    "Arrival",
    "Book",
    "Look",
    "SnapshotSource",
    "Version",
    "changing_book",
    "read_book",
    "source_of",
    "watch",
]
