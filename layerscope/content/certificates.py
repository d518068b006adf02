"""X.509 certificates, in PEM or DER. Details need `cryptography`."""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerscope.content.description import Description, Fact, NotThatKind

if TYPE_CHECKING:
    from cryptography import x509

_PEM_LINE = re.compile(rb"-----(BEGIN|END) ((?:TRUSTED )?CERTIFICATE)-----")
_OTHER_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{3,40})-----")

#: The number of certificates in a bundle that are described; all are counted.
_DESCRIBED = 20

INSTALL = "Install layerscope[certificates] to see subject, issuer and validity."


def describe_pem(data: bytes) -> Description | None:
    """Describes a PEM file from all or part of its bytes; None if it is not PEM."""
    found = list(_certificates(data))
    if not found:
        other = _OTHER_PEM.search(data[:4096])
        if other is None:
            return None
        label = other[1].decode("ascii")
        kind = "private_key" if "PRIVATE KEY" in label else "pem"
        return Description(kind, f"PEM, {label.lower()}", "ascii")
    ders = []
    for label, body in found[:_DESCRIBED]:
        try:
            der = base64.b64decode(b"".join(body.split()), validate=False)
        except (binascii.Error, ValueError):
            continue
        # In OpenSSL's own format, trust settings follow the certificate.
        ders.append(_first_der(der) if label.startswith(b"TRUSTED") else der)
    facts: list[Fact] = []
    if len(found) > 1:
        facts.append(Fact("certificates", "Certificates", len(found)))
    facts += _facts(ders)
    many = f"{len(found)} certificates" if len(found) > 1 else "certificate"
    return Description("certificate", f"{many}, PEM", "ascii", tuple(facts))


def _certificates(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The label and the body of each certificate in a PEM file."""
    begun: dict[bytes, int] = {}
    for line in _PEM_LINE.finditer(data):
        end, label = line[1] == b"END", line[2]
        if not end:
            begun.setdefault(label, line.end())
        elif label in begun:
            yield label, data[begun[label] : line.start()]
            begun.clear()


def describe_der(data: bytes) -> Description:
    """Describes a DER certificate; raises NotThatKind if it is not one."""
    # A certificate is a sequence that begins with a sequence that begins with [0] or a number.
    inner = _content(data)
    body = _content(inner) if inner[:1] == b"\x30" else b""
    if body[:1] not in (b"\xa0", b"\x02") or len(_first_der(data)) != len(data):
        raise NotThatKind("not a certificate")
    return Description("certificate", "certificate, DER", None, tuple(_facts([data])))


def _content(data: bytes) -> bytes:
    """The content of the first element of DER (X.690, 8.1)."""
    if len(data) < 2:
        return b""
    length = data[1]
    if length < 0x80:
        return data[2 : 2 + length]
    count = length & 0x7F
    if not 0 < count <= 4:
        return b""
    size = int.from_bytes(data[2 : 2 + count], "big")
    return data[2 + count : 2 + count + size]


def _first_der(data: bytes) -> bytes:
    inner = _content(data)
    return data[: (2 if len(inner) < 0x80 else 2 + (data[1] & 0x7F)) + len(inner)]


def _facts(ders: list[bytes]) -> list[Fact]:
    try:
        from cryptography import x509
    except ImportError:
        return [Fact("hint", "Details", INSTALL)]
    facts: list[Fact] = []
    for number, der in enumerate(ders):
        prefix = f"{number + 1}. " if len(ders) > 1 else ""
        with warnings.catch_warnings():
            # The user cannot fix oddities in a certificate, such as a serial number of 0.
            warnings.simplefilter("ignore")
            try:
                facts += _details(x509.load_der_x509_certificate(der), prefix, len(ders) > 1)
            except (ValueError, TypeError, x509.InvalidVersion) as error:
                facts.append(Fact("damaged", f"{prefix}Damaged", str(error)[:200]))
    return facts


def _details(certificate: x509.Certificate, prefix: str, short: bool) -> list[Fact]:
    subject, issuer = (name.rfc4514_string() for name in (certificate.subject, certificate.issuer))
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    valid = f"{begin:%Y-%m-%d} to {end:%Y-%m-%d}"
    if short:
        return [Fact("certificate", f"{prefix}Subject", f"{subject}, {valid}")]
    facts = [
        Fact("subject", "Subject", subject),
        Fact("issuer", "Issuer", "itself" if subject == issuer else issuer),
        Fact("valid", "Valid", valid),
        Fact("key", "Key", _key(certificate)),
    ]
    names = _names(certificate)
    if names:
        facts.insert(2, Fact("names", "Names", names))
    facts.append(Fact("serial", "Serial number", f"{certificate.serial_number:x}"))
    return facts


def _key(certificate: x509.Certificate) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"
    name = type(key).__name__.removesuffix("PublicKey").lstrip("_")
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    if isinstance(key, (rsa.RSAPublicKey, dsa.DSAPublicKey)):
        return f"{name} {key.key_size} bits"
    return name


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    return tuple(str(name.value) for name in extension.value)
