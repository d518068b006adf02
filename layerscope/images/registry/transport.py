"""One request to one address: connections, TLS, proxies, and the meaning of their failures."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from layerscope import __version__
from layerscope.bounded import open_regular
from layerscope.config import home
from layerscope.errors import RegistryError
from layerscope.images.registry.errors import LostConnection, proxy_login
from layerscope.oci.distribution import is_loopback
from layerscope.redaction import hide
from layerscope.text import visible

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

#: Where Docker and Podman look for the certificates of a registry (containers-certs.d(5)).
_CERTIFICATES = ("/etc/docker/certs.d", "/etc/containers/certs.d", "~/.config/containers/certs.d")


class ConnectionCut(Exception):
    """A connection that broke or timed out; worth a retry. The text describes how."""


class NoConnection(ConnectionCut):
    """A host that accepts no connection: worth a retry only if it did before."""

    def __init__(self, text: str, final: RegistryError) -> None:
        super().__init__(text)
        self.final = final  # The error to raise if no retry follows.


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, and how often to try."""

    connect: float = 10.0  # Seconds to wait for a connection.
    read: float = 30.0  # Seconds to wait for the next bytes.
    tries: int = 5  # How many times in a row a request may fail.
    #: Seconds before the second try; each later wait is up to twice as long.
    first_wait: float = 0.5
    longest_wait: float = 30.0  # The longest wait, unless the registry asks for more.
    longest_retry_after: float = 120.0  # If a registry asks for more, that is an error.


