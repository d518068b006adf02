"""Requests to a registry: tokens, redirects, waiting and retries.

Why not `oras` (0.2.43)? It would provide tokens and manifests, and add jsonschema as a dependency,
but it lacks what layerscope needs: it writes a blob to a file, and can neither pass on the stream,
nor request a range, nor resume a broken transfer; its waits cannot be cancelled and ignore
Retry-After. `requests` adds nothing to urllib3, which docker-py needs anyway, except its own bundle
of certificates instead of the system's.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from layerscope.errors import LayerscopeError, RegistryError, failures_ignored
from layerscope.images.registry.auth import Authorizer
from layerscope.images.registry.credentials import Lookup, find_credentials
from layerscope.images.registry.errors import LostConnection, Subject, cut, error_for
from layerscope.images.registry.insecure import is_insecure
from layerscope.images.registry.transport import (
    ConnectionCut,
    NoConnection,
    Patience,
    Transport,
)
from layerscope.oci.distribution import (
    ACCEPT_MANIFESTS,
    api_host,
    error_text,
    is_loopback,
    manifest_path,
    next_page,
    origin,
    same_host,
    split_url,
    wait_of,
)
from layerscope.oci.manifest import MAX_DOCUMENT
from layerscope.text import visible

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Check = Callable[[], None]
#: A request's body, created for each attempt; its headers contain its length.
Body = Callable[[], bytes | Iterable[bytes]]

#: Statuses that may be temporary.
PASSING: Final = frozenset((408, 429, 500, 502, 503, 504))
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_MOST_REDIRECTS: Final = 5
_MOST_PAGES: Final = 100
_ERROR_BODY: Final = 64 << 10
_TICK: Final = 0.05


def no_check() -> None: ...


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest as the registry sent it."""

    media_type: str  # As the registry claims.
    data: bytes

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"


