"""Uploads blobs and manifests (OCI distribution specification, "Pushing").

A blob that the registry has is not sent; one in another of its repositories is mounted. If a
connection breaks within a blob, the registry reports how much has arrived, and the rest follows.
If the registry has lost the upload, the blob is sent from the beginning.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlencode

from layerscope.errors import BadInputError, Cancelled, LayerscopeError, NotFoundError
from layerscope.images.archives.writing import Blob
from layerscope.images.registry.client import PASSING, Check, RegistryClient, no_check
from layerscope.images.registry.errors import (
    LostConnection,
    Subject,
    error_for,
    rejected,
    wrong_digest,
)
from layerscope.oci.distribution import blob_path, error_text, manifest_path, wait_of
from layerscope.text import not_expected, visible

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

    from urllib3 import BaseHTTPResponse

State = Literal["exists", "mounted", "pushing", "retrying", "done"]
#: Receives a blob's progress: its state, the number of bytes sent, and a remark.
Report = Callable[[State, int, str], None]

_PIECE = 1 << 20
#: Bytes per request. A registry that restarts loses only the last one if it keeps its uploads.
CHUNK = 64 << 20
_BYTES = {"Content-Type": "application/octet-stream"}
#: The registry does not know the upload, or is at a different offset.
_GONE = (400, 404, 416)
#: A registry that needs more new uploads of one blob keeps none.
_MOST_UPLOADS = 10
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")


class _Broken(Exception):
    """A request that may succeed later; `final` is the error to raise if it does not."""

    def __init__(self, why: str, final: LayerscopeError, wait: float = 0.0) -> None:
        super().__init__(why)
        self.why = why
        self.final = final
        self.wait = wait  # Seconds that the registry asks to wait.


class _Gone(_Broken):
    """An upload that the registry does not continue."""


@dataclass(slots=True)
class _Session:
    """An upload that the registry has begun."""

    location: str
    offset: int = 0  # The number of bytes it has, as far as known.


class BlobUpload:
    """Uploads one blob to the repository of a client."""

    def __init__(
        self,
        client: RegistryClient,
        blob: Blob,
        what: str,
        report: Report,
        *,
        mounts: Sequence[str] = (),
        check: Check = no_check,
    ) -> None:
        """`what` is its name in messages; `mounts` are repositories that may have it."""
        self._client = client
        self._blob = blob
        self._report = report
        self._mounts = mounts
        self._check = check
        self._chunk = CHUNK
        self._sent = 0
        self._digest = hashlib.new(blob.digest.partition(":")[0])
        self._hashed = 0  # The number of bytes in `_digest`.
        self._subject = client.subject(
            what, retrying=lambda why: report("retrying", self._sent, why)
        )
        self._uploads = f"/v2/{quote(client.repository)}/blobs/uploads/"

    def run(self) -> None:
        """Uploads the blob if need be; raises LayerscopeError on failure."""
        if self.exists():
            self._report("exists", 0, "")
            return
        session = self.mounted_or_begun()
        if session is not None:
            self._send(session)
            self._report("done", self._blob.size, "")

    def exists(self) -> bool:
        return has_blob(self._client, self._blob.digest, self._check)

    def mounted_or_begun(self) -> _Session | None:
        """Mounts the blob or begins an upload; returns the upload, or None if it is mounted."""
        for repository in self._mounts:
            query = urlencode({"mount": self._blob.digest, "from": repository}, safe=":/")
            try:
                response = self._open("POST", f"{self._uploads}?{query}", {}, (201, 202), None)
            except (Cancelled, LostConnection):
                raise
            except LayerscopeError:
                continue  # This login may not read it.
            if response.status == 201:
                self._report("mounted", 0, f"mounted from {visible(repository)}")
                return None
            # 202: it does not exist, and an upload has begun.
            return self._session(response, self._uploads)
        return self._session(self._open("POST", self._uploads, {}, (202,), None), self._uploads)

    def _session(self, response: BaseHTTPResponse, path: str) -> _Session:
        response.close()
        return _Session(self._client.location(response, path, self._subject))

    def _send(self, session: _Session) -> None:
        failures, uploads, reached = 0, 1, 0
        while True:
            try:
                self._try(session)
                return
            except _Broken as error:
                if self._sent > reached:
                    failures, reached = 0, self._sent
                failures += 1
                if failures >= self._client.patience.tries:
                    raise error.final from None
                self._client.pause(failures, self._check, error.wait, self._subject, error.why)
            found = self._progress(session)
            if found is None:
                # It may be complete, and only the response was lost.
                if self.exists():
                    return
                uploads += 1
                if uploads > _MOST_UPLOADS:
                    raise rejected(self._subject, "it forgets its uploads", "")
                begun = self.mounted_or_begun()
                if begun is None:
                    return
                found = begun
            session = found

    def _try(self, session: _Session) -> None:
        """Sends the rest of the blob, and completes the upload."""
        size = self._blob.size
        while session.offset < size:
            begin, end = session.offset, min(size, session.offset + self._chunk)
            headers = {**_BYTES, "Content-Length": str(end - begin)}
            if end - begin < size:
                headers["Content-Range"] = f"{begin}-{end - 1}"
            try:
                pieces = partial(self._pieces, begin, end)
                response = self._request(
                    "PATCH", session.location, headers, (201, 202, 204), pieces
                )
            except _Gone:
                # Some registries accept a blob only in one piece.
                self._chunk = size
                raise
            session.location = self._session(response, session.location).location
            session.offset = end
        joint = "&" if "?" in session.location else "?"
        query = urlencode({"digest": self._blob.digest}, safe=":")
        path = f"{session.location}{joint}{query}"
        response = self._request("PUT", path, {**_BYTES, "Content-Length": "0"}, (201, 204))
        response.close()
        _check_digest(response, self._blob.digest, self._subject)

    def _pieces(self, begin: int, end: int) -> Iterator[bytes]:
        """A part of the blob. Compares the digest of the whole before it sends the last byte."""
        self._report("pushing", begin, "")
        with self._blob.open_at(begin) as read:
            while begin < end and (piece := read(min(_PIECE, end - begin))):
                self._check()
                begin += len(piece)
                if begin > self._hashed:
                    self._digest.update(piece[len(piece) - (begin - self._hashed) :])
                    self._hashed = begin
                if begin == self._blob.size:
                    check_digest(self._subject.what, self._blob.digest, self._digest)
                yield piece
                self._sent = begin
                self._report("pushing", begin, "")

    def _progress(self, session: _Session) -> _Session | None:
        """The session with the current offset, or None if the registry has lost the upload."""
        expect = (200, 204, *_GONE, 401, 403, 405)
        response = self._open("GET", session.location, {}, expect, tries=None)
        found = _RANGE.fullmatch(response.headers.get("Range", "").strip())
        response.close()
        if response.status not in (200, 204) or found is None:
            return None
        offset = int(found[1]) + 1
        # Registries write 0-0 for zero bytes and for one byte.
        if offset == 1 or offset > self._hashed:
            return None
        location = session.location
        if response.headers.get("Location"):
            location = self._client.location(response, location, self._subject)
        return _Session(location, offset)

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        expect: Sequence[int],
        body: Callable[[], Iterator[bytes]] | None = None,
    ) -> BaseHTTPResponse:
        """Sends a request once; raises _Broken if a retry may help."""
        try:
            response = self._open(method, path, headers, (*expect, *_GONE, *PASSING), 1, body)
        except LostConnection as error:
            raise _Broken("the connection broke", error) from None
        if response.status in expect:
            return response
        status = response.status
        said = error_text(self._client.error_body(response, method))
        if status in _GONE:
            detail = said or str(status)
            final: LayerscopeError = rejected(self._subject, detail, "Try again.")
            raise _Gone(f"the registry answered {status}", final)
        wait = wait_of(response.headers, time.time())
        final = error_for(status, self._subject, said, tries=1, wait=wait)
        if (wait or 0) > self._client.patience.longest_retry_after:
            raise final
        raise _Broken(f"the registry answered {status}", final, wait or 0)

    def _open(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        expect: Sequence[int],
        tries: int | None,
        body: Callable[[], Iterator[bytes]] | None = None,
    ) -> BaseHTTPResponse:
        if method == "POST":
            headers = {**headers, "Content-Length": "0"}
        return self._client.open(
            method, path, self._subject, headers, self._check, expect, tries, body
        )


def has_blob(client: RegistryClient, digest: str, check: Check = no_check) -> bool:
    """Whether a repository has a blob; raises LayerscopeError if the registry does not tell."""
    path = blob_path(client.repository, digest)
    subject = client.subject(f"blob {digest}")
    response = client.open("HEAD", path, subject, {}, check, (200, 404))
    response.close()
    return response.status == 200


def put_manifest(
    client: RegistryClient,
    reference: str,
    media_type: str,
    data: bytes,
    check: Check = no_check,
) -> None:
    """Uploads a manifest or index by tag or digest; raises LayerscopeError if it is refused."""
    missing = NotFoundError(
        f"{visible(client.domain)} has lost a part of {visible(client.repository)} (404).",
        "Push again.",
    )
    subject = client.subject(f"manifest {reference}", missing)
    headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
    path = manifest_path(client.repository, reference)
    response = client.open(
        "PUT", path, subject, headers, check, expect=(200, 201, 202), body=lambda: data
    )
    response.close()
    _check_digest(response, f"sha256:{hashlib.sha256(data).hexdigest()}", subject)


def check_digest(what: str, expected: str, digest: Hash) -> None:
    """Raises BadInputError if a blob of the source does not match its digest."""
    found = f"{digest.name}:{digest.hexdigest()}"
    if found != expected:
        problem = f"it is damaged: {not_expected('digest', expected, found)}"
        raise BadInputError(visible(what), None, problem, "Save the image again.")


def _check_digest(response: BaseHTTPResponse, digest: str, subject: Subject) -> None:
    found = response.headers.get("Docker-Content-Digest")
    # Some report it with another algorithm.
    if found and found.partition(":")[0] == digest.partition(":")[0] and found != digest:
        raise wrong_digest(subject, digest, found)
