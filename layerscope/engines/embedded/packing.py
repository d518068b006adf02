"""Images of the embedded store as blobs, to export, push or save them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from layerscope.engines.embedded.contents import EmbeddedReader
from layerscope.engines.embedded.store import Store
from layerscope.images.archives.blob_store import blob_file
from layerscope.images.archives.writing import Blob, PackedImage, named
from layerscope.oci.byte_source import whole_reader
from layerscope.oci.manifest import Descriptor
from layerscope.oci.reference import parse_reference


def pack(store: Store, reader: EmbeddedReader, tags: Sequence[str]) -> PackedImage:
    """Returns an image as its stored manifest, configuration and layers."""
    manifest, top = reader.found_manifest, reader.descriptor
    descriptors = (top, manifest.config, *manifest.layers)
    packed = PackedImage(
        replace(top, annotations={}),
        tuple(_blob(store, each) for each in descriptors),
        manifest.config,
        manifest.layers,
    )
    reference = parse_reference(tags[0]) if tags else None
    return replace(named(packed, reference), tags=tuple(tags))


def _blob(store: Store, descriptor: Descriptor) -> Blob:
    @contextmanager
    def opened(start: int) -> Iterator[Callable[[int], bytes]]:
        name = blob_file(store.file, descriptor.digest)
        with store.files().opened(name) as (source, size, _):
            yield whole_reader(source, size, start)

    return Blob(descriptor.digest, descriptor.size, opened)
