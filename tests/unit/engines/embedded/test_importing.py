"""Images come into the embedded store from every place, with the same layers and the same id."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.importing import import_image
from layerscope.engines.embedded.store import Store
from layerscope.engines.resolve import open_image
from layerscope.errors import LayerscopeError, RegistryError
from layerscope.images.progress import Progress
from layerscope.oci.reference import parse_reference
from tests.archives import diff_id, layer
from tests.unit.engines.embedded.images import check
from tests.unit.images.archives.test_forms import (
    BASE,
    FORMS,
    PACKERS,
    STRAY,
    TOP,
    placed,
    saved_files,
)
from tests.unit.images.platform_layouts import layout_for
from tests.unit.images.registry.misbehaving_registry import FakeRegistry

NAME = parse_reference("app:1")


def bring(store: Store, source: str, platform: str | None = None) -> str:
    reader = open_image(source, platform=platform)
    try:
        return import_image(store, reader, NAME, Progress())
    finally:
        reader.close()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedEngine:
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))
    return EmbeddedEngine()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("pack", ["folder", *PACKERS])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_archive(
    engine: EmbeddedEngine, tmp_path: Path, form: str, pack: str
) -> None:
    transport, files = FORMS[form]
    path = placed({**STRAY, **files()}, tmp_path / "image", pack)
    identifier = bring(engine.store, f"{transport}:{path}")
    found = engine.inspect("app:1")
    assert found.layers == (diff_id(BASE), diff_id(TOP))
    assert found.id == identifier
    if "1.10" not in form:  # Those have no configuration of their own.
        assert identifier == open_image(f"{transport}:{path}").image.id
    assert check(engine.store.folder) == 0
    blobs = engine.store.folder / "blobs/sha256"
    assert (blobs / diff_id(TOP).removeprefix("sha256:")).read_bytes() == TOP


def test_a_platform_of_several(engine: EmbeddedEngine, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(layout_for("linux/amd64", "linux/arm64/v8").archive())
    bring(engine.store, f"oci-archive:{path}", "linux/arm64")
    assert engine.inspect("app:1").architecture == "arm64"


def test_a_registry(engine: EmbeddedEngine, registry: FakeRegistry) -> None:
    registry.image([gzip.compress(BASE, mtime=0), gzip.compress(TOP, mtime=0)], "1")
    source = f"docker://{registry.address}/app:1"
    assert bring(engine.store, source) == open_image(source).image.id
    assert engine.inspect("app:1").layers == (diff_id(BASE), diff_id(TOP))
    asked = len([each for each in registry.asked if "/blobs/" in each.path])
    # Layers that are there are not fetched again.
    bring(engine.store, source)
    again = [each for each in registry.asked if "/blobs/" in each.path][asked:]
    assert len(again) <= 1


def test_a_layer_of_a_registry_that_is_not_what_the_manifest_says(
    engine: EmbeddedEngine, registry: FakeRegistry
) -> None:
    registry.image([gzip.compress(BASE, mtime=0)], "1", diff_ids=[diff_id(TOP)])
    with pytest.raises(LayerscopeError, match="not the one that the configuration names"):
        bring(engine.store, f"docker://{registry.address}/app:1")
    good = registry.image([gzip.compress(BASE, mtime=0)], "2")
    assert good
    stored = next(iter(digest(gzip.compress(BASE, mtime=0)).split()))
    registry.blobs[stored] = gzip.compress(TOP, mtime=0)[:-1] + b"\0"
    with pytest.raises((RegistryError, LayerscopeError)):
        bring(engine.store, f"docker://{registry.address}/app:2")
    assert engine.images() == []


def test_an_image_without_all_its_layers_is_refused(engine: EmbeddedEngine, tmp_path: Path) -> None:
    layout = layout_for("linux/amd64")
    layer_blob = digest(layer(("only-linux-amd64", b"linux/amd64")))
    del layout.files[f"blobs/{layer_blob.replace(':', '/')}"]
    path = tmp_path / "image.tar"
    path.write_bytes(layout.archive())
    with pytest.raises(LayerscopeError, match="The store does not have them, either"):
        bring(engine.store, f"oci-archive:{path}")
    assert not engine.store.exists


def test_the_store_is_a_source_too(engine: EmbeddedEngine, tmp_path: Path) -> None:
    bring(engine.store, f"docker-archive:{placed(saved_files(), tmp_path / 'image', 'gzip')}")
    other = EmbeddedEngine(Store(tmp_path / "other"))
    identifier = bring(other.store, "embedded:app:1")
    assert other.inspect("app:1").id == identifier == engine.inspect("app:1").id


def test_names_of_entries_that_lead_out_write_nothing_there(
    engine: EmbeddedEngine, tmp_path: Path
) -> None:
    files = saved_files()
    manifest = files["manifest.json"].replace(b"a/layer.tar", b"../../outside")
    files = {**files, "manifest.json": manifest, "../../outside": BASE}
    del files["a/layer.tar"]
    before = {path.name for path in tmp_path.iterdir()}
    for pack in PACKERS:
        path = placed(files, tmp_path / f"image.{pack}", pack)
        bring(engine.store, f"docker-archive:{path}")
    made = {path.name for path in tmp_path.iterdir()} - before
    assert made == {"store", *(f"image.{pack}" for pack in PACKERS)}
    assert engine.inspect("app:1").layers == (diff_id(BASE), diff_id(TOP))
