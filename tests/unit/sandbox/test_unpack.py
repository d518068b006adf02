import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from layerscope.engines.resolve import open_image
from layerscope.filesystem.disk_changeset import read_folder
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.oci.byte_source import opened
from layerscope.sandbox.process import SandboxError
from layerscope.sandbox.removing import remove_tree
from layerscope.sandbox.stubs import find_stubs, real_path
from layerscope.sandbox.unpack import Rights, self_contained, unpack_layer, unpack_merged
from layerscope.sandbox.worker import make_stubs, revision_2
from tests.archives import (
    Item,
    folder,
    hard_link,
    layer_tar,
    opaque,
    saved,
    streamed,
    symlink,
    text,
    whiteout,
)

OTHER = [
    *(folder("a"), whiteout("a/gone"), folder("o"), opaque("o"), text("o/new", "new")),
    *(hard_link("a/link", "a/first"), symlink("a/out", "/etc"), Item("a/pipe", "fifo")),
]


def image(path: Path, *layers: list[Item]) -> Path:
    path.write_bytes(saved(*map(layer_tar, layers)))
    return path


def stack(*layers: list[Item]) -> Stack:
    return Stack([read_changeset(streamed(layer_tar(items), digest=True)) for items in layers])


def unpacked(tmp_path: Path, layer: int | None, *layers: list[Item]) -> tuple[Path, Stack]:
    reader = open_image(f"docker-archive:{image(tmp_path / 'image.tar', *layers)}")
    loaded = load(reader, Progress())
    target = tmp_path / "target"
    target.mkdir()
    rights = Rights(root=os.geteuid() == 0)
    if layer is None:
        unpack_merged(loaded.stack, reader, target, rights, Progress())
    else:
        unpack_layer(loaded.stack, reader, layer, target, rights, Progress())
    reader.close()
    return target, loaded.stack


def test_a_layer_is_what_overlayfs_reads(tmp_path: Path) -> None:
    base = [folder("a"), text("a/gone"), text("a/first", "one"), folder("o"), text("o/old")]
    target, _ = unpacked(tmp_path, 1, base, OTHER)
    gone = (target / "a/gone").lstat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    with opened(os.open(target, os.O_RDONLY)) as top:
        found = read_folder(top, str(target))
    kinds = list(zip(found.paths(), found.kinds.tolist(), strict=True))
    assert kinds == [
        *((b"a", 3), (b"a/gone", 7), (b"a/link", 0), (b"a/out", 2), (b"a/pipe", 6)),
        *((b"o", 3), (b"o", 8), (b"o/new", 0)),
    ]
    # A hard link to a lower layer is a copy.
    assert (target / "a/link").read_text() == "one"


def test_a_tree_is_the_merged_view(tmp_path: Path) -> None:
    base = [folder("a"), text("a/gone"), text("a/first", "one"), folder("o"), text("o/old")]
    target, _ = unpacked(tmp_path, None, base, OTHER)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == [
        *("a", "a/first", "a/link", "a/out", "a/pipe", "o", "o/new"),
    ]
    assert (target / "a/link").stat().st_ino == (target / "a/first").stat().st_ino


@pytest.mark.parametrize(
    "hostile",
    [
        [symlink("out", "/"), text("out/hit", "bad")],
        [symlink("out", "../../.."), text("out/hit", "bad")],
        [text("../hit", "bad"), text("/../../hit2", "bad")],
        [hard_link("hit", "../../image.tar")],
        [folder("out"), symlink("out", "../.."), text("out/hit", "bad")],
    ],
)
def test_nothing_outside_the_folder_is_written(hostile: list[Item], tmp_path: Path) -> None:
    base = tmp_path / "inner"
    base.mkdir()
    unpacked(base, 0, hostile)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner"]
    assert sorted(path.name for path in base.iterdir()) == ["image.tar", "target"]
    assert not Path("/hit").exists()
    inside = [path for path in (base / "target").rglob("*") if path.is_file()]
    assert all(path.stat().st_nlink == 1 for path in inside)


