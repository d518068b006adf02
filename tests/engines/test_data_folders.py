"""`containers-storage:` and `containerd-root:`, while the engine runs, and after."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from layerscope.engines.docker import connect_any, with_algorithm
from layerscope.engines.resolve import list_images, open_image
from layerscope.errors import AmbiguousError, EngineError, LayerscopeError, NotFoundError
from layerscope.filesystem.disk_changeset import read_folder
from layerscope.filesystem.stack import Stack
from layerscope.reports.files_report import json_lines
from tests.archives import (
    TIME,
    Item,
    folder,
    hard_link,
    layer_tar,
    opaque,
    symlink,
    text,
    whiteout,
    write_archive,
)
from tests.engines.containerd import NAMESPACE, Containerd
from tests.engines.fixtures import service
from tests.engines.harness import Engine
from tests.engines.listings import Listing, listing, use
from tests.truth.command import environment, layerscope, run_program

_FOLDER_TIME = re.compile(r'(?<="dir").*')
APP = "layerscope.test/app:1"

#: What layers can do, without a build.
LAYERS = (
    (
        *(folder(name) for name in ("etc", "usr", "usr/bin", "tree", "tree/a", "full", "turns")),
        text("etc/passwd", "root\n"),
        text("usr/bin/su", mode=0o4755),
        symlink("bin", "usr/bin"),
        text("tree/a/b"),
        text("full/one"),
        text("full/two", uid=33, gid=34, mode=0o600),
        text("turns/into-a-folder"),
        text("gone"),
        text("same", "1" * 30_000),
        hard_link("same-again", "same"),
    ),
    (
        folder("etc"),
        text("etc/passwd", "root, changed\n", mtime=TIME + 60),
        whiteout("gone"),
        whiteout("tree"),
        folder("full"),
        opaque("full"),
        text("full/new"),
        folder("turns"),
        folder("turns/into-a-folder"),
        text("turns/into-a-folder/in"),
        hard_link("full/linked", "full/new"),
    ),
    (
        folder("tree", mode=0o1777, mtime=TIME + 90),
        folder("dev"),
        Item("dev/null", "char", device=(1, 3), mode=0o666),
        Item("pipe", "fifo"),
        symlink("gone", "/nowhere"),
    ),
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("saved"), [*map(layer_tar, LAYERS)], APP)


@pytest.fixture(scope="module")
def truth(podman: Engine, saved: Path) -> Iterator[Listing]:
    """What Podman exports of the image."""
    podman.docker("load", "--input", saved)
    with pytest.MonkeyPatch.context() as patch:
        use(patch, podman)
        yield listing(APP, export=True, contents=True)


@pytest.fixture(scope="module")
def containerd(saved: Path) -> Iterator[Containerd]:
    with service("containerd", Containerd) as running:
        running.ctr("images", "import", "--digests", saved)
        yield running


def name_of(containerd: Containerd, namespace: str = NAMESPACE) -> str:
    """The name that `ctr` lists the image by."""
    return containerd.ctr("images", "list", "--quiet", namespace=namespace).split()[0]


def same(found: Listing, truth: Listing) -> None:
    assert found.union == truth.union
    assert found.layers == truth.layers
    assert found.loaded.image.id == truth.loaded.image.id


def storage(podman: Engine) -> str:
    return f"containers-storage:[{podman.data_root}]"


# --- containers-storage ------------------------------------------------------------------------


def test_the_storage_of_podman(podman: Engine, truth: Listing) -> None:
    source = f"{storage(podman)}{APP}"
    found = listing(source, contents=True)
    same(found, truth)
    assert found.digests == truth.digests
    assert found.way == "storage, overlay"
    assert found.loaded.image.source == source
    digits = truth.loaded.image.id.removeprefix("sha256:")
    data = podman.data_root
    for form in (
        f"containers-storage:[overlay@{data}+{podman.folder.path}/x:opt=1]{APP}",
        f"{storage(podman)}{digits[:12]}",
        f"{storage(podman)}@{digits}",
        f"{storage(podman)}{APP}@{digits}",
    ):
        with closing(open_image(form)) as reader:
            assert reader.image.id == truth.loaded.image.id


def test_what_the_storage_lists(podman: Engine, truth: Listing) -> None:
    with podman.api() as client:
        images = [(with_algorithm(image["Id"]), image) for image in client.images()]
    said = {(name, tag) for name, image in images for tag in image["RepoTags"] or []}
    sizes = {name: image["Size"] for name, image in images}
    listed = list_images(storage(podman))
    assert {line.id for line in listed} == set(sizes)
    lines = [line for line in listed if line.name]
    assert {(line.id, line.name) for line in lines} == said
    assert all(0 < line.size <= sizes[line.id] for line in lines)
    run = layerscope("images", "--json", storage(podman))
    assert run.returncode == 0
    assert APP.partition(":")[0] in run.stdout


def test_the_own_storage_is_that_of_storage_conf(
    podman: Engine, truth: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, podman)
    assert listing(f"containers-storage:{APP}").union == truth.union
    assert list_images("containers-storage:") == list_images(storage(podman))


def test_what_is_not_in_the_storage(podman: Engine, tmp_path: Path) -> None:
    for name in ("nothing", "abc", "@0123456789ab", f"other@{'0' * 64}"):
        with pytest.raises(NotFoundError, match="holds no image"):
            open_image(f"{storage(podman)}{name}")
    with pytest.raises(LayerscopeError, match="not a storage of Podman"):
        open_image(f"containers-storage:[{tmp_path}]a")
    with pytest.raises(LayerscopeError, match="No such file"):
        open_image(f"containers-storage:[{tmp_path}/none]a")
    with pytest.raises(LayerscopeError, match="driver btrfs is not supported"):
        open_image(f"containers-storage:[btrfs@{podman.data_root}]a")
    with pytest.raises(LayerscopeError, match=r"has no \]"):
        open_image(f"containers-storage:[{tmp_path}")


def test_a_storage_with_vfs(podman: Engine, saved: Path, truth: Listing, tmp_path: Path) -> None:
    command: list[str | Path] = [
        "podman",
        "--root",
        tmp_path / "root",
        "--runroot",
        podman.folder.path / "v",
    ]
    command += ["--storage-driver", "vfs", "load", "--input", saved]
    subprocess.run(command, check=True, capture_output=True)
    found = listing(f"containers-storage:[{tmp_path}/root]{APP}", contents=True)
    same(found, truth)
    assert (found.digests, found.way) == (truth.digests, "storage, vfs")


# --- containerd-root ---------------------------------------------------------------------------


@contextmanager
def mounted(containerd: Containerd, name: str, snapshotter: str, folder: Path) -> Iterator[Path]:
    """The merged view as containerd mounts it."""
    folder.mkdir()
    containerd.ctr("images", "mount", "--snapshotter", snapshotter, name, folder)
    try:
        yield folder
    finally:
        containerd.ctr("images", "unmount", "--rm", folder)


def merged(folder: Path) -> list[str]:
    """A folder's files in the form of a listing, without the layer."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return without_layers(list(json_lines(Stack([read_folder(fd, str(folder))]), None)))
    finally:
        os.close(fd)


