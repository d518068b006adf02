"""`container:NAME`: what a container has changed, from its folder and from the engine's API."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.resolve import open_image
from layerscope.errors import NotFoundError
from layerscope.images.containers.reader import MADE_AT_CREATION
from layerscope.images.loading import load
from layerscope.images.pieces import filled
from layerscope.images.progress import Progress
from tests.engines.exports import Entry, Type, _Reader, applied_mtime, listing_of_tar
from tests.engines.harness import Engine
from tests.engines.images import BUSYBOX, build, busybox_base
from tests.engines.kitchen_sink import kitchen_sink
from tests.engines.listings import Listing, listing, use
from tests.truth.command import check_same, layerscope, listed, output, plain

NAME = "layerscope-test"
PLACES = "layerscope.test/places:latest"

KINDS: dict[int, Type] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}

SCRIPT = """
cd /k && echo more >> rewritten && rm touched && rm -r owned && chmod 700 chmodded &&
mkdir owned && echo new > owned/new && rm -r copied && echo file > copied &&
mkdir -p made/by/container && echo x > made/by/container/f && ln made/by/container/f made/g &&
ln -s f made/by/container/s && mkfifo made/fifo && rm names/grüße* &&
echo odd > "$(printf 'names/odd-\\377')" && chown 5:6 many-to && echo done > /k/done;
"""

MADE_BY_PODMAN = {"/etc/mtab", "/run", "/run/.containerenv"}
"""What Podman itself puts into the read-write layer, and does not report as a change."""


def as_applied(entries: Mapping[str, Entry]) -> dict[str, tuple[Any, ...]]:
    """Return a listing with the times that an engine can write."""
    return plain({path: replace(e, mtime=applied_mtime(e.mtime)) for path, e in entries.items()})


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


def own(found: Listing, layer: int) -> dict[tuple[str, bool], dict[str, Any]]:
    """Return lines of a layer that is the container's own by path, those that only remove apart.

    Their layer's number is left out: it may be another one where it is read another way.
    """
    lines = [{**json.loads(line), "layer": layer} for line in found.layers[layer]]
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
    assert slow.why == "as requested"
    check_same(as_applied(listed("\n".join(fast.union))), as_applied(truth))
    one, other = own(fast, -1), own(slow, -1)
    # Podman does not report folders with another owner or mode and the same entries.
    unreported = {"/k/many-to", *MADE_BY_PODMAN} if engine.kind == "podman" else set()
    reported = {key for key in one if key[0] not in unreported and not key[1]}
    assert reported == {key for key in other if not key[1]}
    assert {key: one[key] for key in reported} == {key: other[key] for key in reported}
    if engine.kind == "docker":
        check_same(as_applied(listed("\n".join(slow.union))), as_applied(truth))
        # Without the folders' marks of being made anew, the API names each path that is gone.
        assert {key[0] for key in other if key[1]} - {key[0] for key in one if key[1]} == {
            "/k/owned/sub",
            "/k/owned/symlink",
            "/k/owned/two",
        }
    image = fast.loaded.image
    assert image.reference == NAME
    assert image.source == f"container:{NAME}"
    assert image.layers[-1].instruction == f"read-write layer of {NAME}"
    assert [layer.index for layer in image.layers] == list(range(fast.loaded.stack.height))


OWN_PLACES = {
    "own/etc/hosts": b"of the image\n",
    "own/etc/hostname": b"of the image\n",
    "own/etc/resolv.conf": b"of the image\n",
    "own/etc/mtab/folder": b"of the image\n",
    "own/.dockerenv": b"of the image\n",
    "own/dev/pts/file": b"of the image\n",
    "own/proc/file": b"of the image\n",
}
"""What an image may have where engines put something of their own."""

IN_THE_WAY = {
    "own/dev/shm": b"a file where others have a folder\n",
    "own/sys": b"a file where others have a folder\n",
}
"""What Docker replaces, and Podman cannot run a container with."""


@contextmanager
def mounted(engine: Engine, *, running: bool) -> Iterator[Path]:
    """Give the folder on which the kernel shows a container's layers, and nothing else."""
    busybox_base(engine)
    files = OWN_PLACES if engine.kind == "podman" else {**OWN_PLACES, **IN_THE_WAY}
    image = build(engine, f"FROM {BUSYBOX}\nCOPY own/ /\n", files, PLACES).tag
    with engine.api() as client:
        made = client.create_container(
            image,
            ["echo changed > /etc/passwd; exec sleep 1000"],
            entrypoint=["/bin/sh", "-c"],
            name=NAME,
            host_config=client.create_host_config(network_mode="none"),
        )["Id"]
        try:
            client.start(made)
            run(client, "until [ $(cat /etc/passwd) = changed ]; do sleep 0.1; done")
            data = client.inspect_container(made)["GraphDriver"]["Data"] or {}
            merged = Path(data.get("MergedDir") or engine.data_root / "rootfs/overlayfs" / made)
            if running:
                yield merged
                return
            options = overlay_options(merged)
            client.kill(made)
            client.wait(made)
            with tempfile.TemporaryDirectory(dir=engine.folder.path) as folder:
                place = Path(folder)
                lower = f"lowerdir={options['upperdir']}:{options['lowerdir']}"
                command = ["mount", "-t", "overlay", "overlay", "-o", f"ro,{lower}", folder]
                # Podman names lower folders as they are called from its own.
                subprocess.run(command, check=True, cwd=engine.data_root / options["from"])
                try:
                    yield place
                finally:
                    subprocess.run(["umount", folder], check=True)
        finally:
            client.remove_container(made, force=True, v=True)


