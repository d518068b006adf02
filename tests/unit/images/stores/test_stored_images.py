"""What all folders with an engine's images have in common."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from layerscope.errors import AmbiguousError
from layerscope.images.stores.stored_images import StoredImages
from layerscope.images.summary import ImageSummary


def test_images_are_counted_not_their_names() -> None:
    rows = [("app", "1", "sha256:a"), ("app", "2", "sha256:a"), ("base", "1", "sha256:b")]
    lines = [ImageSummary(*row, 0, 9, None, None) for row in rows]
    folder = SimpleNamespace(
        place="docker-root:/d",
        summaries=lambda: lines,
        source=lambda name: f"docker-root:/d:{name}",
    )
    with pytest.raises(AmbiguousError) as raised:
        StoredImages._only(cast(Any, folder))
    assert raised.value.message == "docker-root:/d holds 2 images."
    assert raised.value.hint.endswith("with NAME one of app:1, app:2, base:1.")
