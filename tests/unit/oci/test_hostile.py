"""Archives made to hang, to use up memory or to overflow: each ends soon, in little memory."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layerscope.engines.resolve import open_image
from layerscope.errors import LayerscopeError
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.filesystem.waste import measure
from layerscope.images.archives.archive import ArchiveReader
from layerscope.images.layer_stream import Passed
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.images.reader import Wanted
from layerscope.oci import tar_scan
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.tar_header import TarError
from tests.archives import (
    BLOCK,
    END,
    GNU,
    both_ways,
    changeset,
    diff_id,
    entries,
    entry,
    header,
    layer,
    octal,
    padded,
    pax,
    pax_record,
    saved,
    streamed,
    write,
)
from tests.command import one_line_error, run

MIB = 1 << 20
Capsys = pytest.CaptureFixture[str]


@contextmanager
def bounded(memory: int) -> Iterator[None]:
    """Fails if a block takes more memory at its peak."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < memory


def repeated(piece: bytes, times: int, end: bytes = END) -> Stream:
    """A stream of the same bytes, over and over, that takes no memory itself."""
    block = piece * max(1, MIB // len(piece))
    left = len(piece) * times
    tail = end

    def read(size: int) -> bytes:
        nonlocal left, tail
        if left:
            part = block[: min(size, left)]
            part = part[: len(part) - len(part) % len(piece) or len(part)]
            left -= len(part)
            return part
        part, tail = tail, b""
        return part

    return Stream(read)


EXTENDED: dict[str, bytes] = {
    "long names": entry(b"x", b"name\0", kind=b"L"),
    "long links": entry(b"x", b"name\0", kind=b"K"),
    "pax": pax({b"path": b"a", b"SCHILY.xattr.user.a": b"b"}),
    "global": pax({b"comment": b"a"}, kind=b"g"),
}


@pytest.mark.parametrize("kind", EXTENDED)
def test_a_chain_of_extended_headers_does_not_pile_up(kind: str) -> None:
    with bounded(32 * MIB):
        found = entries(repeated(EXTENDED[kind], 30_000, header(b"f") + END))
    assert len(found) == 1


def test_xattrs_of_a_chain_of_pax_headers_do_not_add_up() -> None:
    data = b"".join(pax({b"SCHILY.xattr.user.%d" % n: b"v" * 900}) for n in range(200))
    assert len(both_ways(data + header(b"f") + END)[0]["xattrs"]) == 1


def test_xattrs_and_sparse_maps_have_a_bound_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_scan, "MAX_KEPT", 4 * MIB)
    attributes = b"".join(pax_record(b"SCHILY.xattr.%d" % n, b"1") for n in range(30_000))
    numbers = ",".join(f"{n * 2},1" for n in range(30_000)).encode()
    sparse = pax({b"GNU.sparse.size": b"99999", b"GNU.sparse.map": numbers})
    for one in (
        entry(b"x", attributes, kind=b"x") + header(b"f"),
        sparse + entry(b"f", bytes(30_000)),
    ):
        with bounded(64 * MIB), pytest.raises(TarError, match="too much memory"):
            read_changeset(repeated(one, 2000))


def test_ordinary_xattrs_are_far_from_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_scan, "MAX_KEPT", 100_000)
    one = pax({b"SCHILY.xattr.security.selinux": b"system_u:object_r:usr_t:s0"}) + header(b"f")
    assert len(read_changeset(streamed(one * 1000 + END)).paths()) == 1


def test_a_sparse_header_that_never_ends_ends_with_the_archive() -> None:
    head = header(b"f", kind=b"S", magic=GNU, tail=bytes(137) + b"\1" + octal(9, 12))
    more = bytes(504) + b"\1" + bytes(7)
    with bounded(16 * MIB), pytest.raises(TruncatedError):
        entries(Stream(iter_reader(head, more, 20_000)))


