"""A layer that an engine unpacked into a folder, and images of such layers."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.difference import difference
from layerscope.filesystem.disk_changeset import read_folder
from layerscope.filesystem.disk_walk import open_below
from layerscope.filesystem.tar_changeset import changeset_of, read_changeset
from layerscope.images.files.located import Located
from layerscope.images.image import Image
from layerscope.images.layer_stream import Read, range_pieces
from layerscope.images.pieces import Piece, pieces_of
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, Known
from layerscope.images.stores.data_folder import DataFolder, DataFolderError
from layerscope.images.two_cores import read_layers
from layerscope.oci.byte_source import FileRange, TruncatedError, opened, reader_of_pieces
from layerscope.oci.compression import CompressionError, decompressed
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_split import TarSplitError, TarSplitSource, Unusual, parts, scan_usual
from layerscope.text import decode, visible

#: Bytes of compressed tar-split below which a second process saves no time: some 20,000 entries.
_WORTHWHILE = 1 << 20


@dataclass(frozen=True, slots=True)
class FolderLayer:
    """A layer in a data folder.

    The engine's tar-split file, if any, is preferred to the folder itself. It has the headers of
    the layer's tar stream, and so produces the same changeset as an export or a registry, which
    can be cached by diff_id. Walking the folder shows the files as the engine unpacked them.
    """

    root: DataFolder
    folder: str  # The folder of the layer's files in it.
    headers: str = ""  # The tar-split file in it; may be empty.
    live: bool = False  # Whether it may change during reading, as a container's upper folder may.

    def check(self) -> None:
        """Raises BadInputError if the layer cannot be read."""
        os.close(self.root.open_folder(self.folder))

    def changeset(self, advance: Callable[[int], None] | None = None) -> Changeset:
        """Reads the layer; `advance` is called repeatedly, and may raise to stop.

        Raises BadInputError if it cannot be read.
        """
        if self.headers:
            changeset = self._from_headers(advance)
            if changeset is not None:
                return changeset
        return self.walked(advance)

    @property
    def weight(self) -> int:
        """Size of the tar-split file; 0 without one."""
        if not self.headers:
            return 0
        try:
            with opened(self.root.open_file(self.headers)) as fd:
                return os.fstat(fd).st_size
        except DataFolderError:
            return 0

    def walked(self, advance: Callable[[int], None] | None = None) -> Changeset:
        with opened(self.root.open_folder(self.folder)) as top:
            name = str(self.root.path / self.folder)
            return read_folder(top, name, live=self.live, advance=advance)

    def _from_headers(self, advance: Callable[[int], None] | None) -> Changeset | None:
        try:
            fd = self.root.open_file(self.headers)
        except DataFolderError:
            return None
        try:
            with os.fdopen(fd, "rb", buffering=0) as file:
                try:
                    return changeset_of(scan_usual(decompressed("gzip", file.read)), advance)
                except (Unusual, TarError):
                    file.seek(0)
                return read_changeset(TarSplitSource(decompressed("gzip", file.read)), advance)
        except (TarError, TarSplitError, TruncatedError, CompressionError, OSError):
            # If that file is damaged, the engine cannot export the layer; its folder is intact.
            return None

    def tar(self) -> Generator[bytes, None, None]:
        """The layer's tar, rebuilt from the tar-split file; raises BadInputError on failure.

        Its digest shows whether a file has changed since.
        """
        if not self.headers:
            raise self.root.bad("the engine has not kept the headers of its tar", self.folder)
        name = self.root.name(self.headers)
        try:
            with (
                os.fdopen(self.root.open_file(self.headers), "rb", buffering=0) as headers,
                opened(self.root.open_folder(self.folder)) as top,
            ):
                for part in parts(decompressed("gzip", headers.read)):
                    if isinstance(part, bytes):
                        yield part
                        continue
                    path = os.path.normpath(b"/" + part.path).lstrip(b"/")
                    name = f"{self.root.name(self.folder)}/{visible(decode(path))}"
                    with opened(open_below(top, path)) as fd:
                        yield from range_pieces(FileRange(fd, 0, part.size), 0, part.size)
                    name = self.root.name(self.headers)
        except (TarSplitError, CompressionError) as error:
            raise BadInputError(name, None, str(error)) from None
        except TruncatedError:
            raise BadInputError(name, None, "it is shorter than the layer says") from None
        except OSError as error:
            raise BadInputError(name, None, f"it cannot be read ({error.strerror})") from None

    def content(self, changeset: Changeset, row: int) -> Iterator[Piece]:
        """The content of a file; raises BadInputError if it has changed."""
        with closing(self.located(changeset, row)) as content:
            yield from pieces_of(content)

    def located(self, changeset: Changeset, row: int) -> Located:
        path = changeset.path(row)
        name = f"{self.root.name(self.folder)}/{visible(decode(path))}"
        with opened(self.root.open_folder(self.folder)) as top:
            try:
                fd = open_below(top, path)
            except OSError as error:
                raise BadInputError(name, None, f"it cannot be read ({error.strerror})") from None
        size = os.fstat(fd).st_size
        if not self.live and size != int(changeset.sizes[row]):
            os.close(fd)
            raise BadInputError(name, None, f"its size is {size} bytes, not what the layer says")
        return Located.of_file(fd, name)


@dataclass(frozen=True, slots=True)
class CopyLayer(FolderLayer):
    """A layer whose folder also has all files of the layers below it."""

    below: str = ""  # The folder of the layers below; empty for the base layer.

    def walked(self, advance: Callable[[int], None] | None = None) -> Changeset:
        tree = FolderLayer.walked(self, advance)
        if not self.below:
            return tree
        return difference(FolderLayer(self.root, self.below).walked(advance), tree)


class FolderLayers:
    """Layers in folders, base first; `close` releases what they need."""

    def __init__(self, folders: Sequence[FolderLayer], close: Callable[[], None]) -> None:
        self._folders = folders
        self._close = close

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[Piece]:
        return self._folders[layer].content(changeset, row)

    def located(self, layer: int, changeset: Changeset, row: int) -> Located:
        return self._folders[layer].located(changeset, row)

    def close(self) -> None:
        self._close()


class FolderReader(FolderLayers, ImageReader):
    def __init__(
        self, image: Image, layers: Sequence[FolderLayer], way: str, close: Callable[[], None]
    ) -> None:
        super().__init__(layers, close)
        self.image = image
        self.way = way
        self._walked: set[int] = set()

    def cache_key(self, layer: int) -> str | None:
        """The diff_id, which the engine has verified; None for a folder that was walked."""
        if layer in self._walked or not self._folders[layer].headers:
            return None
        return self.image.layers[layer].diff_id

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        progress.what = "Reading layers"

        def read(index: int) -> Changeset:
            return self._folders[index].changeset(progress.check)

        sizes = {i: layer.weight for i, layer in enumerate(self._folders) if i not in known}
        for index, changeset in read_layers(sizes, read, at_least=_WORTHWHILE):
            progress.check()
            if len(changeset) and changeset.header_offsets[0] < 0:
                self._walked.add(index)
            yield index, changeset

    def tars(self, progress: Progress, wanted: Container[str]) -> Iterator[tuple[str, Read]]:
        for folder, layer in zip(self._folders, self.image.layers, strict=True):
            if layer.diff_id in wanted:
                with closing(folder.tar()) as pieces:
                    yield layer.diff_id, reader_of_pieces(pieces)
