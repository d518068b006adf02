"""Asks a registry for manifests and blobs: tokens, redirects, waiting and trying again.

Why not `oras` (0.2.43)? It would bring the login dance and manifests, and jsonschema as a further
dependency. What layerscope is about it does not have: it writes a blob to a file in pieces of 8 KiB
and can neither hand the stream on, nor ask for a range, nor go on where a connection broke; its
waits between tries do not end when the user has had enough, and know nothing of Retry-After. What
would be left of it is less than the code here. `requests` adds nothing to urllib3, which it is
built on and which docker-py needs anyway, but its own bundle of certificates in place of the
system's.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from layerscope.errors import LayerscopeError, RegistryError
from layerscope.images.credentials import Lookup, find_credentials
from layerscope.images.registry_auth import Authorizer
from layerscope.images.registry_errors import Subject, cut, error_for
from layerscope.images.registry_transport import ConnectionCut, Patience, Transport
from layerscope.oci.distribution import (
    ACCEPT_MANIFESTS,
    api_host,
    error_text,
    is_loopback,
    manifest_path,
    origin,
    retry_after,
    same_host,
    split_url,
)
from layerscope.oci.manifest import MAX_DOCUMENT
from layerscope.text import visible

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Check = Callable[[], None]

#: Statuses that another try may change.
_PASSING: Final = frozenset((408, 429, 500, 502, 503, 504))
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_MOST_REDIRECTS: Final = 5
_ERROR_BODY: Final = 64 << 10
_TICK: Final = 0.05


def no_check() -> None:
    """Nobody wants to stop the work."""


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest as a registry sends it.

    Attributes:
        media_type: What the registry says it is.
        data: Its bytes.
        digest: The digest that the registry says it has, or None.
    """

    media_type: str
    data: bytes
    digest: str | None


