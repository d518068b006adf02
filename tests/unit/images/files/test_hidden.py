"""Hidden files are compared with what replaced them, however their layers are read."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerscope.engines.resolve import open_image
from layerscope.errors import Cancelled
from layerscope.filesystem.change import Aspect
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.waste_causes import uncompared
from layerscope.images.archives.oci_layout import OciLayoutReader
from layerscope.images.files.contents import Contents
from layerscope.images.files.hidden import compare_hidden
from layerscope.images.layer_stream import Passed
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.images.reader import Wanted
from tests.archives import layer_tar, text
from tests.unit.images.platform_layouts import layout_of, written

FILES = 50
SIZE = 1000


@pytest.fixture
def image(tmp_path: Path) -> Iterator[tuple[Stack, Contents, OciLayoutReader]]:
    """Two compressed layers, of which nobody has taken digests; every other file is a copy."""
    lower = [text(f"f{n}", f"{n:>{SIZE}}") for n in range(FILES)]
    upper = [text(f"f{n}", f"{n // 2 * 2:>{SIZE}}", uid=1) for n in range(FILES)]
    source = written(
        layout_of([gzip.compress(layer_tar(each)) for each in (lower, upper)]),
        tmp_path,
        archive=False,
    )
    reader = open_image(source, Progress())
    assert isinstance(reader, OciLayoutReader)
    changesets = load(reader, Progress()).changesets
    for changeset in changesets.values():
        changeset.digests = None
    contents = Contents(reader)
    yield Stack([changesets[0], changesets[1]]), contents, reader
    contents.close()


def test_all_files_are_compared_in_one_pass_of_each_layer(
    image: tuple[Stack, Contents, OciLayoutReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, contents, _ = image
    passes: list[int] = []
    original = OciLayoutReader.contents

    def counted(self: OciLayoutReader, wanted: Wanted) -> Iterator[Passed]:
        passes.extend(wanted)
        return original(self, wanted)

    monkeypatch.setattr(OciLayoutReader, "contents", counted)
    reported: list[int] = []
    progress = Progress()
    assert len(uncompared(stack)) == FILES
    compare_hidden(stack, contents, progress, lambda: reported.append(progress.done))
    assert uncompared(stack) == []
    assert sorted(passes) == [0, 1]
    assert progress.done == progress.total == 2 * FILES * SIZE
    assert len(reported) == FILES
    assert reported == sorted(reported)
    upper = stack.rows(1)
    changed = stack.aspects[upper.start : upper.stop] & Aspect.CONTENT != 0
    assert int(changed.sum()) == FILES // 2


def test_it_can_be_stopped_in_the_middle(image: tuple[Stack, Contents, OciLayoutReader]) -> None:
    stack, contents, _ = image
    progress = Progress()
    reported = 0

    def tell() -> None:
        nonlocal reported
        reported += 1
        if reported == 30:
            progress.cancel()

    with pytest.raises(Cancelled):
        compare_hidden(stack, contents, progress, tell)
    assert reported == 30
    assert len(uncompared(stack)) == FILES - 30
