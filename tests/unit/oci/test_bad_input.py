"""Bad input ends in one line on stderr, with the file, and the offset where it means something."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from layerscope.errors import BadInputError
from layerscope.oci.byte_source import FileRange
from layerscope.oci.manifest import OCI_MANIFEST
from tests.archives import (
    END,
    base256,
    diff_id,
    entry,
    header,
    layer,
    padded,
    pax,
    plain_tar,
    saved,
    write,
)
from tests.command import one_line_error, run
from tests.unit.images.platform_layouts import Layout, written

Capsys = pytest.CaptureFixture[str]

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "xz": lzma.compress,
}
GOOD = saved(layer("d/", ("d/a", b"x" * 3000)), layer(("b", b"y")))


def reported(capsys: Capsys, path: Path, data: bytes, *, command: str = "inspect") -> str:
    """The error for a file with these bytes, which must name it."""
    source = write(path / "image.tar", data)
    for arguments in ([command, source], [command, f"docker-archive:{source}"]):
        line = one_line_error(run(capsys, *arguments))
        assert source in line
    return line


@pytest.mark.parametrize("pack", PACKERS)
def test_a_good_archive_is_read_however_it_is_compressed(
    capsys: Capsys, tmp_path: Path, pack: str
) -> None:
    for inner in PACKERS.values():
        data = PACKERS[pack](saved(inner(layer(("a", b"1234"))), tags=["example/app:1"]))
        outcome = run(capsys, "inspect", "--json", write(tmp_path / "i.tar", data))
        assert (outcome.code, outcome.err) == (0, "")
        assert json.loads(outcome.out)["image"]["size"] == 4


def test_an_archive_cut_at_every_block_is_refused(capsys: Capsys, tmp_path: Path) -> None:
    for cut in [*range(512, len(GOOD) - 1024, 512), *range(700, len(GOOD) - 1600, 3331)]:
        line = reported(capsys, tmp_path, GOOD[:cut])
        if cut % 512:
            assert "byte " in line or "without manifest.json" in line, (cut, line)


@pytest.mark.parametrize("pack", ["gzip", "zstd", "xz"])
def test_a_compressed_archive_cut_anywhere_is_refused(
    capsys: Capsys, tmp_path: Path, pack: str
) -> None:
    data = PACKERS[pack](GOOD)
    for cut in sorted({6, 7, 20, len(data) // 3, len(data) // 2, len(data) - 9, len(data) - 1}):
        reported(capsys, tmp_path, data[:cut])


@pytest.mark.parametrize("pack", ["gzip", "zstd", "xz"])
@pytest.mark.parametrize("outer", ["plain", "gzip"])
def test_a_compressed_layer_that_is_cut_or_damaged_is_refused(
    capsys: Capsys, tmp_path: Path, pack: str, outer: str
) -> None:
    data = PACKERS[pack](layer(*((f"f{n}", os.urandom(600)) for n in range(20))))
    for bad in (data[:-1], data[: len(data) // 2], data[:100] + b"\xff" * 50 + data[150:]):
        line = reported(capsys, tmp_path, PACKERS[outer](saved(bad)))
        assert "layer" in line


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "byte 0: it holds no files"),
        (bytes(10240), "byte 0: it holds no files"),
        (b"hello\n", "byte 6: the archive is truncated"),
        (b"#!/bin/sh\n" * 500, "byte 0: it is not a tar archive"),
        (random.Random(1).randbytes(5000), "byte 0: it is not a tar archive"),
        (b"\x7fELF" + bytes(2000), "byte 0: it is not a tar archive"),
        (b"{}" * 1000, "byte 0: it is not a tar archive"),
        (plain_tar([("a", b"b")]), "without manifest.json"),
        (b"\x1f\x8b" + b"x" * 1000, "gzip"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 1000, "zstd"),
        (b"\xfd7zXZ\0" + b"x" * 1000, "xz"),
        (gzip.compress(b"not a tar" * 500), "it is not a tar archive"),
    ],
)
def test_a_file_that_is_no_archive_is_said_so(
    capsys: Capsys, tmp_path: Path, data: bytes, problem: str
) -> None:
    assert problem in reported(capsys, tmp_path, data)


def test_what_is_not_a_file_is_said_so(capsys: Capsys, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    (tmp_path / "dangling.tar").symlink_to("nowhere")
    (tmp_path / "loop.tar").symlink_to("loop.tar")
    for source, problem in (
        (str(tmp_path), "folder"),
        (str(tmp_path / "pipe.tar"), "not a regular file"),
        ("/dev/null", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        (str(tmp_path / "missing.tar"), "does not exist"),
        (str(tmp_path / "dangling.tar"), "does not exist"),
        (str(tmp_path / "loop.tar"), "cannot be opened"),
        (str(tmp_path / "missing" / "x.tar"), "does not exist"),
        ("/dev/null/x.tar", "cannot be opened"),
        ("/" + "n" * 300, "File name too long"),
    ):
        for command in ("inspect", "files"):
            line = one_line_error(run(capsys, command, source))
            assert problem in line
            assert source[:100] in line  # Long values are cut.


Edit = Callable[[list[tuple[str, bytes]]], None]


def without(ending: str) -> Edit:
    def edit(files: list[tuple[str, bytes]]) -> None:
        files[:] = [file for file in files if not file[0].endswith(ending)]

    return edit


def replaced(ending: str, data: bytes) -> Edit:
    def edit(files: list[tuple[str, bytes]]) -> None:
        files[:] = [(name, data if name.endswith(ending) else old) for name, old in files]

    return edit


@pytest.mark.parametrize("pack", ["plain", "gzip"])
@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (without("/layer.tar"), "which is not there"),
        (without("manifest.json"), "without manifest.json"),
        (replaced("manifest.json", b"[{"), "manifest.json is not valid JSON"),
        (replaced("manifest.json", b"[\xff]"), "manifest.json is not valid JSON"),
        (replaced("manifest.json", b"[" * 100_000), "manifest.json is not valid JSON"),
        (replaced("manifest.json", b"{}"), "not a list"),
        (replaced("manifest.json", b"[]"), "names no image"),
        (replaced("manifest.json", b"[null]"), "names no configuration"),
        (replaced("manifest.json", b"[{}]"), "names no configuration"),
        (replaced("manifest.json", b'[{"Config": "gone.json", "Layers": []}]'), "no gone.json"),
        (replaced("manifest.json", b'[{"Config": "", "Layers": []}]'), "it has no "),
        (replaced("manifest.json", b'[{"Config": "../../etc/passwd"}]'), "it has no ../../etc"),
        (replaced("manifest.json", b'[{"Config": "manifest.json"}]'), "is not a JSON object"),
        (replaced("manifest.json", b'[{"Config": "a", "Layers": {"a": 1}}]'), "not a list"),
        (
            replaced("manifest.json", b'[{"Config": "a\\u001b[31m\\u202e\\n"}]'),
            "it has no a\\e[31m\\u202e\\n",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    capsys: Capsys, tmp_path: Path, pack: str, edit: Edit, problem: str
) -> None:
    assert problem in reported(capsys, tmp_path, PACKERS[pack](saved(layer(("a", b"")), edit=edit)))


@pytest.mark.parametrize("text", [b"null", b"5", b'"x"', b"nonsense"])
def test_a_manifest_that_is_no_list_is_refused(capsys: Capsys, tmp_path: Path, text: bytes) -> None:
    assert "manifest.json" in reported(capsys, tmp_path, saved(layer(), manifest=text))


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"rootfs": {"diff_ids": []}}, "1 layer and the configuration 0"),
        ({"rootfs": {"diff_ids": ["a", "b"]}}, "1 layer and the configuration 2"),
        ({"rootfs": {"diff_ids": 5}}, "no list of diff_ids"),
        ({"rootfs": {"diff_ids": [None]}}, "no list of diff_ids"),
        ({"history": ["x"]}, "history entry that is not an object"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    capsys: Capsys, tmp_path: Path, config: dict[str, Any], problem: str
) -> None:
    assert problem in reported(capsys, tmp_path, saved(layer(("a", b"")), config=config))


def test_a_million_layers_are_refused(capsys: Capsys, tmp_path: Path) -> None:
    manifest = json.dumps([{"Config": "c.json", "Layers": ["l"] * 1_000_000}]).encode()
    config = json.dumps({"rootfs": {"diff_ids": ["a"] * 1_000_000}}).encode()
    files = [("c.json", config), ("l", layer(("a", b""))), ("manifest.json", manifest)]
    assert "names 1000000 layers" in reported(capsys, tmp_path, plain_tar(files))


def test_of_several_images_one_must_be_named(capsys: Capsys, tmp_path: Path) -> None:
    parts = {"Config": "c.json", "Layers": []}
    manifest = [{**parts, "RepoTags": ["a:1"]}, {**parts, "RepoTags": ["b\x1b:2"]}]
    config = json.dumps({"rootfs": {"diff_ids": []}}).encode()
    files = [("c.json", config), ("manifest.json", json.dumps(manifest).encode())]
    data = plain_tar(files)
    line = reported(capsys, tmp_path, data)
    assert "holds 2 images" in line
    assert "a:1, b\\e:2" in line
    source = f"docker-archive:{tmp_path}/image.tar"
    assert run(capsys, "inspect", f"{source}:a:1").code == 0
    assert "holds no image c" in one_line_error(run(capsys, "inspect", f"{source}:c"))
    many = [{**parts, "RepoTags": [f"name{n}:1"]} for n in range(5000)]
    reported(capsys, tmp_path, plain_tar([("manifest.json", json.dumps(many).encode())]))


LAYERS: list[tuple[str, bytes, int, str]] = [
    ("checksum", header(b"a") + header(b"b", checksum=b"000000\0 "), 512, "checksum is wrong"),
    ("negative size", header(b"a", size=base256(-5, 12)), 0, "size is negative"),
    ("beyond the end", header(b"a", size=99999), 2048, "truncated"),
    ("absurd size", header(b"a", size=base256(2**62, 12)), 0, "larger than any layer"),
    ("no number", header(b"a", size=b"hello"), 0, "size is not a number"),
    ("pax record", entry(b"x", b"12 bad\n", kind=b"x"), 512, "a wrong length"),
    ("sparse", pax({b"GNU.sparse.size": b"5", b"GNU.sparse.map": b"0,9"}) + entry(b"a", b"b"),
     512, "sparse map"),
    ("escape as type", header(b"a", kind=b"\x1b"), 0, "unknown type '\\x1b'"),
]  # fmt: skip


@pytest.mark.parametrize("bad", LAYERS, ids=[bad[0] for bad in LAYERS])
@pytest.mark.parametrize("pack", ["plain", "gzip"])
def test_a_bad_header_in_a_layer_is_told_by_its_place_in_the_file(
    capsys: Capsys, tmp_path: Path, bad: tuple[str, bytes, int, str], pack: str
) -> None:
    _, data, offset, problem = bad
    data = (data + END).ljust(2048, b"\0")[: max(2048, len(data))]
    archive = saved(data)
    line = reported(capsys, tmp_path, PACKERS[pack](archive))
    assert problem in line
    assert "/layer.tar" in line
    if problem != "truncated" and pack == "plain":
        assert f"byte {archive.index(data) + offset}:" in line
    line = reported(capsys, tmp_path, PACKERS[pack](saved(gzip.compress(data))))
    assert problem in line
    if problem != "truncated":
        assert f"uncompressed, byte {offset}:" in line


def test_a_bad_header_of_the_archive_itself_is_told_by_offset(
    capsys: Capsys, tmp_path: Path
) -> None:
    cut = GOOD.rindex(b"manifest.json")
    data = GOOD[:cut] + header(b"x", checksum=b"000001\0 ") + GOOD[cut:]
    message = reported(capsys, tmp_path, data)
    assert f"byte {cut}: the header's checksum is wrong" in message
    assert message.endswith("Save or copy it again.")


@pytest.mark.parametrize("pack", ["plain", "gzip"])
def test_a_sparse_entry_of_the_archive_itself_is_refused(
    capsys: Capsys, tmp_path: Path, pack: str
) -> None:
    sparse = pax({b"GNU.sparse.size": b"9999999", b"GNU.sparse.map": b"0,2"})
    data = sparse + entry(b"manifest.json", b"[]") + END
    assert "sparse file" in reported(capsys, tmp_path, PACKERS[pack](data))


@pytest.mark.parametrize("pack", ["plain", "gzip"])
def test_a_layer_may_begin_with_a_bracket(capsys: Capsys, tmp_path: Path, pack: str) -> None:
    for name in ("[", "{a}", "[{"):
        data = PACKERS[pack](saved(layer((name, b"x"))))
        outcome = run(capsys, "files", write(tmp_path / "i.tar", data))
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.endswith(f"/{name}\n")


@pytest.mark.parametrize("pack", ["plain", "gzip"])
def test_archives_of_crane_are_read(capsys: Capsys, tmp_path: Path, pack: str) -> None:
    packed = gzip.compress(layer(("a", b"x")))
    config = json.dumps({"rootfs": {"diff_ids": [diff_id(packed)]}}).encode()
    manifest = [{"Config": "sha256:abcdef", "RepoTags": ["a:1"], "Layers": ["123.tar.gz"]}]
    files = [("sha256:abcdef", config), ("123.tar.gz", packed)]
    files.append(("manifest.json", json.dumps(manifest).encode()))
    data = PACKERS[pack](plain_tar(files))
    outcome = run(capsys, "inspect", "--json", write(tmp_path / "i.tar", data))
    assert outcome.code == 0, outcome.err
    # The digest of the configuration, not the name of its file.
    digest = hashlib.sha256(config).hexdigest()
    assert json.loads(outcome.out)["image"]["id"] == f"sha256:{digest}"


HOSTILE = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\u202egnp.exe",
    "a\nb",
    "\x9b31m",
    "\u200f",
    "\x7f\x00"[:1],
]


def test_nothing_hostile_of_an_image_reaches_the_terminal(capsys: Capsys, tmp_path: Path) -> None:
    text = "".join(HOSTILE)
    name = text.encode()
    files = (
        entry(name, b"x" * 2000)
        + header(name + b"l", kind=b"2", link=name)
        + header(name + b"h", kind=b"1", link=name)
        + header(b"\xff\xfe" + name, kind=b"5")
    )
    config = {
        "os": text,
        "architecture": text,
        "created": text,
        "history": [
            {"created_by": f"RUN {text}", "comment": text},
            {"created_by": text, "empty_layer": True},
            {"created_by": f"/bin/sh -c #(nop) {text}"},
        ],
    }
    data = saved(files + END, padded(header(b".wh." + name)) + END, config=config, tags=[text])
    renamed: Edit = lambda parts: parts.append((text + ".json", parts[0][1]))  # noqa: E731
    layers = _names(data)
    manifest = [{"Config": text + ".json", "RepoTags": [text], "Layers": layers}]
    data = saved(
        files + END, header(b".wh." + name) + END, config=config, manifest=manifest, edit=renamed
    )
    source = write(tmp_path / "i.tar", data)
    for arguments in (
        ["inspect", source],
        ["inspect", "--json", source],
        ["files", source],
        ["files", "--layer", "0", source],
        ["files", "--layer", "1", source],
        ["files", "--layer", "0", "--json-lines", source],
    ):
        outcome = run(capsys, *arguments)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out
        for line in outcome.out.removesuffix("\n").split("\n"):
            assert line.isprintable() or not line, (arguments, line)


def _names(data: bytes) -> list[str]:
    """The layers that the manifest of an archive names."""
    start = data.index(b'"Layers": ') + len(b'"Layers": ')
    names: list[str] = json.JSONDecoder().raw_decode(data[start:].decode("utf-8", "replace"))[0]
    return names


@pytest.mark.parametrize("transport", ["", "docker-archive:"])
def test_what_the_system_cannot_read_is_told_by_name(capsys: Capsys, transport: str) -> None:
    message = one_line_error(run(capsys, "inspect", f"{transport}/proc/self/mem"))
    assert message.startswith("/proc/self/mem, byte 0: it cannot be read (Input/output error). ")


def test_a_read_that_fails_later_is_told_by_name_and_offset() -> None:
    fd = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        with pytest.raises(BadInputError, match=r"/proc/\d+/mem, byte 7: it cannot be read"):
            FileRange(fd, 5, 100).read(2, 10)
    finally:
        os.close(fd)


def test_a_digest_that_is_none_is_told_with_the_layout(capsys: Capsys, tmp_path: Path) -> None:
    descriptor = {"mediaType": OCI_MANIFEST, "digest": "sha256:../../etc", "size": 3}
    layout = Layout()
    layout.top(descriptor)
    source = written(layout, tmp_path, archive=False)
    message = one_line_error(run(capsys, "inspect", source))
    assert message == (
        f"{tmp_path}/layout: it names 'sha256:../../etc', which is not a digest. "
        "Save or copy it again."
    )
