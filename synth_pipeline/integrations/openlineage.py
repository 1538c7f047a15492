"""OpenLineage: where each step's events go, and that a receiver which fails costs its record, never the walk.

Belongs here: sending. Does not: what an event says (openlineage_event), or when (orchestration.lineage_events).

By default events are lines of `<home>/openlineage/events.jsonl`, which its owner alone may read. Where the client of OpenLineage is
configured in one of its own ways (`OPENLINEAGE_URL`, `OPENLINEAGE_CONFIG`, `OPENLINEAGE__TRANSPORT…`, `openlineage.yml`), they go there
instead. `OPENLINEAGE_DISABLED=true` turns them off.

Privacy:
    A receiver is outside the private zone, so an event holds names, schemas and released figures alone; it is passed as `Released`.
"""

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline.privacy.gate import Released, opened

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient

DISABLED_VARIABLE = "OPENLINEAGE_DISABLED"
PATIENCE_SECONDS = 5.0
"""The longest that a step waits for a receiver, for all of its events of one moment together."""

_CONFIGURED = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
_DYNAMIC = "OPENLINEAGE__TRANSPORT"
_FILE = "openlineage.yml"


@dataclass(frozen=True)
class LineageReceiver:
    """Where events go.

    Attributes:
        folder: the home; its `openlineage/events.jsonl` takes them unless the client is configured otherwise.
        patience_seconds: the longest that a step waits.
    """

    folder: Path
    patience_seconds: float = field(default=PATIENCE_SECONDS)

    @property
    def is_on(self) -> bool:
        """Whether events are sent at all."""
        return os.environ.get(DISABLED_VARIABLE, "").strip().lower() != "true"

    @property
    def file(self) -> Path:
        """The file that takes events by default."""
        return self.folder / "openlineage" / "events.jsonl"

    def send(self, events: Released[Sequence[Any]]) -> str | None:
        """Send events, in order; waits no longer than the patience.

        Returns:
            Why they may not have arrived, as the name of a fault; None where they did, or where sending is off.

        Raises:
            PrivacyError: for what is not `Released`.
            OSError: if the file cannot be made.
        """
        content = opened(events, where="OpenLineage")
        if not self.is_on or not content:
            return None
        faults: list[str] = []
        logging.getLogger("openlineage").setLevel(logging.CRITICAL)  # its own words may hold addresses with keys
        sender = threading.Thread(target=_send, args=(self._client(), content, faults), daemon=True)
        sender.start()
        sender.join(self.patience_seconds)
        if sender.is_alive():
            return f"no answer within {self.patience_seconds:g} s"
        return faults[0] if faults else None

    def _client(self) -> "OpenLineageClient":
        from openlineage.client import OpenLineageClient

        if is_configured():
            return OpenLineageClient()
        from openlineage.client.transport.file import FileConfig, FileTransport

        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.file.touch(mode=0o600)
        return OpenLineageClient(transport=FileTransport(FileConfig(log_file_path=str(self.file), append=True)))


def _send(client: "OpenLineageClient", events: Sequence[Any], faults: list[str]) -> None:
    try:
        for event in events:
            client.emit(event)
    except Exception as error:  # noqa: BLE001  (whatever a transport raises)
        faults.append(type(error).__name__)


def is_configured() -> bool:
    """Whether somebody has told OpenLineage's own client where to send events."""
    told = any(os.environ.get(name) for name in _CONFIGURED) or any(name.startswith(_DYNAMIC) for name in os.environ)
    return told or any((place / _FILE).is_file() for place in (Path.cwd(), Path.home() / ".openlineage"))
