"""The address of a PostgreSQL database, and its password kept apart from it.

Belongs here: URLs in and out, and what may be shown of them. Does not: connections (postgres).
"""

import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from synth_pipeline.errors import LedgerError

_VARIABLE = "SYNTH_PIPELINE_LEDGER"


class Secret:
    """A password that shows in no message, repr or pickle."""

    __slots__ = ("_word",)

    def __init__(self, word: str | None) -> None:
        self._word = word

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> tuple[type["Secret"], tuple[None]]:
        return Secret, (None,)

    def reveal(self) -> str | None:
        """Return the password, for a connection."""
        return self._word


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is and as whom to connect, without a password.

    A pickled address leaves the password behind. The process that reads it back takes the password of the same address in
    `$SYNTH_PIPELINE_LEDGER`, or what libpq finds by itself (`PGPASSWORD`, `~/.pgpass`).

    Attributes:
        url: the URL without its password.
    """

    url: str
    secret: Secret = field(compare=False)

    @classmethod
    def of(cls, url: str) -> "Address":
        """Read a URL.

        Raises:
            LedgerError: when it is no URL of a PostgreSQL database; the message does not repeat it.
        """
        try:
            parts = urlsplit(url)
            _check_marks(parts)
            _check_ports(parts.netloc.rpartition("@")[2])
            query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            raise LedgerError(
                "ledger: the address is no PostgreSQL URL; use postgresql://user:password@host:port/database, "
                "with %40 for @, %3A for :, %2F for /, %3F for ? and %23 for # in the parts"
            ) from None
        given = dict(query)
        if "sslpassword" in given:
            raise LedgerError(
                "ledger: sslpassword has no place in the address; keep the client's key without a password"
            )
        word = unquote(parts.password) if parts.password is not None else given.get("password")
        shown = urlencode([(name, value) for name, value in query if name != "password"], safe="/", quote_via=quote)
        user, _, host = parts.netloc.rpartition("@")
        name = user.split(":", 1)[0]
        # Put together by hand: `urlunsplit` drops the two slashes where there is no host, as for a server behind a socket.
        place = f"{parts.scheme}://{f'{name}@' if name else ''}{host}{parts.path}"
        return cls(f"{place}?{shown}" if shown else place, Secret(word))

    def __reduce__(self) -> tuple[Any, ...]:
        return Address.of, (self.url,)

    def password(self) -> str | None:
        """Return the password, where one is known here."""
        if self.secret.reveal() is not None:
            return self.secret.reveal()
        around = os.environ.get(_VARIABLE, "")
        if "://" not in around:
            return None
        other = Address.of(around)
        return other.secret.reveal() if other.url == self.url else None

    def without_password(self, text: str) -> str:
        """Return a message with the password taken out, wherever a library put it."""
        word = self.password()
        for form in {word, quote(word, safe="")} if word else ():
            text = text.replace(form, "…")
        return text


def _check_marks(parts: SplitResult) -> None:
    """Refuse a mark that cuts a password in two, of which the rest would be shown as path or query.

    Raises:
        ValueError: for # anywhere, or @ behind the host.
    """
    if parts.fragment or "@" in parts.path + parts.query:
        raise ValueError("mark")


def _check_ports(hosts: str) -> None:
    """Refuse a port that is none; there may be several hosts, of which libpq takes the first that answers.

    Raises:
        ValueError: for a port that is not a number from 1 to 65535.
    """
    for host in hosts.split(","):
        port = host.rpartition("]")[2].partition(":")[2]
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError("port")
