"""The demo shows what its tour says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from layerscope.build.embedded.demo import BASE, IMAGE, prepare_demo
from layerscope.engines.embedded.store import Store
from layerscope.tui.build.tour import STOPS
from tests.unit.build.embedded.building import Workshop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))
    request = prepare_demo()
    assert (request.builder, request.tags) == ("embedded", (IMAGE,))
    return Workshop(Path(request.context), Store())


def ends(shop: Workshop) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
    """How each step ended, and the image's configuration."""
    text = (shop.context / "Dockerfile").read_text()
    built = shop.built(text, tags=(IMAGE,))
    kinds = ("step_cached", "step_committed")
    found = {each["step"]: each for each in built.events if each["event"] in kinds}
    return found, shop.config(built.image)


def test_each_stop_of_the_tour_is_to_be_seen(shop: Workshop) -> None:
    steps, config = ends(shop)
    base = shop.files(BASE)
    assert not [path for path in base if path.startswith("/var/cache/packages")]
    assert "rm -r /var/cache/packages" in config["history"][1]["created_by"]
    # ENV, a cache hit, changes no file.
    assert steps[2]["event"] == steps[3]["event"] == "step_cached"
    assert "diff_id" not in steps[2]
    # A copy-up; the owner alone, with all bytes again; waste; an addition.
    assert (steps[5]["modified"], steps[5].get("added", 0)) == (1, 0)
    assert steps[6]["modified"] == 3
    assert steps[6]["size"] == steps[6]["wasted"] == steps[6]["copied"] > 500_000
    assert (steps[7]["size"], steps[7]["wasted"]) == (2_000_000, 1_000_000)
    assert (steps[8]["added"], steps[8]["wasted"]) == (1, 0)
    assert [step for step, _ in STOPS] == [1, 2, 3, 5, 6, 7, 8]


def test_it_is_built_again_with_another_last_file_only(shop: Workshop) -> None:
    ends(shop)
    prepare_demo()
    steps, _ = ends(shop)
    cached = [number for number, step in steps.items() if step["event"] == "step_cached"]
    assert cached == [2, 3, 5, 6, 7]
    # Nothing without a name is left, however often it is shown.
    assert {image.name for image in shop.engine.images()} == {BASE, IMAGE}