def overlay_options(place: Path) -> dict[str, str]:
    """Return with what options an overlay is mounted there."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[4] == str(place):
            pairs = [option.partition("=") for option in after.split()[2].split(",")]
            options = {name: value for name, _, value in pairs}
            return {**options, "from": "overlay" if options["lowerdir"][0] != "/" else "."}
    pytest.fail(f"nothing is mounted on {place}")


def seen_below(top: Path) -> dict[str, Entry]:
    """Return what the kernel shows in a folder."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            path = Path(folder) / name
            status = path.lstat()
            kind = KINDS[stat.S_IFMT(status.st_mode)]
            found[f"/{path.relative_to(top)}"] = Entry(
                path=f"/{path.relative_to(top)}",
                type=kind,
                mode=stat.S_IMODE(status.st_mode),
                uid=status.st_uid,
                gid=status.st_gid,
                size=status.st_size if kind == "file" else 0,
                mtime=int(status.st_mtime),
                link=str(path.readlink()) if kind == "symlink" else None,
            )
    return found


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_a_container_is_what_the_kernel_shows(engine: Engine, running: bool) -> None:
    with mounted(engine, running=running) as folder:
        truth = seen_below(folder)
        fast = output("files", "--json-lines", f"container:{NAME}", engine=engine)
        slow = output("files", "--json-lines", "--export", f"container:{NAME}", engine=engine)
        said = output("inspect", f"container:{NAME}", engine=engine)
    check_same(plain(listed(fast)), plain(truth))
    assert truth["/dev/pts/file"].size == len(OWN_PLACES["own/dev/pts/file"])
    if engine.kind == "docker":
        check_same(plain(listed(slow)), plain(truth))
        assert truth["/etc/hosts"].size == 0
        lines = said.splitlines()
        written = next(at for at, line in enumerate(lines) if line.endswith(f"layer of {NAME}"))
        assert lines[written - 1].endswith(f"  {MADE_AT_CREATION}")
    else:
        assert "made by" not in said


def test_the_layer_that_docker_makes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, engine)
    with mounted(engine, running=False):
        fast, slow = (listing(f"container:{NAME}", export=export) for export in (False, True))
    image = fast.loaded.image
    named = [layer.instruction or "" for layer in image.layers]
    assert {entry.layer for entry in image.history if not entry.empty_layer} == {
        number
        for number, text in enumerate(named)
        if "made by" not in text and "of " + NAME not in text
    }
    assert [image.layers[entry.layer].instruction for entry in image.history if entry.layer] == [
        slow.loaded.image.layers[entry.layer].instruction
        for entry in slow.loaded.image.history
        if entry.layer
    ]
    if engine.kind == "podman":
        assert not any("made by" in text for text in named)
        return
    made, reported = own(fast, -2), own(slow, -2)
    for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/.dockerenv", "/sys"):
        assert made[path, False]["change"] == "modified"
        assert reported[path, False] == made[path, False]
    # Folders that were there are known by name alone.
    assert {line["change"] for key, line in reported.items() if key not in made} <= {"unchanged"}


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
    assert found.why == "its changes are written by a program, not by the kernel"
    assert found.way.endswith(", changes and export")
    assert found.union == usual.union


def test_what_it_added_changed_and_removed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, engine)
    with container(engine, running=False):
        found = listing(f"container:{NAME}")
    lines = own(found, -1)
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
    """Opening a container and reading a file both show its present state."""
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
                assert (
                    b"".join(filled(reader.content(last, changeset, row))) == f"{word}\n".encode()
                )
                run(client, f"echo and more >> /k/{word}")
                grown = f"{word}\nand more\n".encode()
                assert b"".join(filled(reader.content(last, changeset, row))) == grown
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
