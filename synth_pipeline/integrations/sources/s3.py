"""A prefix of an S3 bucket as a source of snapshots, at AWS or at any S3-compatible address.

An object is whole as soon as it is listed: S3 shows no part of an upload. A content is known by its key and ETag, never by its time alone:
two objects of one second, and one that arrives late with an old time, are both found. Every look lists the prefix, a page at a time.

The client is boto3's own and not that of dagster-aws' `S3Resource`, which takes no time limits: with boto3's, an address that does not
answer would hold a sensor for minutes. Credentials are found as boto3 finds them everywhere: environment, profile, role.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from synth_pipeline.errors import SourceError
from synth_pipeline.integrations.sources.contract import Arrival, keyed_stamp
from synth_pipeline.integrations.sources.folder import changed_meanwhile
from synth_pipeline.integrations.sources.name import fault_of, name_filter

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 4, 15, 2
_PIECE_BYTES = 1 << 20
_DENIED = "access is denied; grant s3:ListBucket on the bucket and s3:GetObject on the prefix"
_REMEDY = {
    "NoSuchBucket": "there is no such bucket; create it, or correct source.uri",
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "InvalidAccessKeyId": "the access key is not known there; check the credentials of this process",
    "SignatureDoesNotMatch": "the secret key is wrong; check the credentials of this process",
    "ExpiredToken": "the credentials have expired; renew them",
    "NoCredentialsError": "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role",
    "EndpointConnectionError": "nothing answers there; start the store, or correct source.endpoint",
    "ConnectTimeoutError": "nothing answers there in time; check the network and source.endpoint",
    "ReadTimeoutError": "it answers too slowly; try again",
}


@dataclass(frozen=True)
class S3Source:
    """Objects below a prefix whose keys, relative to it, fit a pattern.

    Attributes:
        bucket: name of the bucket.
        prefix: what keys begin with, up to and with a `/`; empty for the whole bucket.
        pattern: which objects are snapshots.
        key: the home's key, for stamps.
        endpoint: address of an S3-compatible store; None is AWS.
    """

    bucket: str
    prefix: str
    pattern: str
    key: bytes
    endpoint: str | None = None

    @classmethod
    def at(cls, uri: str, pattern: str, *, key: bytes, endpoint: str | None = None) -> "S3Source":
        """The source at s3://bucket/prefix."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        prefix = prefix.strip("/")
        return cls(bucket, f"{prefix}/" if prefix else "", pattern, key, endpoint)

    @property
    def place(self) -> str:
        """Bucket, prefix and address."""
        return f"s3://{self.bucket}/{self.prefix}{f' at {self.endpoint}' if self.endpoint else ''}"

    def look(self) -> Iterator[Arrival]:
        """Every object that fits, a page of at most 1,000 at a time.

        Raises:
            SourceError: if the bucket cannot be listed.
        """
        fits = name_filter(self.pattern)
        with self._told():
            pages = _client_of(self.endpoint, os.getpid()).get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix):
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(self.prefix)
                    if not name.endswith("/") and fits(name):  # a name that ends so marks a folder
                        yield self._arrival(name, found)

    def fetch(self, arrival: Arrival, folder: Path) -> Path:
        """The object as a file in the folder, readable by its owner alone.

        The object is asked for by the ETag that was seen, so what is written is that content or nothing.

        Raises:
            SourceError: if it is gone or has another content by now, or the store cannot be reached.
        """
        path = folder / f"snapshot{PurePosixPath(arrival.name).suffix}"
        place = {"Bucket": self.bucket, "Key": f"{self.prefix}{arrival.name}"}
        with self._told(arrival.name):
            client = _client_of(self.endpoint, os.getpid())
            etag = client.head_object(**place)["ETag"]
            if self._stamp(etag) != arrival.stamp:
                raise SourceError(changed_meanwhile(f"{self.place}: {arrival.name}"))
            body = client.get_object(**place, IfMatch=etag)["Body"]
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                for piece in body.iter_chunks(_PIECE_BYTES):
                    file.write(piece)
        return path

    def confirm(self, arrival: Arrival) -> None:
        """Nothing: what was fetched is a copy, made of one content."""

    def _arrival(self, name: str, found: dict[str, Any]) -> Arrival:
        changed = round(found["LastModified"].timestamp() * 1e9)
        return Arrival(name, self._stamp(found["ETag"]), changed=changed, fault=fault_of(name, found["Size"]))

    def _stamp(self, etag: str) -> str:
        return keyed_stamp(self.key, "etag", etag)

    @contextmanager
    def _told(self, name: str | None = None) -> Generator[None]:
        """What boto3 raises as one line of ours; its own words may repeat headers, so none of them are told."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        what = f"source {self.place}{f': {name}' if name else ''}"
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            if name and code in ("PreconditionFailed", "412"):
                raise SourceError(changed_meanwhile(what)) from None
            if name and code in ("NoSuchKey", "404"):
                raise SourceError(f"{what}: is not there any more; upload it again, or name another snapshot") from None
            raise SourceError(
                f"{what}: {_REMEDY.get(code, f'the store refused ({code}); check the bucket and rights')}"
            ) from None
        except (BotoCoreError, HTTPClientError, Boto3Error, ValueError) as error:
            code = type(error).__name__
            raise SourceError(
                f"{what}: {_REMEDY.get(code, f'cannot be read ({code}); check the store and try again')}"
            ) from None


@lru_cache(maxsize=8)
def _client_of(endpoint: str | None, process: int) -> Any:  # noqa: ARG001  (a forked process needs connections of its own)
    """One client an address: to make one takes longer than to list a page, and each keeps its own connections."""
    from boto3.session import Session
    from botocore.config import Config

    limits = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
    )
    return Session().client("s3", endpoint_url=endpoint, config=limits)
