"""What every test may use."""

import os
import tempfile
from collections.abc import Iterator

import pytest

from tests.engines.harness import cache_folder

pytest_plugins = ["tests.engines.fixtures"]

# Before XDG_CACHE_HOME changes below: what tests keep between runs stays where it is.
os.environ["LAYERSCOPE_TEST_CACHE"] = str(cache_folder())


@pytest.fixture(scope="session", autouse=True)
def own_cache() -> Iterator[None]:
    """Keeps layerscope's cache out of the user's, and what one test read out of the next run."""
    with tempfile.TemporaryDirectory(prefix="lsc-cache-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        yield
