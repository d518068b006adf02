"""Any sequence of changes leaves the embedded store as a simple model says."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.store import Store
from layerscope.errors import EngineError
from tests.archives import diff_id
from tests.unit.engines.embedded.images import LAYERS, add, archives, blobs, check, names

IMAGES = st.sampled_from(range(len(LAYERS)))
NAMES = st.sampled_from(["a:1", "a:2", "b:1", "registry.example:5000/c/d:x"])


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lsc-store-"))
        self.archives = archives(self.folder)
        self.engine = EmbeddedEngine(Store(self.folder / "store"))
        self.ids: dict[int, str] = {}
        self.named: dict[str, int] = {}
        self.kept: set[int] = set()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def _names(self, image: int) -> list[str]:
        return [name for name, held in self.named.items() if held == image]

    @rule(image=IMAGES, name=st.none() | NAMES)
    def bring(self, image: int, name: str | None) -> None:
        self.ids[image] = add(self.engine.store, self.archives[image], name or "")
        self.kept.add(image)
        if name:
            self.named[name] = image

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), name=NAMES)
    def tag(self, data: st.DataObject, name: str) -> None:
        image = data.draw(st.sampled_from(sorted(self.kept)))
        self.engine.tag_image(self.ids[image], name)
        self.named[name] = image

    @precondition(lambda self: self.named)
    @rule(data=st.data())
    def remove_name(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.named)))
        image = self.named.pop(name)
        self.engine.remove_image(name)
        if not self._names(image):
            self.kept.discard(image)

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def remove_image(self, data: st.DataObject) -> None:
        image = data.draw(st.sampled_from(sorted(self.kept)))
        own = self._names(image)
        said, before = self.engine.freed_by({self.ids[image]}), self.engine.layers_size()
        try:
            self.engine.remove_image(self.ids[image])
        except EngineError:
            assert len({name.rpartition(":")[0] for name in own}) > 1
            return
        assert before - self.engine.layers_size() == said
        self.kept.discard(image)
        for name in own:
            del self.named[name]

    @rule()
    def open_anew(self) -> None:
        self.engine = EmbeddedEngine(Store(self.folder / "store"))

    @invariant()
    def is_as_the_model_says(self) -> None:
        assert names(self.engine) == {name: self.ids[image] for name, image in self.named.items()}
        lines = self.engine.images()
        assert {line.id for line in lines} == {self.ids[image] for image in self.kept}
        assert len(lines) == sum(max(1, len(self._names(image))) for image in self.kept)
        assert check(self.engine.store.folder) == 0
        layers = {diff_id(data) for image in self.kept for data in LAYERS[image]}
        # A manifest and a configuration for each image.
        assert len(blobs(self.engine.store.folder)) == len(layers) + 2 * len(self.kept)
        assert layers <= blobs(self.engine.store.folder).keys()


StoreMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestStore = StoreMachine.TestCase
