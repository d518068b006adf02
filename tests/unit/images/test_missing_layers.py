"""Layers that are not where their image is: foreign ones, and those of a layout copied in part."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from layerscope.errors import BadInputError
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.text import docker_size
from tests.archives import layer
from tests.command import one_line_error, run
from tests.unit.images.platform_layouts import PLAIN, Layout, layout_of, written
from tests.unit.images.registry.misbehaving_registry import FakeRegistry, digest_of

Capsys = pytest.CaptureFixture[str]

FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
REASON = "it is foreign, kept elsewhere for its license"
NOT_COPIED = "its blob was not copied"

BASE, TOP = layer(("base", b"x" * 10)), layer(("top", b"y" * 20))


def layout(*kinds: str | None) -> Layout:
    """A layout with a layer of each kind, of which some (None) are not there."""
    made = layout_of([BASE, TOP][: len(kinds)], [kind or PLAIN for kind in kinds])
    for tar, kind in zip([BASE, TOP], kinds, strict=False):
        if kind is None or kind == FOREIGN:
            del made.files[f"blobs/sha256/{hashlib.sha256(tar).hexdigest()}"]
    return made


def inspected(capsys: Capsys, source: str) -> dict[str, Any]:
    outcome = run(capsys, "inspect", "--json", source)
    assert outcome.code == 0, outcome
    found: dict[str, Any] = json.loads(outcome.out)
    return found


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize(("kind", "reason"), [(FOREIGN, REASON), (None, NOT_COPIED)])
def test_the_others_are_shown(
    capsys: Capsys, tmp_path: Path, kind: str | None, reason: str, archive: bool
) -> None:
    source = written(layout(kind, PLAIN), tmp_path, archive=archive)
    document = inspected(capsys, source)
    assert document["image"]["complete"] is False
    assert document["image"]["missing"] == [0]
    base, top = document["layers"]
    assert (base["size"], base["entries"]) == (0, 0)
    assert (base["missing"], base["stored_size"]) == (reason, len(BASE))
    assert (top["size"], top["added"]) == (20, 1)
    assert "missing" not in top
    assert "stored_size" not in top
    files = run(capsys, "files", source)
    assert files.code == 0
    assert "/top" in files.out
    assert files.err == (
        f"layerscope: docker.io/library/app:1: layer 0 is missing: {reason}. "
        "Its files are not included.\n"
    )


def test_people_are_told(capsys: Capsys, tmp_path: Path) -> None:
    outcome = run(capsys, "inspect", written(layout(FOREIGN, PLAIN), tmp_path, archive=False))
    assert outcome.err == ""
    text = outcome.out
    assert f"Incomplete: layer 0 is missing: {REASON}.\n" in text
    line = f"0 missing - - - - ({docker_size(len(BASE))} stored) COPY 0 /"
    assert line in [" ".join(row.split()) for row in text.splitlines()]


def test_a_whole_image_says_so(capsys: Capsys, tmp_path: Path) -> None:
    document = inspected(capsys, written(layout(PLAIN, PLAIN), tmp_path, archive=False))
    assert document["image"]["complete"] is True
    assert document["image"]["missing"] == []


def test_thresholds_are_not_measured_on_a_part(capsys: Capsys, tmp_path: Path) -> None:
    source = written(layout(FOREIGN, PLAIN), tmp_path, archive=False)
    outcome = run(capsys, "ci", source)
    assert (outcome.code, outcome.out) == (2, "")
    assert "An image with missing layers cannot be measured." in outcome.err


@pytest.mark.parametrize("number", [1, 2])
def test_a_layout_without_any_layer_is_incomplete(
    capsys: Capsys, tmp_path: Path, number: int
) -> None:
    source = written(layout(*[None] * number), tmp_path, archive=False)
    document = json.loads(run(capsys, "inspect", source, "--json").out)
    assert document["image"]["complete"] is False
    assert [layer["missing"] for layer in document["layers"]] == [NOT_COPIED] * number
    assert run(capsys, "ci", source).code == 2


def test_a_blob_that_leads_out_of_the_layout_is_no_missing_one(
    capsys: Capsys, tmp_path: Path
) -> None:
    source = written(layout(None, PLAIN), tmp_path, archive=False)
    outside = tmp_path / "outside"
    outside.write_bytes(BASE)
    blob = tmp_path / "layout" / "blobs" / "sha256" / hashlib.sha256(BASE).hexdigest()
    blob.symlink_to(outside)
    assert "leads out of the folder" in one_line_error(run(capsys, "inspect", source))


def test_a_registry_without_a_foreign_layer(registry: FakeRegistry, tmp_path: Path) -> None:
    base, top = gzip.compress(BASE), gzip.compress(TOP)
    registry.image([base, top], layer_type=FOREIGN)
    registry.blobs.pop(digest_of(base))
    cache = ChangesetCache(tmp_path / "cache", 1 << 20)
    for _ in range(2):
        reader = registry.reader()
        loaded = load(reader, Progress(), cache=cache)
        assert [each.index for each in loaded.image.missing] == [0]
        assert loaded.image.layers[0].stored_size == len(base)
        assert [loaded.stack.entries(number) for number in (0, 1)] == [0, 1]
    # It was not remembered as an empty one.
    registry.blobs[digest_of(base)] = base
    loaded = load(registry.reader(), Progress(), cache=cache)
    assert loaded.image.missing == ()
    assert loaded.stack.entries(0) == 1


def test_a_registry_with_none_of_its_layers(registry: FakeRegistry) -> None:
    base = gzip.compress(BASE)
    registry.image([base, base], layer_type=FOREIGN)
    registry.blobs.pop(digest_of(base))
    image = load(registry.reader(), Progress()).image
    assert [layer.missing for layer in image.layers] == [REASON, REASON]


def test_a_damaged_layer_is_an_error(tmp_path: Path) -> None:
    from layerscope.engines.resolve import open_image

    made = layout(PLAIN, PLAIN)
    made.files[f"blobs/sha256/{hashlib.sha256(BASE).hexdigest()}"] = b"garbage" * 100
    reader = open_image(written(made, tmp_path, archive=False), Progress())
    with pytest.raises(BadInputError):
        load(reader, Progress())
    reader.close()