class RegistryClient:
    """A repository of a registry. Thread-safe.

    `domain` is the registry, as in references. `find` looks up credentials at the first request
    that needs some. `base` is the registry's address, such as `https://host:5000`, if known.
    `insecure` allows a registry without TLS or with an invalid certificate, even if this
    machine's settings do not; a registry on this machine is always allowed. `push` requests the
    right to write, and to read the repositories that blobs may be mounted from.
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
        push: bool = False,
        mounts: Sequence[str] = (),
    ) -> None:
        self.domain = domain
        self.repository = repository
        self.patience = patience or Patience()
        host = api_host(domain)
        insecure = insecure or is_insecure(domain, repository)
        # Nor does Docker require a valid certificate from a registry on this machine.
        lax = insecure or is_loopback(host)
        self._transport = Transport(host, self.patience, verify=not lax)
        self._base = base or (None if lax else f"https://{host}")
        self._lock = threading.Lock()
        plain = (lambda other: same_host(other, host)) if insecure else is_loopback
        scopes = [f"repository:{other}:pull" for other in mounts]
        if repository:
            actions = "pull,push" if push else "pull"
            scopes.insert(0, f"repository:{repository}:{actions}")
        self._push = push
        self._answered = False  # Whether the registry has ever responded.
        self._authorizer = Authorizer(domain, repository, scopes, find, self._ask_token, plain)

    def manifest(self, reference: str, check: Check = no_check) -> Document:
        """Fetches a manifest or index, by tag or digest.

        Raises LayerscopeError if it does not exist or access is denied.
        """
        subject = self.subject(f"manifest {reference}")
        path, headers = manifest_path(self.repository, reference), {"Accept": ACCEPT_MANIFESTS}
        response = self.open("GET", path, subject, headers, check)
        data = self.read_small(response, subject)
        kind = (response.headers.get("Content-Type") or "").partition(";")[0].strip()
        return Document(kind, data)

    def manifest_digest(self, reference: str, check: Check = no_check) -> str | None:
        """The digest of a tag's manifest, without fetching it, which would count as a pull.

        Returns None if the registry does not provide it: many answer HEAD differently from GET.
        """
        return self.manifest_headers(reference, check).get("Docker-Content-Digest")

    def manifest_headers(self, reference: str, check: Check = no_check) -> Mapping[str, str]:
        """The headers of a manifest, which do not count as a pull; empty if they are refused."""
        subject = self.subject(f"manifest {reference}")
        path, headers = manifest_path(self.repository, reference), {"Accept": ACCEPT_MANIFESTS}
        # Registries and proxies may answer such requests with any error.
        with failures_ignored():
            response = self.open("HEAD", path, subject, headers, check, tries=1)
            response.close()
            return response.headers
        return {}

    def subject(
        self,
        what: str,
        missing: LayerscopeError | None = None,
        retrying: Callable[[str], None] | None = None,
    ) -> Subject:
        return Subject(self.domain, self.repository, what, missing, self._push, retrying)

    def open(
        self,
        method: str,
        path: str,
        subject: Subject,
        headers: Mapping[str, str],
        check: Check = no_check,
        expect: Collection[int] = (200,),
        tries: int | None = None,
        body: Body | None = None,
    ) -> BaseHTTPResponse:
        """Sends a request until the registry returns an expected status or a final error.

        `path` is relative to the registry's address, or an absolute address from the registry;
        `check` raises to stop waiting. `tries` limits the attempts if the connection breaks or the
        registry is busy.

        Returns the response, its body unread. Raises LayerscopeError if there was no such response.
        """
        base = self._address(subject, check)
        url = path if "://" in path else base + path
        first = self._authorizer.proof().number
        while True:
            proof = self._authorizer.proof()

            def send(authorization: str | None = proof.header) -> BaseHTTPResponse:
                return self._follow(method, url, headers, authorization, subject, base, body)

            response, sent = self._persist(send, subject, check, tries, expect)
            if response.status in expect:
                return response
            challenge = response.headers.get("WWW-Authenticate") or ""
            said = self.error_body(response, method)
            if response.status == 401:
                if proof.number > first:
                    # The token was issued for this very request: another would be no better.
                    raise self._authorizer.refused(subject)
                self._authorizer.prove(challenge, proof, subject, check, secure=_secure(url))
                continue
            wait = wait_of(response.headers, time.time())
            raise error_for(response.status, subject, error_text(said), tries=sent, wait=wait)

    def location(self, response: BaseHTTPResponse, path: str, subject: Subject) -> str:
        """The address in a response to `path`, which may be relative.

        Raises RegistryError if it is invalid.
        """
        base = self._base or ""
        url = path if "://" in path else base + path
        return self._redirected(url, response.headers.get("Location") or "", subject)

    def read_small(self, response: BaseHTTPResponse, subject: Subject) -> bytes:
        """Reads a whole document and closes the response.

        Raises RegistryError if it is too large, or the connection broke.
        """
        from urllib3.exceptions import HTTPError

        data = bytearray()
        try:
            while len(data) <= MAX_DOCUMENT and (piece := response.read(1 << 16)):
                data += piece
        except (HTTPError, OSError):
            raise cut(subject, len(data), 1) from None
        finally:
            response.close()
        if len(data) > MAX_DOCUMENT:
            raise RegistryError(
                f"{subject.registry} sent more than {MAX_DOCUMENT >> 20} MiB for "
                f"{visible(subject.what)}.",
                "That is not an image; check the name.",
            )
        return bytes(data)

    def pause(
        self,
        attempt: int,
        check: Check,
        at_least: float = 0.0,
        subject: Subject | None = None,
        why: str = "the connection broke",
    ) -> None:
        """Waits after a number of failed attempts: longer each time, with jitter.

        The subject's `retrying` receives a sentence that explains the wait.
        """
        limit = min(self.patience.first_wait * 2 ** (attempt - 1), self.patience.longest_wait)
        jitter = random.uniform(limit / 2, limit)  # noqa: S311 - guessing it gains nothing
        seconds = max(at_least, jitter)
        if subject is not None and subject.retrying is not None:
            subject.retrying(f"{why}; trying again in {max(1, round(seconds))} s")
        wait_for(seconds, check)

    def pages(
        self, path: str, subject: Subject, check: Check = no_check
    ) -> Iterator[BaseHTTPResponse]:
        """The pages of a list, with unread bodies, as long as the registry links to another."""
        following: str | None = path
        for _ in range(_MOST_PAGES):
            if following is None:
                return
            response = self.open("GET", following, subject, {}, check)
            following = next_page(response.headers.get("Link"))
            yield response

    def check_login(self, check: Check = no_check) -> str | None:
        """Checks the credentials, regardless of any repository.

        Returns a refresh token to store instead of a password, or "" if there is none; None if the
        registry requires no login, so that nothing was checked. Raises LayerscopeError.
        """
        missing = RegistryError(f"{visible(self.domain)} is not a container registry (404).")
        subject = self.subject("its API", missing)
        self.open("GET", "/v2/", subject, {}, check).close()
        return self._authorizer.refresh_token if self._authorizer.proof().number else None

    def close(self) -> None:
        self._transport.close()

    def _persist(
        self,
        send: Callable[[], BaseHTTPResponse],
        subject: Subject,
        check: Check,
        most: int | None = None,
        expect: Collection[int] = (),
    ) -> tuple[BaseHTTPResponse, int]:
        """Sends a request until the response is final; returns it and the number of attempts."""
        patience = self.patience
        most = most or patience.tries
        tries = 0
        while True:
            check()
            tries += 1
            asked = 0.0
            try:
                response = send()
            except ConnectionCut as error:
                why = str(error)
                # A registry that has responded before may be restarting.
                if isinstance(error, NoConnection) and (not self._answered or tries >= most):
                    raise error.final from None
                if tries >= most:
                    raise LostConnection(
                        f"{subject.registry} cannot be reached ({error}), {tries} times.",
                        "Check the network, then try again.",
                    ) from None
            else:
                self._answered = True
                if response.status not in PASSING or response.status in expect or tries >= most:
                    return response, tries
                why = f"the registry answered {response.status}"
                asked = wait_of(response.headers, time.time()) or 0.0
                if asked > patience.longest_retry_after:
                    return response, tries
                response.close()
            self.pause(tries, check, asked, subject, why)

    def _follow(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        authorization: str | None,
        subject: Subject,
        base: str,
        body: Body | None,
    ) -> BaseHTTPResponse:
        """Sends a request and follows redirects; only the registry itself receives credentials."""
        home = origin(base)
        for _ in range(_MOST_REDIRECTS):
            sent = dict(headers)
            if authorization is not None and origin(url) == home:
                sent["Authorization"] = authorization
            response = self._transport.request(method, url, sent, body and body())
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
            where = "an invalid address"
        elif parts.scheme == "http" and _secure(url):
            where = "an address without TLS"
        else:
            return target
        raise RegistryError(
            f"{subject.registry} redirects to {where}.",
            "Report it to the registry's administrator.",
        )

    def _ask_token(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None,
        subject: Subject, check: Check,
    ) -> tuple[int, bytes]:  # fmt: skip
        """Asks a token server. Redirects are not followed, as passwords are sent."""

        def send() -> BaseHTTPResponse:
            return self._transport.request(method, url, headers, body)

        response, tries = self._persist(send, subject, check)
        if response.status == 200:
            return 200, self.read_small(response, subject)
        data = self.error_body(response, method)
        if response.status in (429,) or response.status >= 500:
            wait = wait_of(response.headers, time.time())
            raise error_for(response.status, subject, error_text(data), tries=tries, wait=wait)
        return response.status, data

    def _address(self, subject: Subject, check: Check) -> str:
        """The registry's address; if TLS is optional, detects whether the registry uses it.

        With a port, plain HTTP is tried first: a server without TLS may wait forever for the end of
        a line, but one with TLS rejects plain HTTP at once. The request contains no secrets.
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
            # A server at port 80 may only redirect to 443.
            return not self._speaks_tls(host)
        try:
            response = self._transport.request("GET", f"http://{host}/v2/", {})
        except NoConnection as error:
            raise error.final from None
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

    def error_body(self, response: BaseHTTPResponse, method: str) -> bytes:
        from urllib3.exceptions import HTTPError

        try:
            return b"" if method == "HEAD" else response.read(_ERROR_BODY)
        except (HTTPError, OSError):
            return b""
        finally:
            response.close()


def wait_for(seconds: float, check: Check) -> None:
    """Sleeps in small steps, so that `check` can stop it quickly."""
    end = time.monotonic() + seconds
    while True:
        check()
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, _TICK))


def _secure(url: str) -> bool:
    return url.startswith("https:")
