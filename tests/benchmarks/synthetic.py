"""Images that only measurements need: made fast, by whole arrays of headers, and kept.

A layer is an array of 512-byte blocks, into which headers are written a column at a time.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.reference import reference_archive, reference_layers
from tests.engines.harness import cache_folder

MILLION = 1_000_000
WHITEOUTS = 16_000
IMAGES = 50
MASS_DELETE = 8
"""Which layer of the reference image removes 16,000 files one by one."""
GZIPPED = 3
"""Which layer of it, of 520 MB, is compressed for the measurement of that."""

GZIPPED_TAG = "layerscope.test/gzipped:latest"
"""What the image of that layer is called."""

#: Entries of a folder: itself, and its files.
_FOLDER = 1_000
_CHUNK = 50_000
_BLOCK = 512

Blocks = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]


def kept(name: str, make: Callable[[Path], object]) -> Path:
    """Returns a folder of the cache, filled on first use; a half-made one is never seen."""
    folder = cache_folder() / "benchmarks" / name
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            make(work)
            work.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder


@dataclass(frozen=True, slots=True)
class Files:
    """Folders of a layer, with 999 files each."""

    top: str  # Where the folders are.
    #: Number of the first entry, counted over all folders of this top; of the first file for
    #: whiteouts.
    start: int
    count: int  # How many entries.
    mtime: int = 1_700_000_000  # When all were modified.
    whiteouts: bool = False  # Whether the files are whiteouts; the folders are left out.


def write_layer(path: Path, files: Files) -> None:
    """Writes a layer's tar. Of each four files one is empty, others have one to three blocks."""
    with path.open("wb") as file:
        for start in range(files.start, files.start + files.count, _CHUNK):
            count = min(_CHUNK, files.start + files.count - start)
            _blocks(files, np.arange(start, start + count, dtype=np.int64)).tofile(file)
        file.write(bytes(2 * _BLOCK))


