"""An image during a build: its configuration, its layers and its history."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from layerscope.dockerfile.meaning.scope import DEFAULT_PATH
from layerscope.engines.embedded.store import Lease
from layerscope.oci.manifest import OCI_LAYERS, Descriptor, json_bytes
from layerscope.oci.platform import Platform

_COMMENT = "buildkit.dockerfile.v0"
#: Fields of a base image's configuration that are rewritten; all others are kept.
_OWN = ("config", "created", "history", "rootfs", "container", "container_config", "docker_version")


@dataclass(frozen=True, slots=True)
class StoredLayer:
    diff_id: str
    digest: str  # Of its blob, which may be compressed if it is from another tool.
    size: int  # Bytes of its blob.
    media_type: str = OCI_LAYERS[None]

    @classmethod
    def made(cls, diff_id: str, size: int) -> StoredLayer:
        return cls(diff_id, diff_id, size)


@dataclass(slots=True)
class State:
    facts: dict[str, Any]  # Other fields of the configuration: os, architecture…
    config: dict[str, Any] = field(default_factory=dict)  # The configuration of its containers.
    layers: tuple[StoredLayer, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    created: str = ""  # RFC 3339 time.

    @classmethod
    def scratch(cls, platform: Platform) -> State:
        state = cls(dict(platform.document))
        state.config["Env"] = [f"PATH={DEFAULT_PATH}"]
        return state

    @classmethod
    def of_image(cls, raw: Mapping[str, Any], layers: tuple[StoredLayer, ...]) -> State:
        """Creates the state from an image's configuration."""
        # Parsed documents ignore the case of keys; this converts them to plain objects to write.
        document = json.loads(json.dumps(raw))
        config = document.get("config")
        history = document.get("history")
        created = document.get("created")
        state = cls(
            {key: value for key, value in document.items() if key not in _OWN},
            config if isinstance(config, dict) else {},
            layers,
            tuple(history) if isinstance(history, list) else (),
            created if isinstance(created, str) else "",
        )
        # Docker's default for an image without a PATH.
        if not any(each.startswith("PATH=") for each in state.env):
            state.config["Env"] = [f"PATH={DEFAULT_PATH}", *state.env]
        return state

    def copy(self) -> State:
        return replace(self, facts=dict(self.facts), config=copy.deepcopy(self.config))

    @property
    def env(self) -> list[str]:
        found = self.config.get("Env")
        return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []

    @property
    def variables(self) -> dict[str, str]:
        return dict(each.partition("=")[::2] for each in self.env)

    @property
    def workdir(self) -> str:
        found = self.config.get("WorkingDir")
        return found if isinstance(found, str) and found else "/"

    def strings(self, key: str) -> list[str]:
        """Returns a list of strings from the configuration, or an empty one."""
        found = self.config.get(key)
        return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []

    @property
    def key(self) -> str:
        """Returns a key that is equal for images that differ only in times."""
        made = [
            (each.get("created_by"), each.get("empty_layer", False))
            for each in self.history
            if isinstance(each, dict)
        ]
        content = (self.facts, self.config, [each.diff_id for each in self.layers], made)
        return hashlib.sha256(json_bytes(content)).hexdigest()

    def add(self, made_by: str, layer: StoredLayer | None, created: str) -> None:
        """Adds an entry to the history, and its layer, if any."""
        entry: dict[str, Any] = {
            "created": created,
            "created_by": made_by,
            "comment": _COMMENT,
        }
        if layer is None:
            entry["empty_layer"] = True
        else:
            self.layers += (layer,)
        self.history += (entry,)
        self.created = created

    def stored(self, lease: Lease) -> tuple[str, dict[str, Any]]:
        """Adds the image to the store; returns its id, and its manifest's entry in an index."""
        layers = [Descriptor(each.media_type, each.digest, each.size, {}) for each in self.layers]
        identifier, manifest = lease.add_image(self.document(), layers, self._platform or None)
        return identifier, manifest.document

    def document(self) -> bytes:
        """Returns the configuration as JSON."""
        document = {
            **self.facts,
            "config": {key: value for key, value in self.config.items() if _says(value)},
            "created": self.created,
            "history": list(self.history),
            "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in self.layers]},
        }
        if not self.created:
            del document["created"]
        return json_bytes(document)

    @property
    def _platform(self) -> str:
        keys = (self.facts.get(key) for key in ("os", "architecture", "variant"))
        return "/".join(str(key) for key in keys if key)


def _says(value: object) -> bool:
    return value not in (None, "", [], {}, False)


def time_of(seconds: float | None = None) -> str:
    """Formats a time as in images, in whole seconds; now by default."""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
