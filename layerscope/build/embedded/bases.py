"""Images that stages begin with or copy from: in the store, or else in a registry."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from layerscope.build.embedded.metadata import StepError
from layerscope.build.embedded.state import State, StoredLayer
from layerscope.engines.embedded.contents import EmbeddedReader
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.importing import LayerState, import_image
from layerscope.engines.embedded.store import Lease
from layerscope.errors import Cancelled, LayerscopeError, NotFoundError, PlatformMissingError
from layerscope.images.progress import Progress
from layerscope.oci.platform import Platform
from layerscope.oci.reference import parse_reference
from layerscope.text import docker_size, short_id, visible

_PERIOD = 1.0  # Seconds between lines about a pull.

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Base:
    state: State
    image: str  # Its id.
    entry: dict[str, object]  # Its entry in the index.


@dataclass(slots=True)
class Bases:
    engine: EmbeddedEngine
    lease: Lease  # Protects them until the build ends.
    pull: bool  # Whether to look them up in their registries even if the store has them.
    progress: Progress
    _found: dict[tuple[str, str], Base] = field(default_factory=dict)

    def find(self, name: str, platform: Platform, say: Say, *, exact: bool) -> Base:
        """Finds an image by name and platform; pulls it if the store lacks it.

        With `exact`, the platform must match exactly. `say` receives lines about a pull. Raises
        LayerscopeError if there is no such image, and StepError if it is incomplete.
        """
        key = name, str(platform)
        if key not in self._found:
            self._found[key] = self._base(self._reader(name, platform, say, exact=exact))
        return self._found[key]

    def _reader(self, name: str, platform: Platform, say: Say, *, exact: bool) -> EmbeddedReader:
        missing: LayerscopeError | None = None
        if not self.pull:
            try:
                return self._stored(name, platform, exact=exact)
            except NotFoundError as error:
                missing = error
        try:
            reference = parse_reference(name)
        except ValueError:
            raise StepError(f"{visible(name)} is not the name of an image.") from None
        if "/" not in name and missing is not None and _is_id(name):
            raise missing
        try:
            self._pull(str(reference), platform, say, exact=exact)
        except Cancelled:
            raise
        except LayerscopeError as error:
            if name in error.message:
                raise
            text = f"{visible(name)} cannot be pulled: {error.message}"
            raise LayerscopeError(text, error.hint) from None
        return self._stored(name, platform, exact=False)

    def _stored(self, name: str, platform: Platform, *, exact: bool) -> EmbeddedReader:
        reader = self.engine.open(name, "", str(platform) if exact else None)
        offered = reader.image
        system, architecture = offered.os, offered.architecture.partition("/")[0]
        if exact and (system, architecture) != (platform.os, platform.architecture):
            reader.close()
            raise PlatformMissingError(
                f"{visible(name)} is for {system}/{architecture}, and not for {platform}.",
                "Build it for that, or name another image.",
                (f"{system}/{offered.architecture}",),
            )
        return reader

    def _pull(self, name: str, platform: Platform, say: Say, *, exact: bool) -> None:
        # Not at the top: most builds need no registry.
        from layerscope.images.registry.reader import RegistryReader

        reference = parse_reference(name)
        say(f"Pulling {visible(name)}")
        wanted = str(platform) if exact else None
        with closing(RegistryReader(f"docker://{name}", self.progress, platform=wanted)) as reader:
            last = 0.0

            def on_layer(diff_id: str, state: LayerState, current: int) -> None:
                nonlocal last
                if state != "downloading" or time.monotonic() > last + _PERIOD:
                    last = time.monotonic()
                    done = docker_size(current) if state == "downloading" else "complete"
                    say(f"{short_id(diff_id)}: {done}")

            pulled = f"{reference.repository}@{reader.digest}" if reader.digest else ""
            import_image(self.engine.store, reader, reference, self.progress, on_layer, pulled)

    def _base(self, reader: EmbeddedReader) -> Base:
        with closing(reader):
            image, manifest = reader.image, reader.found_manifest
            layers = tuple(
                StoredLayer(layer.diff_id, each.digest, each.size, each.media_type)
                for layer, each in zip(image.layers, manifest.layers, strict=True)
            )
            for each in (reader.descriptor.digest, manifest.config.digest):
                self.lease.claim(each)
            for layer in layers:
                if self.lease.claim(layer.digest) is None:
                    raise StepError(
                        f"{visible(image.reference)} lacks its layer {short_id(layer.digest)}.",
                        "Pull it again.",
                    )
            return Base(State.of_image(image.config, layers), image.id, reader.descriptor.document)


def _is_id(name: str) -> bool:
    text = name.removeprefix("sha256:")
    return len(text) == 64 and not text.strip("0123456789abcdef")