class RegistryClient:
    """A repository of a registry. May be used by several threads.

    Args:
        domain: The registry, as references have it.
        repository: The path of the repository.
        patience: How long to wait, and how often to try.
        find: Looks for credentials, at the first request that needs some.
        base: Where the registry is, such as `https://host:5000`, if that is known.
        insecure: Whether it may be read without TLS, or with a certificate that is not valid; one
            on this machine always may.
    """

    def __init__(
        self,
        domain: str,
        repository: str,
        *,
        patience: Patience | None = None,
        find: Callable[[str, str], Lookup] = find_credentials,
        base: str | None = None,
        insecure: bool = False,
    ) -> None:
        self.domain = domain
        self.repository = repository
        self.patience = patience or Patience()
        host = api_host(domain)
        # Docker does not ask a registry on this machine for a valid certificate either.
        lax = insecure or is_loopback(host)
        self._transport = Transport(host, self.patience, verify=not lax)
        self._base = base or (None if lax else f"https://{host}")
        self._lock = threading.Lock()
        plain = (lambda other: same_host(other, host)) if insecure else is_loopback
        self._authorizer = Authorizer(domain, repository, find, self._ask_token, plain)

    def manifest(self, reference: str, check: Check = no_check) -> Document:
        """Gets a manifest or index.

        Args:
            reference: Tag or digest.
            check: Raises to stop waiting.

        Raises:
            LayerscopeError: It is not there, or we are not let in.
        """
        subject = self.subject(f"manifest {reference}")
        response = self.open(
            "GET", self._manifest_path(reference), subject, {"Accept": ACCEPT_MANIFESTS}, check
        )
        data = self.read_small(response, subject)
        kind = (response.headers.get("Content-Type") or "").partition(";")[0].strip()
        return Document(kind, data, response.headers.get("Docker-Content-Digest"))

    def manifest_digest(self, reference: str, check: Check = no_check) -> str | None:
        """Asks which manifest a tag means, without fetching it: that counts as no pull.

        Returns:
            Its digest; None if the registry does not tell it so.

        Raises:
            LayerscopeError: There is no such tag, or we are not let in.
        """
        subject = self.subject(f"manifest {reference}")
        response = self.open(
            "HEAD",
            self._manifest_path(reference),
            subject,
            {"Accept": ACCEPT_MANIFESTS},
            check,
            expect=(200, 405),
        )
        response.close()
        return response.headers.get("Docker-Content-Digest") if response.status == 200 else None

    def subject(self, what: str, missing: LayerscopeError | None = None) -> Subject:
        """What a request is about, for messages."""
        return Subject(self.domain, self.repository, what, missing)

    def open(
        self,
        method: str,
        path: str,
        subject: Subject,
        headers: Mapping[str, str],
        check: Check = no_check,
        expect: Collection[int] = (200,),
    ) -> BaseHTTPResponse:
        """Asks until the registry answers with what is expected, or with what ends the matter.

        Args:
            method: `GET` or `HEAD`.
            path: Path under the registry's address.
            subject: What is asked for, for errors.
            headers: Further headers.
            check: Raises to stop waiting.
            expect: Statuses that are good.

        Returns:
            The answer, its body unread.

        Raises:
            LayerscopeError: It did not come to that.
        """
        url = self._address(subject, check) + path
        first = self._authorizer.proof().number
        while True:
            proof = self._authorizer.proof()

            def send(authorization: str | None = proof.header) -> BaseHTTPResponse:
                return self._follow(method, url, headers, authorization, subject)

            response, tries = self._persist(send, subject, check)
            if response.status in expect:
                return response
            challenge = response.headers.get("WWW-Authenticate") or ""
            body = self._error_body(response, method)
            if response.status == 401:
                if proof.number > first:
                    # Made for this very request: another one would be no better.
                    raise self._authorizer.refused(subject)
                self._authorizer.prove(challenge, proof, subject, check, secure=_secure(url))
                continue
            wait = retry_after(response.headers.get("Retry-After"), time.time())
            raise error_for(response.status, subject, error_text(body), tries=tries, wait=wait)

    def read_small(self, response: BaseHTTPResponse, subject: Subject) -> bytes:
        """Reads a document whole, refusing one that is too large, and lets go of the connection.

        Raises:
            RegistryError: It is too large, or broke off.
        """
        from urllib3.exceptions import HTTPError

        pieces, size = [], 0
        try:
            while piece := response.read(1 << 16):
                size += len(piece)
                if size > MAX_DOCUMENT:
                    raise RegistryError(
                        f"{subject.registry} sends a {visible(subject.what)} larger than "
                        f"{MAX_DOCUMENT >> 20} MiB.",
                        "That is no image; check the name.",
                    )
                pieces.append(piece)
        except (HTTPError, OSError):
            raise cut(subject, size, 1) from None
        finally:
            response.close()
        return b"".join(pieces)

    def pause(self, attempt: int, check: Check, at_least: float = 0.0) -> None:
        """Waits before another try: longer each time, and never as long as everybody else does.

        Args:
            attempt: How many tries have failed; from 1.
            check: Raises to stop waiting.
            at_least: What the registry asked for.
        """
        limit = min(self.patience.first_wait * 2 ** (attempt - 1), self.patience.longest_wait)
        jitter = random.uniform(limit / 2, limit)  # noqa: S311 - nobody gains by guessing it
        wait_for(max(at_least, jitter), check)

    def close(self) -> None:
        """Closes idle connections."""
        self._transport.close()

    def _manifest_path(self, reference: str) -> str:
        return manifest_path(self.repository, reference)

    def _persist(
        self, send: Callable[[], BaseHTTPResponse], subject: Subject, check: Check
    ) -> tuple[BaseHTTPResponse, int]:
        """Sends a request until the answer is final; gives it with the number of tries."""
        patience = self.patience
        tries = 0
        while True:
            check()
            tries += 1
            asked = 0.0
            try:
                response = send()
            except ConnectionCut as error:
                if tries >= patience.tries:
                    raise RegistryError(
                        f"{subject.registry} cannot be talked to ({error}), {tries} times.",
                        "Check the network, then try again.",
                    ) from None
            else:
                if response.status not in _PASSING or tries >= patience.tries:
                    return response, tries
                asked = retry_after(response.headers.get("Retry-After"), time.time()) or 0.0
                if asked > patience.longest_retry_after:
                    return response, tries
                response.close()
            self.pause(tries, check, asked)

    def _follow(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        authorization: str | None,
        subject: Subject,
    ) -> BaseHTTPResponse:
        """Sends a request and follows where it is redirected; only the registry gets our proof."""
        home = origin(url)
        for _ in range(_MOST_REDIRECTS):
            sent = dict(headers)
            if authorization is not None and origin(url) == home:
                sent["Authorization"] = authorization
            response = self._transport.request(method, url, sent)
            if response.status not in _REDIRECTS:
                return response
            location = response.headers.get("Location") or ""
            response.close()
            url = self._redirected(url, location, subject)
        raise RegistryError(f"{subject.registry} redirects in a circle.")

    @staticmethod
    def _redirected(url: str, location: str, subject: Subject) -> str:
        try:
            target = urljoin(url, location)
        except ValueError:
            target = ""
        parts = split_url(target)
        if parts is None or parts.scheme not in ("http", "https"):
            raise RegistryError(
                f"{subject.registry} redirects to what is no address.",
                "Report it to whoever runs the registry.",
            )
        if parts.scheme == "http" and _secure(url):
            raise RegistryError(
                f"{subject.registry} redirects to an address without TLS.",
                "Report it to whoever runs the registry.",
            )
        return target

    def _ask_token(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None,
        subject: Subject, check: Check,
    ) -> tuple[int, bytes]:  # fmt: skip
        """Asks a token server, which is not followed to anywhere else: it is sent passwords."""

        def send() -> BaseHTTPResponse:
            return self._transport.request(method, url, headers, body)

        response, tries = self._persist(send, subject, check)
        if response.status == 200:
            return 200, self.read_small(response, subject)
        data = self._error_body(response, method)
        if response.status in (429,) or response.status >= 500:
            wait = retry_after(response.headers.get("Retry-After"), time.time())
            raise error_for(response.status, subject, error_text(data), tries=tries, wait=wait)
        return response.status, data

    def _address(self, subject: Subject, check: Check) -> str:
        """Where the registry is; where it need not, it is found out whether it speaks TLS.

        With a port, it is tried without first: a server that does not speak TLS may wait for the
        end of a line that never comes, while one that does says at once that it cannot read ours.
        Nothing secret is in the question.
        """
        with self._lock:
            if self._base is None:
                host = api_host(self.domain)
                self._base = f"{'http' if self._is_plain(host, check) else 'https'}://{host}"
            return self._base

    def _is_plain(self, host: str, check: Check) -> bool:
        check()
        parts = split_url(f"//{host}")
        if parts is None or parts.port is None:
            # What listens at 80 may do no more than to send everybody to 443.
            return not self._speaks_tls(host)
        try:
            response = self._transport.request("GET", f"http://{host}/v2/", {})
        except (ConnectionCut, RegistryError):
            return not self._speaks_tls(host)
        response.close()
        return response.status != 400 or not self._speaks_tls(host)

    def _speaks_tls(self, host: str) -> bool:
        try:
            self._transport.request("GET", f"https://{host}/v2/", {}).close()
        except (ConnectionCut, RegistryError):
            return False
        return True

    def _error_body(self, response: BaseHTTPResponse, method: str) -> bytes:
        from urllib3.exceptions import HTTPError

        try:
            return b"" if method == "HEAD" else response.read(_ERROR_BODY)
        except (HTTPError, OSError):
            return b""
        finally:
            response.close()


def wait_for(seconds: float, check: Check) -> None:
    """Sleeps, in steps so small that a wish to stop is heard at once."""
    end = time.monotonic() + seconds
    while True:
        check()
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, _TICK))


def _secure(url: str) -> bool:
    return url.startswith("https:")
