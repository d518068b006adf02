"""What a pull would fetch, for the text form of `inspect` of an image in a registry."""

from __future__ import annotations

from collections.abc import Iterator

from layerscope.errors import LayerscopeError
from layerscope.images.image import Image
from layerscope.images.pull_estimate import pull_estimate
from layerscope.text import docker_size


def pull_lines(image: Image) -> Iterator[str]:
    """Says how large the image is in its registry, and what the current engine has of it.

    Nothing is said of images that come from elsewhere. Without an engine, only the size is.
    """
    if not image.source.startswith("docker://"):
        return
    layers = [(layer.diff_id, layer.stored_size or 0) for layer in image.layers]
    yield ""
    size = docker_size(pull_estimate(layers, ()).total)
    try:
        from layerscope.engines.docker import connect
        from layerscope.engines.local_layers import local_layers

        engine = connect()
        try:
            local = local_layers(engine)
        finally:
            engine.close()
    except LayerscopeError:
        yield f"A pull fetches {size}, in {len(layers)} layers. No engine was asked what it has."
        return
    estimate = pull_estimate(layers, local.images, by_blob=local.by_blob)
    if estimate.count == len(layers):
        yield f"{local.engine} has all {len(layers)} layers ({size} in the registry)."
        return
    has = ", ".join(str(index) for index, here in enumerate(estimate.present) if here) or "none"
    yield (
        f"A pull fetches {docker_size(estimate.missing)} of {size}: "
        f"{local.engine} has {estimate.count} of {len(layers)} layers ({has})."
    )