def _blocks(files: Files, numbers: Numbers) -> Blocks:
    if files.whiteouts:
        numbers = numbers // (_FOLDER - 1) * _FOLDER + numbers % (_FOLDER - 1) + 1
    folders = numbers % _FOLDER == 0
    sizes = np.where(folders | files.whiteouts, 0, numbers % 4 * _BLOCK)
    sizes -= np.where(sizes > 0, numbers % 97, 0)
    places = np.concatenate(([0], np.cumsum(1 + -(-sizes // _BLOCK))))
    blocks = np.zeros((int(places[-1]), _BLOCK), np.uint8)
    headers = np.zeros((len(numbers), _BLOCK), np.uint8)
    base = f"{files.top}/package-".encode()
    stem = b"/.wh.module-" if files.whiteouts else b"/module-"
    at = _put(headers, 0, base)
    at = _digits(headers, at, numbers // _FOLDER, 4, 10)
    headers[:, at] = ord("/")
    after = _put(headers, at, stem, ~folders)
    after = _digits(headers, after, numbers, 7, 10, ~folders)
    _put(headers, after, b".py", ~folders)
    _put(headers, 100, b"0000644\x000000000\x000000000\x00")
    _put(headers, 100, b"0000755", folders)
    _digits(headers, 124, sizes, 11, 8)
    _digits(headers, 136, np.full(len(numbers), files.mtime), 11, 8)
    _put(headers, 148, b" " * 8 + b"0")
    _put(headers, 156, b"5", folders)
    _put(headers, 257, b"ustar\x0000root")
    _put(headers, 297, b"root")
    sums = headers.sum(axis=1, dtype=np.int64)
    _digits(headers, 148, sums, 6, 8)
    _put(headers, 154, b"\x00 ")
    blocks[places[:-1]] = headers
    return blocks


def _put(headers: Blocks, at: int, text: bytes, where: Any = slice(None)) -> int:
    headers[where, at : at + len(text)] = np.frombuffer(text, np.uint8)
    return at + len(text)


def _digits(
    headers: Blocks, at: int, values: Numbers, width: int, base: int, where: Any = slice(None)
) -> int:
    powers = base ** np.arange(width - 1, -1, -1, dtype=np.int64)
    digits = values[:, None] // powers % base + ord("0")
    headers[where, at : at + width] = digits[where]
    return at + width


def pack(
    target: Path, layers: Sequence[Path], tag: str, diff_ids: Sequence[str] | None = None
) -> None:
    """Writes an archive of the old form.

    Args:
        target: The archive.
        layers: The layers as they are to be stored.
        tag: The image's reference.
        diff_ids: Digests of the layers' tars; by default of what is stored.
    """
    if diff_ids is None:
        diff_ids = []
        for layer in layers:
            with layer.open("rb") as file:
                diff_ids.append("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    created = "2024-05-06T07:08:09Z"
    config = json.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "created": created,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
            "history": [
                {"created": created, "created_by": f"/bin/sh -c make layer {number}"}
                for number in range(len(layers))
            ],
        }
    ).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    names = [f"{diff_id.removeprefix('sha256:')}/layer.tar" for diff_id in diff_ids]
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": names}]).encode()
    with tarfile.open(target, "w") as tar:
        for member, data in ((name, config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for member, layer in dict(zip(names, layers, strict=True)).items():
            info = tarfile.TarInfo(member)
            info.size = layer.stat().st_size
            with layer.open("rb") as file:
                tar.addfile(info, file)


def million() -> tuple[Path, list[Path]]:
    """An image of a million entries in 5 layers, one of 16,000 whiteouts: archive and layers."""
    library, options = "usr/lib/python3/site-packages", "opt/application/lib/modules"
    plan = [
        Files(library, 0, 400_000),
        Files(options, 0, 250_000),
        Files(library, 0, 200_000, mtime=1_700_000_001),
        Files(library, 300 * (_FOLDER - 1), WHITEOUTS, whiteouts=True),
        Files("srv/data/published/objects", 0, MILLION - 866_000),
    ]

    def make(folder: Path) -> None:
        layers = [folder / f"{number:02}.tar" for number in range(len(plan))]
        for layer, files in zip(layers, plan, strict=True):
            write_layer(layer, files)
        pack(folder / "image.tar", layers, "layerscope.test/million:latest")

    folder = kept("million-2", make)
    return folder / "image.tar", sorted(folder.glob("[0-9]*.tar"))


def fifty() -> list[Path]:
    """Fifty archives of 6,000 entries, 5,000 of them the same in all."""

    def make(folder: Path) -> None:
        base = folder / "base"
        own = folder / "own"
        write_layer(base, Files("usr/lib/python3/site-packages", 0, 5_000))
        for number in range(IMAGES):
            write_layer(own, Files(f"opt/application-{number:02}/modules", 0, 1_000))
            tag = f"layerscope.test/application-{number:02}:latest"
            pack(folder / f"{number:02}.tar", [base, own], tag)

    return sorted(kept("fifty-1", make).glob("[0-9]*.tar"))


def reference_diff_ids() -> list[str]:
    """The digests of the reference image's layers, base first."""
    with tarfile.open(reference_archive()) as tar:

        def document(name: str) -> Any:
            file = tar.extractfile(name)
            assert file is not None
            return json.load(file)

        config = document(document("manifest.json")[0]["Config"])
        diff_ids: list[str] = config["rootfs"]["diff_ids"]
        return diff_ids


def without_mass_delete() -> tuple[Path, list[Path]]:
    """The reference image without the layer that removes so many files: archive and layers."""
    layers, diff_ids = reference_layers(), reference_diff_ids()
    del layers[MASS_DELETE], diff_ids[MASS_DELETE]

    def make(folder: Path) -> None:
        tag = "layerscope.test/reference-without:latest"
        pack(folder / "image.tar", layers, tag, diff_ids)

    return kept("without-mass-delete-1", make) / "image.tar", layers


def gzipped() -> tuple[Path, Path]:
    """An archive of one layer that is compressed, and the compressed layer by itself."""

    def make(folder: Path) -> None:
        with (folder / "layer.tar.gz").open("wb") as file:
            source = reference_layers()[GZIPPED]
            subprocess.run(["gzip", "-6nc", source], stdout=file, check=True)
        diff_id = reference_diff_ids()[GZIPPED]
        pack(folder / "image.tar", [folder / "layer.tar.gz"], GZIPPED_TAG, [diff_id])

    folder = kept("gzipped-1", make)
    return folder / "image.tar", folder / "layer.tar.gz"