def iter_reader(head: bytes, piece: bytes, times: int) -> Callable[[int], bytes]:
    pieces = iter([head, *([piece * 100] * (times // 100))])
    return lambda size: next(pieces, b"")


def test_the_longest_path_there_can_be_is_read() -> None:
    path = b"/".join([b"a"] * 2048)
    found = Stack([read_changeset(streamed(pax({b"path": path}) + header(b"x") + END))])
    assert found.tree.depths.max() == 2048
    assert found.tree.find(path) is not None
    assert len(found.union(0)) == 2048


@pytest.mark.parametrize("depth", [2049, 40_000, 200_000])
def test_deeper_paths_are_refused(depth: int) -> None:
    path = b"/".join([b"a"] * depth)
    data = entry(b"x", path + b"\0", kind=b"L") + header(b"x") + END
    with bounded(8 * MIB), pytest.raises(TarError, match="longer than any path"):
        entries(streamed(data))


def test_many_deep_paths_are_refused_before_they_use_up_memory() -> None:
    def deep(number: int) -> bytes:
        path = b"%d/" % number + b"/".join([b"a"] * 2000)
        return pax({b"path": path}) + header(b"x")

    data = b"".join(deep(number) for number in range(600)) + END
    with bounded(700 * MIB), pytest.raises(LayerscopeError, match="too many deep paths"):
        Stack([read_changeset(streamed(data))])


def test_a_layer_that_has_everything_twice_takes_no_longer_than_twice() -> None:
    half = b"".join(entry(b"d/%06d" % n, b"x") for n in range(20_000))
    links = b"".join(header(b"l%06d" % n, kind=b"1", link=b"d/000000") for n in range(5000))
    found = read_changeset(streamed(half + links + half + links + half + END))
    assert len(found) == 25_000


def test_files_inside_files_take_no_time() -> None:
    chain = [b"/".join([b"a"] * n) for n in range(1, 1000)]
    data = b"".join(pax({b"path": path}) + header(b"x") for path in chain)
    data += b"".join(header(b"b/%d" % n) for n in range(10_000))
    found = Stack([read_changeset(streamed(data * 2 + END))] * 3)
    assert found.height == 3


def test_many_whiteouts_take_no_time() -> None:
    base = read_changeset(streamed(b"".join(header(b"d/%d" % n) for n in range(20_000)) + END))
    gone = read_changeset(streamed(b"".join(header(b"d/.wh.%d" % n) for n in range(20_000)) + END))
    found = Stack([base, gone] * 5)
    assert len(found.union(9)) == 1


def test_a_thousand_layers_are_read_and_more_are_not(capsys: Capsys, tmp_path: Path) -> None:
    one = layer("d/", ("d/a", b"x"))
    for number in (1000, 1001):
        config = json.dumps({"rootfs": {"diff_ids": [diff_id(one)] * number}}).encode()
        manifest = json.dumps([{"Config": "c.json", "Layers": ["l.tar"] * number}]).encode()
        data = b"".join(
            entry(name, content)
            for name, content in (
                (b"c.json", config),
                (b"l.tar", one),
                (b"manifest.json", manifest),
            )
        )
        source = write(tmp_path / "i.tar", data + END)
        outcome = run(capsys, "inspect", "--json", source)
        if number == 1000:
            assert outcome.code == 0
            assert json.loads(outcome.out)["image"]["wasted_size"] == 999
        else:
            assert "names 1001 layers" in one_line_error(outcome)


def test_the_content_of_hard_links_is_compared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = layer(("f", b"x" * 1000), *((f"l{n}", "link", "f") for n in range(200)))
    other = layer(("f", b"y" * 1000), *((f"l{n}", "link", "f") for n in range(200)))
    asked: list[int] = []
    real = ArchiveReader.contents

    def counting(self: ArchiveReader, wanted: Wanted) -> Iterator[Passed]:
        asked.extend(row for _, rows in wanted.values() for row in rows)
        return real(self, wanted)

    monkeypatch.setattr(ArchiveReader, "contents", counting)
    reader = open_image(write(tmp_path / "i.tar", saved(one, other)))
    found = load(reader, Progress()).stack
    reader.close()
    assert len(asked) == 2
    assert not found.unread.any()


def test_a_sparse_file_of_any_size_takes_no_time(capsys: Capsys, tmp_path: Path) -> None:
    records = {b"GNU.sparse.size": b"%d" % 2**50, b"GNU.sparse.map": b"0,1"}
    one = pax(records) + entry(b"f", b"a") + END
    other = pax(records) + entry(b"f", b"b") + END
    for pack in (bytes, gzip.compress):
        source = write(tmp_path / "i.tar", pack(saved(one, other)))
        document = json.loads(run(capsys, "inspect", "--json", source).out)
        assert document["image"]["size"] == 2**51


def test_sums_of_sizes_do_not_overflow() -> None:
    records = {b"GNU.sparse.size": b"%d" % (2**52), b"GNU.sparse.map": b""}
    found = read_changeset(streamed(pax(records) + header(b"f") + END))
    waste = measure(Stack([found] * 1000))
    assert waste.size == 2**52 * 1000
    assert waste.wasted_size == 2**52 * 999


def test_a_compressed_bomb_takes_little_memory(capsys: Capsys, tmp_path: Path) -> None:
    size = 300 * MIB
    packer = gzip.compress(bytes(MIB))
    bomb = gzip.compress(header(b"f", size=size)) + packer * 300 + gzip.compress(END)
    source = write(tmp_path / "i.tar", gzip.compress(saved(bomb)))
    with bounded(64 * MIB):
        assert run(capsys, "files", source).code == 0


def test_owners_as_large_as_a_header_can_say_are_listed(capsys: Capsys, tmp_path: Path) -> None:
    data = header(b"a", uid=b"\x80\xff\xff\xff\xff\xff\xff\xff") + pax(
        {b"gid": b"%d" % (2**63 - 1)}
    )
    data += header(b"b", uid=b"\xff" * 8) + END
    source = write(tmp_path / "i.tar", saved(data))
    outcome = run(capsys, "files", "--json-lines", source)
    first, second = map(json.loads, outcome.out.splitlines())
    assert (first["uid"], second["gid"], second["uid"]) == (2**56 - 1, 2**63 - 1, -1)


def test_cyclic_links_in_an_archive_end(capsys: Capsys, tmp_path: Path) -> None:
    data = (
        header(b"manifest.json", kind=b"2", link=b"other.json")
        + header(b"other.json", kind=b"2", link=b"manifest.json")
        + header(b"self", kind=b"1", link=b"self")
        + entry(b"x", b"y")
        + END
    )
    for packed in (data, gzip.compress(data)):
        line = one_line_error(run(capsys, "inspect", write(tmp_path / "i.tar", packed)))
        assert "without manifest.json" in line


def test_many_small_members_of_a_gzip_stream_take_no_time(capsys: Capsys, tmp_path: Path) -> None:
    data = saved(layer(("a", b"x")))
    packed = gzip.compress(data[:5]) + gzip.compress(b"") * 50_000 + gzip.compress(data[5:])
    assert run(capsys, "files", write(tmp_path / "i.tar", packed)).code == 0


def test_padding_may_be_of_any_length() -> None:
    assert len(entries(streamed(padded(header(b"a")) + bytes(BLOCK * 5000)))) == 1
    assert changeset(("a", b"")).paths() == [b"a"]


def test_more_layers_than_can_be_numbered_are_refused() -> None:
    with pytest.raises(LayerscopeError, match="32767 layers"):
        Stack([changeset(("a", b""))] * 32767)
