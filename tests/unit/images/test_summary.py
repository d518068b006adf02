"""Which image a name without one may mean."""

from __future__ import annotations

import pytest

from layerscope.images.summary import nearest

NAMES = ["shop/api:1.0", "shop/gateway:canary", "shop/gateway:latest", "debian:bookworm"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("shop/gatway", "shop/gateway:latest"),
        ("gateway", "shop/gateway:latest"),
        ("shop/gateway:canry", "shop/gateway:canary"),
        ("shop/api", "shop/api:1.0"),
        ("debain:bookworm", "debian:bookworm"),
        ("nginx", ""),
        ("", ""),
    ],
)
def test_the_nearest_name(name: str, meant: str) -> None:
    assert nearest(name, NAMES) == meant
    assert nearest(name, []) == ""
