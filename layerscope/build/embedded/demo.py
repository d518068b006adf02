"""The demo: a base image and a build context, generated to show how layers work."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import layerscope
from layerscope.build.embedded.builder import build_embedded
from layerscope.build.embedded.copying import Written, columns
from layerscope.build.embedded.images import StepImages
from layerscope.build.embedded.layers import add_layer
from layerscope.build.embedded.sources import FOLDER, Node, whole
from layerscope.build.embedded.state import State, StoredLayer
from layerscope.build.plan import plan_of
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.config import data_folder
from layerscope.dockerfile.context.context import read_context
from layerscope.dockerfile.syntax.parser import parse
from layerscope.engines.embedded.contents import give_name
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.store import Store
from layerscope.errors import LayerscopeError, NotFoundError
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.layer_tar import layer_pieces
from layerscope.jobs.worker import Cancellation
from layerscope.oci.platform import host_platform
from layerscope.oci.reference import parse_reference
from layerscope.writing import failure, write_whole

BASE, IMAGE = "layerscope.demo/base:1", "layerscope.demo/shop:latest"

_TIME = 1_767_225_600  # 2026-01-01: fixed, for reproducible layers.
_MEGABYTE = 1_000_000
_FILES = Path(layerscope.__file__).parent / "demo"


def prepare_demo() -> BuildRequest:
    """Creates the base image and the context, builds the first stage, and returns the whole build.

    The first stage is then cached, as after a first build. Raises LayerscopeError if the disk is
    full.
    """
    folder = data_folder() / "demo"
    try:
        _write_context(folder)
    except OSError as error:
        hint = "Make room there, or set XDG_DATA_HOME to another folder."
        raise LayerscopeError(failure(error, str(folder)), hint) from None
    store = Store()
    with suppress(NotFoundError):
        # The previous one, which would stay without a name.
        EmbeddedEngine(store).remove_image(IMAGE)
    _add_base(store)
    request = BuildRequest(str(folder), str(folder / "Dockerfile"), "embedded", (IMAGE,))
    _build_first_stage(store, folder)
    return request


def _write_context(folder: Path) -> None:
    files: dict[str, tuple[bytes, int]] = {
        "app/assets.txt": (_text("asset", _MEGABYTE // 2), 0o644),
        "catalog.txt": (_text("item", 2 * _MEGABYTE), 0o644),
    }
    for path in sorted(_FILES.rglob("*")):
        if path.is_file():
            mode = 0o755 if os.access(path, os.X_OK) or path.name == "serve" else 0o644
            files[path.relative_to(_FILES).as_posix()] = path.read_bytes(), mode
    for name, (data, mode) in files.items():
        _write(folder / name, data, mode)
    # A different file each time, so that the build is not fully cached.
    _write(folder / "built.txt", f"{time.time_ns()}\n".encode(), 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        same = path.read_bytes() == data and stat.S_IMODE(path.stat().st_mode) == mode
    except OSError:
        same = False
    if not same:
        write_whole(path, data)
        path.chmod(mode)
        os.utime(path, (_TIME, _TIME))
    path.parent.chmod(0o755)


def _text(word: str, size: int) -> bytes:
    """Returns lines of a total size in bytes."""
    lines = (f"{word} {number}: {'=' * 60}\n" for number in range(size // 60))
    return "".join(lines).encode()[:size]


def _add_base(store: Store) -> None:
    """Adds the base image: files, and a layer that removes some of them."""
    packages = [f"var/cache/packages/{name}.pkg" for name in ("one", "three", "two")]
    files = {
        "etc/demo/settings.conf": b"# Settings of the demo's shop.\nworkers = 2\n",
        "usr/share/demo/catalog.txt": _text("old item", _MEGABYTE),
        **{path: _text(path, _MEGABYTE) for path in packages},
    }
    state = State.scratch(host_platform())
    with store.lease() as lease:
        for text, layer in (
            ("layerscope demo: a shop, with packages that it was installed from", _added(files)),
            ("layerscope demo: rm -r /var/cache/packages", _removed("var/cache/packages")),
        ):
            pieces = layer_pieces(layer.changeset, layer.content)
            made = StoredLayer.made(*add_layer(lease, pieces, lambda: None))
            state.add(text, made, "2026-01-01T00:00:00Z")
        _, entry = state.stored(lease)
        with store.changed() as change:
            give_name(change.entries, entry, parse_reference(BASE))


def _added(files: Mapping[str, bytes]) -> Written:
    nodes: dict[bytes, Node] = {}
    for name, data in files.items():
        for above in list(Path(name).parents)[-2::-1]:
            nodes[os.fsencode(above)] = FOLDER._replace(mtime=_TIME)
        nodes[name.encode()] = Node(EntryType.FILE, 0o644, 0, 0, len(data), _TIME)
    ordered = sorted(nodes, key=lambda path: path.replace(b"/", b"\0"))
    datas = {row: files.get(path.decode()) for row, path in enumerate(ordered)}
    contents = {row: partial(whole, data) for row, data in datas.items() if data is not None}
    return Written(columns(ordered, [nodes[path] for path in ordered]), contents)


def _removed(path: str) -> Written:
    node = Node(EntryType.WHITEOUT, 0, 0, 0, 0, _TIME)
    return Written(columns([path.encode()], [node]), {})


def _build_first_stage(store: Store, folder: Path) -> None:
    dockerfile = folder / "Dockerfile"
    document = parse(dockerfile.read_text("utf-8"))
    request = BuildRequest(str(folder), str(dockerfile), "embedded", target="start")
    images = StepImages(store)
    recorder = Recorder(lambda _: None, images)
    recorder.hurry()
    plan = plan_of(document, "start", builder="embedded")
    context = read_context(folder, dockerfile, "embedded")
    image = build_embedded(request, document, plan, context, images, recorder, Cancellation())
    recorder.drain()
    # The cache keeps its layers.
    EmbeddedEngine(store).remove_image(image)
