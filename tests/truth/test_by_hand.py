"""Layers that no build makes: what they show, and what engines make of the same bytes.

What most engines do wins over the text of the OCI image specification. Where they refuse a layer,
or disagree among themselves, `REFUSED` and `DIFFERENT` name the cases, and fail when one changes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError

from tests.archives import (
    TAG,
    Item,
    docker_archive,
    folder,
    hard_link,
    layer_tar,
    symlink,
    text,
    write_archive,
)
from tests.engines.exports import Entry, listing_of_export
from tests.engines.fixtures import ENGINES
from tests.engines.harness import Engine
from tests.truth.cases import CASES
from tests.truth.command import (
    as_exported,
    check_same,
    command,
    differences,
    layerscope,
    listed,
    plain,
)
from tests.truth.formats import FORMATS
from tests.truth.link_cases import (
    ALL,
    CIRCLES,
    CONTAINERD,
    LINK_CASES,
    LINKS_DIFFERENT,
    LINKS_REFUSED,
)
from tests.truth.stacks import stack_of

REFUSED: dict[str, frozenset[str]] = {
    **LINKS_REFUSED,
    # A whiteout is a device node in the layer's own folder, where the path is by then.
    "whiteout after the path again": ALL,
    "whiteout after the folder again": ALL,
    "whiteout of a parent after what is in it": ALL,
    "whiteouts at three depths": ALL,
    "whiteout in a folder that the layer removes": ALL - {"podman"},
    # The bookkeeping of graph drivers for rebuilding a layer's tar refuses a path that comes twice.
    "a file twice": ALL - CONTAINERD,
    "a folder twice": ALL - CONTAINERD,
    "a folder, then a file": ALL - CONTAINERD,
    "a file, then a folder": ALL - CONTAINERD,
    "a hard link outlives its file": ALL - CONTAINERD,
    # Layers are unpacked apart, so that the lower one's file is not there to be linked to.
    "a hard link to a lower layer": ALL,
    **dict.fromkeys(
        ("a name that leads out", "a hard link that leads out", "a whiteout that leads out"),
        frozenset({"docker-28"}),
    ),
    "a contiguous file": ALL,
    "old GNU sparse": ALL,
    "old GNU sparse with more blocks": ALL,
}
"""What engines do not load."""

DIFFERENT: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    **LINKS_DIFFERENT,
    # Folders above an entry that have none themselves are made anew, with the time of unpacking
    # and, but for containerd, as 0755 of root. The layer says nothing of them, and so do we.
    "opaque in a folder that no entry names": (ALL, frozenset({"/d", "/d/sub"})),
    "whiteout of a file": (ALL, frozenset({"/d"})),
    "parents that only a lower layer names": (ALL, frozenset({"/d", "/d/sub"})),
    # containerd gives a folder that it makes the looks of what the symlink points to.
    "a symlink as parent, in a lower layer": (CONTAINERD, frozenset({"/to-d"})),
    "whiteout below a symlink": (CONTAINERD, frozenset({"/to-d"})),
    # containerd alone sets the time of a symlink by the header of a link to it.
    "a hard link to a symlink": (CONTAINERD, frozenset({"/x", "/y"})),
}
"""What engines show otherwise than we do: the engines, and the paths."""

BY_HAND = {**CASES, **LINK_CASES, **FORMATS}


def said_of(name: str, folder: Path) -> dict[str, Entry]:
    """Return what layerscope says of a case."""
    return listed(command("files", "--json-lines", write_archive(folder, BY_HAND[name].layers)))


@pytest.mark.parametrize("name", BY_HAND)
def test_the_union_is_what_it_should_be(name: str, tmp_path: Path) -> None:
    union = BY_HAND[name].union
    truth = {f"/{path}": (seen[0], oct(seen[1]), *seen[2:]) for path, seen in union.items()}
    check_same({**plain(said_of(name, tmp_path)), "": ""}, {**truth, "": ""})


def exported_of(engine: Engine, client: Any, layers: Sequence[bytes]) -> dict[str, Entry] | str:
    """Return what a container of an image has on an engine, or why the engine does not take it."""
    try:
        for event in client.load_image(docker_archive(layers)):
            if "error" in event:
                return str(event["error"])
        # Some load what they then make no container of.
        return listing_of_export(engine, TAG)
    except APIError as error:
        return str(error)
    finally:
        with contextlib.suppress(APIError):
            client.remove_image(TAG, force=True)


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[Any]:
    """One client of the engine for all cases."""
    with engine.api() as opened:
        yield opened


#: Docker 20.10 unpacks layers as 28 does, so it gets the cases that engines disagree on.
ON_ENGINES = [
    (engine, name)
    for engine in ENGINES
    for name in BY_HAND
    if engine != "docker-debian" or name in REFUSED or name in DIFFERENT
]


@pytest.mark.parametrize(("engine", "name"), ON_ENGINES, indirect=["engine"])
def test_engines_show_the_same(engine: Engine, client: Any, name: str, tmp_path: Path) -> None:
    implied = {f"/{path}" for path in BY_HAND[name].implied}

    def timeless(entries: dict[str, Entry]) -> dict[str, Entry]:
        """Leave out when folders were made that no entry names."""
        return {
            path: replace(entry, mtime=0) if path in implied else entry
            for path, entry in entries.items()
        }

    refused = engine.name in REFUSED.get(name, ())
    exported = exported_of(engine, client, BY_HAND[name].layers)
    if isinstance(exported, str) and not refused:
        # A busy host holds a layer's mount up; what the engine thinks of the layer stays the same.
        exported = exported_of(engine, client, BY_HAND[name].layers)
    if isinstance(exported, str):
        assert refused, exported
        return
    assert not refused
    truth = as_exported(engine, timeless(exported))
    said = as_exported(engine, timeless(said_of(name, tmp_path)))
    engines, paths = DIFFERENT.get(name, (frozenset(), frozenset()))
    if engine.name in engines:
        for path in paths:
            assert said.pop(path, None) != truth.pop(path, None), f"no longer different: {path}"
    found = differences(said, truth)
    assert not found, f"\n{found}"


@pytest.mark.parametrize("name", CIRCLES)
def test_a_circle_of_symlinks_is_one_error_that_names_the_entry(name: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path, [layer_tar(CIRCLES[name])])
    run = layerscope("files", archive)
    assert (run.returncode, run.stdout) == (2, "")
    assert re.fullmatch(
        r"layerscope: \S+/image\.tar, byte \d+: the name \w+ leads through a loop of "
        r"symbolic links \(layer \w+/layer\.tar\)\.\n",
        run.stderr,
    )


@pytest.mark.parametrize("name", CIRCLES)
def test_engines_refuse_a_circle_of_symlinks(engine: Engine, client: Any, name: str) -> None:
    assert isinstance(exported_of(engine, client, [layer_tar(CIRCLES[name])]), str)


WAYS = ("through a link", "through a link made through a link", "hard links behind a link")
"""Cases that all engines load."""


@pytest.mark.parametrize("name", WAYS)
def test_links_are_followed_whichever_way_an_image_is_read(
    engine: Engine, client: Any, name: str, tmp_path: Path
) -> None:
    union = BY_HAND[name].union
    path = next(f"/{path}" for path, seen in union.items() if seen[0] == "file")
    try:
        assert not [
            e for e in client.load_image(docker_archive(BY_HAND[name].layers)) if "error" in e
        ]
        saved = tmp_path / "saved.tar"
        engine.docker("save", "-o", saved, TAG)
        said = [
            layerscope("files", "--json-lines", *arguments, engine=engine)
            for arguments in ((TAG,), ("--export", TAG), (saved,))
        ]
        content = layerscope("cat", TAG, path, engine=engine)
    finally:
        with contextlib.suppress(APIError):
            client.remove_image(TAG, force=True)
    assert content.stdout == "text\n"
    for run in said:
        assert run.returncode == 0
        found = {path: entry[0] for path, entry in plain(listed(run.stdout)).items()}
        assert found == {f"/{path}": seen[0] for path, seen in union.items()}


def test_extraction_stays_inside_though_a_layer_led_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    items = [
        symlink("up", "../../../.."),
        symlink("away", str(outside)),
        text(f"up/{outside.relative_to('/')}/one"),
        text("away/two"),
        hard_link("away/three", "away/two"),
    ]
    archive = write_archive(tmp_path, [layer_tar(items)])
    target = tmp_path / "target"
    assert layerscope("extract", archive, "/", "-o", target).returncode == 0
    assert list(outside.iterdir()) == []
    made = target / outside.relative_to("/")
    assert {path.name for path in made.iterdir()} == {"one", "two", "three"}
    assert (target / "away").is_symlink()


def test_content_behind_a_link_is_that_of_the_last_entry(tmp_path: Path) -> None:
    items = [folder("b"), symlink("a", "b"), text("b/x", "first"), text("a/x", "second")]
    archive = write_archive(tmp_path, [layer_tar(items)])
    for path in ("/a/x", "/b/x"):
        assert layerscope("cat", archive, path).stdout == "second"


def test_extended_attributes_and_devices_are_read(tmp_path: Path) -> None:
    capability = "\x01\x00\x00\x02\x00\x04" + "\x00" * 14
    layer = layer_tar(
        [
            Item("x", pax={"SCHILY.xattr.security.capability": capability}),
            Item("y", pax={"LIBARCHIVE.xattr.user.a": "not read by any engine"}),
            Item("c", "char", device=(300, 70000)),
        ]
    )
    stack = stack_of([layer])
    rows = {stack.tree.path(int(stack.nodes[row])): row for row in stack.union(0).tolist()}
    assert stack.xattrs(rows[b"x"]) == {b"security.capability": capability.encode()}
    assert stack.xattrs(rows[b"y"]) == {}
    assert stack.device(rows[b"c"]) == (300, 70000)
