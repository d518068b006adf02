"""An image of an engine, read from its export, which works with every engine on every host."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Protocol

from layerscope.errors import BadInputError, EngineError, LayerscopeError, export_broke_off
from layerscope.filesystem.changeset import Changeset
from layerscope.images.answers import HistoryAnswer
from layerscope.images.archives.save_format import same_reference
from layerscope.images.archives.save_stream import SaveStream, contents_in_stream, tars_in_stream
from layerscope.images.described import Inspector, described, inspect_platform
from layerscope.images.layer_stream import Passed, Read
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, Known, Wanted, unreadable
from layerscope.oci.config import ConfigError, parse_config
from layerscope.oci.platform import Platform
from layerscope.records import go_json
from layerscope.text import plural, visible


class Exporter(Inspector, Protocol):
    """What an engine must offer to export an image."""

    @property
    def name(self) -> str: ...

    def history(self, name: str, platform: Platform | None = None) -> Sequence[HistoryAnswer]: ...

    def export(
        self, name: str, platform: Platform | None = None
    ) -> tuple[Callable[[int], bytes], Callable[[], None]]: ...

    def close(self) -> None: ...


class EngineExportReader(ImageReader):
    """An image of an engine; its history is a guess until the configuration has been read."""

    fetches = True
    platform: Platform | None  # Its platform, if the engine has it for several.

    def __init__(
        self, engine: Exporter, name: str, source: str, platform: str | None = None
    ) -> None:
        """Looks the image up, and takes ownership of the engine; see `inspect_platform`.

        Raises NotFoundError if the engine has no such image, or not for that platform, and
        EngineError if the engine's answer is invalid.
        """
        self._engine = engine
        self._source = source
        self.way = f"{engine.name}, export"
        inspected, self.platform, offered = inspect_platform(engine, name, platform)
        self.inspected = inspected
        self._id = inspected.id or name
        if ":" not in self._id:
            self._id = f"sha256:{self._id}"  # Podman omits the algorithm.
        self._size = inspected.size
        tags = inspected.tags
        self._name = name
        if tags and not _names(name, tags):
            # Podman names app:1 docker.io/library/app:1, and may have more names for it.
            self._name = next((tag for tag in tags if same_reference(tag, name)), tags[0])
        self._file = f"the export of {visible(self._name)}"
        self._names: list[str] = []
        history = engine.history(name, self.platform)
        image = described(inspected, history, self._name, self._id, source)
        self.image = replace(image, platforms=offered)

    def cache_key(self, layer: int) -> str | None:
        return self.image.layers[layer].diff_id

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Yields layers in the order of the export; see `ImageReader.changesets`."""
        announced = len(self.image.layers)
        if all(layer.index in known for layer in self.image.layers):
            return
        progress.what = "Exporting from the engine"
        progress.total = self._size or None
        given: set[int] = set()
        diff_ids = tuple(layer.diff_id for layer in self.image.layers)
        try:
            with self._exported() as read:
                stream = SaveStream(read, self._file)
                seen = -1
                for _ in stream.entries(progress):
                    # Both layers and documents may determine where more layers belong.
                    count = len(stream.layers) + len(stream.documents)
                    if stream.layers and count != seen:
                        seen = count
                        for index, changeset in sorted(stream.placed(diff_ids).items()):
                            if index not in given and index not in known:
                                given.add(index)
                                yield index, changeset
        except BadInputError as error:
            if "truncated" in error.problem:
                raise export_broke_off(visible(self._name)) from None
            raise
        image, layers = stream.finish(None, reference=self._name, source=self._source)
        if len(layers) != announced:
            raise EngineError(
                f"{self._engine.name} exports {visible(self._name)} with "
                f"{plural(len(layers), 'layer')}, and describes it with {announced}.",
                "Save the image to a file, and open that.",
            )
        self.image = replace(image, id=self._id, platforms=self.image.platforms)
        self._names = [name for name, _ in layers]
        for index, (_, changeset) in enumerate(layers):
            if index not in given and index not in known:
                yield index, changeset

    def tars(self, progress: Progress, wanted: Container[str]) -> Iterator[tuple[str, Read]]:
        """See `ImageReader.tars`; in old exports, names of layers come last."""
        image = self.image
        documents: dict[str, bytes] = {}
        diff_ids = [layer.diff_id for layer in image.layers]

        def take(data: bytes) -> None:
            with suppress(ValueError, ConfigError):
                if list(parse_config(go_json(data)).diff_ids) == diff_ids:
                    documents[f"sha256:{hashlib.sha256(data).hexdigest()}"] = data

        yield from tars_in_stream(self._exported, self._file, lambda _: "", take)
        # In containerd, an image's id is its manifest's digest.
        found = documents.get(image.id) or next(iter(documents.values()), b"")
        self.image = replace(image, document=found)

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        """See `ImageReader.contents`; exports the image again."""
        try:
            if not self._names and wanted:
                self._learn_names()
        except LayerscopeError as error:
            for layer, (_, rows) in wanted.items():
                yield from unreadable(layer, rows, error)
            return
        names = {layer: self._names[layer] for layer in wanted}
        yield from contents_in_stream(self._exported, self._file, names, wanted)

    @contextmanager
    def _exported(self) -> Iterator[Callable[[int], bytes]]:
        read, stop = self._engine.export(self._id, self.platform)
        try:
            yield read
        finally:
            stop()

    def _learn_names(self) -> None:
        """Finds the names of layers in the export, if all of them came from the cache."""
        with self._exported() as read:
            stream = SaveStream(read, self._file)
            for _ in stream.entries(Progress()):
                pass
        _, layers = stream.finish(None, reference=self._name, source=self._source)
        self._names = [name for name, _ in layers]

    def close(self) -> None:
        self._engine.close()


def _names(name: str, tags: Sequence[str]) -> bool:
    return any(tag == name or tag in (f"{name}:latest", f"localhost/{name}") for tag in tags)
