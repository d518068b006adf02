"""Authentication with a registry: basic and bearer tokens.

The flow is that of the distribution project ("Token Authentication Specification"): the registry
names a realm, which exchanges a login, a refresh token or nothing at all for a bearer token. The
token is valid for a limited time, for one repository.
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from layerscope.errors import LoginError, RegistryError
from layerscope.images.registry.credentials import Credentials, Lookup
from layerscope.images.registry.errors import Subject, refused
from layerscope.oci.distribution import Challenge, is_loopback, parse_challenges, token_url

Check = Callable[[], None]


#: Sends a request to a token server: method, URL, headers and body. Returns status and body.
AskToken = Callable[[str, str, Mapping[str, str], bytes | None, Subject, Check], tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Proof:
    """The value of the `Authorization` header."""

    header: str | None = field(repr=False)
    number: int  # Counts the proofs; 0 before the first.


class Authorizer:
    """Keeps the proof for one repository, and obtains a new one when the registry requires it.

    `scopes` are the rights to request tokens for. `find` looks up credentials once, when the
    registry first requires some; `ask` sends requests to token servers; `plain` decides whether
    logins may be sent to a host and port without TLS.
    """

    def __init__(
        self,
        domain: str,
        repository: str,
        scopes: Sequence[str],
        find: Callable[[str, str], Lookup],
        ask: AskToken,
        plain: Callable[[str], bool] = is_loopback,
    ) -> None:
        self._domain = domain
        self._repository = repository
        self._scopes = scopes
        self._find = find
        self._ask = ask
        self._plain = plain
        self._lock = threading.Lock()
        self._lookup: Lookup | None = None
        self._proof = Proof(None, 0)
        self.refresh_token = ""  # The token server's token, to store instead of a password.

    def proof(self) -> Proof:
        return self._proof

    def prove(
        self, header: str, failed: Proof, subject: Subject, check: Check, *, secure: bool
    ) -> None:
        """Obtains a new proof after the registry answered 401, unless another thread has.

        `header` is the `WWW-Authenticate` header, and `failed` the rejected proof. `check` raises
        to stop waiting. Raises RegistryError if no other proof is possible.
        """
        with self._lock:
            if self._proof.number != failed.number:
                return
            if self._lookup is None:
                self._lookup = self._find(self._domain, self._repository)
            made = self._make(parse_challenges(header), self._lookup, subject, check, secure)
            self._proof = Proof(made, failed.number + 1)

    def refused(self, subject: Subject) -> LoginError:
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
        user = "" if credentials is None else credentials.username
        url = token_url(challenge, self._scopes, user)
        if url is None:
            raise RegistryError(
                f"{subject.registry} requires a token but does not say where to get one.",
                "Check that this is a container registry.",
            )
        parts = urlsplit(url)
        if parts.scheme != "https" and (secure or not self._plain(parts.netloc)):
            raise RegistryError(
                f"{subject.registry} wants a login over a connection without TLS.",
                "Report it to the registry's administrator; nothing was sent.",
            )
        if credentials is not None and credentials.identity_token:
            fields = dict(parse_qsl(parts.query))
            fields |= {"scope": " ".join(self._scopes)} if self._scopes else {}
            fields |= {
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity_token,
                "client_id": "layerscope",
            }
            address, body = url.partition("?")[0], urlencode(fields).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            status, data = self._ask("POST", address, headers, body, subject, check)
        else:
            headers = {}
            if credentials is not None and credentials.username:
                headers["Authorization"] = _basic(credentials)
            status, data = self._ask("GET", url, headers, None, subject, check)
        if status in (400, 401, 403):
            raise self.refused(subject)
        token = _token_in(data, "token", "access_token") if status == 200 else None
        if token is not None:
            self.refresh_token = _token_in(data, "refresh_token") or ""
        if token is None:
            raise RegistryError(
                f"The token server of {subject.registry} issued no token ({status}).",
                "Try again later, or log in again.",
            )
        return token


def _basic(credentials: Credentials) -> str:
    login = f"{credentials.username}:{credentials.password}"
    return "Basic " + b64encode(login.encode()).decode()


def _token_in(data: bytes, *keys: str) -> str | None:
    try:
        document = json.loads(data)
        token = next(filter(None, map(document.get, keys)), None)
    except (ValueError, RecursionError, AttributeError):
        return None
    # It goes into a header, where a line break would start another header.
    if isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token:
        return token
    return None
