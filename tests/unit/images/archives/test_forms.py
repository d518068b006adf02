"""Every form in which tools leave an image in files, packed in every way."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from layerscope.records import go_json
from tests.archives import diff_id, layer, plain_tar
from tests.command import one_line_error, run
from tests.unit.images.platform_layouts import Layout, layout_for, layout_of

Capsys = pytest.CaptureFixture[str]
Files = Mapping[str, bytes]

BASE, TOP = layer("d/", ("d/base", b"x" * 2000)), layer(("top", b"y"))
PACKED = gzip.compress(TOP, mtime=0)
CONFIG = json.dumps(
    {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [diff_id(BASE), diff_id(TOP)]},
    }
).encode()
ID = "sha256:" + hashlib.sha256(CONFIG).hexdigest()

#: What other systems and tools leave between the files of an image.
STRAY = {
    ".DS_Store": b"\0\0\0\1Bud1",
    "._manifest.json": b"\0\5\x16\7",
    "a/._layer.tar": b"\0\5\x16\7" + bytes(200),
    "PaxHeaders.123/layer.tar": b"30 mtime=1500000000.123456789\n",
    "README": b"{ not a document",
    "blobs/sha256/.DS_Store": b"\0" * 600,
    "blobs/sha256/._x": b"\0" * 4096,
    "layer.tar.txt": b"text",
}


def saved_files(**more: bytes) -> dict[str, bytes]:
    manifest = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["a/layer.tar", "b.tar.gz"]}]
    return {
        "a/layer.tar": BASE,
        "b.tar.gz": PACKED,
        "c.json": CONFIG,
        "manifest.json": json.dumps(manifest).encode(),
        **more,
    }


def legacy_files(*, named: bool = True) -> dict[str, bytes]:
    """What Docker before 1.10 saved."""
    ids = ["1" * 64, "2" * 64]
    files = {}
    for number, tar in enumerate((BASE, TOP)):
        document = {
            "id": ids[number],
            "created": f"2015-01-0{number + 1}T00:00:00Z",
            "container_config": {"Cmd": ["/bin/sh", "-c", f"make {number}"]},
            "config": {"Env": ["A=b"]},
            "architecture": "amd64",
            "os": "linux",
            **({"parent": ids[0]} if number else {}),
        }
        files[f"{ids[number]}/json"] = json.dumps(document).encode()
        files[f"{ids[number]}/VERSION"] = b"1.0"
        files[f"{ids[number]}/layer.tar"] = tar
    if named:
        files["repositories"] = json.dumps({"app": {"1": ids[1]}}).encode()
    return files


def layout_files() -> dict[str, bytes]:
    return dict(layout_of([BASE, PACKED]).files)


def skopeo_files(*, index: bool = False) -> dict[str, bytes]:
    """What `skopeo copy … dir:` writes, and with `--all`."""
    made = layout_of([BASE, PACKED])
    files = {name.removeprefix("blobs/sha256/"): data for name, data in made.files.items()}
    (manifest,) = json.loads(files.pop("index.json"))["manifests"]
    name = manifest["digest"].removeprefix("sha256:")
    data = files.pop(name)
    files["version"] = b"Directory Transport Version: 1.1\n"
    files["manifest.json"] = data
    if index:
        files[f"{name}.manifest.json"] = data
        platform = {"os": "linux", "architecture": "amd64"}
        descriptor = {**manifest, "platform": platform}
        files["manifest.json"] = json.dumps({"manifests": [descriptor]}).encode()
    return files


FORMS: dict[str, tuple[str, Callable[[], Files]]] = {
    "docker save": ("docker-archive", saved_files),
    "docker save before 1.10": ("docker-archive", legacy_files),
    "docker save by id before 1.10": ("docker-archive", lambda: legacy_files(named=False)),
    "layout": ("oci", layout_files),
    "dir": ("dir", skopeo_files),
    "dir --all": ("dir", lambda: skopeo_files(index=True)),
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}


def placed(files: Files, path: Path, pack: str) -> Path:
    """Writes files to a folder, or packs them."""
    if pack != "folder":
        path.write_bytes(PACKERS[pack](plain_tar(list(files.items()))))
        return path
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize("pack", ["folder", *PACKERS])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_opens_with_its_transport_and_by_its_path(
    capsys: Capsys, tmp_path: Path, form: str, pack: str
) -> None:
    transport, files = FORMS[form]
    path = placed({**STRAY, **files()}, tmp_path / "image", pack)
    for source in (f"{transport}:{path}", str(path)):
        found = run(capsys, "inspect", source, "--json")
        assert found.code == 0, found.err
        document = found.document
        assert [each["diff_id"] for each in document["layers"]] == [diff_id(BASE), diff_id(TOP)]
        assert [each["entries"] for each in document["layers"]] == [2, 1]
        assert document["image"]["complete"] is True
        again = run(capsys, "inspect", document["image"]["source"], "--json")
        assert again.out == found.out
        for name, content in (("top", "y"), ("d/base", "x" * 2000)):
            assert run(capsys, "cat", source, f"/{name}").out == content


@pytest.mark.parametrize("pack", ["folder", *PACKERS])
def test_the_id_is_the_digest_of_the_configuration(
    capsys: Capsys, tmp_path: Path, pack: str
) -> None:
    path = placed(saved_files(), tmp_path / "image", pack)
    assert run(capsys, "inspect", str(path), "--json").document["image"]["id"] == ID
    by_id = run(capsys, "inspect", f"docker-archive:{path}:{ID[7:19]}", "--json")
    assert by_id.document["image"]["id"] == ID
    assert "holds no image c" in one_line_error(run(capsys, "inspect", f"docker-archive:{path}:c"))


def test_an_image_of_old_docker_has_todays_configuration(capsys: Capsys, tmp_path: Path) -> None:
    path = placed(legacy_files(), tmp_path / "image", "tar")
    found = run(capsys, "inspect", f"docker-archive:{path}:app:1", "--json").document
    assert (found["image"]["reference"], found["image"]["id"]) == ("app:1", "2" * 64)
    assert [each["instruction"] for each in found["layers"]] == ["RUN make 0", "RUN make 1"]
    assert found["image"]["created"] == "2015-01-02T00:00:00Z"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"parent": "3" * 64}, "it has no " + "3" * 64 + "/json"),
        ({"parent": "2" * 64}, "has too many layers"),
        ({"parent": "../../etc"}, "it has no ../../etc/json"),
    ],
)
def test_an_image_of_old_docker_that_is_incomplete_is_refused(
    capsys: Capsys, tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    files = legacy_files()
    name = "2" * 64 + "/json"
    files[name] = json.dumps({**json.loads(files[name]), **change}).encode()
    for pack in ("tar", "gzip", "folder"):
        path = placed(files, tmp_path / pack, pack)
        assert problem in one_line_error(run(capsys, "inspect", str(path)))


def test_keys_match_in_either_case(capsys: Capsys, tmp_path: Path) -> None:
    """As Go reads them, which old versions of Jib relied on."""

    def other_case(document: object) -> object:
        if isinstance(document, dict):
            return {key.swapcase(): other_case(value) for key, value in document.items()}
        return [other_case(each) for each in document] if isinstance(document, list) else document

    files = saved_files()
    config = json.dumps(other_case(json.loads(CONFIG))).encode()
    files["c.json"] = config
    files["manifest.json"] = json.dumps(other_case(json.loads(files["manifest.json"]))).encode()
    path = placed(files, tmp_path / "saved", "tar")
    found = run(capsys, "inspect", str(path), "--json").document
    assert (found["image"]["os"], len(found["layers"])) == ("linux", 2)

    made = layout_for("linux/amd64")
    index = json.loads(made.files["index.json"])
    made.files["index.json"] = json.dumps(other_case(index)).encode()
    path = placed(made.files, tmp_path / "layout", "folder")
    assert run(capsys, "inspect", str(path)).code == 0


def test_large_documents_of_other_tools_are_passed_over(capsys: Capsys, tmp_path: Path) -> None:
    sbom = b'{"sbom": "' + bytes(7 << 20) + b'"}'
    manifest = saved_files().pop("manifest.json")
    files = {**saved_files(), **{f"blobs/sha256/{n:064x}": sbom for n in range(12)}}
    files = {**{n: d for n, d in files.items() if n != "manifest.json"}, "manifest.json": manifest}
    path = placed(files, tmp_path / "image", "gzip")
    assert run(capsys, "files", str(path)).code == 0


@pytest.mark.parametrize("pack", ["folder", *PACKERS])
@pytest.mark.parametrize("form", ["./{}", "/{}", "x/../{}", ".//{}"])
def test_names_in_a_manifest_may_be_written_in_other_ways(
    capsys: Capsys, tmp_path: Path, form: str, pack: str
) -> None:
    names = [form.format(name) for name in ("c.json", "a/layer.tar", "b.tar.gz")]
    manifest = [{"Config": names[0], "RepoTags": ["app:1"], "Layers": names[1:]}]
    files = saved_files(**{"manifest.json": json.dumps(manifest).encode()})
    if pack != "folder":
        files = {form.format(name): data for name, data in files.items()}
    path = placed(files, tmp_path / "image", pack)
    assert run(capsys, "files", str(path)).code == 0


def test_the_last_of_keys_that_differ_in_case_wins() -> None:
    document = go_json(b'{"config": 1, "Config": 2, "OS": 3, "os": 4}')
    assert (document.get("Config"), document["config"], document["CONFIG"]) == (2, 2, 2)
    assert ("oS" in document, "x" in document, document.get("x", 5)) == (True, False, 5)
    with pytest.raises(KeyError):
        document["x"]


# --- artifacts ---

EMPTY = "application/vnd.oci.empty.v1+json"
IMAGE = "application/vnd.oci.image.config.v1+json"
ARTIFACTS = {
    "helm": (
        {"config": "application/vnd.cncf.helm.config.v1+json"},
        ["application/vnd.cncf.helm.chart.content.v1.tar+gzip"],
        "application/vnd.cncf.helm.config.v1+json",
    ),
    "cosign signature": (
        {"config": IMAGE},
        ["application/vnd.dev.cosign.simplesigning.v1+json"],
        "application/vnd.dev.cosign.simplesigning.v1+json",
    ),
    "cosign attestation": (
        {"config": IMAGE},
        ["application/vnd.dsse.envelope.v1+json"] * 2,
        "application/vnd.dsse.envelope.v1+json",
    ),
    "SBOM": ({"config": IMAGE}, ["text/spdx+json"], "text/spdx+json"),
    "empty": ({"config": EMPTY, "artifactType": "application/x"}, [EMPTY], "application/x"),
    "untyped": ({"config": EMPTY}, ["application/pdf"], "application/pdf"),
    "plugin": (
        {"config": "application/vnd.docker.plugin.v1+json"},
        ["application/vnd.docker.image.rootfs.diff.tar.gzip"],
        "application/vnd.docker.plugin.v1+json",
    ),
    "wasm": (
        {"config": "application/vnd.wasm.config.v0+json"},
        ["application/wasm"],
        "application/vnd.wasm.config.v0+json",
    ),
}


def artifact(made: Layout, kind: str) -> dict[str, object]:
    given, layers, _ = ARTIFACTS[kind]
    config = {"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64] * len(layers)}}
    manifest = {
        "schemaVersion": 2,
        **given,
        "config": made.add(json.dumps(config).encode(), given["config"]),
        "layers": [made.add(b"not a layer", each) for each in layers],
    }
    return made.add(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")


@pytest.mark.parametrize("pack", ["folder", "tar", "gzip"])
@pytest.mark.parametrize("kind", ARTIFACTS)
def test_an_artifact_is_named_as_what_it_is(
    capsys: Capsys, tmp_path: Path, kind: str, pack: str
) -> None:
    made = Layout()
    made.top(artifact(made, kind))
    path = placed(made.files, tmp_path / "image", pack)
    says = f"it is an artifact of type {ARTIFACTS[kind][2]}, not a container image"
    assert says in one_line_error(run(capsys, "inspect", str(path)))


@pytest.mark.parametrize("kind", ARTIFACTS)
def test_artifacts_beside_an_image_are_no_choices(
    capsys: Capsys, tmp_path: Path, kind: str
) -> None:
    made = Layout()
    image, other = made.image("linux/amd64", reported=False), artifact(made, kind)
    index = {"schemaVersion": 2, "manifests": [other, image]}
    made.files["index.json"] = json.dumps(index).encode()
    path = placed(made.files, tmp_path / "top", "folder")
    assert "/only-linux-amd64" in run(capsys, "files", str(path)).out
    line = one_line_error(run(capsys, "inspect", f"oci:{path}:{other['digest']}"))
    assert "is an artifact of type" in line
    line = one_line_error(run(capsys, "inspect", f"oci:{path}:x"))
    assert str(image["digest"]) in line
    assert str(other["digest"]) not in line

    made.top(made.index([other, image]))
    path = placed(made.files, tmp_path / "nested", "folder")
    assert "/only-linux-amd64" in run(capsys, "files", str(path)).out
    for digest, code in ((image["digest"], 0), (other["digest"], 2)):
        assert run(capsys, "inspect", f"oci:{path}:{digest}").code == code


def test_a_place_of_artifacts_alone_says_so(capsys: Capsys, tmp_path: Path) -> None:
    made = Layout()
    attestation = {
        **artifact(made, "SBOM"),
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    made.files["index.json"] = json.dumps({"manifests": [attestation]}).encode()
    path = placed(made.files, tmp_path / "image", "folder")
    line = one_line_error(run(capsys, "inspect", str(path)))
    assert "it holds no container image, only an artifact of type attestation-manifest" in line


def test_artifacts_whose_descriptors_name_no_type_are_named_by_their_manifests(
    capsys: Capsys, tmp_path: Path
) -> None:
    made = Layout()
    manifests = [artifact(made, "SBOM"), artifact(made, "cosign signature")]
    made.files["index.json"] = json.dumps({"manifests": manifests}).encode()
    path = placed(made.files, tmp_path / "image", "folder")
    line = one_line_error(run(capsys, "inspect", str(path)))
    assert "only artifacts of the types" in line
    assert "image.manifest" not in line


def test_an_artifact_without_any_type_is_of_unknown_type(capsys: Capsys, tmp_path: Path) -> None:
    index = {"manifests": [{"digest": "sha256:" + "0" * 64, "size": 1, "mediaType": 5}]}
    path = placed(
        {"oci-layout": b"{}", "index.json": json.dumps(index).encode()}, tmp_path / "i", "folder"
    )
    line = one_line_error(run(capsys, "inspect", str(path)))
    assert "only an artifact of type unknown" in line


@pytest.mark.parametrize("pack", ["tar", "gzip"])
def test_the_hint_for_a_layout_in_a_file_names_the_file(
    capsys: Capsys, tmp_path: Path, pack: str
) -> None:
    made = Layout()
    made.files["index.json"] = json.dumps({"manifests": [artifact(made, "SBOM")]}).encode()
    path = placed(made.files, tmp_path / "image", pack)
    line = one_line_error(run(capsys, "inspect", f"docker-archive:{path}"))
    assert line == f"{path} is not what docker-archive: opens. Write oci-archive:{path}."


def test_a_manifest_in_a_nested_index_is_named_by_its_digest(
    capsys: Capsys, tmp_path: Path
) -> None:
    made = Layout()
    arm, amd = made.image("linux/arm64"), made.image("linux/amd64")
    inner = made.index([arm, amd])
    made.top(made.index([inner]))
    path = placed(made.files, tmp_path / "image", "folder")
    for wanted in (arm["digest"], f"docker.io/library/app:1@{arm['digest']}"):
        assert "/only-linux-arm64" in run(capsys, "files", f"oci:{path}:{wanted}").out
    assert run(capsys, "inspect", f"oci:{path}:{inner['digest']}").code == 0
    unknown = "sha256:" + "0" * 64
    assert "holds no image" in one_line_error(run(capsys, "inspect", f"oci:{path}:{unknown}"))


def test_a_manifest_of_schema_1_is_named(capsys: Capsys, tmp_path: Path) -> None:
    data = json.dumps({"schemaVersion": 1, "fsLayers": [], "history": []}).encode()
    path = placed({"manifest.json": data}, tmp_path / "image", "folder")
    for source in (f"dir:{path}", str(path)):
        assert "Docker's schema 1" in one_line_error(run(capsys, "inspect", source))


# --- damage ---


@pytest.mark.parametrize("pack", ["folder", "tar", "gzip"])
def test_a_layout_without_its_blobs_is_incomplete(
    capsys: Capsys, tmp_path: Path, pack: str
) -> None:
    files = {"index.json": layout_files()["index.json"], "oci-layout": b"{}"}
    path = placed(files, tmp_path / "image", pack)
    line = one_line_error(run(capsys, "inspect", str(path)))
    assert "it is incomplete: it has no sha256:" in line


def test_a_layer_of_no_bytes_is_missing(capsys: Capsys, tmp_path: Path) -> None:
    files = saved_files(**{"a/layer.tar": b""})
    for pack in ("folder", "tar", "gzip"):
        path = placed(files, tmp_path / pack, pack)
        document = run(capsys, "inspect", str(path), "--json").document
        assert document["image"]["complete"] is False
        assert document["layers"][0]["missing"] == "its content was not saved"
        assert run(capsys, "ci", str(path)).code == 2


@pytest.mark.parametrize("pack", ["folder", *PACKERS])
@pytest.mark.parametrize("form", ["docker save", "layout", "dir"])
@pytest.mark.parametrize("changed", [BASE, PACKED])
def test_a_layer_with_another_digest_is_reported(
    capsys: Capsys, tmp_path: Path, form: str, pack: str, changed: bytes
) -> None:
    other = layer(("other", b"z"))
    data = gzip.compress(other) if changed[:2] == b"\x1f\x8b" else other
    files = {
        name: data if content == changed else content for name, content in FORMS[form][1]().items()
    }
    path = placed(files, tmp_path / "image", pack)
    for command in ("inspect", "ci"):
        line = one_line_error(run(capsys, command, str(path)))
        assert "is damaged: its " in line
        found = (diff_id(other), hashlib.sha256(data).hexdigest(), f"{len(data):,} bytes")
        assert any(each in line for each in found)
