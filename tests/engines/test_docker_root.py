"""`docker-root:DIR`: images from the data folder of a daemon that does not run."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.resolve import list_images
from layerscope.errors import LayerscopeError, NotFoundError, UsageError
from tests.engines.docker_daemon import FLAVOURS, DockerDaemon
from tests.engines.fixtures import _unavailable
from tests.engines.harness import EngineUnavailable, mounts_under
from tests.engines.images import CLASSIC, classic_example
from tests.engines.kitchen_sink import KITCHEN_SINK, kitchen_sink
from tests.engines.listings import Listing, listing, use
from tests.truth.command import layerscope


class Dead:
    """The data folder of a daemon that has ended, and what the daemon said before."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        with DockerDaemon(name, folder) as engine, pytest.MonkeyPatch.context() as patch:
            use(patch, engine)
            classic_example(engine)
            self.truth = listing(kitchen_sink(engine), export=True)
            with engine.api() as client:
                self.images: list[dict[str, Any]] = client.images()
        assert not mounts_under(folder)


@pytest.fixture(scope="module", params=FLAVOURS)
def dead(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dead]:
    try:
        yield Dead(request.param, tmp_path_factory.mktemp("root"))
    except EngineUnavailable as error:
        _unavailable[request.param] = str(error)
        pytest.skip(str(error))


def tree(top: Path) -> dict[str, tuple[Any, ...]]:
    """Return all metadata and contents of a folder, except access times."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            path = Path(folder) / name
            status = path.lstat()
            content = ""
            if stat.S_ISREG(status.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = (
                *(status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_ino),
                *(status.st_mtime_ns, status.st_ctime_ns, status.st_nlink, content),
            )
    return found


def access_times(top: Path) -> dict[str, int]:
    return {
        f"{folder}/{name}": (Path(folder) / name).lstat().st_atime_ns
        for folder, folders, files in os.walk(top)
        for name in [*folders, *files]
    }


def same(found: Listing, truth: Listing) -> None:
    assert found.union == truth.union
    assert found.layers == truth.layers
    assert found.loaded.image.config == truth.loaded.image.config
    assert found.loaded.image.id == truth.loaded.image.id
    assert found.loaded.image.reference == truth.loaded.image.reference


def test_lists_what_the_daemon_listed(dead: Dead) -> None:
    lines = list_images(f"docker-root:{dead.folder}")
    said = {(line.id, f"{line.repository}:{line.tag}") for line in lines if line.tag != "<none>"}
    truth = {(image["Id"], tag) for image in dead.images for tag in image["RepoTags"] or []}
    assert said == truth
    created = {image["Id"]: image["Created"] for image in dead.images}
    sizes = {image["Id"]: image["Size"] for image in dead.images}
    for line in lines:
        assert line.created == created[line.id]
        if dead.name != "docker-28-containerd":  # which counts the unpacked files too
            assert line.size == sizes[line.id]
        assert line.shared_size is not None
        assert 0 < line.shared_size <= line.size
    run = layerscope("images", f"docker-root:{dead.folder}")
    assert (run.returncode, run.stderr) == (0, "")
    assert KITCHEN_SINK.partition(":")[0] in run.stdout
    document = json.loads(layerscope("images", "--json", f"docker-root:{dead.folder}").stdout)
    assert len(document["images"]) == len(lines)


def test_opens_as_the_daemon_did(dead: Dead) -> None:
    before = tree(dead.folder)
    # Reading everything for `tree` has moved access times; from here on they stay.
    times = access_times(dead.folder)
    found = listing(f"docker-root:{dead.folder}:{KITCHEN_SINK}", contents=True)
    list_images(f"docker-root:{dead.folder}")
    assert access_times(dead.folder) == times
    assert tree(dead.folder) == before
    same(found, dead.truth)
    assert found.digests
    assert found.way.startswith("data folder, ")


def test_a_copy_elsewhere(dead: Dead, tmp_path: Path) -> None:
    copy = tmp_path / "a copy: of it"
    subprocess.run(["cp", "-a", dead.folder, copy], check=True)
    same(listing(f"docker-root:{copy}:{KITCHEN_SINK}"), dead.truth)


def test_by_id_and_by_name(dead: Dead) -> None:
    identifier = dead.truth.loaded.image.id
    for name in (identifier, identifier.removeprefix("sha256:")[:12], KITCHEN_SINK.split(":")[0]):
        assert listing(f"docker-root:{dead.folder}:{name}").union == dead.truth.union
    with pytest.raises(NotFoundError, match="no image nothing"):
        listing(f"docker-root:{dead.folder}:nothing")
    with pytest.raises(UsageError, match="holds 3 images") as raised:
        listing(f"docker-root:{dead.folder}")
    assert CLASSIC in raised.value.hint


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(LayerscopeError, match="not a data folder of Docker"):
        listing(f"docker-root:{tmp_path}:a")
    with pytest.raises(LayerscopeError, match="No such file"):
        listing(f"docker-root:{tmp_path}/missing:a")


def test_a_folder_that_only_root_can_read(dead: Dead) -> None:
    run = subprocess.run(
        [
            *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
            *("ls", str(dead.folder / "image")),
        ],
        check=False,
        capture_output=True,
    )
    if run.returncode == 0:
        pytest.skip("anybody can read it here")
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            listing(f"docker-root:{dead.folder}:{KITCHEN_SINK}")
        except LayerscopeError as error:
            code = 0 if "Permission denied" in str(error) and "root" in error.hint else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
