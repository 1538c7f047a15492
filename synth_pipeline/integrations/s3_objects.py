"""Objects of a bucket: put, fetched with their digests checked, listed, removed; and what S3 refuses, told in one line.

Belongs here: requests. Does not: which objects make a value (s3_store).
"""

import hashlib
import json
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from synth_pipeline.errors import StoreError, TableError
from synth_pipeline.integrations.s3_place import S3Options, S3Place

_ABSENT = {"404", "NoSuchKey", "NotFound"}
_SINGLE_BYTES = 1 << 26
_ATTEMPTS = 4


@dataclass(frozen=True)
class S3Objects:
    """Requests to an S3 endpoint; each raises `StoreError` where it is refused or not answered.

    Attributes:
        options: how it is spoken to.
    """

    options: S3Options

    def upload(self, folder: Path, place: S3Place, names: Mapping[str, Any]) -> None:
        """Put files of a folder under a place; large ones in parts."""
        from boto3.s3.transfer import TransferConfig

        parts = TransferConfig(multipart_threshold=_SINGLE_BYTES, multipart_chunksize=_SINGLE_BYTES, use_threads=False)
        with _told_faults(place):
            for name in names:
                target = place / name
                self._client.upload_file(
                    str(folder / name), target.bucket, target.key, ExtraArgs=self.options.headers, Config=parts
                )

    def put_json(self, place: S3Place, content: object) -> None:
        """Put a small JSON object, in one request."""
        body = json.dumps(content, sort_keys=True).encode()
        with _told_faults(place):
            self._client.put_object(
                Bucket=place.bucket, Key=place.key, Body=body, ContentType="application/json", **self.options.headers
            )

    def get_json(self, place: S3Place) -> dict[str, Any] | None:
        """A small JSON object, or None where there is none."""
        from botocore.exceptions import ClientError

        with _told_faults(place):
            try:
                found = self._client.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise
        return json.loads(found)

    def download(self, source: S3Place, target: Path, facts: Mapping[str, Any]) -> None:
        """Fetch an object into a file.

        Raises:
            TableError: if it is gone, or not what was put.
        """
        from botocore.exceptions import ClientError

        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _told_faults(source):
            try:
                self._client.download_file(source.bucket, source.key, str(target))
            except ClientError as error:
                if _code(error) not in _ABSENT:
                    raise
                raise TableError(f"store: {source}: the file is gone; materialize that asset again") from None
        if file_facts(target) != facts:
            raise TableError(
                f"store: {source}: the file is not what was written (size or SHA-256); materialize that asset again"
            )

    def names(self, place: S3Place) -> Iterator[str]:
        """Names under a place that have something under them."""
        prefix = f"{place.key}/" if place.key else ""
        with _told_faults(place):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=place.bucket, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                for entry in page.get("CommonPrefixes", []):
                    yield entry["Prefix"].removeprefix(prefix).rstrip("/")

    def remove(self, place: S3Place) -> None:
        """Remove every object under a place."""
        with _told_faults(place):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=f"{place.key}/")
            for page in pages:
                keys = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
                if keys:
                    self._client.delete_objects(Bucket=place.bucket, Delete={"Objects": keys, "Quiet": True})

    @property
    def _client(self) -> Any:
        return _client_of(self.options.endpoint, os.getpid())


def folder_facts(folder: Path) -> dict[str, Any]:
    """Size and SHA-256 of every file of a folder, by its path in it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): file_facts(path) for path in files}


def file_facts(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


@lru_cache(maxsize=8)
def _client_of(endpoint: str | None, process: int) -> Any:  # noqa: ARG001  (a process that was forked makes its own)
    """A client of an endpoint for a process."""
    from boto3.session import Session
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
    patience = Config(connect_timeout=5, read_timeout=60, retries=retries)
    return Session().client("s3", endpoint_url=endpoint, config=patience)


@contextmanager
def _told_faults(place: S3Place) -> Generator[None]:
    """Tell what S3 refuses, and that it does not answer, in one line."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, NoCredentialsError  # noqa: A004

    try:
        yield
    except NoCredentialsError:
        what = "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role"
    except (HTTPClientError, ConnectionError) as error:
        what = f"the S3 endpoint does not answer ({type(error).__name__}); see that it runs, then run the step again"
    except ClientError as error:
        what = f"S3 refused the request ({_code(error)}); check the bucket's name and what these credentials may do"
    except (BotoCoreError, Boto3Error) as error:
        what = f"the S3 request failed ({type(error).__name__}); see that the endpoint runs, then run the step again"
    else:
        return
    raise StoreError(f"store: {place}: {what}; what was stored there before stands") from None


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
