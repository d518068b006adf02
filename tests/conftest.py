"""What every test may use, and what a run does before and after its tests."""

import gc
import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from layerscope.config import is_first_start
from tests.engines.harness import cache_folder
from tests.folders import orphans, owned_folder, release

pytest_plugins = ["tests.engines.fixtures"]

# Before XDG_CACHE_HOME changes below: what tests keep between runs stays where it is.
os.environ["LAYERSCOPE_TEST_CACHE"] = str(cache_folder())

# Whoever starts the tests in the background, or by nohup, has these ignored, and so would every
# program that a test starts and sends one to.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(_number, signal.SIG_DFL)

# Where these are set, pytest compares large values line by line: for two screens, that takes hours.
for _name in ("CI", "BUILD_NUMBER"):
    os.environ.pop(_name, None)

# A busy machine fails no test.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

RUN_PREFIX = "lsc-run-"
ID_LENGTH = 30
IDS_LENGTH = 120

_base = pytest.StashKey[Path]()
_numbers = itertools.count()


# --- a base folder for each run ---


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give the run a base folder of its own; pytest's default is shared and cleared by all runs."""
    if config.option.basetemp is None:  # workers of pytest-xdist are given one in that of the run
        for folder in orphans(RUN_PREFIX):
            if folder.stat().st_mtime < time.time() - 3600:
                shutil.rmtree(folder, ignore_errors=True)
        config.stash[_base] = owned_folder(RUN_PREFIX)
        config.option.basetemp = str(config.stash[_base] / "t")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remove the base folder, but keep for an hour what failed tests left there."""
    folder = session.config.stash.get(_base, None)
    if folder is not None and not session.testsfailed:
        shutil.rmtree(folder, ignore_errors=True)
        release(folder)


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps layerscope's cache and jobs out of the user's, and those of other runs out of ours."""
    for name in ("CACHE", "STATE"):
        os.environ[f"XDG_{name}_HOME"] = str(tmp_path_factory.mktemp(name.lower()))


# --- ids of parameters: short, printable, and the same in every process ---


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name text by how it begins, and other bytes by their parameter, where they are no names."""
    if isinstance(val, bytes):
        if not val.isascii() or not re.fullmatch(rb"[\t\n\r -~]*", val):
            return argname
        val = val.decode()
    if not isinstance(val, str) or re.fullmatch(rf"[ -\[\]-~]{{1,{ID_LENGTH}}}", val):
        return None
    return re.sub(r"[^!-Z^-~]+", " ", val[: 2 * ID_LENGTH]).strip()[:ID_LENGTH].strip() or argname


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse ids that would be hard to read, to type or to find again."""
    refused = [
        item.nodeid[:200]
        for item in items
        if len(ids := item.name.partition("[")[2]) > IDS_LENGTH
        or not re.fullmatch(r"[ -\[\]-~]*", ids)
    ]
    if refused:
        raise pytest.UsageError("give these parameters shorter ids:\n" + "\n".join(refused))


def pytest_collection_finish() -> None:
    """Tests are no garbage: looking for it among them took a fifth of the time of unit tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A test finds what it would find alone: no jobs or store of others, nothing changed by them.

    Commands and the TUI change variables and switch garbage collection off, as processes that soon
    end, and a TUI shows each job of the user that has ended.
    """
    variables, folder, frozen = dict(os.environ), Path.cwd(), gc.get_freeze_count()
    own = tmp_path_factory.getbasetemp() / f"own-{next(_numbers)}"
    os.environ.update(XDG_STATE_HOME=str(own / "state"), XDG_DATA_HOME=str(own / "data"))
    is_first_start()  # all others are not
    yield
    os.chdir(folder)
    for name in os.environ.keys() - variables.keys() - {"PYTEST_CURRENT_TEST"}:
        del os.environ[name]
    os.environ.update(variables)
    if gc.get_freeze_count() > frozen:
        gc.unfreeze()
    gc.enable()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: a small tmpfs cannot be mounted here; run as root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
