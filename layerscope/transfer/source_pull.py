"""A pull from any readable source into the embedded store."""

from __future__ import annotations

from contextlib import closing, suppress

from layerscope.engines.embedded.importing import import_image
from layerscope.engines.embedded.store import Store
from layerscope.engines.resolve import open_image
from layerscope.errors import UsageError
from layerscope.images.image import Image
from layerscope.images.progress import Progress
from layerscope.jobs.worker import Cancellation
from layerscope.oci.distribution import is_digest
from layerscope.oci.reference import Reference, parse_reference
from layerscope.text import short_id, visible
from layerscope.transfer.layer_rows import imported
from layerscope.transfer.places import parse_place
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.request import TransferRequest


def pull_source(
    request: TransferRequest, recorder: Recorder, cancellation: Cancellation
) -> tuple[str, str]:
    """Returns the id of the image, and its name in the store as a source.

    Raises LayerscopeError if it cannot be read; complete layers stay.
    """
    recorder.started(request.source)
    progress = Progress()
    cancellation.on_cancel(progress.cancel)
    reader = open_image(
        request.source,
        progress,
        platform=request.platform or None,
        insecure=request.insecure,
    )
    with closing(reader):
        name = _name(request, reader.image)
        identifier = import_image(
            Store(), reader, name, progress, imported(recorder, "downloading")
        )
    return identifier, f"embedded:{name or short_id(identifier)}"


def _name(request: TransferRequest, image: Image) -> Reference | None:
    """Returns the user's name for the image, or else its own, if any.

    Raises UsageError if its name is invalid.
    """
    ref = parse_place(request.target).ref if request.target else ""
    if not ref and (is_digest(image.reference) or image.reference == image.id):
        return None
    with suppress(ValueError):
        reference = parse_reference(ref or image.reference)
        return None if reference.tag is None else reference
    raise UsageError(
        f"{visible(image.reference)} is not a name for an image.", "Name it: --to embedded:NAME."
    )
