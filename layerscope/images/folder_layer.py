"""A layer that an engine has unpacked into a folder, and an image made of such layers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.disk_changeset import read_folder
from layerscope.filesystem.disk_walk import open_below
from layerscope.filesystem.tar_changeset import changeset_of, read_changeset
from layerscope.images.data_folder import DataFolder, DataFolderError
from layerscope.images.forked import WORTHWHILE, may_fork, read_forked
from layerscope.images.image import Image
from layerscope.images.located import Located
from layerscope.images.progress import Progress
from layerscope.images.reader import Known
from layerscope.oci.byte_source import TruncatedError
from layerscope.oci.compression import CompressionError, decompressed
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_split import TarSplitError, TarSplitSource
from layerscope.oci.tar_split_scan import Unusual, scan_usual
from layerscope.text import decode, visible

_PIECE = 1 << 20

#: Bytes of tar-split, compressed, below which a forked child saves nothing: some 20,000 entries.
_WORTH_A_FORK = 1 << 20


@dataclass(frozen=True, slots=True)
class FolderLayer:
    """A layer in a data folder.

    The engine's tar-split file is preferred to the folder itself, where there is one. It tells what
    the layer's tar stream holds: the same changeset as from an export or a registry, so that it can
    be kept by diff_id. A walk tells what the engine made of it.

    Attributes:
        root: The data folder.
        folder: Where the files are in it.
        headers: Where the tar-split file is in it; empty if there is none.
        live: Whether it may change meanwhile, as the upper folder of a container does.
    """

    root: DataFolder
    folder: str
    headers: str = ""
    live: bool = False

    def check(self) -> None:
        """Makes sure that the layer can be read.

        Raises:
            BadInputError: It cannot.
        """
        os.close(self.root.open_folder(self.folder))

    def changeset(self, advance: Callable[[int], None] | None = None) -> Changeset:
        """Reads the layer.

        Args:
            advance: Told now and then that it goes on; may raise to stop.

        Raises:
            BadInputError: It cannot be read.
        """
        if self.headers:
            changeset = self._from_headers(advance)
            if changeset is not None:
                return changeset
        return self.walked(advance)

    @property
    def weight(self) -> int:
        """How much there is to read, in bytes of the tar-split file; 0 without one."""
        if not self.headers:
            return 0
        try:
            fd = self.root.open_file(self.headers)
        except DataFolderError:
            return 0
        size = os.fstat(fd).st_size
        os.close(fd)
        return size

    def walked(self, advance: Callable[[int], None] | None = None) -> Changeset:
        """Reads the folder, and nothing else.

        Raises:
            BadInputError: It cannot be read.
        """
        top = self.root.open_folder(self.folder)
        try:
            name = str(self.root.path / self.folder)
            return read_folder(top, name, live=self.live, advance=advance)
        finally:
            os.close(top)

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
            # A damaged one is a loss to the engine, too, which cannot export the layer any more;
            # its folder is still whole.
            return None

    def content(self, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file.

        Raises:
            BadInputError: It cannot be read, or is not what it was.
        """
        fd, name, _ = self._open(changeset, row)
        with os.fdopen(fd, "rb", buffering=0) as file:
            try:
                while piece := file.read(_PIECE):
                    yield piece
            except OSError as error:
                raise BadInputError(name, None, f"it cannot be read ({error.strerror})") from None

    def located(self, changeset: Changeset, row: int) -> Located:
        """The file, open.

        Raises:
            BadInputError: It cannot be read, or is not what it was.
        """
        fd, name, size = self._open(changeset, row)
        return Located(fd, size, [(0, 0, size)], name)

    def _open(self, changeset: Changeset, row: int) -> tuple[int, str, int]:
        """A file's descriptor, its name for errors, and its size."""
        path = changeset.path(row)
        name = f"{self.root.name(self.folder)}/{visible(decode(path))}"
        top = self.root.open_folder(self.folder)
        try:
            fd = open_below(top, path)
        except OSError as error:
            raise BadInputError(name, None, f"it cannot be read ({error.strerror})") from None
        finally:
            os.close(top)
        size = os.fstat(fd).st_size
        if not self.live and size != int(changeset.sizes[row]):
            os.close(fd)
            raise BadInputError(name, None, f"it is {size} bytes long, not as the layer says")
        return fd, name, size


class FolderReader:
    """An image whose layers lie in folders.

    Attributes:
        image: The image.
        way: How it is read.
        why: Nothing: there is no faster way.
    """

    why = ""

    def __init__(
        self, image: Image, layers: Sequence[FolderLayer], way: str, close: Callable[[], None]
    ) -> None:
        """Makes a reader.

        Args:
            image: The image.
            layers: Its layers, base first.
            way: How to call this way of reading.
            close: Lets go of what the layers need.
        """
        self.image = image
        self.way = way
        self._layers = layers
        self._close = close
        self._walked: set[int] = set()

    def cache_key(self, layer: int) -> str | None:
        """The diff_id, which the engine has verified; none for what only a walk has told."""
        if layer in self._walked or not self._layers[layer].headers:
            return None
        return self.image.layers[layer].diff_id

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Reads the layers; see `ImageReader.changesets`."""
        progress.what = "Reading layers"

        def advance(_: int) -> None:
            progress.advance(progress.done)

        def read(index: int) -> Changeset:
            return self._layers[index].changeset(advance)

        wanted = [index for index in range(len(self._layers)) if index not in known]
        weights = {index: self._layers[index].weight for index in wanted}
        heavy = sum(weights.values()) >= _WORTH_A_FORK
        if heavy and may_fork(len(wanted), WORTHWHILE):
            # The largest first, so that both are done at the same time.
            found = read_forked(sorted(wanted, key=lambda index: -weights[index]), read)
        else:
            found = ((index, read(index)) for index in wanted)
        for index, changeset in found:
            advance(0)
            if len(changeset) and changeset.header_offsets[0] < 0:
                self._walked.add(index)
            yield index, changeset

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file; see `ImageReader.content`."""
        return self._layers[layer].content(changeset, row)

    def located(self, layer: int, changeset: Changeset, row: int) -> Located:
        """Where the content of a file lies; see `LocatingReader.located`."""
        return self._layers[layer].located(changeset, row)

    def close(self) -> None:
        """Closes the data folder."""
        self._close()
