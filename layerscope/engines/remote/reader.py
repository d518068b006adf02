"""An image of an engine behind ssh, read by the remote layerscope, so only kilobytes travel."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Container, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from layerscope.engines.address import Address
from layerscope.engines.remote.peer import NoPeer, Peer
from layerscope.engines.remote.protocol import Message
from layerscope.errors import EngineError, LayerscopeError
from layerscope.filesystem.changeset import MOST_ENTRIES, Changeset, EntryType
from layerscope.filesystem.changeset_file import ChangesetFileError, load_changeset
from layerscope.images.archives.engine_export import EngineExportReader
from layerscope.images.image import Image, image_from_config
from layerscope.images.layer_stream import Passed, Read
from layerscope.images.pieces import Hole, Piece
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, Known, Wanted, unreadable
from layerscope.oci.compression import CompressionError, decompressed
from layerscope.oci.config import ConfigError, parse_config
from layerscope.records import go_json
from layerscope.text import one_line, visible

#: Invalid in a path of a changeset: a part that is empty, `.` or `..`.
_BAD_PATH = re.compile(rb"(?:\A|[\0/])\.\.?(?=[\0/]|\Z)|//|(?:\A|\0)/|/(?=\0|\Z)")
_MOST_CHANGESET = 2 << 30  # Bytes of a changeset, uncompressed.


class RemoteReader(ImageReader):
    def __init__(self, address: Address, export: EngineExportReader) -> None:
        """Takes over the engine's description of an image, and opens it in the remote layerscope.

        Raises NoPeer if that is not possible.
        """
        self._address = address
        self._export = export
        self._name = export.image.id
        self.image = export.image
        self._peer: Peer | None = None
        #: Whether it can send single layers' tars; otherwise, all of them come from an export.
        self.sends_layers = False
        try:
            self.image = self._open()
        except LayerscopeError as error:
            self._hang_up()
            raise NoPeer(one_line(str(error)).rstrip(".")) from None
        self.way = f"{export.way.removesuffix(', export')}, layerscope at {address.shown}"

    @property
    def received(self) -> int:
        """Bytes received from the other side."""
        return 0 if self._peer is None else self._peer.received

    def _open(self) -> Image:
        self._peer = peer = Peer(self._address)
        platform = None if self._export.platform is None else str(self._export.platform)
        ((document, data),) = peer.ask("open", name=self._name, platform=platform)
        image = self._export.image
        if document.get("layers") != [layer.diff_id for layer in image.layers]:
            raise EngineError("its layerscope has another image of that name")
        self.sends_layers = "tars" in peer.requests and not document.get("why")
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        try:
            config = parse_config(go_json(data), data)
        except (ValueError, ConfigError):
            config = None
        # containerd's ids are not config digests, so the config is then omitted.
        if config is None or digest != image.id:
            return image
        found = image_from_config(
            config, reference=image.reference, image_id=image.id, source=image.source
        )
        return replace(found, platforms=image.platforms)

    def _connected(self) -> Peer:
        if self._peer is None or not self._peer.alive:
            self._hang_up()
            try:
                self._open()
            except NoPeer as reason:
                where = self._address.shown
                raise EngineError(f"{where} cannot be asked again: {reason}.") from None
        assert self._peer is not None  # noqa: S101
        return self._peer

    def cache_key(self, layer: int) -> str | None:
        """Includes the host, since the changeset is not verified against the diff_id."""
        return f"{self._address.host} {self.image.layers[layer].diff_id}"

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        numbers: dict[str, list[int]] = {}
        for layer in self.image.layers:
            if layer.index not in known:
                numbers.setdefault(layer.diff_id, []).append(layer.index)
        if not numbers:
            return
        progress.what = f"Reading at {self._address.shown}"
        peer = self._connected()

        def check() -> None:
            progress.advance(peer.received)

        for document, data in peer.ask("changesets", check, diff_ids=[*numbers]):
            diff_id = str(document.get("diff_id"))
            if diff_id not in numbers:
                raise self._bad("a layer that was not asked for")
            changeset = self._checked(data)
            for index in numbers.pop(diff_id):
                yield index, changeset
        if numbers:
            raise self._bad("layers are missing")

    def _checked(self, data: bytes) -> Changeset:
        """Parses a changeset from the other side; raises EngineError if it is invalid."""
        try:
            changeset = load_changeset(data, most=_MOST_CHANGESET)
            check_changeset(changeset)
        except (ChangesetFileError, ValueError, OverflowError) as error:
            raise self._bad(str(error)) from None
        return changeset

    def _bad(self, why: str) -> EngineError:
        return EngineError(
            f"The layerscope at {self._address.shown} sent an invalid answer "
            f"({visible(one_line(why))}).",
            "Update it there, or export the image with --export.",
        )

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        asked = [(layer, row) for layer, (_, rows) in wanted.items() for row in rows]
        files = [
            (layer, base64.b64encode(wanted[layer][0].path(row)).decode()) for layer, row in asked
        ]
        if not asked:
            return
        left = dict.fromkeys(range(len(asked)))
        answers: Generator[Message] | None = None
        try:
            answers = self._connected().ask("contents", files=files)
            upcoming = next(answers, None)
            while upcoming is not None:
                number = upcoming[0].get("file")
                if not isinstance(number, int) or number not in left:
                    raise self._bad("a file that was not asked for")
                del left[number]
                layer, row = asked[number]
                file = _File(answers, upcoming[0], int(wanted[layer][0].sizes[row]), self._bad)
                yield *asked[number], file.pieces()
                upcoming = file.skip()
            if left:
                raise self._bad("files are missing")
        except LayerscopeError as error:
            for number in left:
                layer, row = asked[number]
                yield from unreadable(layer, [row], error)
        finally:
            if answers is not None:
                answers.close()

    def tars(self, progress: Progress, wanted: Container[str]) -> Iterator[tuple[str, Read]]:
        """Yields the remote tars; for an older layerscope, which cannot send them, exports them."""
        peer = self._connected()
        if "tars" not in peer.requests:
            yield from self._export.tars(progress, wanted)
            self.image = replace(self.image, document=self._export.image.document)
            return
        with closing(self._ask(peer, "tars", progress, wanted)) as answers:
            document, data = next(answers, ({}, b""))
            while isinstance(name := document.get("tar"), str):
                stream = _Stream(answers)
                yield name if name in wanted else "", self._plain(stream)
                document, data = stream.skip()
        if document.get("tar", "") is not None:
            raise self._bad("layers are missing")
        self.image = replace(self.image, document=self.image.document or self._configuration(data))

    def tar_sizes(self, progress: Progress, wanted: Container[str]) -> dict[str, int]:
        peer = self._connected()
        if "tar_sizes" not in peer.requests:
            return {}
        answers = [document for document, _ in self._ask(peer, "tar_sizes", progress, wanted)]
        sizes = {str(each.get("diff_id")): each.get("size") for each in answers}
        return {
            name: size
            for name, size in sizes.items()
            if name in wanted and isinstance(size, int) and 0 <= size < 1 << 63
        }

    def _ask(
        self, peer: Peer, request: str, progress: Progress, wanted: Container[str]
    ) -> Generator[Message]:
        layers = {layer.diff_id for layer in self.image.layers}
        return peer.ask(request, progress.check, diff_ids=[x for x in layers if x in wanted])

    def _plain(self, stream: _Stream) -> Read:
        read = decompressed("zstd", stream.read)

        def described(size: int) -> bytes:
            try:
                return read(size)
            except CompressionError as error:
                raise self._bad(str(error)) from None

        return described

    def _configuration(self, data: bytes) -> bytes:
        """Checks a configuration from the other side against these layers."""
        with suppress(ValueError, ConfigError):
            if parse_config(go_json(data)).diff_ids == tuple(x.diff_id for x in self.image.layers):
                return data
        raise self._bad("the configuration is another image's")

    def _hang_up(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def close(self) -> None:
        self._hang_up()
        self._export.close()


class _Stream:
    """The bytes of one of the tars in the answers to a request."""

    def __init__(self, answers: Iterator[Message]) -> None:
        self._answers = answers
        self._piece = b""
        self._next: Message | None = None

    def read(self, size: int) -> bytes:
        while not self._piece and self._next is None:
            document, data = next(self._answers, ({}, b""))
            if "tar" in document or "id" not in document:
                self._next = document, data
            else:
                self._piece = data
        piece, self._piece = self._piece[:size], self._piece[size:]
        return piece

    def skip(self) -> Message:
        """Skips the rest; returns the next answer."""
        while self._next is None:
            self._piece = b""
            self.read(1)
        return self._next


class _File:
    """The pieces of one of the files in the answers to a request."""

    def __init__(
        self,
        answers: Iterator[Message],
        first: dict[str, Any],
        size: int,
        bad: Callable[[str], EngineError],
    ) -> None:
        self._answers = answers
        self._left = size
        self._bad = bad
        self._next: Message | None = None
        self._over = False
        self._problem: EngineError | None = None
        self._note(first)

    def pieces(self) -> Iterator[Piece]:
        while (piece := self._piece()) is not None:
            yield piece
        if self._problem is None and self._left:
            self._problem = self._bad("a file is cut short")
        if self._problem is not None:
            raise self._problem

    def skip(self) -> Message | None:
        """Skips the rest; returns the first answer about the next file."""
        while self._piece() is not None:
            pass
        return self._next

    def _piece(self) -> Piece | None:
        while not self._over:
            message = next(self._answers, None)
            if message is None or ("file" in message[0] and "error" not in message[0]):
                self._next, self._over = message, True
                break
            document, data = message
            if "error" in document:
                self._note(document)
                continue
            hole = document.get("hole", 0)
            size = hole if isinstance(hole, int) and hole else len(data)
            if not 0 <= size <= self._left:
                raise self._bad("a file is longer than the layer says")
            self._left -= size
            return Hole(size) if hole else data
        return None

    def _note(self, document: dict[str, Any]) -> None:
        if "error" in document:
            self._problem = EngineError(visible(one_line(str(document["error"])))[:500])


def check_changeset(changeset: Changeset) -> None:
    """Raises ValueError if a changeset is not valid for a layer."""
    count = len(changeset)
    if count > MOST_ENTRIES:
        raise ValueError("a layer has too many entries")
    if count and changeset.path_blob.count(b"\0") + 1 != count:
        raise ValueError("a layer has not as many paths as entries")
    if found := _BAD_PATH.search(changeset.path_blob):
        start = changeset.path_blob.rfind(b"\0", 0, found.start() + 1) + 1
        raise ValueError(f"a path is invalid: {changeset.path_blob[start : start + 100]!r}")
    if count and (int(changeset.kinds.max()) > EntryType.OPAQUE or int(changeset.sizes.min()) < 0):
        raise ValueError("an entry is invalid")
    rare = (changeset.links, changeset.devices, changeset.xattrs, changeset.sparse)
    if any(not 0 <= row < count for each in (*rare, changeset.outside) for row in each):
        raise ValueError("an entry is missing")
