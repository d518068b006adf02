"""`layerscope serve --stdio` and its other side, through an `ssh` that runs it here."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from layerscope.engines.address import Address
from layerscope.engines.remote import protocol
from layerscope.engines.remote.peer import NoPeer, Peer
from layerscope.engines.remote.protocol import MAGIC, PROTOCOL, ProtocolError, packed, read_message
from layerscope.engines.remote.reader import RemoteReader, check_changeset
from layerscope.engines.resolve import open_image
from layerscope.errors import Cancelled, EngineError, LayerscopeError
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.changeset_file import VERSION, dump_changeset
from layerscope.images.archives.engine_export import EngineExportReader
from layerscope.images.archives.packing import packed as packed_image
from layerscope.images.image import Image
from layerscope.images.layer_stream import Read
from layerscope.images.loading import load
from layerscope.images.pieces import filled
from layerscope.images.progress import Progress
from layerscope.oci.manifest import describe
from layerscope.reports.files_report import json_lines
from tests.archives import changeset, layer, saved, write
from tests.command import ROOT, one_line_error, run

#: A server whose engine has the image of an archive.
SERVER = """
import sys
from layerscope.engines.remote import server
from layerscope.engines.resolve import open_image
server.open_image = lambda *_, **__: open_image("docker-archive:{archive}")
server.serve(sys.stdin.buffer, sys.stdout.buffer)
"""
ADDRESS = Address("ssh://me@there", None, "")
BIG = b"x" * (3 << 20)
LAYERS = (
    layer("etc/", ("etc/passwd", b"root\n"), ("big", BIG), ("empty", b""), ("odd\udcff", b"odd")),
    layer(
        "etc/", ("etc/passwd", b"changed\n"), ("etc/link", "symlink", "passwd"), (".wh.big", b"")
    ),
)


class Export:
    """What is known of the image without an export."""

    way = "Docker 1, export"
    platform = None
    closed = False

    def __init__(self, image: Image) -> None:
        self.image = image

    def tars(self, progress: Progress, wanted: Any) -> Iterator[tuple[str, Read]]:
        yield "", io.BytesIO(b"exported").read

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return write(tmp_path / "image.tar", saved(*LAYERS))


Ssh = Callable[[str], None]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ssh:
    """Replaces ssh by a program in Python."""

    def replace_by(program: str) -> None:
        (tmp_path / "other.py").write_text(program)
        script = tmp_path / "bin/ssh"
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path}/other.py\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(script.parent))
        monkeypatch.setenv("PYTHONPATH", str(ROOT))

    return replace_by


def reader_of(archive: str, **more: Any) -> RemoteReader:
    with closing(open_image(archive)) as local:
        export = Export(replace(local.image, **more))
    return RemoteReader(ADDRESS, cast("EngineExportReader", export))


@pytest.fixture
def remote(archive: str, ssh: Ssh) -> Iterator[RemoteReader]:
    ssh(SERVER.format(archive=archive))
    with closing(reader_of(archive)) as reader:
        yield reader


def contents(reader: Any, changesets: Any) -> dict[tuple[int, bytes], bytes]:
    wanted = {
        index: (each, [row for row in range(len(each)) if each.kinds[row] == EntryType.FILE])
        for index, each in changesets.items()
    }
    return {
        (layer, wanted[layer][0].path(row)): b"".join(filled(pieces))
        for layer, row, pieces in reader.contents(wanted)
    }


def test_it_is_the_same_image(archive: str, remote: RemoteReader) -> None:
    with closing(open_image(archive)) as local:
        truth, files = load(local, Progress()), {}
        files = contents(local, truth.changesets)
        found = load(remote, Progress())
        # Names are those of an archive.
        assert replace(found.image, source="") == replace(truth.image, source="", names=())
        for number in (None, 0, 1):
            assert [*json_lines(found.stack, number)] == [*json_lines(truth.stack, number)]
        assert contents(remote, found.changesets) == files
    assert files[0, b"big"] == BIG
    assert remote.way == "Docker 1, layerscope at ssh://me@there"


def test_known_layers_are_not_sent(remote: RemoteReader) -> None:
    assert [index for index, _ in remote.changesets(Progress(), {1})] == [0]
    before = remote.received
    assert [*remote.changesets(Progress(), {0, 1})] == []
    assert remote.received == before
    assert remote.cache_key(0) != remote.image.layers[0].diff_id  # Not verified, so not shared.


def test_a_file_that_is_not_read_to_its_end(remote: RemoteReader) -> None:
    found = load(remote, Progress()).changesets
    row = found[0].paths().index(b"big")
    peer = remote._peer
    for _ in range(2):
        pieces = remote.content(0, found[0], row)
        assert next(iter(filled(pieces)))
        pieces.close()  # type: ignore[attr-defined]
    # The same connection goes on.
    assert contents(remote, {1: found[1]}) == {(1, b"etc/passwd"): b"changed\n"}
    assert remote._peer is peer


def test_files_are_skipped(remote: RemoteReader) -> None:
    found = load(remote, Progress()).changesets
    rows = [found[0].paths().index(name) for name in (b"big", b"etc/passwd", b"empty")]
    read = {}
    for _, row, pieces in remote.contents({0: (found[0], rows)}):
        if row != rows[0]:
            read[row] = b"".join(filled(pieces))
    assert read == {rows[1]: b"root\n", rows[2]: b""}


def test_a_file_that_is_not_there(remote: RemoteReader) -> None:
    found = load(remote, Progress()).changesets
    other = changeset(("nothing", b"1"))
    with pytest.raises(EngineError, match="not a regular file"):
        [*remote.content(0, other, 0)]
    assert contents(remote, {1: found[1]})


def test_it_is_cancelled_and_connects_again(remote: RemoteReader) -> None:
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        [*remote.changesets(progress, ())]
    assert len([*remote.changesets(Progress(), ())]) == 2
    assert remote._peer is not None
    remote._peer.close()  # As if the connection were lost.
    assert len([*remote.changesets(Progress(), ())]) == 2


def tars(reader: Any, wanted: set[str]) -> dict[str, bytes]:
    return {
        name: b"".join(iter(partial(read, 1000), b""))
        for name, read in reader.tars(Progress(), wanted)
    }


def test_the_layers_that_are_wanted_are_sent_compressed(remote: RemoteReader) -> None:
    first, second = (each.diff_id for each in remote.image.layers)
    assert tars(remote, {second}) == {second: LAYERS[1]}
    before = remote.received
    assert tars(remote, {first, second}) == {first: LAYERS[0], second: LAYERS[1]}
    assert remote.received - before < len(LAYERS[0]) / 10
    # One that is not read is skipped, and the connection goes on.
    peer = remote._peer
    assert [name for name, _ in remote.tars(Progress(), {first, second})] == [first, second]
    for _ in remote.tars(Progress(), {first, second}):
        break
    assert tars(remote, {second}) == {second: LAYERS[1]}
    assert remote._peer is peer
    # The configuration came with the first request.
    assert describe(remote.image.document, "").digest == remote.image.id


def test_layers_that_are_left_out_are_not_sent(
    remote: RemoteReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []
    ask = Peer.ask

    def noted(peer: Peer, request: str, check: Any, **fields: Any) -> Any:
        asked.append((request, fields))
        return ask(peer, request, check, **fields)

    monkeypatch.setattr(Peer, "ask", noted)
    first, second = (each.diff_id for each in remote.image.layers)
    with packed_image(remote, Progress(), omitted=1) as image:
        assert [(each.digest, each.size) for each in image.layers] == [
            (first, len(LAYERS[0])),
            (second, len(LAYERS[1])),
        ]
        assert {blob.digest for blob in image.blobs} >= {second}
        assert first not in {blob.digest for blob in image.blobs}
    assert asked == [("tar_sizes", {"diff_ids": [first]}), ("tars", {"diff_ids": [second]})]


def test_an_older_layerscope_sends_no_layers(archive: str, ssh: Ssh) -> None:
    ssh(answers(archive))
    with closing(reader_of(archive)) as reader:
        exported = cast("Export", reader._export)
        assert tars(reader, {"x"}) == {"": b"exported"}
        assert reader.tar_sizes(Progress(), {"x"}) == {}
        assert reader.image.document == exported.image.document


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"tar": "x"}, b"junk"], "zstd stream is damaged"),
        ([{"tar": "x"}, b"\x28\xb5\x2f\xfd", {"tar": None}], "ends too early"),
        ([{"tar": "x"}, {"end": True}], "layers are missing"),
        ([{"end": True}], "layers are missing"),
        ([{"tar": 5}, {"end": True}], "layers are missing"),
        ([{"end": True, "error": "gone\x1b[31m"}], "gone\\e[31m"),
        ([{"tar": None}, {"end": True}], "the configuration is another image's"),
    ],
)
def test_layers_that_lie(archive: str, ssh: Ssh, messages: list[Any], reason: str) -> None:
    sent = (
        packed({"id": 2}, each) if isinstance(each, bytes) else packed({"id": 2, **each})
        for each in messages
    )
    ssh(answers(archive, *sent, requests=["tars"]))
    # As of containerd, whose configuration is not known before.
    with closing(reader_of(archive, id="sha256:manifest", document=b"")) as reader:
        with pytest.raises(EngineError) as raised:
            tars(reader, {"x"})
        assert reason in str(raised.value)


def test_another_image_of_the_name(archive: str, ssh: Ssh, tmp_path: Path) -> None:
    ssh(SERVER.format(archive=write(tmp_path / "other.tar", saved(LAYERS[0]))))
    with pytest.raises(NoPeer, match="another image of that name"):
        reader_of(archive)


# --- a hostile other side ----------------------------------------------------------------------

HELLO = MAGIC + packed({"protocol": PROTOCOL, "version": "1", "changesets": VERSION})


def hello(requests: list[str]) -> bytes:
    about = {"protocol": PROTOCOL, "version": "1", "changesets": VERSION, "requests": requests}
    return MAGIC + packed(about)


def prints(data: bytes) -> str:
    """A program that prints some bytes, and reads what it is given until the end."""
    return (
        f"import sys\nsys.stdout.buffer.write({data!r})\nsys.stdout.buffer.flush()\n"
        "sys.stdin.buffer.read()\n"
    )


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit(127)", "layerscope is not installed there"),
        ("raise SystemExit(255)", "ssh failed"),
        ("import sys\nwhile True: sys.stdout.write('noise')", "ssh failed"),
        (prints(MAGIC + packed({"protocol": 99, "version": "9\x1b[31m"})), "version 9\\e[31m, has"),
        (prints(MAGIC + packed({})), "has another protocol"),
        (prints(MAGIC + b"\xff" * 99), "has another protocol"),
        (prints(MAGIC + struct.pack(">II", 2, 0) + b"[]"), "has another protocol"),
    ],
)
def test_no_peer(ssh: Ssh, program: str, reason: str) -> None:
    ssh(program)
    with pytest.raises(NoPeer) as raised:
        Peer(ADDRESS)
    assert reason in str(raised.value)


def test_a_login_that_prints_something(ssh: Ssh) -> None:
    ssh(prints(b"Welcome!\n" * 100 + HELLO))
    Peer(ADDRESS).close()


def test_no_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoPeer, match="cannot be started"):
        Peer(ADDRESS)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "ended"),
        (b"\0\0", "is cut short"),
        (b"\xff" * 8, "too much"),
        (struct.pack(">II", 3, 0) + b"abc", "is not JSON"),
        (packed({"id": 7}), "not asked"),
        (packed({"id": 1, "end": True, "error": "no\x1b[31m\nnews"}), "no\\e[31m"),
    ],
)
def test_answers_that_are_none(ssh: Ssh, answer: bytes, reason: str) -> None:
    ssh(
        f"import sys\nsys.stdout.buffer.write({HELLO + answer!r})\n"
        "sys.stdout.buffer.flush()\nsys.stdin.buffer.read(20)\n"
    )
    with closing(Peer(ADDRESS)) as peer, pytest.raises(EngineError) as raised:
        [*peer.ask("images")]
    assert reason in raised.value.message
    assert str(raised.value).isprintable()


def lying(make: Callable[[Changeset], object]) -> Changeset:
    found = changeset("etc/", ("etc/passwd", b"root\n"), ("link", "symlink", "etc"))
    make(found)
    return found


def path(name: bytes) -> Callable[[Changeset], object]:
    return lambda each: setattr(each, "path_blob", each.path_blob.replace(b"link", name))


@pytest.mark.parametrize(
    "make",
    [
        *map(path, (b"..", b"../up", b"a/..", b"a/../b", b"/root", b"a//b", b"a/", b".", b"a\0b")),
        lambda each: each.kinds.__setitem__(0, 99),
        lambda each: each.sizes.__setitem__(1, -1),
        lambda each: each.links.__setitem__(7, b"x"),
    ],
)
def test_impossible_changesets(make: Callable[[Changeset], object], archive: str, ssh: Ssh) -> None:
    with pytest.raises(ValueError, match=r"invalid|missing|paths"):
        check_changeset(lying(make))


def test_possible_changesets() -> None:
    for each in (Changeset.empty(), changeset("."), changeset("a/", ("a/...", b""), ("a/.b", b""))):
        check_changeset(each)


def answers(archive: str, *messages: bytes, requests: list[str] | None = None) -> str:
    """A server that opens the image, and then answers whatever the request was."""
    with closing(open_image(archive)) as local:
        layers = [each.diff_id for each in local.image.layers]
        opened = packed({"id": 1, "layers": layers}, local.image.document)
    greeting = HELLO if requests is None else hello(requests)
    return prints(greeting + opened + packed({"id": 1, "end": True}) + b"".join(messages))


@pytest.mark.parametrize(
    "data",
    [
        b"junk",
        dump_changeset(lying(path(b"../up"))),
        dump_changeset(changeset(("a", b""))).replace(b"lscs\x03", b"lscs\x63"),
    ],
)
def test_a_changeset_that_is_none(archive: str, ssh: Ssh, data: bytes) -> None:
    with closing(open_image(archive)) as local:
        diff_id = local.image.layers[0].diff_id
    ssh(answers(archive, packed({"id": 2, "diff_id": diff_id}, data)))
    with closing(reader_of(archive)) as reader, pytest.raises(EngineError) as raised:
        [*reader.changesets(Progress(), ())]
    assert "sent an invalid answer" in raised.value.message
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"file": 0}, b"too long"], "longer than the layer says"),
        ([{"file": 0}, {"hole": 1 << 60}], "longer than the layer says"),
        ([{"file": 0}, {"hole": -5}], "longer than the layer says"),
        ([{"file": 0}, b"roo", {"end": True}], "cut short"),
        ([{"file": 3}], "not asked for"),
        ([{"file": "\x1b"}], "not asked for"),
        ([{"end": True}], "files are missing"),
        ([{"file": 0, "error": "gone\x1b[31m"}, {"end": True}], "gone\\e[31m"),
    ],
)
def test_contents_that_lie(archive: str, ssh: Ssh, messages: list[Any], reason: str) -> None:
    sent = (
        packed({"id": 2}, each) if isinstance(each, bytes) else packed({"id": 2, **each})
        for each in messages
    )
    ssh(answers(archive, *sent))
    with closing(open_image(archive)) as local:
        known = load(local, Progress()).changesets[0]
    row = known.paths().index(b"etc/passwd")
    with closing(reader_of(archive)) as reader, pytest.raises(EngineError) as raised:
        [*reader.content(0, known, row)]
    assert reason in str(raised.value)


# --- the server --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\0\0", "cut short"), (b"\xff" * 8, "too much"), (packed({"id": "x"}), "is invalid")],
)
def test_requests_that_are_none(data: bytes, reason: str, tmp_path: Path) -> None:
    from layerscope.engines.remote.server import serve

    with (tmp_path / "in").open("w+b") as stdin, (tmp_path / "out").open("w+b") as stdout:
        stdin.write(data)
        stdin.seek(0)
        with pytest.raises(ProtocolError, match=reason):
            serve(stdin, stdout)


def test_errors_are_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.engines.remote.server import serve

    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    kinds = ("images", "open", "changesets", "contents", "nonsense")
    requests = [packed({"id": at, "request": each}) for at, each in enumerate(kinds)]
    with (tmp_path / "in").open("w+b") as stdin, (tmp_path / "out").open("w+b") as stdout:
        stdin.write(b"".join(requests))
        stdin.seek(0)
        serve(stdin, stdout)
        stdout.seek(len(MAGIC))
        assert read_message(stdout.read)
        found = [message[0] for message in iter(lambda: read_message(stdout.read), None)]
    # An interrupted one says so; the others say what is wrong.
    assert all(each.get("end") and each["error"] for each in found)
    assert [each["id"] for each in found] == list(range(len(found)))


def test_serve_needs_another_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert "needs --stdio" in one_line_error(run(capsys, "serve"))


def test_messages_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_DATA", 10)
    data = iter([packed({}, b"x" * 11)])
    buffer = b""

    def read(size: int) -> bytes:
        nonlocal buffer
        buffer += next(data, b"")
        found, buffer = buffer[:size], buffer[size:]
        return found

    with pytest.raises(LayerscopeError, match="too much"):
        read_message(read)