def test_layers_that_depend_on_others_are_known() -> None:
    with_parent = stack([folder("a"), text("a/f")], [folder("a"), text("a/g")])
    assert [self_contained(with_parent, layer) for layer in (0, 1)] == [True, True]
    missing = stack([folder("a", mode=0o700), text("a/f")], [text("a/g")])
    assert not self_contained(missing, 1)
    linked = stack([folder("a"), text("a/f")], [folder("a"), hard_link("a/g", "a/f")])
    assert not self_contained(linked, 1)


def test_stubs_have_parents_as_the_image_has_them(tmp_path: Path) -> None:
    layers = stack(
        [
            *(folder("etc", mode=0o711, mtime=77), symlink("etc/resolv.conf", "../run/r/conf")),
            *(folder("run", mode=0o700), symlink("var", "/run"), folder("proc")),
        ]
    )
    assert real_path(layers, "/var/x/../y") == "/run/y"
    stubs = {stub.path: stub for stub in find_stubs(layers, {"/var/cache/c": True}, "/")}
    assert list(stubs) == [
        *("sys", "dev", "run", "run/r", "run/r/conf", "etc", "etc/hosts", "etc/hostname"),
        *("run/cache", "run/cache/c", "etc/mtab"),
    ]
    assert (stubs["etc"].mode, stubs["etc"].mtime, stubs["etc"].exists) == (0o711, 77, True)
    make_stubs(tmp_path, tuple(stubs.values()))
    assert stat.S_IMODE((tmp_path / "etc").stat().st_mode) == 0o711
    assert (tmp_path / "etc").stat().st_mtime == 77
    assert (tmp_path / "run/r/conf").read_bytes() == b""
    assert (tmp_path / "etc/mtab").readlink() == Path("/proc/mounts")


KINDS: dict[str, tuple[str, Callable[[str], Item]]] = {
    "file": ("file", lambda path: text(path)),
    "pipe": ("named pipe", lambda path: Item(path, "fifo")),
    "device": ("device", lambda path: Item(path, "char", device=(1, 3))),
    "link to a file": ("file", lambda path: symlink(path, "/plain")),
    "loop": ("", lambda path: symlink(path, f"/{path}")),
}


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        *(("proc", "/proc"), ("sys", "/sys"), ("dev", "/dev"), ("etc", "/etc/resolv.conf")),
        *(("work", "/work/deep"), ("mnt", "/mnt/in"), ("mnt/in", "/mnt/in")),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_in_the_way_of_a_folder_is_named(kind: str, there: str, wanted: str) -> None:
    name, make = KINDS[kind]
    above = [folder(there.rpartition("/")[0])] if "/" in there else []
    layers = stack([text("plain"), *above, make(there)])
    place = "plain" if kind == "link to a file" else there
    said = f"The sandbox needs a folder for {wanted}, but /{place} of the image is a {name}."
    if kind == "loop":
        named = "/etc" if there == "etc" else wanted
        said = f"{named} leads through a loop of symbolic links."
    with pytest.raises(SandboxError) as raised:
        find_stubs(layers, {"/mnt/in": True}, "/work/deep")
    assert str(raised.value) == said


def test_what_is_in_the_way_of_a_file_is_not_needed() -> None:
    kinds = [make for _, make in KINDS.values()]
    items = [
        make(f"etc/{name}") for name, make in zip(("hosts", "hostname"), kinds[2:], strict=False)
    ]
    assert find_stubs(stack([folder("etc"), folder("etc/resolv.conf"), *items]), {}, "/")


def test_capabilities_of_a_user_namespace_become_those_of_files() -> None:
    data = struct.pack("<5I", 1, 1 << 10, 0, 0, 0)[4:]
    third = struct.pack("<I", 0x03000001) + data + struct.pack("<I", 100_000)
    assert revision_2(third) == struct.pack("<I", 0x02000001) + data
    assert revision_2(revision_2(third)) == revision_2(third)


def test_a_tree_without_rights_is_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "closed/inner").mkdir(parents=True)
    (tree / "closed/inner/file").touch()
    (tree / "out").symlink_to(tmp_path)
    (tree / "closed/inner").chmod(0)
    (tree / "closed").chmod(0)
    remove_tree(tree)
    assert list(tmp_path.iterdir()) == []
