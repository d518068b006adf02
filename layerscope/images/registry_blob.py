"""The bytes of a blob as they come from a registry, in order, whatever happens to the connection.

Where it breaks, the rest is asked for with a range request and the stream goes on: whoever
decompresses and parses it notices nothing. A registry that knows no ranges sends the blob from its
beginning again, and what we have had is passed over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from layerscope.errors import LayerscopeError, RegistryError
from layerscope.images.registry_client import Check, RegistryClient, no_check
from layerscope.images.registry_errors import cut, wrong_digest
from layerscope.oci.distribution import blob_path, content_range, is_digest
from layerscope.oci.manifest import MAX_DOCUMENT, Descriptor
from layerscope.text import visible

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

#: A blob whose connection breaks more often than that, even if each brings a little, is given up.
_MOST_RESUMES = 100
_PIECE = 256 << 10


class NoRangesError(RegistryError):
    """The registry sends whole blobs only, where a part was asked for."""


class BlobStream:
    """A blob, or a range of one, read from front to back.

    Attributes:
        position: Offset in the blob of the byte that comes next.
        received: How many bytes came over the network, those passed over included.
    """

    def __init__(
        self,
        client: RegistryClient,
        descriptor: Descriptor,
        what: str,
        *,
        check: Check = no_check,
        start: int = 0,
        end: int | None = None,
        missing: LayerscopeError | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        """Opens nothing yet.

        Args:
            client: The repository.
            descriptor: The blob.
            what: What to call it, such as `layer sha256:…`.
            check: Raises to stop the work.
            start: Where to begin.
            end: Where to end; None for the blob's end.
            missing: The error where the registry does not have the blob.
            on_bytes: Told the position after each piece.

        Raises:
            RegistryError: The digest is of no algorithm that can be checked.
        """
        self._client = client
        self._subject = client.subject(what, missing)
        if not is_digest(descriptor.digest):
            raise RegistryError(
                f"{visible(what)} has a digest that cannot be checked: only sha256 and sha512 can."
            )
        self._descriptor = descriptor
        self._path = blob_path(client.repository, descriptor.digest)
        self._check = check
        self._on_bytes = on_bytes
        self._end = descriptor.size if end is None else min(end, descriptor.size)
        self._partial = start > 0 or self._end < descriptor.size
        self._digest = None
        if not self._partial:
            self._digest = hashlib.new(descriptor.digest.partition(":")[0])
        self._response: BaseHTTPResponse | None = None
        self._failures = 0
        self._resumes = 0
        self.position = start
        self.received = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            LayerscopeError: They cannot be had.
        """
        while self.position < self._end:
            self._check()
            if self._response is None:
                self._response = self._connect()
                # `abort` may have come before there was anything to end.
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
            self._fail()
        return b""

    def read_all(self) -> bytes:
        """Everything from here to the end."""
        pieces = []
        while piece := self.read(_PIECE):
            pieces.append(piece)
        return b"".join(pieces)

    def verify(self) -> None:
        """Reads what is left, and compares the digest.

        Raises:
            LayerscopeError: The bytes are not the blob's, or cannot be had.
        """
        while self.read(_PIECE):
            pass
        if self._digest is not None:
            if self._digest.hexdigest() != self._descriptor.digest.partition(":")[2]:
                raise wrong_digest(self._subject)
            if self._response is not None:
                # Read to its end: the connection is good for the next request.
                self._response.release_conn()
                self._response = None
        self.close()

    def close(self) -> None:
        """Ends the transfer."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def abort(self) -> None:
        """Ends the transfer from another thread, which may be waiting for bytes just now."""
        response = self._response
        if response is not None:
            try:
                response.shutdown()
            except (OSError, ValueError, RuntimeError):
                # It has ended by itself.
                return

    def _piece(self, response: BaseHTTPResponse, size: int) -> bytes:
        """The next bytes; none where the connection broke."""
        from urllib3.exceptions import HTTPError

        try:
            # What has arrived and no more: read() would lose it where the rest does not come.
            piece = response.read1(size)
        except (HTTPError, OSError):
            return b""
        self.received += len(piece)
        return piece

    def _fail(self) -> None:
        """Notes that the connection broke, and waits before the next one.

        Raises:
            RegistryError: It has broken often enough.
        """
        self.close()
        self._failures += 1
        self._resumes += 1
        if self._failures >= self._client.patience.tries or self._resumes > _MOST_RESUMES:
            raise cut(self._subject, self.position, self._failures)
        self._client.pause(self._failures, self._check)

    def _connect(self) -> BaseHTTPResponse:
        headers: dict[str, str] = {}
        expect: tuple[int, ...] = (200,)
        if self.position or self._partial:
            headers["Range"] = f"bytes={self.position}-{self._end - 1}"
            expect = (200, 206)
        response = self._client.open("GET", self._path, self._subject, headers, self._check, expect)
        if response.status == 206:
            span = content_range(response.headers.get("Content-Range"))
            if span is None or span[0] != self.position:
                response.close()
                raise RegistryError(
                    f"{self._subject.registry} sends another part of "
                    f"{visible(self._subject.what)} than it was asked for.",
                    "The registry, or a proxy before it, is broken.",
                )
        elif self._partial:
            response.close()
            raise NoRangesError(f"{self._subject.registry} knows no range requests.")
        else:
            self._pass_over(response)
        return response

    def _pass_over(self, response: BaseHTTPResponse) -> None:
        """Reads again what we have had; where that breaks too, the next read finds out."""
        left = self.position
        while left > 0:
            self._check()
            piece = self._piece(response, min(left, _PIECE))
            if not piece:
                response.close()
                return
            left -= len(piece)


def fetch_blob(
    client: RegistryClient, descriptor: Descriptor, what: str, check: Check = no_check
) -> bytes:
    """Gets a small blob whole: an image configuration.

    Raises:
        LayerscopeError: It is too large, not what its digest says, or cannot be had.
    """
    if descriptor.size > MAX_DOCUMENT:
        raise RegistryError(
            f"The {visible(what)} in {visible(client.domain)} is larger than "
            f"{MAX_DOCUMENT >> 20} MiB.",
            "That is no image; check the name.",
        )
    stream = BlobStream(client, descriptor, what, check=check)
    try:
        data = stream.read_all()
        stream.verify()
    finally:
        stream.close()
    return data
