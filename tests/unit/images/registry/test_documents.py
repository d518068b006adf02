"""The pure parts: challenges, addresses, headers, platforms, estimates of a pull."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from layerscope.images.registry.pull_estimate import pull_estimate
from layerscope.oci.distribution import (
    Challenge,
    api_host,
    blob_path,
    content_range,
    error_text,
    is_digest,
    is_loopback,
    manifest_path,
    origin,
    parse_challenges,
    retry_after,
    split_url,
    token_url,
)
from layerscope.oci.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor
from layerscope.oci.platform import (
    ATTESTATION,
    Platform,
    PlatformError,
    choose,
    host_platform,
    image_candidates,
    parse_platform,
    platform_names,
)


def test_challenges() -> None:
    assert parse_challenges('Basic realm="x y"') == [Challenge("basic", {"realm": "x y"})]
    assert parse_challenges(
        'Bearer realm="https://a/b?c=d,e",service=reg , scope="repository:a/b:pull,push", Basic'
    ) == [
        Challenge(
            "bearer",
            {"realm": "https://a/b?c=d,e", "service": "reg", "scope": "repository:a/b:pull,push"},
        ),
        Challenge("basic", {}),
    ]
    assert parse_challenges(r'BEARER Realm="a\"b"')[0].parameters == {"realm": 'a"b'}
    assert [c.scheme for c in parse_challenges("Negotiate, Basic realm=x")] == [
        "negotiate",
        "basic",
    ]
    for nonsense in ("", ",,,", "=", '"', 'Basic realm="', "Basic =", "realm=x", "\0", "é"):
        assert all(not c.parameters for c in parse_challenges(nonsense))
    parse_challenges('Bearer a="' + "\\" * 50_000 + ", " * 50_000)


def test_token_url() -> None:
    def url(realm: str, **more: str) -> str | None:
        return token_url(Challenge("bearer", {"realm": realm, **more}), ["repository:a/b:pull"])

    assert url("https://x/t") == "https://x/t?scope=repository%3Aa%2Fb%3Apull"
    assert url("https://x/t?u=1", service="s s") == (
        "https://x/t?u=1&scope=repository%3Aa%2Fb%3Apull&service=s+s"
    )
    both = ["repository:a/b:pull,push", "repository:c:pull"]
    assert token_url(Challenge("bearer", {"realm": "https://x/t"}), both) == (
        "https://x/t?scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%3Apull"
    )
    for realm in ("", "x", "file:///etc", "http://", "https://[", "https://a:b/", "https://a/\r\n"):
        assert url(realm) is None


def test_addresses() -> None:
    assert api_host("docker.io") == "registry-1.docker.io"
    assert api_host("quay.io") == "quay.io"
    assert manifest_path("a/b", "v1.0") == "/v2/a/b/manifests/v1.0"
    assert blob_path("a", "sha256:12") == "/v2/a/blobs/sha256:12"
    for host in ("localhost", "localhost:5000", "127.0.0.1", "127.9.8.7:80", "[::1]:5000"):
        assert is_loopback(host)
    for host in ("example.com", "localhost.example.com", "10.0.0.1", "128.0.0.1:80", "", "[::1"):
        assert not is_loopback(host)
    assert origin("HTTPS://Example.com/x") == origin("https://example.com:443/y?z")
    assert origin("http://a") != origin("https://a")
    assert origin("http://a:8080") != origin("http://a")
    assert split_url("http://a:99999999/") is None


def test_digests() -> None:
    assert is_digest("sha256:" + "a" * 64)
    assert is_digest("sha512:" + "0" * 128)
    for text in ("", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 32):
        assert not is_digest(text)


def test_retry_after() -> None:
    assert retry_after("120", 0) == 120
    assert retry_after(formatdate(1030, usegmt=True), 1000) == 30
    assert retry_after(formatdate(900, usegmt=True), 1000) == 0
    for text in (None, "", "soon", "-1", "1.5", "٣"):
        assert retry_after(text, 0) is None
    assert retry_after("9" * 5000, 0) is not None


def test_content_range() -> None:
    assert content_range("bytes 0-99/100") == (0, 100)
    assert content_range("Bytes 5-5/*") == (5, 6)
    for text in (None, "", "bytes */100", "bytes 9-5/10", "5-6/7", "bytes 0-" + "9" * 30 + "/*"):
        assert content_range(text) is None


def test_error_text() -> None:
    assert error_text(b'{"errors": [{"code": "X", "message": "no  such\\nthing."}]}') == (
        "no such thing"
    )
    assert error_text(b'{"errors": [{"code": "DENIED"}]}') == "DENIED"
    for body in (b"", b"<html>", b"[]", b'{"errors": []}', b'{"errors": 7}', b"[" * 99_999):
        assert error_text(body) == ""


# --- platforms ---


def descriptor(platform: str | None, kind: str = OCI_MANIFEST, **annotations: str) -> Descriptor:
    digest = "sha256:" + f"{abs(hash((platform, kind))):064x}"[-64:]
    return Descriptor(kind, digest, 1, annotations, platform)


def test_parse_platform() -> None:
    assert parse_platform("linux/arm64") == Platform("linux", "arm64")
    assert str(parse_platform("linux/arm/v7")) == "linux/arm/v7"
    assert parse_platform("x86_64") == Platform("linux", "amd64")
    assert parse_platform("Linux/AArch64") == Platform("linux", "arm64")
    assert parse_platform("armhf") == Platform("linux", "arm", "v7")
    for text in ("", "/", "linux/", "a/b/c/d", "linux/a b", "linux/\x1b"):
        with pytest.raises(PlatformError):
            parse_platform(text)
    assert host_platform().os == "linux"


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], "linux/arm/v6"),
        ("linux/arm", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm64", ["linux/arm64/v8"], "linux/arm64/v8"),
        ("linux/arm64/v8", ["linux/arm64"], "linux/arm64"),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64/v1"], "linux/amd64/v1"),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2"], "linux/amd64/v2"),
        ("linux/arm/v5", ["linux/arm/v6", "linux/arm/v7"], None),
        ("linux/amd64", ["windows/amd64"], None),
        ("linux/riscv64", ["linux/riscv64"], "linux/riscv64"),
        ("linux/amd64", [], None),
    ],
)
def test_choose(wanted: str, offered: list[str], chosen: str | None) -> None:
    found = choose([descriptor(each) for each in offered], parse_platform(wanted))
    assert (found.platform if found else None) == chosen


def test_choose_without_platforms() -> None:
    one, other = descriptor(None), descriptor("linux/s390x")
    wanted = parse_platform("linux/amd64")
    assert choose([one], wanted) is one
    assert choose([one, other], wanted) is None
    assert platform_names([one, other, other]) == ["linux/s390x"]


def test_candidates() -> None:
    image, index = descriptor("linux/amd64"), descriptor(None, OCI_INDEX)
    others = [
        descriptor("unknown/unknown"),
        descriptor("linux/amd64", **{ATTESTATION: "attestation-manifest"}),
        descriptor("linux/amd64", "application/vnd.oci.empty.v1+json"),
    ]
    assert list(image_candidates([*others, image, index])) == [image, index]


# --- what a pull would fetch ---


def test_pull_estimate() -> None:
    layers = [("a", 100), ("b", 10), ("c", 1)]
    nothing = pull_estimate(layers, [])
    assert (nothing.total, nothing.missing, nothing.present) == (111, 111, (False,) * 3)
    # A layer counts where all that is below it is there, too.
    assert pull_estimate(layers, [["b", "c"], ["a", "x"]]).present == (True, False, False)
    assert pull_estimate(layers, [["a", "b"], ["a"]]).missing == 1
    assert pull_estimate(layers, [["a", "b", "c", "d"]]).missing == 0
    # An engine that keeps blobs needs none twice, wherever it belongs.
    assert pull_estimate(layers, [["b", "c"]], by_blob=True).present == (False, True, True)
    # What comes twice is fetched once.
    assert pull_estimate([("a", 5), ("b", 1), ("a", 5)], []).missing == 6
    assert pull_estimate([], [["a"]]).missing == 0
