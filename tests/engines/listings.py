"""What layerscope lists of an image, through its functions, to compare one way with another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest

from layerscope.engines.resolve import open_image
from layerscope.filesystem.changeset import EntryType
from layerscope.images.loading import Loaded, load
from layerscope.images.pieces import filled
from layerscope.images.progress import Progress
from layerscope.reports.files_report import json_lines
from tests.engines.harness import Engine


@dataclass(frozen=True)
class Listing:
    """What `files --json-lines` prints of an image, its union first and then each layer."""

    way: str
    why: str
    loaded: Loaded
    union: list[str]
    layers: list[list[str]]
    digests: dict[str, bytes]


def use(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    """Make an engine the current one, and no cache be used."""
    for name, value in engine.env.items():
        monkeypatch.setenv(name, value)


def listing(source: str, *, export: bool = False, contents: bool = False) -> Listing:
    """Open and read an image."""
    reader = open_image(source, export=export)
    try:
        loaded = load(reader, Progress())
        stack = loaded.stack
        found: dict[str, bytes] = {}
        if contents:
            for index, changeset in loaded.changesets.items():
                for row, path in enumerate(changeset.paths()):
                    if changeset.kinds[row] == EntryType.FILE:
                        digest = hashlib.sha256()
                        for piece in filled(reader.content(index, changeset, row)):
                            digest.update(piece)
                        found[f"{index}:{path!r}"] = digest.digest()
        return Listing(
            reader.way,
            reader.why,
            loaded,
            list(json_lines(stack, None)),
            [list(json_lines(stack, layer)) for layer in range(stack.height)],
            found,
        )
    finally:
        reader.close()


def digests_in_passing(loaded: Loaded) -> dict[str, bytes]:
    """Return the digests that were taken of files' content while layers passed by."""
    found = {}
    for index, changeset in loaded.changesets.items():
        assert changeset.digests is not None or not changeset.sizes.any()
        for row, path in enumerate(changeset.paths()):
            if changeset.kinds[row] == EntryType.FILE:
                digests = changeset.digests
                known = b"" if digests is None else digests[row].tobytes().strip(b"\0")
                found[f"{index}:{path!r}"] = known and digests[row].tobytes()  # type: ignore[index]
    return found
