"""The parsers that meet hostile bytes, as functions of bytes.

A target raises nothing: the errors that a parser is meant to raise are its answer. Whatever else
comes out of it is a finding.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from layerscope.errors import LayerscopeError
from layerscope.filesystem.changeset_file import ChangesetFileError, load_changeset
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import build_changeset, changeset_of, read_changeset
from layerscope.filesystem.view import layer_view, union_view
from layerscope.filesystem.waste import measure
from layerscope.images.archives.save_stream import SaveStream
from layerscope.images.progress import Progress
from layerscope.images.stores.bolt import BoltError, Bucket, Database
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.compression import CompressionError, compression_of, decompressed
from layerscope.oci.config import ConfigError, instruction, parse_config
from layerscope.oci.distribution import (
    content_range,
    parse_challenges,
    retry_after,
    split_url,
    token_url,
)
from layerscope.oci.manifest import (
    ManifestError,
    parse_index,
    parse_manifest,
    parse_saved_images,
)
from layerscope.oci.reference import parse_reference
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_split import TarSplitError, TarSplitSource, scan_usual
from layerscope.oci.toc import TocError, parse_toc, stargz_toc_offset
from layerscope.patterns import glob_pattern
from layerscope.text import one_line, visible

Target = Callable[[bytes], None]

#: What a decompressor may make of a small input before the target stops to look.
_MOST = 1 << 24


def reader(data: bytes) -> Callable[[int], bytes]:
    """A read function that gives odd pieces, as networks do."""
    place = 0

    def read(size: int) -> bytes:
        nonlocal place
        piece = data[place : place + min(size, 1000)]
        place += len(piece)
        return piece

    return read


def tar(data: bytes) -> None:
    """A layer, then a stack of it with itself, and all that is asked of a stack."""
    try:
        changeset = read_changeset(Stream(reader(data), digest=True))
    except (TarError, TruncatedError, LayerscopeError):
        return
    stack = Stack([changeset, changeset])
    waste = measure(stack)
    assert waste.wasted_size == sum(path.size for path in waste.paths)
    assert np.array_equal(np.sort(stack.union(1)), np.unique(stack.union(1)))
    union_view(stack, 1)
    layer_view(stack, 1)


def repaired(data: bytes) -> bytes:
    """The same bytes with good checksums, without which no mutation gets past the first header."""
    blocks = [data[place : place + 512] for place in range(0, len(data), 512)]
    for number, block in enumerate(blocks):
        if block[257:262] == b"ustar" and len(block) == 512:
            total = sum(block[:148]) + 8 * 32 + sum(block[156:])
            blocks[number] = block[:148] + b"%06o\0 " % total + block[156:]
    return b"".join(blocks)


def tar_repaired(data: bytes) -> None:
    """A layer whose headers all have good checksums."""
    tar(repaired(data))


def archive(data: bytes) -> None:
    """A `docker save` archive that comes as a stream."""
    stream = SaveStream(reader(data), "fuzz")
    try:
        for _ in stream.entries(Progress()):
            pass
        stream.finish(None, reference=None, source="fuzz")
    except LayerscopeError as error:
        if "\x1b" in str(error):
            raise AssertionError("an escape sequence in a message") from None


def compressed(data: bytes) -> None:
    """gzip, zstd and xz, as they say themselves."""
    kind = compression_of(data[:6])
    if kind is None:
        return
    read = decompressed(kind, reader(data))
    total = 0
    try:
        while total < _MOST and (piece := read(1 << 16)):
            assert len(piece) <= 1 << 16
            total += len(piece)
    except CompressionError:
        return


def documents(data: bytes) -> None:
    """Manifests, indexes and configurations."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    for parse in (parse_config, parse_manifest, parse_index, parse_saved_images):
        try:
            parse(document)
        except (ConfigError, ManifestError):
            continue


def words(data: bytes) -> None:
    """References, instructions, globs, and names on their way to a terminal."""
    text = data.decode("utf-8", "surrogateescape")
    for shown in (visible(data), one_line(text)):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", shown)
    instruction(text)
    glob_pattern(text).search(data)
    try:
        parse_reference(text)
    except ValueError:
        return


def cached(data: bytes) -> None:
    """A file of the cache."""
    try:
        load_changeset(data)
    except ChangesetFileError:
        return


def registry_words(data: bytes) -> None:
    """What a registry says in headers (which HTTP has in Latin-1) and tables of contents."""
    text = data.decode("latin-1")
    for challenge in parse_challenges(text):
        token_url(challenge, ["repository:library/a:pull"])
    retry_after(text, 0.0)
    content_range(text)
    split_url(text)
    stargz_toc_offset(data)
    try:
        build_changeset([parse_toc(data).columns])
    except (TocError, TarError):
        return


def bolt(data: bytes) -> None:
    """containerd's database: all buckets, to the last."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            pending = [Database(file.fileno()).root]
            seen = 0
            while pending and seen < 1000:
                for item in pending.pop().items():
                    seen += 1
                    if isinstance(item[1], Bucket):
                        pending.append(item[1])
        except BoltError:
            return


def tar_split(data: bytes) -> None:
    """What Docker keeps of a layer's tar besides the files."""
    with suppress(TarError, TarSplitError):
        changeset_of(scan_usual(reader(data)))
    try:
        read_changeset(TarSplitSource(reader(data)))
    except (TarError, TruncatedError, TarSplitError):
        return


TARGETS: dict[str, Target] = {
    "bolt": bolt,
    "registry_words": registry_words,
    "tar_split": tar_split,
    "tar": tar,
    "tar_repaired": tar_repaired,
    "archive": archive,
    "compressed": compressed,
    "documents": documents,
    "words": words,
    "cached": cached,
}
