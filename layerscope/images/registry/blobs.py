"""The bytes of a blob from a registry, in order, whatever happens to the connection.

If it breaks, the rest is requested as a range and the stream continues; the code that decompresses
and parses it does not notice. If the registry does not return that range, it sends the blob from
the beginning again, and the part already read is skipped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from layerscope.errors import Cancelled, LayerscopeError, RegistryError
from layerscope.images.registry.client import Check, RegistryClient, no_check
from layerscope.images.registry.errors import LostConnection, cut, too_short, wrong_digest
from layerscope.oci.distribution import blob_path, content_range, is_digest
from layerscope.oci.manifest import MAX_DOCUMENT, Descriptor
from layerscope.text import visible

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

    from urllib3 import BaseHTTPResponse

#: The most broken connections for a blob, even if each delivers some bytes.
_MOST_RESUMES = 100
_PIECE = 256 << 10


class NoRangesError(RegistryError):
    """The registry does not send parts of a blob, so it must be read whole."""


class BlobStream:
    """A blob, or a range of one, read from front to back."""

    def __init__(
        self,
        client: RegistryClient,
        descriptor: Descriptor,
        what: str,
        *,
        check: Check = no_check,
        start: int = 0,
        end: int | None = None,
        digest: Hash | None = None,
        missing: LayerscopeError | None = None,
        on_bytes: Callable[[int], None] | None = None,
        retrying: Callable[[str], None] | None = None,
    ) -> None:
        """Opens nothing yet; `what` is its name in messages, and `check` raises to stop.

        With the `digest` of the bytes before `start`, this is the rest of a whole blob, available
        even from a registry without ranges. `retrying` receives the reasons for retries.

        Raises RegistryError if the digest's algorithm is not supported; later, `missing` if the
        registry does not have the blob.
        """
        self._client = client
        self._subject = client.subject(what, missing, retrying)
        if not is_digest(descriptor.digest):
            raise RegistryError(
                f"{visible(what)} has an unsupported digest.",
                "Only sha256 and sha512 are supported.",
            )
        self._descriptor = descriptor
        self._path = blob_path(client.repository, descriptor.digest)
        self._check = check
        self._on_bytes = on_bytes
        self._end = descriptor.size if end is None else min(end, descriptor.size)
        self._partial = (start > 0 and digest is None) or self._end < descriptor.size
        self._digest = digest
        if digest is None and not self._partial:
            self._digest = hashlib.new(descriptor.digest.partition(":")[0])
        self._response: BaseHTTPResponse | None = None
        self._failures = 0
        self._resumes = 0
        self._refused = False  # Whether the registry refused to send the rest as a range.
        self.position = start  # Offset in the blob of the next byte.
        self.received = 0  # Bytes received over the network, including skipped ones.

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end. Raises LayerscopeError if they cannot be fetched."""
        while self.position < self._end:
            self._check()
            if self._response is None:
                self._response = self._connect()
                # `abort` may have been called before there was a response to end.
                self._check()
            piece = self._piece(self._response, min(size, self._end - self.position, _PIECE))
            if piece:
                self._failures = 0
                self.position += len(piece)
                if self._digest is not None:
                    self._digest.update(piece)
                if self._on_bytes is not None:
                    self._on_bytes(self.position)
                return piece
            if piece is not None and self._refused:
                # Sent from the beginning, it ended here again.
                raise too_short(self._subject)
            self._fail()
        return b""

    def read_all(self) -> bytes:
        return b"".join(iter(lambda: self.read(_PIECE), b""))

    def verify(self) -> None:
        """Reads the rest, and compares the digest.

        Raises LayerscopeError if the digest differs or the bytes cannot be fetched.
        """
        while self.read(_PIECE):
            pass
        if self._digest is not None:
            algorithm, _, expected = self._descriptor.digest.partition(":")
            found = self._digest.hexdigest()
            if found != expected:
                raise wrong_digest(self._subject, self._descriptor.digest, f"{algorithm}:{found}")
            if self._response is not None:
                # It was read to its end, so the connection can be reused.
                self._response.release_conn()
                self._response = None
        self.close()

    def close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def abort(self) -> None:
        """Ends the transfer from another thread, even while this one waits for bytes."""
        response = self._response
        if response is not None:
            try:
                response.shutdown()
            except (OSError, ValueError, RuntimeError):
                # It has already ended.
                return

    def _piece(self, response: BaseHTTPResponse, size: int) -> bytes | None:
        """The next bytes: none at the end of the response, None if the connection broke."""
        from urllib3.exceptions import HTTPError

        try:
            # Only bytes that have arrived: read() would lose them if the rest does not come.
            piece = response.read1(size)
        except (HTTPError, OSError):
            return None
        self.received += len(piece)
        return piece

    def _fail(self) -> None:
        """Counts a broken connection, and waits before the next attempt.

        Raises RegistryError if too many have broken.
        """
        self.close()
        self._failures += 1
        self._resumes += 1
        if self._failures >= self._client.patience.tries or self._resumes > _MOST_RESUMES:
            raise cut(self._subject, self.position, self._failures)
        self._client.pause(self._failures, self._check, subject=self._subject)

    def _connect(self) -> BaseHTTPResponse:
        response = self._range() if self.position or self._partial else None
        if response is not None and response.status == 206:
            return response
        if self._partial:
            if response is not None:
                response.close()
            raise NoRangesError(
                f"{self._subject.registry} does not send parts of {visible(self._subject.what)}."
            )
        self._refused = self.position > 0
        if response is None:
            response = self._client.open("GET", self._path, self._subject, {}, self._check)
        left = self.position
        while left > 0:
            self._check()
            piece = self._piece(response, min(left, _PIECE))
            if not piece:
                # The next read notices.
                break
            left -= len(piece)
        return response

    def _range(self) -> BaseHTTPResponse | None:
        """The rest as a range, or the whole blob (200); None if the registry refuses."""
        headers = {"Range": f"bytes={self.position}-{self._end - 1}"}
        try:
            response = self._client.open(
                "GET", self._path, self._subject, headers, self._check, expect=(200, 206)
            )
        except (Cancelled, LostConnection):
            raise
        except LayerscopeError:
            return None
        span = content_range(response.headers.get("Content-Range"))
        if response.status == 200 or (span is not None and span[0] == self.position):
            return response
        response.close()
        return None


def fetch_config(client: RegistryClient, descriptor: Descriptor, check: Check) -> bytes:
    """Fetches an image configuration.

    Raises LayerscopeError if it is too large, does not match its digest, or cannot be fetched.
    """
    if descriptor.size > MAX_DOCUMENT:
        raise RegistryError(
            f"The image configuration in {visible(client.domain)} is larger than "
            f"{MAX_DOCUMENT >> 20} MiB.",
            "That is not an image; check the name.",
        )
    with closing(BlobStream(client, descriptor, "the image configuration", check=check)) as stream:
        data = stream.read_all()
        stream.verify()
    return data
