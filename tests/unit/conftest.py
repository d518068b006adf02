"""What several unit tests use."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    fake_registry,
    noise,
    tar_of,
)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry that can misbehave, with one image, `app:latest`."""
    with fake_registry() as running:
        running.image([gzip.compress(tar_of({"a": noise(1000)}))])
        yield running
