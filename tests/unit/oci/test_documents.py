"""Manifests and image configurations."""

from __future__ import annotations

from typing import Any

import pytest

from layerscope.images.image import NOT_IN_HISTORY, history_of, image_from_config
from layerscope.oci.config import ConfigError, instruction, known_time, parse_config
from layerscope.oci.manifest import (
    ManifestError,
    parse_descriptor,
    parse_index,
    parse_manifest,
    parse_saved_images,
)

DIGEST = "sha256:" + "1" * 64
DESCRIPTOR = {"mediaType": "application/x", "digest": DIGEST, "size": 5}


@pytest.mark.parametrize(
    ("created_by", "expected"),
    [
        ("/bin/sh -c #(nop)  EXPOSE 80", "EXPOSE 80"),
        ('/bin/sh -c #(nop)  CMD ["bash"]', 'CMD ["bash"]'),
        ("/bin/sh -c #(nop) ADD file:abc in / ", "ADD file:abc in /"),
        ("#(nop) MAINTAINER me", "MAINTAINER me"),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("/bin/sh -c a &&     b\nc", "RUN a &&     b\nc"),
        ("RUN /bin/sh -c apt-get update # buildkit", "RUN apt-get update"),
        ("RUN |1 A=b /bin/sh -c make # buildkit", "RUN make"),
        ("|1 A=b /bin/sh -c make", "RUN make"),
        ("|2 A=b C=d e /bin/sh -c make all", "RUN make all"),
        ("/bin/bash -o pipefail -c a | b", "RUN a | b"),
        ("COPY . /app # buildkit", "COPY . /app"),
        ("ENV A=b", "ENV A=b"),
        ("WORKDIR /app", "WORKDIR /app"),
        ('CMD ["sh"]', 'CMD ["sh"]'),
        ('CMD ["sleep" "3600"]', 'CMD ["sleep", "3600"]'),
        ('/bin/sh -c #(nop)  ENTRYPOINT ["a\\" b" "]" ""]', 'ENTRYPOINT ["a\\" b", "]", ""]'),
        ('CMD ["a", "b"]', 'CMD ["a", "b"]'),
        ("RUN powershell -Command dir # buildkit", "RUN powershell -Command dir"),
        (
            "powershell -Command $ErrorActionPreference = 'Stop'; dir",
            "RUN powershell -Command $ErrorActionPreference = 'Stop'; dir",
        ),
        ("cmd /S /C dir", "RUN cmd /S /C dir"),
        ("/usr/bin/ash -o pipefail -ec x", "RUN /usr/bin/ash -o pipefail -ec x"),
        ("|1 A=b /bin/busybox touch /x", "RUN |1 A=b /bin/busybox touch /x"),
        # Tools that are no builders, and `docker commit`.
        ("ADDITIONAL thing", "ADDITIONAL thing"),
        ("bazel build ...", "bazel build ..."),
        ("created by buildkit", "created by buildkit"),
        (
            "mount / from exec /bin/busybox touch /made",
            "mount / from exec /bin/busybox touch /made",
        ),
        ("jib-maven-plugin:3.4.0", "jib-maven-plugin:3.4.0"),
        ("ko build ko://example.com/cmd/app", "ko build ko://example.com/cmd/app"),
        ("bash", "bash"),
        ("/bin/busybox touch /x", "/bin/busybox touch /x"),
        ("# debian.sh --arch 'amd64' out/", "# debian.sh --arch 'amd64' out/"),
        # Buildah appends what tells apart builds with other options.
        ("/bin/sh -c make|inheritLabels=false", "RUN make"),
        ("/bin/sh -c #(nop) COPY dir:12 in ./files |inheritLabels=false", "COPY dir:12 in ./files"),
        (
            "/bin/sh -c #(nop) HEALTHCHECK NONE|unsetLabel=true|inheritLabels=false|force-mtime=10",
            "HEALTHCHECK NONE",
        ),
        ("/bin/sh -c a|A=b c", "RUN a|A=b c"),
        ("/bin/sh -c #(nop) ENV A=b|c=d", "ENV A=b|c=d"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_an_instruction_is_found_behind_what_builders_write(created_by: str, expected: str) -> None:
    assert instruction(created_by) == expected


def test_history_numbers_the_entries_that_made_layers() -> None:
    config = parse_config(
        {
            "os": "linux",
            "architecture": "arm",
            "variant": "v7",
            "rootfs": {"diff_ids": ["sha256:a", "sha256:b"]},
            "history": [
                {"created_by": "one", "created": "2020-01-01T00:00:00Z", "comment": "c"},
                {"created_by": "two", "empty_layer": True},
                {"created_by": "three"},
                {"created_by": "four", "empty_layer": True},
            ],
        }
    )
    assert config.architecture == "arm/v7"
    assert [entry.layer for entry in config.history] == [0, None, 1, None]
    assert [entry.empty_layer for entry in config.history] == [False, True, False, True]
    assert (config.history[0].created, config.history[1].created) == ("2020-01-01T00:00:00Z", None)
    assert config.history[0].comment == "c"


@pytest.mark.parametrize(("layers", "entries"), [(1, 3), (2, 1), (4, 1), (0, 2)])
def test_a_history_longer_or_shorter_than_the_layers_is_kept_without_a_guess(
    layers: int, entries: int
) -> None:
    history: list[dict[str, Any]] = [{"created_by": f"RUN {n}"} for n in range(entries)]
    history.append({"created_by": "ENV A=b", "empty_layer": True})
    config = parse_config({"rootfs": {"diff_ids": ["a"] * layers}, "history": history})
    assert [entry.layer for entry in config.history] == [None] * len(history)
    assert [entry.empty_layer for entry in config.history] == [False] * entries + [True]
    image = image_from_config(config, reference="", image_id="", source="")
    assert [layer.instruction for layer in image.layers] == [None] * layers
    assert all(layer.made_by == NOT_IN_HISTORY for layer in image.layers)
    assert len(history_of(image)) == layers + len(history)


@pytest.mark.parametrize(
    ("entry", "made_by"),
    [
        ({"comment": "Imported from -"}, "imported: standard input"),
        ({"comment": "Imported from http://host/root.tar"}, "imported: http://host/root.tar"),
        ({"comment": "imported from tarball", "created_by": " "}, "imported: tarball"),
        ({"comment": "store paths: ['/nix/store/a']"}, "unknown: store paths: ['/nix/store/a']"),
        ({"comment": "a\x1b[2J\nb"}, "unknown: a\\e[2J b"),
        ({"comment": ""}, NOT_IN_HISTORY),
        ({"comment": "Imported from -", "created_by": "ADD a /"}, "ADD a /"),
    ],
)
def test_a_layer_without_an_instruction_says_so(entry: dict[str, str], made_by: str) -> None:
    config = parse_config({"rootfs": {"diff_ids": ["a"]}, "history": [entry]})
    (layer,) = image_from_config(config, reference="", image_id="", source="").layers
    assert layer.made_by == made_by
    assert (layer.instruction is None) == (made_by != "ADD a /")


def test_the_checksum_of_copied_files_is_short() -> None:
    entry = {"created_by": f"/bin/sh -c #(nop) COPY file:{'0af1' * 16} in /usr/lib/ "}
    config = parse_config({"rootfs": {"diff_ids": ["a"]}, "history": [entry]})
    (layer,) = image_from_config(config, reference="", image_id="", source="").layers
    assert layer.made_by == "COPY file:0af10af10af1 in /usr/lib/"


@pytest.mark.parametrize(
    "created",
    [
        None,
        "",
        0,
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:00",
        "yesterday",
        "2024-13-01T00:00:00Z",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "20240101T000000Z",
        "99999-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z\x1b[31m",
    ],
)
def test_a_time_that_is_absent_zero_or_unreadable_is_unknown(created: object) -> None:
    config = parse_config({"created": created, "history": [{"created": created}]})
    assert (config.created, config.history[0].created) == (None, None)


@pytest.mark.parametrize(
    "created",
    ["1970-01-01T00:00:00Z", "2022-03-04T05:06:07.123456789+05:30", "2024-05-06t07:08:09.1z"],
)
def test_a_time_is_kept_as_it_is_written(created: str) -> None:
    assert known_time(created) == created


@pytest.mark.parametrize("document", [{}, {"rootfs": None}, {"rootfs": {"diff_ids": None}}])
def test_a_configuration_without_layers_has_none(document: dict[str, Any]) -> None:
    config = parse_config(document)
    assert config.diff_ids == ()
    assert config.history == ()
    assert config.created is None


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "x",
        1,
        {"rootfs": {"diff_ids": "a"}},
        {"rootfs": {"diff_ids": [1]}},
        {"history": ["x"]},
        {"history": [None]},
    ],
)
def test_what_is_no_configuration_is_refused(document: object) -> None:
    with pytest.raises(ConfigError, match="the image configuration"):
        parse_config(document)


def test_odd_values_in_a_configuration_are_passed_over() -> None:
    config = parse_config({"os": 5, "architecture": None, "created": [], "history": {"a": 1}})
    assert (config.os, config.architecture, config.created) == ("", "", None)
    assert config.history == ()


def test_a_save_manifest_lists_images() -> None:
    images = parse_saved_images(
        [
            {"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l"]},
            {"Config": "d", "RepoTags": None},
        ]
    )
    assert (images[0].config, images[0].tags, images[0].layers) == ("c.json", ("a:1",), ("l",))
    assert (images[1].tags, images[1].layers) == ((), ())


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        "x",
        3,
        [None],
        [[]],
        [{}],
        [{"Config": None}],
        [{"Config": 1}],
        [{"Config": "c", "Layers": "x"}],
        [{"Config": "c", "Layers": [None]}],
        [{"Config": "c", "RepoTags": [1]}],
    ],
)
def test_what_is_no_save_manifest_is_refused(document: object) -> None:
    with pytest.raises(ManifestError):
        parse_saved_images(document)


