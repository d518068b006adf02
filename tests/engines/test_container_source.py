"""`container:NAME`: what a container has changed, from its folder and from the engine's API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from layerscope.engines.resolve import open_image
from layerscope.errors import NotFoundError
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from tests.engines.exports import _Reader, listing_of_tar
from tests.engines.harness import Engine
from tests.engines.kitchen_sink import kitchen_sink
from tests.engines.listings import Listing, listing, use
from tests.truth.command import as_exported, check_same, layerscope, listed

NAME = "layerscope-test"

SCRIPT = """
cd /k && echo more >> rewritten && rm touched && rm -r owned && chmod 700 chmodded &&
mkdir owned && echo new > owned/new && rm -r copied && echo file > copied &&
mkdir -p made/by/container && echo x > made/by/container/f && ln made/by/container/f made/g &&
ln -s f made/by/container/s && mkfifo made/fifo && rm names/grüße* &&
echo odd > "$(printf 'names/odd-\\377')" && chown 5:6 many-to && echo done > /k/done;
"""

MADE_BY_PODMAN = {"/etc/mtab", "/run", "/run/.containerenv"}
"""What Podman itself puts into the read-write layer, and does not tell of as a change."""


@contextmanager
def container(engine: Engine, *, running: bool) -> Iterator[Any]:
    """Give the engine's client while there is a container that has run the script."""
    image = kitchen_sink(engine)
    with engine.api() as client:
        made = client.create_container(
            image,
            [SCRIPT + ("exec sleep 1000" if running else "")],
            user="0",
            name=NAME,
            host_config=client.create_host_config(network_mode="host"),
        )
        try:
            client.start(made["Id"])
            if running:
                run(client, "until [ -s /k/done ]; do sleep 0.1; done")
            else:
                assert client.wait(made["Id"])["StatusCode"] == 0
            yield client
        finally:
            client.remove_container(made["Id"], force=True, v=True)


def run(client: Any, script: str) -> None:
    """Run a script in the container, to its end."""
    made = client.exec_create(NAME, ["/bin/sh", "-c", script], user="0")
    client.exec_start(made["Id"])
    assert client.exec_inspect(made["Id"])["ExitCode"] == 0


def top(found: Listing) -> dict[tuple[str, bool], dict[str, Any]]:
    """Return the read-write layer's lines by path, those that only remove apart."""
    lines = [json.loads(line) for line in found.layers[-1]]
    return {(line["path"], line["type"] in ("whiteout", "opaque")): line for line in lines}


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_a_container_is_what_its_export_shows(
    engine: Engine, running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, engine)
    with container(engine, running=running) as client:
        fast = listing(f"container:{NAME}")
        slow = listing(f"container:{NAME}", export=True)
        truth = listing_of_tar(_Reader(client.export(NAME)))
    assert str(engine.data_root) in fast.way
    assert fast.why == ""
    assert slow.way.endswith(", changes and export")
    assert slow.why == "that was asked for"
    # What lies in folders that are mounted over is not in the layers, and not in the export.
    check_same(as_exported(engine, listed("\n".join(fast.union))), as_exported(engine, truth))
    one, other = top(fast), top(slow)
    # Podman does not tell of folders with another owner or mode and the same entries.
    untold = {"/k/many-to", *MADE_BY_PODMAN} if engine.kind == "podman" else set()
    told = {key for key in one if key[0] not in untold and not key[1]}
    assert told == {key for key in other if not key[1]}
    assert {key: one[key] for key in told} == {key: other[key] for key in told}
    if engine.kind == "docker":
        # Without the folders' marks of being made anew, the API names each path that is gone.
        assert fast.union == slow.union
        assert {key[0] for key in other if key[1]} - {key[0] for key in one if key[1]} == {
            "/k/owned/sub",
            "/k/owned/symlink",
            "/k/owned/two",
        }
    image = fast.loaded.image
    assert image.reference == NAME
    assert image.source == f"container:{NAME}"
    assert image.layers[-1].instruction == f"read-write layer of {NAME}"
    assert image.layers[-1].index == len(image.layers) - 1


def test_upper_folders_that_a_program_writes_are_left_alone(
    podman: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fuse-overlayfs has whiteouts and owners of its own: the engine is asked what they mean."""
    use(monkeypatch, podman)
    mark = podman.data_root / "overlay/.has-mount-program"
    with container(podman, running=False):
        usual = listing(f"container:{NAME}", export=True)
        before = mark.read_bytes() if mark.exists() else None
        try:
            mark.write_text("true")
            found = listing(f"container:{NAME}")
        finally:
            mark.unlink()
            if before is not None:
                mark.write_bytes(before)
    assert found.why == "what it changes is written by a program, not by the kernel"
    assert found.way.endswith(", changes and export")
    assert found.union == usual.union


def test_what_it_added_changed_and_removed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, engine)
    with container(engine, running=False):
        found = listing(f"container:{NAME}")
    lines = top(found)
    for path in ("/k/done", "/k/made/by/container/f", "/k/owned/new", "/k/names/odd-\udcff"):
        assert lines[path, False]["change"] == "added"
    for path in ("/k/rewritten", "/k/chmodded", "/k/many-to", "/k/copied"):
        assert lines[path, False]["change"] == "modified"
    for path in ("/k/touched", "/k/owned"):
        assert lines[path, True]["change"] == "removed"
    # Which of the lower versions each copied-up file hides.
    stack = found.loaded.stack
    node = stack.tree.find(b"k/rewritten")
    assert node is not None
    row, *others = reversed(stack.versions(node))
    assert stack.layers[row] == stack.height - 1
    assert others[0] == stack.below[row]
    assert stack.hidden_by[others[0]] == stack.height - 1


def test_live(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each opening tells what is there then, and content is read as it is then."""
    use(monkeypatch, engine)
    with container(engine, running=True) as client:
        for export in (False, True):
            word = f"later-{export}".lower()
            run(client, f"echo {word} > /k/{word}")
            reader = open_image(f"container:{NAME}", export=export)
            try:
                loaded = load(reader, Progress())
                changeset = loaded.changesets[loaded.stack.height - 1]
                row = changeset.paths().index(f"k/{word}".encode())
                last = loaded.stack.height - 1
                assert b"".join(reader.content(last, changeset, row)) == f"{word}\n".encode()
                run(client, f"echo and more >> /k/{word}")
                grown = f"{word}\nand more\n".encode()
                assert b"".join(reader.content(last, changeset, row)) == grown
            finally:
                reader.close()


def test_a_container_that_is_not_there(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, engine)
    with pytest.raises(NotFoundError, match="no container nobody"):
        open_image("container:nobody")


def test_on_the_command_line(engine: Engine) -> None:
    with container(engine, running=False):
        said = layerscope("inspect", f"container:{NAME}", engine=engine)
    assert (said.returncode, said.stderr) == (0, "")
    assert f"read-write layer of {NAME}" in said.stdout
    assert f"Read from {engine.kind.title()}" in said.stdout
