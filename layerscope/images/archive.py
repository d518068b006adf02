"""`docker-archive:` in a file that can seek: nothing is read but what is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.archive_file import ArchiveFile, Member
from layerscope.images.blob_store import read_document
from layerscope.images.image import Image, image_from_config
from layerscope.images.located import Located, locate
from layerscope.images.passing import Passed, Wanted
from layerscope.images.progress import Progress
from layerscope.images.reader import Known
from layerscope.images.save_layout import (
    MANIFEST,
    check_layers,
    choose_image,
    image_id,
    load_json,
    read_config,
)
from layerscope.text import visible


class ArchiveReader:
    """An image in a `docker save` archive.

    Attributes:
        image: The image.
        way: How it is read.
    """

    way = "archive"

    def __init__(self, archive: ArchiveFile, path: Path, wanted: str | None = None) -> None:
        """Finds the image.

        Args:
            archive: The archive; closed with the reader.
            path: Where it is.
            wanted: Which image, if it holds several.

        Raises:
            LayerscopeError: There is no such image in it.
        """
        self._archive = archive
        self._file = archive.file
        try:
            self.image, self._layers = self._find_image(path, wanted)
        except BaseException:
            archive.close()
            raise

    def cache_key(self, layer: int) -> str | None:
        """The place of the layer's bytes in the file."""
        return self._archive.key(self._layers[layer][1])

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Reads the layers; see `ImageReader.changesets`."""
        progress.what = "Reading layers"
        sizes = [member.size for _, member in self._layers]
        progress.total = sum(sizes)
        starts = [sum(sizes[:index]) for index in range(len(sizes))]
        # Layers that are equal may be stored once.
        sharing: dict[Member, list[int]] = {}
        for index, (_, member) in enumerate(self._layers):
            if index not in known:
                sharing.setdefault(member, []).append(index)
        wanted = [indexes[0] for indexes in sharing.values()]

        if not sharing:
            return
        # An image that is in the cache has no need of them, nor of the time that importing takes.
        from layerscope.images.forked import may_fork, read_forked
        from layerscope.images.layer_bytes import read_layer
        from layerscope.images.spawned import may_spawn, read_spawned

        def read(index: int) -> Changeset:
            name, member = self._layers[index]
            shift = starts[index] - member.offset
            return read_layer(
                self._archive.whole,
                member.offset,
                member.size,
                file=self._file,
                name=name,
                advance=lambda at: progress.advance(at + shift),
            )

        size = sum(sizes[index] for index in wanted)
        if may_fork(len(wanted), size):
            found = read_forked(wanted, read)
        elif may_spawn(len(wanted), size):
            members = {index: self._layers[index] for index in wanted}
            places = {i: (name, at.offset, at.size) for i, (name, at) in members.items()}
            found = read_spawned(places, (self._archive.whole.fd, self._file), read)
        else:
            found = ((index, read(index)) for index in wanted)
        for index, changeset in found:
            progress.advance(starts[index] + sizes[index])
            for other in sharing[self._layers[index][1]]:
                yield other, changeset

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file; see `ImageReader.content`."""
        from layerscope.images.content import layer_content

        name, member = self._layers[layer]
        return layer_content(self._archive.part(member), changeset, row, file=self._file, name=name)

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        """The content of many files; see `PassingReader.contents`."""
        from layerscope.images.content import layer_contents

        for layer, (changeset, rows) in wanted.items():
            name, member = self._layers[layer]
            part = self._archive.part(member)
            yield from layer_contents(layer, part, changeset, rows, file=self._file, name=name)

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        """Where the content of a file lies; see `LocatingReader.located`."""
        _, member = self._layers[layer]
        return locate(self._archive.part(member), changeset, row, self._file)

    def close(self) -> None:
        """Closes the archive."""
        self._archive.close()

    def _find_image(self, path: Path, wanted: str | None) -> tuple[Image, list[tuple[str, Member]]]:
        if MANIFEST not in self._archive:
            raise BadInputError(
                self._file,
                None,
                f"it is a tar archive without {MANIFEST}",
                "layerscope opens what `docker save` or `podman save` writes.",
            )
        document = load_json(self._file, MANIFEST, read_document(self._archive, MANIFEST))
        saved = choose_image(self._file, document, wanted)
        config = read_config(self._file, saved.config, read_document(self._archive, saved.config))
        check_layers(self._file, saved, config)
        layers = []
        for name in saved.layers:
            member = self._archive.member(name)
            if member is None:
                raise BadInputError(
                    self._file,
                    None,
                    f"{MANIFEST} names layer {visible(name)}, which is not there",
                    "The archive is incomplete: save the image again.",
                )
            layers.append((name, member))
        image = image_from_config(
            config,
            reference=saved.tags[0] if saved.tags else image_id(saved),
            image_id=image_id(saved),
            source=f"docker-archive:{path}",
            digests=[self._digest_of(name) for name in saved.layers],
        )
        return image, layers

    def _digest_of(self, name: str) -> str | None:
        """The digest of a layer as it is stored, where its name is one."""
        target = self._archive.target(name)
        if target.startswith("blobs/sha256/"):
            return "sha256:" + target.rpartition("/")[2]
        return None
