"""Commits containers to images in the embedded store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from layerscope.engines.embedded.containers import Container, platform_of
from layerscope.engines.embedded.contents import Kept, give_name
from layerscope.engines.embedded.importing import add_tar
from layerscope.engines.embedded.store import Store
from layerscope.engines.engine import CommitRequest
from layerscope.engines.shell import BUSYBOX
from layerscope.errors import EngineError
from layerscope.oci.manifest import OCI_LAYERS, Descriptor, json_bytes
from layerscope.oci.reference import parse_reference


def commit_container(store: Store, kept: Kept, container: Container, request: CommitRequest) -> str:
    """Adds an image with a container's changes on top of its image; returns the id.

    As with Docker, a container without changes results in an image without a new layer.
    """
    image, manifest = kept.image, kept.manifest
    if image is None or manifest is None:
        raise EngineError(f"The image of {container.shown} is damaged.")
    with store.lease() as lease, container.run.changes() as changed:
        document: dict[str, Any] = json.loads(image.document)
        layers = list(manifest.layers)
        if len(changed.changeset()):
            changed.file.seek(0)
            diff_id, size = add_tar(lease, changed.file.read)
            layers.append(Descriptor(OCI_LAYERS[None], diff_id, size, {}))
            document["rootfs"]["diff_ids"].append(diff_id)
        # The mount path of this host's busybox means nothing in a history.
        command = ["busybox" if each == BUSYBOX else each for each in container.about.command]
        moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        entry = {
            "created": moment,
            "created_by": " ".join(command),
            "author": request.author,
            "comment": request.message,
            "empty_layer": len(layers) == len(manifest.layers),
        }
        document["created"] = moment
        document["history"] = [
            *(document.get("history") or ()),
            {key: value for key, value in entry.items() if value},
        ]
        if request.author:
            document["author"] = request.author
        config = document.get("config")
        document["config"] = config = dict(config) if isinstance(config, dict) else {}
        request.configure(config)
        identifier, made = lease.add_image(json_bytes(document), layers, platform_of(image))
        with store.changed() as change:
            reference = parse_reference(request.name) if request.name else None
            give_name(change.entries, made.document, reference)
        return identifier