class Transport:
    """Connections to a registry, and to the hosts that it redirects to.

    `host` is the host and port of the registry, to find its certificates. `verify` requires a
    valid certificate from the registry; other hosts always need one.
    """

    def __init__(self, host: str, patience: Patience, *, verify: bool = True) -> None:
        self._host = host
        self._patience = patience
        self._verify = verify
        self._pools: dict[tuple[str | None, bool], PoolManager] = {}
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None = None,
    ) -> BaseHTTPResponse:
        """Sends a request, and returns the response with its body unread.

        Redirects are not followed here: the caller decides which headers to drop. Raises
        ConnectionCut if the connection broke or timed out, NoConnection if there is none, and
        RegistryError if retrying is pointless.
        """
        from urllib3 import exceptions

        host = urlsplit(url).netloc
        try:
            return self._pool(url).request(
                method,
                url,
                headers={
                    # Bytes must arrive as stored, or ranges and digests mean nothing.
                    "Accept-Encoding": "identity",
                    "User-Agent": f"layerscope/{__version__}",
                    **headers,
                },
                body=body,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
        except exceptions.SSLError as error:
            raise _tls_error(host, error) from None
        except exceptions.ProxyError as error:
            if isinstance(error.original_error, exceptions.SSLError):
                raise _tls_error(host, error.original_error) from None
            if isinstance(error.original_error, ConnectionResetError | BrokenPipeError):
                # Proxies drop idle connections, as servers do.
                raise ConnectionCut(cause(error.original_error)) from None
            # http.client's message for a rejected CONNECT.
            if "failed: 407" in str(error.original_error):
                raise proxy_login(visible(host)) from None
            raise RegistryError(
                f"The proxy on the way to {visible(host)} rejected the request.",
                "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
            ) from None
        except exceptions.NewConnectionError as error:
            if isinstance(error, exceptions.NameResolutionError):
                raise RegistryError(
                    f"There is no host {visible(host)}.", "Check the name and the network."
                ) from None
            raise NoConnection(cause(error), _no_connection(host, error)) from None
        except (exceptions.InvalidHeader, ValueError):
            # The error's own text quotes headers.
            raise RegistryError(f"{visible(host)} is not the address of a registry.") from None
        except (exceptions.HTTPError, OSError) as error:
            raise ConnectionCut(cause(error)) from None

    def close(self) -> None:
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.clear()

    def _pool(self, url: str) -> PoolManager:
        import urllib3

        parts = urlsplit(url)
        proxy = proxy_for(url)
        verify = self._verify or parts.hostname != urlsplit(f"//{self._host}").hostname
        with self._lock:
            pool = self._pools.get((proxy, verify))
            if pool is None:
                options: dict[str, Any] = {
                    "num_pools": 8,
                    "maxsize": 8,
                    "timeout": urllib3.Timeout(
                        connect=self._patience.connect, read=self._patience.read
                    ),
                    "ssl_context": _tls_context(self._host, verify=verify),
                }
                if not verify:
                    # Expected: the registry is on this machine, or the user allowed it.
                    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
                pool = _through(proxy, options) if proxy else urllib3.PoolManager(**options)
                self._pools[proxy, verify] = pool
            return pool


def _through(proxy: str, options: Mapping[str, Any]) -> PoolManager:
    import urllib3

    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        return urllib3.ProxyManager(url, proxy_headers=_proxy_headers(url), **options)
    except (urllib3.exceptions.HTTPError, ValueError):
        raise RegistryError(
            "The address of the proxy is invalid.",
            "Write HTTPS_PROXY and HTTP_PROXY as http://HOST:PORT.",
        ) from None


def proxy_for(url: str) -> str | None:
    """The proxy for an address, or None.

    From HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or their lower-case names. NO_PROXY may list
    networks.
    """
    parts = urlsplit(url)
    if is_loopback(parts.netloc) or proxy_bypass(parts.netloc):
        return None
    entries = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if any(_in_network(parts.hostname or "", entry.strip()) for entry in entries.split(",")):
        return None
    return getproxies().get(parts.scheme)


def _in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False  # One of them is a name.


def _proxy_headers(proxy: str) -> dict[str, str]:
    from urllib3.util import make_headers

    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    hide(unquote(parts.password or ""))
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return dict(make_headers(proxy_basic_auth=login))


def _tls_context(host: str, *, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for base in _CERTIFICATES:
        folder = Path(base.replace("~", str(home()), 1)) / host
        try:
            for authority in sorted(folder.glob("*.crt")):
                os.close(open_regular(authority))
                context.load_verify_locations(authority)
            for certificate in sorted(folder.glob("*.cert")):
                key = certificate.with_suffix(".key")
                for each in (certificate, key):
                    os.close(open_regular(each))
                context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError):
            raise RegistryError(
                f"The certificates in {visible(str(folder))} cannot be used.",
                "Check that they are PEM files, and that you may read them.",
            ) from None
    return context


def _tls_error(host: str, error: Exception) -> RegistryError:
    text = str(error)
    if "WRONG_VERSION_NUMBER" in text or "wrong version number" in text.lower():
        return RegistryError(
            f"{visible(host)} does not speak TLS.",
            "Add --insecure to read it without TLS, or list it in Docker's insecure-registries.",
        )
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        why = text.partition("certificate verify failed")[2].strip(" :()'").partition(" (_ssl")[0]
        return RegistryError(
            f"The certificate of {visible(host)} is not valid ({visible(why) or 'not trusted'}).",
            f"Put its authority's certificate into /etc/docker/certs.d/{visible(host)}/ca.crt, or "
            "add --insecure.",
        )
    return RegistryError(
        f"A secure connection to {visible(host)} failed ({cause(error)}).",
        "Check that it speaks TLS, and the certificates on both sides.",
    )


def _no_connection(host: str, error: Exception) -> RegistryError:
    if any(isinstance(e, OSError) and e.errno == errno.ECONNREFUSED for e in _chain(error)):
        return LostConnection(
            f"Nothing listens at {visible(host)}.", "Check the name and the port of the registry."
        )
    return LostConnection(
        f"{visible(host)} cannot be reached ({cause(error)}).", "Check the name and the network."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def cause(error: BaseException) -> str:
    """A network failure as the end of a sentence, unwrapped from library errors."""
    for seen in _chain(error):
        if isinstance(seen, socket.timeout | TimeoutError):
            return "it does not answer in time"
        if isinstance(seen, OSError) and seen.strerror:
            return visible(seen.strerror)
    return "timed out" if "Timeout" in type(error).__name__ else "the connection broke"