def test_a_manifest_has_a_config_and_layers() -> None:
    manifest = parse_manifest({"config": DESCRIPTOR, "layers": [DESCRIPTOR, DESCRIPTOR]})
    assert manifest.config.digest == DIGEST
    assert len(manifest.layers) == 2


def test_an_index_tells_platforms() -> None:
    (one,) = parse_index(
        {
            "manifests": [
                {
                    **DESCRIPTOR,
                    "platform": {"os": "linux", "architecture": "arm", "variant": "v6"},
                    "annotations": {"a": 1},
                }
            ]
        }
    )
    assert one.platform == "linux/arm/v6"
    assert one.annotations == {"a": "1"}
    assert (one.media_type, one.size) == ("application/x", 5)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"digest": "x", "size": 1},
        {"digest": DIGEST},
        {"digest": DIGEST, "size": -1},
        {"digest": DIGEST, "size": True},
        {"digest": DIGEST, "size": 1.5},
    ],
)
def test_what_is_no_descriptor_is_refused(document: object) -> None:
    with pytest.raises(ManifestError):
        parse_descriptor(document)
    with pytest.raises(ManifestError):
        parse_manifest({"config": document, "layers": []})
    with pytest.raises(ManifestError):
        parse_index({"manifests": [document]})


@pytest.mark.parametrize("document", [None, [], {}, {"layers": {}}, {"manifests": 1}])
def test_what_is_no_manifest_is_refused(document: object) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(document)
    with pytest.raises(ManifestError):
        parse_index(document)
