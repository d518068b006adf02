"""What containerd's database says that a removal frees; the engines' tests compare with Docker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from layerscope.images.stores.containerd import ContainerdStore
from layerscope.images.stores.containerd_garbage import References, references
from layerscope.images.stores.data_folder import DataFolder
from tests.unit.images.stores.test_bolt import FREELIST, PAGE, header, inline, leaf, meta

GC = "containerd.io/gc."
Tree = Mapping[str, Any]


def varint(number: int) -> bytes:
    """A positive number as Go's PutVarint writes it."""
    number, data = number << 1, bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def items(tree: Tree) -> list[tuple[bytes, bytes, bool]]:
    return [
        (key.encode(), inline(items(value)), True)
        if isinstance(value, dict)
        else (key.encode(), varint(value) if isinstance(value, int) else value.encode(), False)
        for key, value in sorted(tree.items())
    ]


def write(path: Path, tree: Tree) -> None:
    free = header(2, FREELIST, 0).ljust(PAGE, b"\0")
    path.parent.mkdir(parents=True)
    path.write_bytes(meta(0, 3, 6) + meta(1, 3, 5) + free + leaf(3, items({"v1": tree})))


def blob(size: int, **labels: str) -> Tree:
    named = {f"{GC}{key.replace('_', '.')}": value for key, value in labels.items()}
    return {"size": size, "labels": named}


def image(digest: str) -> Tree:
    return {"target": {"digest": digest}}


def snapshot(key: str, parent: str = "") -> Tree:
    return {"name": f"moby/1/{key}", **({"parent": parent} if parent else {})}


#: Two images with a layer in common, and a container on the second one.
CONTENT = {
    "one": blob(1, ref_content_0="config1", ref_content_1="base"),
    "two": blob(2, ref_content_0="config2", ref_content_1="base", ref_content_2="top"),
    "config1": blob(10, ref_snapshot_overlayfs="s1"),
    "config2": blob(20, ref_snapshot_overlayfs="s2"),
    "base": blob(100),
    "top": blob(200),
    "loose": blob(5000),
}
SNAPSHOTS = {"s1": snapshot("s1"), "s2": snapshot("s2", "s1"), "rw": snapshot("rw", "s2")}
SIZES = {"s1": 1000, "s2": 2000, "rw": 0}
IMAGES = {"app:1": image("one"), "app:2": image("two"), "app:latest": image("two")}


def read(
    folder: Path, *, sizes: Tree = SIZES, others: Tree | None = None, **more: Any
) -> References:
    moby = {
        "content": {"blob": CONTENT},
        "snapshots": {"overlayfs": SNAPSHOTS},
        "images": IMAGES,
        "leases": {"rw": {"snapshots": {"overlayfs": {"rw": ""}}}},
        **more,
    }
    write(folder / "io.containerd.metadata.v1.bolt/meta.db", {"moby": moby, **(others or {})})
    stored = {f"moby/1/{key}": {"size": size} for key, size in sizes.items()}
    write(folder / "io.containerd.snapshotter.v1.overlayfs/metadata.db", {"snapshots": stored})
    store = ContainerdStore(DataFolder(folder))
    try:
        return references(store)
    finally:
        store.close()


def test_what_only_the_removed_need_is_freed(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.freed([], {}) == 0
    # The base and its snapshot are those of the other image, too.
    assert found.freed(["one"], {}) == 1 + 10
    # The container's snapshot lies on that of the image.
    assert found.freed(["two"], {}) == 2 + 20 + 200
    assert found.freed(["two"], {"rw": 7}) == 2 + 20 + 200 + 2000 + 7
    assert found.freed(["one", "two"], {"rw": 7}) == 333 + 3000 + 7
    assert found.freed([], {"rw": 7}) == 7


def test_what_a_build_cache_holds_stays(tmp_path: Path) -> None:
    flat = {"labels": {f"{GC}flat": "now"}}
    held = {
        "rw": {"snapshots": {"overlayfs": {"rw": ""}}},
        "cached": {**flat, "content": {"two": ""}, "snapshots": {"overlayfs": {"s2": ""}}},
    }
    found = read(tmp_path, leases=held)
    # It wants the blob, not what its labels name; a snapshot comes with what it lies on.
    assert found.freed(["two", "one"], {"rw": 0}) == 1 + 10 + 20 + 100 + 200
    assert found.freed(["two", "one"], {"rw": 0, "cached": 0}) == 333 + 3000


def test_other_namespaces_and_roots_hold_what_is_theirs(tmp_path: Path) -> None:
    content = {**CONTENT, "top": {"size": 200, "labels": {f"{GC}root": "now"}}}
    other = {"content": {"blob": CONTENT}, "images": {"app": image("two")}}
    running = {"c": {"snapshotter": "overlayfs", "snapshotKey": "s2"}}
    found = read(tmp_path, content={"blob": content}, containers=running, others={"k8s.io": other})
    assert found.freed(["two", "one"], {"rw": 0}) == 1 + 2 + 10 + 20 + 100


@pytest.mark.parametrize(
    "unknown",
    [
        {"content": {"blob": {**CONTENT, "x": blob(1, bref_image_y="app:1")}}},
        {"sizes": {"s1": 1000, "rw": 0}},
        {"images": {}},
    ],
    ids=["label", "snapshotter", "image"],
)
def test_what_is_not_understood_is_not_known(tmp_path: Path, unknown: dict[str, Any]) -> None:
    assert read(tmp_path, **unknown).freed(["one"], {}) is None


def test_a_lease_that_is_gone_is_not_known(tmp_path: Path) -> None:
    assert read(tmp_path).freed([], {"gone": 1}) is None