def without_layers(lines: list[str]) -> list[str]:
    """Sorted lines without the layer, and without which name of an inode is the hard link."""
    return sorted(re.sub(r'"(layer|link)": [^,}]*', "", line) for line in lines)


def test_a_node(containerd: Containerd, truth: Listing, tmp_path: Path) -> None:
    name = name_of(containerd)
    root = f"containerd-root:{containerd.data_root}"
    (line,) = list_images(root)
    found = listing(f"{root}:{line.name}", contents=True)
    same(found, truth)
    assert (found.digests, found.way) == (truth.digests, "data folder, containerd")
    with mounted(containerd, name, "overlayfs", tmp_path / "m") as folder:
        assert without_layers(found.union) == merged(folder)
    for form in (f"{NAMESPACE}/{name}", name, line.id[7:19], line.id):
        with closing(open_image(f"{root}:{form}")) as reader:
            assert reader.image.id == truth.loaded.image.id
    assert line.name.startswith(f"{NAMESPACE}/")
    with pytest.raises(NotFoundError, match="holds no image nothing"):
        open_image(f"{root}:nothing")
    with closing(open_image(root)) as reader:  # The only one.
        assert reader.image.id == truth.loaded.image.id


@pytest.mark.parametrize("snapshotter", ["overlayfs", "native"])
def test_a_node_that_discards_blobs(
    containerd: Containerd, tmp_path: Path, snapshotter: str
) -> None:
    other, name = f"discards-{snapshotter}", f"layerscope.test/{snapshotter}:1"
    layers = [layer_tar(items) for items in (*LAYERS, [text(snapshotter)])]
    archive = write_archive(tmp_path, layers, name)
    truth = listing(f"docker-archive:{archive}", contents=True)
    containerd.ctr("images", "import", "--snapshotter", snapshotter, archive, namespace=other)
    for digest in containerd.ctr("content", "list", "--quiet", namespace=other).split():
        if not blob(containerd, digest).read_bytes().startswith(b"{"):
            blob(containerd, digest).rename(tmp_path / digest.replace(":", "-"))
    try:
        found = listing(f"containerd-root:{containerd.data_root}:{other}/{name}", contents=True)
    finally:
        for path in tmp_path.glob("sha256-*"):
            path.rename(blob(containerd, path.name.replace("-", ":")))
    assert found.way == f"data folder, snapshots of {snapshotter}"
    assert not found.loaded.image.missing
    assert found.loaded.image.id == truth.loaded.image.id
    one, other_ = without_layers(found.union), without_layers(truth.union)
    if snapshotter == "native":  # Its copies of folders have times of their own.
        one, other_ = ([_FOLDER_TIME.sub("", each) for each in lines] for lines in (one, other_))
    assert one == other_
    assert {*found.digests.values()} == {*truth.digests.values()}


