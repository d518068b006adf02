"""An image of an engine, read from its export: works with every engine, on every host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from layerscope.errors import BadInputError, EngineError, LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.image import HistoryEntry, Image, image_from_config
from layerscope.images.passing import Passed, Wanted, unreadable
from layerscope.images.platforms import missing_platform, wanted_platform
from layerscope.images.progress import Progress
from layerscope.images.reader import Known
from layerscope.images.save_stream import SaveStream, content_in_stream, contents_in_stream
from layerscope.oci.config import ImageConfig, instruction, shells
from layerscope.oci.platform import Platform, best_platform
from layerscope.text import rfc3339, visible

#: Instructions that make no layer, as far as an engine's history can tell.
_EMPTY = frozenset(
    (
        "ARG",
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
    )
)


class Inspector(Protocol):
    """What is needed of an engine to learn about an image."""

    def inspect(self, name: str, platform: Platform | None = None) -> Mapping[str, Any]:
        """`GET /images/NAME/json`; without a platform, with the manifests that there are."""


class Exporter(Inspector, Protocol):
    """What is needed of an engine to read an image."""

    @property
    def name(self) -> str:
        """What it is called."""

    def history(self, name: str, platform: Platform | None = None) -> Sequence[Mapping[str, Any]]:
        """`GET /images/NAME/history`."""

    def export(
        self, name: str, platform: Platform | None = None
    ) -> tuple[Callable[[int], bytes], Callable[[], None]]:
        """`GET /images/NAME/get`."""

    def close(self) -> None:
        """Closes the connection."""


class EngineExportReader:
    """An image of an engine.

    Attributes:
        image: The image; its history is a guess until the configuration has passed by.
        way: How it is read.
        why: Why it is not read from the engine's data folder, as the end of a sentence.
        inspected: What the engine says of it.
        platform: Its platform, where the engine has it for several.
    """

    why = ""

    def __init__(
        self, engine: Exporter, name: str, source: str, platform: str | None = None
    ) -> None:
        """Asks the engine for the image.

        Args:
            engine: The engine; closed with the reader.
            name: Name or id of the image.
            source: Where it comes from.
            platform: `os/architecture[/variant]` to choose where the engine tells of several; None
                for this host's.

        Raises:
            NotFoundError: The engine has no such image, or not for that platform.
            EngineError: The engine does not answer as it should.
        """
        self._engine = engine
        self._source = source
        self.way = f"{engine.name}, export"
        inspected, self.platform, offered = inspect_platform(engine, name, platform)
        self.inspected = inspected
        self._id = str(inspected.get("Id") or name)
        if ":" not in self._id:
            self._id = f"sha256:{self._id}"  # Podman leaves the algorithm out.
        self._size = int(inspected.get("Size") or 0)
        tags = inspected.get("RepoTags") or []
        self._name = name if _names(name, tags) or not tags else str(tags[0])
        self._file = f"the export of {visible(self._name)}"
        self._names: list[str] = []
        image = self._first_guess(inspected, engine.history(name, self.platform))
        self.image = replace(image, platforms=offered)

    def cache_key(self, layer: int) -> str | None:
        """The diff_id, which the engine has verified."""
        return self.image.layers[layer].diff_id

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Layers as they pass by in the export; see `ImageReader.changesets`."""
        if all(layer.index in known for layer in self.image.layers):
            return
        progress.what = "Exporting from the engine"
        progress.total = self._size or None
        read, stop = self._engine.export(self._id, self.platform)
        stream = SaveStream(read, self._file)
        given: set[int] = set()
        diff_ids = tuple(layer.diff_id for layer in self.image.layers)
        try:
            seen = -1
            for _ in stream.entries(progress):
                # Documents tell where layers belong, so both can place more of them.
                count = len(stream.layers) + len(stream.documents)
                if stream.layers and count != seen:
                    seen = count
                    for index, changeset in sorted(stream.placed(diff_ids).items()):
                        if index not in given and index not in known:
                            given.add(index)
                            yield index, changeset
        except BadInputError as error:
            if "truncated" in error.problem:
                raise EngineError(
                    f"The export of {visible(self._name)} broke off.",
                    "Check that the engine still runs, then try again.",
                ) from None
            raise
        finally:
            stop()
        image, layers = stream.finish(None, reference=self._name, source=self._source)
        self.image = replace(image, id=self._id, platforms=self.image.platforms)
        self._names = [name for name, _ in layers]
        for index, (_, changeset) in enumerate(layers):
            if index not in given and index not in known:
                yield index, changeset

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file, for which the image is exported once more."""
        if not self._names:
            self._learn_names()
        read, stop = self._engine.export(self._id, self.platform)
        try:
            yield from content_in_stream(read, self._file, self._names[layer], changeset, row)
        finally:
            stop()

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        """The content of many files, for which the image is exported once more.

        See `PassingReader.contents`.
        """
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
        """Finds out what the layers are called in the export, where none has been read yet.

        That is so if all of them were taken from the cache. What tells may come last.
        """
        read, stop = self._engine.export(self._id, self.platform)
        stream = SaveStream(read, self._file)
        try:
            for _ in stream.entries(Progress()):
                pass
        finally:
            stop()
        _, layers = stream.finish(None, reference=self._name, source=self._source)
        self._names = [name for name, _ in layers]

    def close(self) -> None:
        """Closes the connection to the engine."""
        self._engine.close()

    def _first_guess(
        self, inspected: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
    ) -> Image:
        """What can be said before the configuration arrives, which comes with the export."""
        diff_ids = tuple((inspected.get("RootFS") or {}).get("Layers") or ())
        config = ImageConfig(
            os=str(inspected.get("Os") or ""),
            architecture=architecture_of(inspected),
            created=inspected.get("Created") or None,
            diff_ids=diff_ids,
            history=_history(history, len(diff_ids)),
            raw={"config": inspected.get("Config") or {}},
        )
        return image_from_config(
            config, reference=self._name, image_id=self._id, source=self._source
        )


def inspect_platform(
    engine: Inspector, name: str, platform: str | None
) -> tuple[Mapping[str, Any], Platform | None, tuple[Platform, ...]]:
    """What an engine says of an image for a platform.

    Args:
        engine: The engine.
        name: Name or id of the image.
        platform: `os/architecture[/variant]` to choose where the engine tells of several; None
            for this host's.

    Returns:
        What it says; the platform, where there are several; and those that there are, that one
        first.

    Raises:
        PlatformMissingError: There are several, and that is none of them.
        NotFoundError: The engine has no such image.
    """
    inspected = engine.inspect(name)
    offered = _platforms(inspected)
    if len(offered) < 2:
        return inspected, None, offered
    wanted = wanted_platform(platform)
    chosen = best_platform(offered, wanted)
    if chosen is None:
        raise missing_platform(visible(name), wanted, map(str, offered))
    # What is said of one platform has the digest of its manifest for an id.
    same = {key: inspected[key] for key in ("Id", "Descriptor") if key in inspected}
    inspected = {**engine.inspect(name, chosen), **same}
    return inspected, chosen, tuple(dict.fromkeys((chosen, *offered)))


def architecture_of(inspected: Mapping[str, Any]) -> str:
    """The architecture that an engine tells, with its variant behind a slash if it has one."""
    parts = (inspected.get("Architecture"), inspected.get("Variant"))
    return "/".join(str(part) for part in parts if part)


def _platforms(inspected: Mapping[str, Any]) -> tuple[Platform, ...]:
    """The platforms that the engine has an image for, where it tells; newer engines do."""
    found: list[Platform] = []
    for manifest in inspected.get("Manifests") or ():
        if manifest.get("Kind") == "image" and manifest.get("Available"):
            told = (manifest.get("ImageData") or {}).get("Platform") or {}
            parts = (told.get(key) for key in ("os", "architecture", "variant"))
            found.append(Platform(*(str(part or "") for part in parts)))
    return tuple(dict.fromkeys(found))


def _names(name: str, tags: Sequence[str]) -> bool:
    return any(tag == name or tag in (f"{name}:latest", f"localhost/{name}") for tag in tags)


def _history(entries: Sequence[Mapping[str, Any]], layers: int) -> tuple[HistoryEntry, ...]:
    """The engine's history, which does not say which entries made a layer.

    Those with a size did; where these are fewer than the layers, the instruction decides. Where
    that does not fit either, no entry is given a layer.
    """
    oldest_first = list(reversed(entries))
    commands = [str(entry.get("CreatedBy") or "") for entry in oldest_first]
    run_by = list(shells(commands))
    made = [int(entry.get("Size") or 0) > 0 for entry in oldest_first]
    if sum(made) != layers:
        made = [
            instruction(command, shell).partition(" ")[0] not in _EMPTY
            for command, shell in zip(commands, run_by, strict=True)
        ]
    if sum(made) != layers:
        made = [False] * len(made)
    result = []
    number = 0
    for entry, command, shell, layer in zip(oldest_first, commands, run_by, made, strict=True):
        created = entry.get("Created")
        result.append(
            HistoryEntry(
                created=rfc3339(created) if isinstance(created, int) else None,
                created_by=command,
                comment=str(entry.get("Comment") or ""),
                empty_layer=not layer,
                layer=number if layer else None,
                shell=shell,
            )
        )
        number += layer
    return tuple(result)
