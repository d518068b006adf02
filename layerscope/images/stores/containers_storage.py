"""`containers-storage:[DIR]NAME`: the storage of Podman, CRI-O and Buildah, root's or a user's.

As in containers-transports(5), `[DRIVER@DIR+RUN:OPTIONS]` may replace `[DIR]`; RUN and OPTIONS are
for writing, and ignored. The default is the user's own, as in storage.conf(5).
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

from layerscope.bounded import read_file
from layerscope.config import home
from layerscope.errors import UsageError, closed_on_error
from layerscope.images.archives.save_format import same_reference
from layerscope.images.reader import ImageReader
from layerscope.images.stores.data_folder import DataFolder
from layerscope.images.stores.folder_layer import FolderReader
from layerscope.images.stores.podman import PodmanStore
from layerscope.images.stores.stored_images import StoredImages
from layerscope.images.summary import ImageSummary, StoredImage, summaries, unix_time
from layerscope.oci.reference import familiar
from layerscope.records import Record, lenient
from layerscope.text import visible

TRANSPORT = "containers-storage"
ROOT_STORAGE = "/var/lib/containers/storage"
_DRIVERS = ("overlay", "vfs")
_ID = re.compile(r"[0-9a-f]{4,64}")


class _Storage(Record, frozen=True):
    graphroot: str = ""
    rootless_storage_path: str = ""


class _Configuration(Record, frozen=True):
    storage: _Storage = _Storage()


class ContainersStorage(StoredImages):
    separator = ""

    def __init__(self, path: Path, driver: str = "") -> None:
        """Opens a storage (`graphroot`); an empty `driver` is detected. Raises BadInputError."""
        self.place = f"{TRANSPORT}:[{path}]"
        self._folder = DataFolder(path)
        with closed_on_error(self.close):
            there = [each for each in _DRIVERS if self._folder.list(f"{each}-images")]
            if driver and driver not in _DRIVERS:
                raise self._folder.bad(f"the storage driver {visible(driver)} is not supported")
            if not there and not self._folder.list("libpod") and not self._folder.list("overlay"):
                raise self._folder.bad(
                    "it is not a storage of Podman, CRI-O or Buildah with overlay or vfs",
                    hint=f"The default is {visible(str(default_storage()))}.",
                )
            self._driver = driver or next(iter(there), _DRIVERS[0])
        self._store = PodmanStore(self._folder, self._driver)

    @property
    def driver(self) -> str:
        return self._driver

    def size(self) -> int:
        return self._store.size()

    def summaries(self) -> list[ImageSummary]:
        stored = [(*each, self._store.config(each[0])) for each in self._store.images()]
        # A build leaves an image for each step; engines do not list images that others build on.
        steps = {
            config.history[:length]
            for *_, config in stored
            for length in range(len(config.history))
        }
        images = [
            StoredImage(
                f"sha256:{name}", tuple(map(familiar, names)), unix_time(config.created),
                tuple(layers),
            )
            for name, names, layers, config in stored
            if names or config.history not in steps
        ]  # fmt: skip
        return summaries(images, self._store.sizes())

    def open_named(self, name: str, platform: str | None) -> ImageReader:
        identifier, reference = self._find(name)
        image, layers = self._store.image(identifier, reference, self.source(reference))
        for layer in layers:
            layer.check()
        return FolderReader(image, layers, f"storage, {self._driver}", self.close)

    def _find(self, wanted: str) -> tuple[str, str]:
        """The id and a name of an image, from a reference, an id or its prefix, or `NAME@ID`."""
        known = {name: names for name, names, _ in self._store.images()}
        name, at, identifier = wanted.rpartition("@")
        for found, names in known.items():
            for reference in names:
                if same_reference(wanted, reference):
                    return found, familiar(reference)
        digits = (identifier if at else wanted).removeprefix("sha256:")
        found_ids = [each for each in known if _ID.fullmatch(digits) and each.startswith(digits)]
        if len(found_ids) != 1:
            raise self.missing(wanted)
        names = [each for each in known[found_ids[0]] if "@" not in each]
        if name and not any(same_reference(name, each) for each in names):
            raise self.missing(wanted)
        return found_ids[0], familiar(names[0]) if names else f"sha256:{found_ids[0]}"

    def close(self) -> None:
        self._folder.close()


def split_storage(text: str) -> tuple[Path, str, str | None]:
    """Splits the text after `containers-storage:` into folder, driver and name.

    Raises UsageError if a bracket is not closed.
    """
    if not text.startswith("["):
        return default_storage(), "", text or None
    specifier, closed, name = text[1:].partition("]")
    if not closed:
        raise UsageError(f"{visible(text)} has no ].", f"Write {TRANSPORT}:[DIR]NAME.")
    driver, at, rest = specifier.rpartition("@")
    if at and "/" in driver:
        driver, rest = "", specifier  # The at sign is in the name of a folder.
    folder = rest.partition("+")[0]
    if not os.path.lexists(folder):
        folder = folder.partition(":")[0]
    return Path(folder) if folder else default_storage(), driver, name or None


def default_storage() -> Path:
    """The folder of this user's storage."""
    named = os.environ.get("CONTAINERS_STORAGE_CONF")
    own = Path(os.environ.get("XDG_CONFIG_HOME") or home() / ".config") / "containers/storage.conf"
    common = [Path("/etc/containers/storage.conf"), Path("/usr/share/containers/storage.conf")]
    rootless = os.geteuid() != 0
    for path in [Path(named)] if named else [own, *common] if rootless else common:
        storage = _read(path)
        if storage is None:
            continue
        if storage.rootless_storage_path and rootless:
            return Path(_expanded(storage.rootless_storage_path))
        # The folder in the common file is root's.
        if storage.graphroot and not (rootless and path in common):
            return Path(_expanded(storage.graphroot))
    if not rootless:
        return Path(ROOT_STORAGE)
    data = os.environ.get("XDG_DATA_HOME") or home() / ".local/share"
    return Path(data) / "containers/storage"


def _expanded(path: str) -> str:
    values = {"HOME": str(home()), "UID": str(os.geteuid()), "USER": os.environ.get("USER", "")}
    return re.sub(r"\$(\w+)", lambda found: values.get(found[1], found[0]), path)


def _read(path: Path) -> _Storage | None:
    try:
        return lenient(tomllib.loads(read_file(path).decode()), _Configuration).storage
    except (OSError, ValueError, RecursionError):
        return None
