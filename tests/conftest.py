"""What every test may use."""

import gc
import os
import signal
import tempfile
from collections.abc import Iterator

import pytest

from tests.engines.harness import cache_folder

pytest_plugins = ["tests.engines.fixtures"]

# Before XDG_CACHE_HOME changes below: what tests keep between runs stays where it is.
os.environ["LAYERSCOPE_TEST_CACHE"] = str(cache_folder())

# Whoever starts the tests in the background, or by nohup, has these ignored, and so would every
# program that a test starts and sends one to.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(_number, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def own_cache() -> Iterator[None]:
    """Keeps layerscope's cache out of the user's, and what one test read out of the next run."""
    with tempfile.TemporaryDirectory(prefix="lsc-cache-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        yield


@pytest.fixture(autouse=True)
def garbage() -> Iterator[None]:
    """Collects garbage again: commands and the TUI leave that off, as processes that soon end."""
    yield
    gc.unfreeze()
    gc.enable()
