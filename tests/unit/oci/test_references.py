"""References, as Docker writes and reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.engines.resolve import open_image
from layerscope.errors import EngineError, UsageError
from layerscope.images.archives.save_format import same_reference
from layerscope.oci.reference import parse_reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "domain", "path", "tag", "digest", "shown"),
    [
        ("debian", "docker.io", "library/debian", "latest", None, "debian:latest"),
        ("debian:12", "docker.io", "library/debian", "12", None, "debian:12"),
        ("a/b", "docker.io", "a/b", "latest", None, "a/b:latest"),
        ("docker.io/debian", "docker.io", "library/debian", "latest", None, "debian:latest"),
        ("docker.io/library/debian:1", "docker.io", "library/debian", "1", None, "debian:1"),
        ("index.docker.io/a/b:1", "docker.io", "a/b", "1", None, "a/b:1"),
        ("localhost/a", "localhost", "a", "latest", None, "localhost/a:latest"),
        ("localhost:5000/a:2", "localhost:5000", "a", "2", None, "localhost:5000/a:2"),
        ("host:5000/a/b", "host:5000", "a/b", "latest", None, "host:5000/a/b:latest"),
        ("ghcr.io/a/b:v1.2-rc_3", "ghcr.io", "a/b", "v1.2-rc_3", None, "ghcr.io/a/b:v1.2-rc_3"),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest", None, "[::1]:5000/a:latest"),
        ("EXAMPLE.com/a", "EXAMPLE.com", "a", "latest", None, "EXAMPLE.com/a:latest"),
        (f"a@{DIGEST}", "docker.io", "library/a", None, DIGEST, f"a@{DIGEST}"),
        (f"a:1@{DIGEST}", "docker.io", "library/a", "1", DIGEST, f"a:1@{DIGEST}"),
        ("a__b/c---d.e", "docker.io", "a__b/c---d.e", "latest", None, "a__b/c---d.e:latest"),
        ("a:UPPER", "docker.io", "library/a", "UPPER", None, "a:UPPER"),
    ],
)
def test_a_reference_has_dockers_defaults(
    text: str, domain: str, path: str, tag: str | None, digest: str | None, shown: str
) -> None:
    reference = parse_reference(text)
    assert (reference.domain, reference.path) == (domain, path)
    assert (reference.tag, reference.digest) == (tag, digest)
    assert str(reference) == shown
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Debian",
        "a/B",
        "Foo/bar",
        "a:",
        "a:tag:more",
        ":1",
        "a//b",
        "/a",
        "a/",
        "a..b",
        "a___b",
        "-a",
        "a:-x",
        "a:" + "x" * 129,
        "a@sha256:123",
        "a@md5",
        "a b",
        "a\n",
        "ä",
        "a:1\u0661",
    ],
)
def test_what_docker_refuses_is_no_reference(text: str) -> None:
    with pytest.raises(ValueError, match="not an image reference"):
        parse_reference(text)


def test_two_references_are_the_same_image_with_defaults_filled_in() -> None:
    assert same_reference("debian", "docker.io/library/debian:latest")
    assert not same_reference("debian", "debian:12")
    assert same_reference("NOT A REFERENCE", "NOT A REFERENCE")


# --- sources ---


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("docker-archive:", "Nothing follows docker-archive:. Write docker-archive:PATH"),
        ("oci:", "Nothing follows oci:. Write oci:DIR[:REF]."),
        ("oci::latest", "There is no path before :latest."),
        ("docker-archive::a/b:1", "There is no path before :a/b:1."),
        ("oci-archive:", "Write oci-archive:PATH[:REF]."),
        ("docker-root:", "Write docker-root:DIR[:NAME]."),
        ("docker-daemon:", "Write docker-daemon:NAME[:TAG]."),
        ("container:", "Write container:NAME."),
        ("docker:", "Write docker://HOST/NAME:TAG."),
        (
            "foo:bar:baz",
            "foo is not a transport that layerscope knows. It knows container, containerd-root,",
        ),
        ("ftp://x/y", "ftp is not a transport"),
        ("Debian", "Debian is neither a file nor the name of an image. Write NAME:TAG, or"),
        ("UPPER:tag", "UPPER:tag is neither a file nor"),
        ("localhost:5000/Foo:1", "localhost:5000/Foo:1 is neither a file nor"),
        ("a\x1b[31mb", "is neither a file nor"),
    ],
)
def test_a_source_that_names_nothing(
    source: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A layout in the folder that we are in must not be what an empty path means.
    (tmp_path / "index.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/socket")
    with pytest.raises(UsageError) as caught:
        open_image(source)
    assert says in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "source", ["debian", "host:5000/a:1", "sha256:abcd", "abcdef012345", "a@" + DIGEST]
)
def test_what_may_be_a_name_is_looked_for_in_the_engine(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/socket")
    with pytest.raises(EngineError, match="No engine listens"):
        open_image(source)
