"""An engine's image read from its data folder is the same as from its export."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from layerscope.engines.local_store import open_in_engine
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.stack import Stack
from layerscope.images.progress import Progress
from layerscope.images.stores.folder_layer import FolderReader
from layerscope.reports.files_report import json_lines
from tests.engines.exports import applied_mtime
from tests.engines.harness import Engine
from tests.engines.images import classic_example
from tests.engines.kitchen_sink import kitchen_sink
from tests.engines.listings import digests_in_passing, listing, use
from tests.truth.command import environment, layerscope, run_program

WAYS = {
    "docker-debian": ", overlay2",
    "docker-28": ", overlay2",
    "docker-28-containerd": ", blobs",
    "podman": ", overlay",
}
"""How the way of reading an engine's images ends, where its data folder can be read."""


@pytest.mark.parametrize("image", [classic_example, kitchen_sink])
def test_the_same_as_the_export(
    engine: Engine, image: Callable[[Engine], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, engine)
    name = image(engine)
    fast = listing(name, contents=True)
    slow = listing(name, export=True)
    assert fast.way.endswith(WAYS[engine.name])
    assert fast.why == ""
    assert slow.way.endswith(", export")
    assert slow.why == "as requested"
    assert fast.union == slow.union
    assert fast.layers == slow.layers
    passed = {path: digest for path, digest in digests_in_passing(slow.loaded).items() if digest}
    assert len(passed) > 3
    assert {path: fast.digests[path] for path in passed} == passed
    one, other = fast.loaded.image, slow.loaded.image
    assert (one.id, one.reference, one.source) == (other.id, other.reference, other.source)
    assert (one.config, one.history) == (other.config, other.history)
    assert fast.loaded.changesets.keys() == slow.loaded.changesets.keys()
    for index, a in fast.loaded.changesets.items():
        b = slow.loaded.changesets[index]
        assert attributes(a) == attributes(b)
        # What one way keeps in the cache is what another may take from there.
        assert a.path_blob == b.path_blob
        assert (a.data_offsets == b.data_offsets).all()


def attributes(changeset: Changeset) -> dict[bytes, dict[bytes, bytes]]:
    paths = changeset.paths()
    return {paths[row]: values for row, values in changeset.xattrs.items()}


def walked(engine: Engine, name: str) -> tuple[list[Changeset], list[Changeset]]:
    """Return an image's layers from the engine's own records, and from a walk of their folders."""
    reader = open_in_engine(name, name)
    try:
        if not isinstance(reader, FolderReader):
            pytest.skip(f"{engine.name} keeps blobs")
        exact = [changeset for _, changeset in reader.changesets(Progress(), ())]
        return exact, [layer.walked() for layer in reader._folders]
    finally:
        reader.close()


def lines(stack: Stack, layer: int | None) -> dict[tuple[str, str], dict[str, Any]]:
    found = map(json.loads, json_lines(stack, layer))
    return {(line["path"], line["type"]): line for line in found}


def as_on_disk(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line without what may differ between a layer's tar and its folder.

    - Times before 1970 and after 2262: the engine has written them to disk as 1970.
    - Mode, owner and time of whiteouts, which mean nothing: engines write what they like there.
    """
    line = {**line, "mtime": applied_mtime(line["mtime"])}
    if line["type"] in ("whiteout", "opaque"):
        line.update(mode=0, uid=0, gid=0, mtime=0)
    return line


def test_a_walk_tells_the_same(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, engine)
    one, other = map(Stack, walked(engine, kitchen_sink(engine)))
    for layer in (None, *range(one.height)):
        said, truth = lines(other, layer), lines(one, layer)
        extra = said.keys() - truth.keys()
        if engine.kind == "podman":
            # overlayfs marks each new folder as opaque, to save itself a look below; Podman
            # leaves out the mark where there is nothing below, Docker hands it out.
            assert {said[key]["change"] for key in extra} <= {"unchanged"}
            assert {kind for _, kind in extra} <= {"opaque"}
        else:
            assert not extra
        assert not truth.keys() - said.keys()
        for key in truth:
            assert as_on_disk(said[key]) == as_on_disk(truth[key])


def test_a_walk_finds_attributes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, engine)
    exact, disk = walked(engine, kitchen_sink(engine))
    assert [attributes(changeset) for changeset in disk] == [attributes(c) for c in exact]
    assert any(b"security.capability" in v for c in disk for v in attributes(c).values())


def test_the_way_is_shown(engine: Engine) -> None:
    name = classic_example(engine)
    for option, words in (
        ("--no-cache", f"{WAYS[engine.name]}\n"),
        ("--export", ", export (as requested)\n"),
    ):
        run = layerscope("inspect", option, name, engine=engine)
        # On a busy machine, an engine that takes long to answer is reported.
        said = [line for line in run.stderr.splitlines() if "Waiting for the engine" not in line]
        assert (run.returncode, said) == (0, [])
        read = next(line for line in run.stdout.splitlines(True) if line.startswith("Read from"))
        assert read.endswith(words)


def test_without_root_the_engine_is_asked(engine: Engine) -> None:
    """A user in the group `docker` may talk to the engine, and not read its data."""
    name = classic_example(engine)
    folder, socket = engine.folder.path, engine.socket
    modes = {path: path.stat().st_mode & 0o7777 for path in (folder, socket)}
    owned = engine.data_root.stat().st_mode & 0o7777
    try:
        folder.chmod(0o711)
        socket.chmod(0o666)
        engine.data_root.chmod(0o700)
        run = run_program(
            [
                *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
                *(sys.executable, "-m", "layerscope", "inspect", "--no-cache", name),
            ],
            {**environment(engine), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
        )
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
        engine.data_root.chmod(owned)
    if "Permission denied" in run.stderr or "No module" in run.stderr:
        pytest.skip(f"nobody cannot run the program here: {run.stderr[-200:]}")
    assert (run.returncode, run.stderr) == (0, "")
    assert "needs root)" in run.stdout
    assert ", export (" in run.stdout
