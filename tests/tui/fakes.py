"""Images and an engine that need no engine: layers are real changesets, read from tar bytes."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from layerscope.engines.engine import ContainerSummary, Engine
from layerscope.errors import EngineError, LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.image import Image, Layer
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.images.summary import ImageSummary
from layerscope.oci.byte_source import Stream
from layerscope.oci.config import HistoryEntry
from layerscope.tui.destinations import Place
from layerscope.tui.session import Opener

#: 2024-06-01 12:00 UTC.
NOW = 1_717_243_200.0
DAY = 86_400


@dataclass(frozen=True)
class Entry:
    """An entry of a layer."""

    path: str
    size: int = 0
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    link: str = ""
    kind: bytes = tarfile.REGTYPE
    mtime: int = int(NOW) - 30 * DAY


def folder(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Entry:
    return Entry(path, 0, mode, uid, gid, kind=tarfile.DIRTYPE)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, 0, 0o777, link=target, kind=tarfile.SYMTYPE)


def hardlink(path: str, target: str) -> Entry:
    return Entry(path, link=target, kind=tarfile.LNKTYPE)


def changeset(*entries: Entry) -> Changeset:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.type, info.mode, info.mtime = entry.kind, entry.mode, entry.mtime
            info.uid, info.gid, info.linkname = entry.uid, entry.gid, entry.link
            info.size = entry.size
            archive.addfile(info, io.BytesIO(b"x" * entry.size) if entry.size else None)
    out.seek(0)
    return read_changeset(Stream(out.read))


def grown(plain: Changeset, factor: int) -> Changeset:
    """The same with larger files, which no test has to write out."""
    plain.sizes = plain.sizes * factor
    return plain


BASE = [
    folder("bin"),
    Entry("bin/bash", 1_234, 0o755),
    Entry("bin/su", 67, 0o4755),
    symlink("bin/sh", "bash"),
    folder("etc"),
    Entry("etc/passwd", 12),
    Entry("etc/shadow", 8, 0o640, 0, 42),
    folder("etc/apt"),
    Entry("etc/apt/sources.list", 3),
    folder("tmp", 0o1777),
    folder("usr"),
    folder("usr/lib"),
    Entry("usr/lib/libc.so.6", 1_900, 0o755),
    hardlink("usr/lib/libc.so", "usr/lib/libc.so.6"),
    folder("usr/share"),
    Entry("usr/share/日本語.txt", 20),
    folder("var"),
    folder("var/lib"),
    folder("var/lib/apt"),
    Entry("var/lib/apt/lists", 800),
    folder("var/www", uid=33, gid=33),
]
INSTALL = [
    folder("usr"),
    folder("usr/bin"),
    Entry("usr/bin/python3", 5_900, 0o755),
    Entry("usr/bin/evil\x1b[31m\u202ename", 1, 0o755),
    folder("usr/lib"),
    Entry("usr/lib/libpython3.so", 3_100, 0o644),
    folder("var"),
    folder("var/lib"),
    folder("var/lib/apt"),
    Entry("var/lib/apt/lists", 1_100),
]
CLEAN = [
    folder("var"),
    folder("var/lib"),
    folder("var/lib/apt"),
    Entry("var/lib/apt/.wh.lists"),
    folder("etc"),
    Entry("etc/passwd", 14),
]
HELLO = [
    folder("var"),
    folder("var/www", uid=33, gid=33),
    folder("var/www/html", uid=33, gid=33),
    Entry("var/www/html/index.html", 1, uid=33, gid=33),
]
STEPS = [
    ("/bin/sh -c #(nop) ADD file:4e2a in / ", BASE),
    ('/bin/sh -c #(nop)  CMD ["bash"]', None),
    ("/bin/sh -c apt-get update && apt-get install -y python3", INSTALL),
    ("/bin/sh -c #(nop)  ENV LANG=C.UTF-8 PYTHONUNBUFFERED=1", None),
    ("/bin/sh -c rm -rf /var/lib/apt/lists", CLEAN),
    ("/bin/sh -c echo 'Hi, I am in Docker!' > /var/www/html/index.html", HELLO),
    ("/bin/sh -c #(nop)  EXPOSE 80", None),
]


def sample_image(reference: str = "hello:latest") -> Image:
    """The classic example."""
    from layerscope.oci.config import instruction

    layers: list[Layer] = []
    history: list[HistoryEntry] = []
    for created_by, entries in STEPS:
        number = None
        if entries is not None:
            number = len(layers)
            digit = f"{number + 1:x}"
            layers.append(
                Layer(
                    number,
                    f"sha256:{digit * 64}",
                    None if number else f"sha256:{'b' * 64}",
                    instruction(created_by),
                )
            )
        history.append(HistoryEntry("2024-05-30T10:00:00Z", created_by, "", number is None, number))
    return Image(
        reference,
        f"sha256:{'c0ffee' * 10}beef",
        f"docker-daemon:{reference}",
        "linux",
        "amd64",
        "2024-05-30T10:00:00Z",
        {},
        tuple(layers),
        tuple(history),
    )


def sample_changesets() -> list[Changeset]:
    return [grown(changeset(*entries), 21_337) for _, entries in STEPS if entries is not None]


class FakeReader(ImageReader):
    """An image whose layers arrive when a test wants it."""

    way = "fake"

    def __init__(
        self,
        image: Image | None = None,
        changesets: Sequence[Changeset] | None = None,
        fail_at: int | None = None,
        error: Exception | None = None,
    ) -> None:
        self.image = image or sample_image()
        self._changesets = sample_changesets() if changesets is None else changesets
        self._fail_at = fail_at
        self._error = error or EngineError(
            "The connection to the engine broke off.", "Check that it still runs, then try again."
        )
        self.gates: list[threading.Event] = []
        self.closed = False

    def hold(self) -> FakeReader:
        """Makes each layer wait for `release`."""
        self.gates = [threading.Event() for _ in self._changesets]
        return self

    def release(self, layer: int) -> None:
        self.gates[layer].set()

    def changesets(
        self, progress: Progress, known: Container[int] = ()
    ) -> Iterator[tuple[int, Changeset]]:
        progress.what = "Reading layers"
        progress.total = sum(each.size for each in self._changesets)
        done = 0
        for index, each in enumerate(self._changesets):
            while self.gates and not self.gates[index].wait(0.01):
                progress.advance(done)
            if index == self._fail_at:
                raise self._error
            done += each.size
            progress.advance(done)
            yield index, each

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        yield b"x" * int(changeset.sizes[row])

    def close(self) -> None:
        self.closed = True


def opener(reader: FakeReader | Exception) -> Opener:
    def opened(
        source: str, progress: Progress, platform: str | None = None, **_: bool
    ) -> FakeReader:
        if isinstance(reader, Exception):
            raise reader
        return reader

    return opened


def place(of: Opener | None = None) -> Place:
    """A place without an image and without an engine."""
    return Place(of or opener(FakeReader()), None)


IMAGES = [
    ImageSummary(name, tag, f"sha256:{identifier}", int(NOW) - days * DAY, size, None, None)
    for name, tag, identifier, days, size in (
        ("hello", "latest", "c0ffee" * 10 + "beef", 2, 284_000_000),
        ("debian", "bookworm-slim", "5d" * 32, 18, 74_800_000),
        ("debian", "bookworm", "4e" * 32, 18, 117_000_000),
        ("registry.example.com:5000/team/api", "2024.5.1", "3f" * 32, 40, 1_240_000_000),
        ("<none>", "<none>", "2a" * 32, 400, 5_200_000),
    )
]


class FakeEngine(Engine):
    name = "Docker 28.5.1"
    host = "unix:///var/run/docker.sock"

    def __init__(self, images: Sequence[ImageSummary] = IMAGES) -> None:
        self._images = list(images)

    def images(self, *, sizes: bool = False) -> list[ImageSummary]:
        return self._images

    def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
        return []


def connector(engine: FakeEngine | Exception | None = None) -> Callable[[], FakeEngine]:
    def connect() -> FakeEngine:
        if isinstance(engine, Exception):
            raise engine
        return engine or FakeEngine()

    return connect


def parts(reader: Any = None, engine: FakeEngine | Exception | None = None) -> dict[str, Any]:
    """What an app takes in place of real images, a real engine and the time."""
    return {
        "opener": opener(reader or FakeReader()),
        "connector": connector(engine),
        "clock": lambda: NOW,
    }


NO_ENGINE: LayerscopeError = EngineError(
    "No engine listens at unix:///var/run/docker.sock.",
    "Start Docker or Podman, set DOCKER_HOST, or open an archive: layerscope FILE.",
)
