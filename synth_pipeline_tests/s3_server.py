"""A real S3 server over HTTP for tests, on this machine's loopback: moto's, in a thread of this process."""

import os
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

KEY_ID, SECRET = "test-key-id", "secret-of-the-test-server"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        endpoint: its address.
        client: a client of it.
    """

    endpoint: str
    client: Any

    def put(self, bucket: str, key: str, content: bytes = b"x") -> None:
        """Upload an object over HTTP."""
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def fill(self, bucket: str, keys: list[str], content: bytes = b"x") -> None:
        """Place many objects without HTTP, which would take minutes."""
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        for key in keys:
            backend.put_object(bucket, key, content)


@contextmanager
def running_s3(*buckets: str) -> Generator[S3Server]:
    """A server with buckets, and credentials for it in the environment, for the length of a block."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        # Moto keeps buckets for the whole process, whichever server they were made in.
        urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"", timeout=60).close()
        with patch.dict(os.environ, CREDENTIALS):
            client = boto3.client("s3", endpoint_url=endpoint)
            for bucket in buckets:
                client.create_bucket(Bucket=bucket)
            yield S3Server(endpoint, client)
    finally:
        server.stop()
