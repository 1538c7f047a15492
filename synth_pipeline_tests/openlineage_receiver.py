"""An HTTP receiver of OpenLineage events: a real server on this machine, which keeps what it gets, or never answers."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What arrived.

    Attributes:
        url: the server's address.
        events: the events, in order.
        paths: the paths that they were posted to.
    """

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def receiver(*, answers: bool = True, status: int = 201) -> Generator[Receiver]:
    """A running server.

    Args:
        answers: whether it answers at all before the block ends.
        status: what it answers with.
    """
    kept, over = Receiver(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not answers:
                over.wait(60)
                return
            kept.paths.append(self.path)
            kept.events.append(json.loads(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()
