"""The steps of an image, as the list of layers shows them."""

from __future__ import annotations

from layerscope.images.image import image_from_config
from layerscope.oci.config import parse_config
from layerscope.tui.explore.layer_list import steps_of


def test_a_history_that_does_not_fit_the_layers_is_not_paired() -> None:
    history = [
        {"created_by": "/bin/sh -c make"},
        {"created_by": "ENV A=b", "empty_layer": True},
        {"comment": "Imported from -"},
    ]
    config = parse_config({"rootfs": {"diff_ids": ["sha256:1"]}, "history": history})
    image = image_from_config(config, reference="", image_id="", source="")
    assert [(step.layer, step.instruction, step.unknown) for step in steps_of(image)] == [
        (None, "RUN make", True),
        (None, "ENV A=b", False),
        (None, "imported: standard input", True),
        (0, "(not in the history)", False),
    ]
