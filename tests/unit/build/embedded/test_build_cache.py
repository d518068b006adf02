"""What the store keeps for later builds, and how it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.engines.embedded.build_cache import cached_images
from layerscope.errors import NotFoundError
from tests.unit.build.embedded.building import Workshop
from tests.unit.engines.embedded.images import check

TEXT = "FROM scratch\nCOPY a /a\nCOPY b /b\nCMD x\n"


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    found = Workshop.at(tmp_path)
    found.write({"a": "a" * 5000, "b": "b" * 7000})
    return found


def test_a_removed_image_stays_in_the_cache_until_that_is_pruned(shop: Workshop) -> None:
    built = shop.built(TEXT, tags=("x:1",))
    engine = shop.engine
    assert engine.freed_by([built.image]) == 0
    engine.remove_image("x:1")
    assert not engine.images()
    again = shop.built(TEXT)
    assert again.cached == [2, 3, 4]
    engine.remove_image(again.image)
    layers = [each for each in engine.build_cache() if each.what.startswith("COPY")]
    assert [each.what for each in layers] == ["COPY b /b # buildkit", "COPY a /a # buildkit"]
    for each in engine.build_cache():
        engine.remove_cached(each.id)
    assert not cached_images(shop.store)
    assert not engine.build_cache()
    assert not shop.store.sizes()
    assert not shop.built(TEXT).cached


def test_a_layer_of_an_image_is_shared_and_stays(shop: Workshop) -> None:
    built = shop.built(TEXT, tags=("x:1",))
    engine = shop.engine
    assert all(each.shared for each in engine.build_cache())
    for each in engine.build_cache():
        assert engine.remove_cached(each.id) < 5000
    assert len(shop.files(built.image)) == 2
    assert not engine.garbage()
    assert check(shop.store.folder) == 0


def test_images_of_steps_are_found_by_their_ids_and_not_listed(shop: Workshop) -> None:
    built = shop.built(TEXT, tags=("x:1",))
    first = next(
        each["image"]
        for each in built.events
        if each["event"] == "step_committed" and each["step"] == 2
    )
    assert set(shop.files(first)) == {"/a"}
    assert [image.name for image in shop.engine.images()] == ["x:1"]
    with pytest.raises(NotFoundError):
        shop.engine.find("sha256:" + "0" * 64)


def test_a_layer_that_is_gone_is_made_again(shop: Workshop) -> None:
    built = shop.built(TEXT, tags=("x:1",))
    layer = shop.config(built.image)["rootfs"]["diff_ids"][0]
    shop.store.blob(layer).unlink()
    again = shop.built(TEXT)
    assert 2 not in again.cached
    assert shop.store.blob(layer).exists()


def test_a_damaged_cache_is_begun_anew(shop: Workshop) -> None:
    shop.built(TEXT)
    (shop.store.folder / "build-cache.json").write_bytes(b"{nonsense")
    assert not shop.built(TEXT).cached
    assert shop.built(TEXT).cached == [2, 3, 4]
