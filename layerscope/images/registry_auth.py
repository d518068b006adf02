"""Proves to a registry who is asking: basic and token authentication.

The flow is that of the distribution project ("Token Authentication Specification"): the registry
names a realm, which exchanges a login, a refresh token or nothing at all for a bearer token that is
good for a while and for one repository.
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

from layerscope.errors import RegistryError
from layerscope.images.credentials import Credentials, Lookup
from layerscope.images.registry_errors import Subject, refused
from layerscope.oci.distribution import Challenge, is_loopback, parse_challenges, token_url

Check = Callable[[], None]


class AskToken(Protocol):
    """Sends a request to a token server and gives status and body."""

    def __call__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        subject: Subject,
        check: Check,
    ) -> tuple[int, bytes]:
        """Raises `LayerscopeError` where there is no answer."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is sent as `Authorization`.

    Attributes:
        header: The header's value, or None.
        number: Counts the proofs that were made; 0 for none.
    """

    header: str | None = field(repr=False)
    number: int


class Authorizer:
    """Keeps the proof for one repository, and makes a new one when it is wanted.

    Args:
        domain: The registry, as references have it.
        repository: The repository.
        find: Looks for credentials; called once, when the registry first asks.
        ask: Sends requests to token servers.
        plain: Whether a host and port may be sent logins without TLS.
    """

    def __init__(
        self,
        domain: str,
        repository: str,
        find: Callable[[str, str], Lookup],
        ask: AskToken,
        plain: Callable[[str], bool] = is_loopback,
    ) -> None:
        self._domain = domain
        self._repository = repository
        self._find = find
        self._ask = ask
        self._plain = plain
        self._lock = threading.Lock()
        self._lookup: Lookup | None = None
        self._proof = Proof(None, 0)

    def proof(self) -> Proof:
        """The proof to send now."""
        return self._proof

    def prove(
        self, header: str, failed: Proof, subject: Subject, check: Check, *, secure: bool
    ) -> None:
        """Makes a new proof after the registry answered 401, unless another thread has.

        Args:
            header: Its `WWW-Authenticate`.
            failed: The proof that it did not take.
            subject: What was asked for, for errors.
            check: Raises to stop waiting.
            secure: Whether the registry was asked over TLS.

        Raises:
            RegistryError: There is none that could be better.
        """
        with self._lock:
            if self._proof.number != failed.number:
                return
            if self._lookup is None:
                self._lookup = self._find(self._domain, self._repository)
            made = self._make(parse_challenges(header), self._lookup, subject, check, secure)
            self._proof = Proof(made, failed.number + 1)

    def refused(self, subject: Subject) -> RegistryError:
        """The error for a registry that takes none of our proofs."""
        return refused(subject, self._lookup or Lookup(None))

    def _make(
        self,
        challenges: list[Challenge],
        lookup: Lookup,
        subject: Subject,
        check: Check,
        secure: bool,
    ) -> str:
        credentials = lookup.credentials
        if credentials is not None and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        for challenge in challenges:
            if challenge.scheme == "bearer":
                return f"Bearer {self._token(challenge, credentials, subject, check, secure)}"
        for challenge in challenges:
            if challenge.scheme == "basic" and credentials is not None and credentials.username:
                return _basic(credentials)
        raise self.refused(subject)

    def _token(
        self,
        challenge: Challenge,
        credentials: Credentials | None,
        subject: Subject,
        check: Check,
        secure: bool,
    ) -> str:
        url = token_url(challenge, self._repository)
        if url is None:
            raise RegistryError(
                f"{subject.registry} asks for a token but does not say where it is got.",
                "Check that this is a container registry.",
            )
        parts = urlsplit(url)
        if parts.scheme != "https" and (secure or not self._plain(parts.netloc)):
            raise RegistryError(
                f"{subject.registry} wants us to log in over a connection without TLS.",
                "Report it to whoever runs the registry; nothing was sent.",
            )
        if credentials is not None and credentials.identity_token:
            fields = dict(parse_qsl(parts.query))
            fields |= {
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity_token,
                "client_id": "layerscope",
            }
            status, data = self._ask(
                "POST",
                url.partition("?")[0],
                {"Content-Type": "application/x-www-form-urlencoded"},
                urlencode(fields).encode(),
                subject,
                check,
            )
        else:
            headers = {}
            if credentials is not None and credentials.username:
                headers["Authorization"] = _basic(credentials)
            status, data = self._ask("GET", url, headers, None, subject, check)
        if status in (400, 401, 403):
            raise self.refused(subject)
        token = _token_in(data) if status == 200 else None
        if token is None:
            raise RegistryError(
                f"The token server of {subject.registry} gives no token ({status}).",
                "Try again later, or log in again.",
            )
        return token


def _basic(credentials: Credentials) -> str:
    login = f"{credentials.username}:{credentials.password}"
    return "Basic " + b64encode(login.encode()).decode()


def _token_in(data: bytes) -> str | None:
    try:
        document = json.loads(data)
        token = document.get("token") or document.get("access_token")
    except (ValueError, RecursionError, AttributeError):
        return None
    # Whatever it holds goes into a header, where a line break would begin another one.
    if isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token:
        return token
    return None
