"""The new Python that reads layers of an archive; see `two_cores`."""

from __future__ import annotations

import gc
import os
import pickle
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

from layerscope.errors import LayerscopeError
from layerscope.images.archives.archive import ArchiveReader
from layerscope.images.archives.archive_file import ArchiveFile
from layerscope.images.layer_stream import read_layer
from layerscope.images.two_cores import Ranges, serve
from layerscope.oci.byte_source import FileRange
from layerscope.programs import end_with_parent
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset


def child(parent: int) -> None:
    """The new Python's whole life; it ends with the process `parent`, which started it."""
    if not end_with_parent(parent):
        return
    # What is read has no cycles, and looking for some takes a tenth of the time.
    gc.disable()
    end = socket.socket(fileno=0)
    path, (locks, *ahead), _, _ = socket.recv_fds(end, 1 << 16, 2)

    def reads(ranges: Ranges) -> Iterator[tuple[int, Callable[[], Changeset]]]:
        whole = FileRange(ranges.fd, 0, os.fstat(ranges.fd).st_size)
        # The largest first, so that both processes end at about the same time; the other one begins
        # at the base, which can be shown first.
        largest = sorted(ranges.places.values(), key=lambda place: -place[2])
        for name, start, size, promised in largest:
            of = partial(read_layer, file=ranges.file, name=name, promised=promised)
            yield start, partial(of, whole, start, size)

    def all_reads() -> Iterator[tuple[int, Callable[[], Changeset]]]:
        for fd in ahead:
            file = visible(os.fsdecode(path))
            with suppress(LayerscopeError), closing(ArchiveFile(fd, file)) as archive:
                for read in reads(ArchiveReader(archive, None, "").not_cached()):
                    if select.select([end], (), (), 0)[0]:
                        break
                    yield read
        order, descriptors, _, _ = socket.recv_fds(end, 1 << 20, 1)
        if order:
            # From our own parent, through a socket that nobody else has.
            file, places = pickle.loads(order)  # noqa: S301
            yield from reads(Ranges(descriptors[0], file, places))

    serve(end, locks, all_reads())