def blob(containerd: Containerd, digest: str) -> Path:
    blobs = containerd.data_root / "io.containerd.content.v1.content/blobs"
    return blobs / digest.replace(":", "/")


def test_names_in_several_namespaces(containerd: Containerd, saved: Path, tmp_path: Path) -> None:
    containerd.ctr("images", "import", saved, namespace="one")
    root = f"containerd-root:{containerd.data_root}"
    with closing(open_image(f"{root}:{APP}")) as reader:
        assert reader.image.source == f"{root}:{NAMESPACE}/{APP}"
    with closing(open_image(f"{root}:one/{APP}")) as reader:
        assert reader.image.source == f"{root}:one/{APP}"
    # The same name, and another image.
    other = write_archive(tmp_path, [layer_tar([text("other")])], APP)
    containerd.ctr("images", "import", other, namespace="one")
    with pytest.raises(AmbiguousError) as raised:
        open_image(f"{root}:{APP}")
    assert raised.value.choices == (f"{root}:{NAMESPACE}/{APP}", f"{root}:one/{APP}")


def test_a_folder_is_an_engine(
    containerd: Containerd, truth: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"containerd-root:{containerd.data_root}"
    monkeypatch.setenv("LAYERSCOPE_ENGINE", root)
    engine = connect_any()
    lines = engine.images()
    assert lines == list_images(None) == list_images(root)
    assert (engine.layers_size() or 0) > sum({line.id: line.size for line in lines}.values()) / 2
    found = next(line for line in lines if line.id)
    with closing(open_image(found.name)) as reader:
        assert reader.image.source.startswith(f"{root}:")
    with pytest.raises(EngineError, match="cannot list containers"):
        engine.containers()
    user = environment(LAYERSCOPE_ENGINE=root)
    run = run_program([sys.executable, "-m", "layerscope", "engines", "--json"], user)
    listed = json.loads(run.stdout)["engines"]
    (row,) = (each for each in listed if each["name"] == root)
    assert (row["current"], row["store"], row["problem"]) == (True, "containerd", None)
    assert row["images"] == len({line.id for line in lines})
    run = run_program([sys.executable, "-m", "layerscope", "ps"], user)
    assert (run.returncode, run.stdout) == (2, "")
    assert "cannot list containers" in run.stderr
