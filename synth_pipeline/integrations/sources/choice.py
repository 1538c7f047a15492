"""Which source a specification names."""

from synth_pipeline.errors import SpecError
from synth_pipeline.integrations.sources.contract import SnapshotSource
from synth_pipeline.integrations.sources.folder import FolderSource
from synth_pipeline.integrations.sources.postgres import PostgresSource
from synth_pipeline.integrations.sources.s3 import S3Source
from synth_pipeline.integrations.stores import Home
from synth_pipeline.spec import Spec


def source_of(spec: Spec, home: Home) -> SnapshotSource:
    """The source of a dataset's snapshots.

    Raises:
        SpecError: if the specification names none.
    """
    source = spec.source
    if source is None:
        raise SpecError(f"{spec.dataset}: the specification has no `source`; add one, or name a snapshot file")
    match source.scheme:
        case "s3":
            return S3Source.at(source.uri, source.pattern, key=home.key(), endpoint=source.endpoint)
        case "postgresql":
            return PostgresSource(source.uri, source.query or "", source.watermark or "", home.key())
        case _:
            return FolderSource(home.resolve(source.uri), source.pattern, home.key())
