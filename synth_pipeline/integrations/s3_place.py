"""Addresses in S3 buckets, and how buckets are spoken to. No request is made here."""

import re
from dataclasses import dataclass

from synth_pipeline.errors import StoreError

_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[A-Za-z0-9_.@=+/-]*))?")


@dataclass(frozen=True)
class S3Place:
    """An address in a bucket.

    Attributes:
        bucket: its bucket.
        key: the object, or the prefix of several.
        pages: address at which people with a browser find the bucket's objects, if there is one.
    """

    bucket: str
    key: str
    pages: str | None = None

    def __truediv__(self, name: str, /) -> "S3Place":
        return S3Place(self.bucket, f"{self.key}/{name}".lstrip("/"), self.pages)

    @property
    def name(self) -> str:
        """The last part."""
        return self.key.rpartition("/")[2]

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def as_uri(self) -> str:
        """A link: into the bucket's pages where there are some."""
        return f"{self.pages.rstrip('/')}/{self.key}" if self.pages else str(self)

    @classmethod
    def at(cls, url: str, pages: str | None = None) -> "S3Place":
        """The address of a URL `s3://bucket/prefix`.

        Raises:
            StoreError: if it is none.
        """
        parts = _URL.fullmatch(url)
        if parts is None:
            raise StoreError(f"store: {url!r} is no address of a store; give s3://bucket/prefix")
        return cls(parts["bucket"], (parts["prefix"] or "").strip("/"), pages)


@dataclass(frozen=True)
class S3Options:
    """How a bucket is spoken to.

    Attributes:
        endpoint: of an S3-compatible server; None: boto3's own choice (`$AWS_ENDPOINT_URL_S3`, else Amazon's).
        encryption: at rest: `AES256`, `aws:kms`, or `aws:kms:<key>`; None: the bucket's own default.
    """

    endpoint: str | None = None
    encryption: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Arguments of every upload."""
        if self.encryption is None:
            return {}
        if not re.fullmatch(r"AES256|aws:kms(:.+)?", self.encryption):
            raise StoreError(
                f"store: {self.encryption!r} is no encryption; choose AES256, aws:kms or aws:kms:<id of a key>"
            )
        method, _, key = self.encryption.partition("kms:")
        return {"ServerSideEncryption": f"{method}kms", "SSEKMSKeyId": key} if key else {"ServerSideEncryption": method}
