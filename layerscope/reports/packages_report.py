"""`layerscope packages`: what is installed, what a layer did to it, files with special rights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from layerscope.content.package_lists import Package
from layerscope.images.loading import Loaded
from layerscope.images.packages import Glance, PackageReader, Privileged
from layerscope.text import decode, docker_size, one_line, visible

SCHEMA = "layerscope.packages/1"

#: What the kinds are called.
KINDS = {
    "deb": "Debian",
    "apk": "Alpine",
    "rpm": "RPM",
    "python": "Python",
    "npm": "Node.js",
    "gem": "Ruby",
}


def packages_document(loaded: Loaded, reader: PackageReader, layer: int | None) -> dict[str, Any]:
    """The object that `packages --json` prints; sizes are bytes, as the package's maker says."""
    image = loaded.image
    top = loaded.stack.height - 1 if layer is None else layer
    packages, notes = reader.installed(top)
    glance = None if layer is None else reader.glance(layer)
    return {
        "schema": SCHEMA,
        "image": {"reference": image.reference, "id": image.id, "source": image.source},
        "layer": layer,
        "instruction": None if layer is None else image.layers[layer].instruction,
        "packages": [_document(package) for package in packages],
        "changes": None
        if glance is None
        else {
            "added": [_document(package) for package in glance.added],
            "upgraded": [
                _document(new) | {"from": old.version, "from_size": old.size}
                for old, new in glance.upgraded
            ],
            "removed": [_document(package) for package in glance.removed],
        },
        "privileged": [
            {
                "path": "/" + decode(each.path),
                "what": each.what,
                "uid": each.owner,
                "gid": each.group,
                "layer": number,
            }
            for number, each in special(reader, top, layer)
        ],
        "notes": notes,
    }


def special(reader: PackageReader, top: int, layer: int | None) -> list[tuple[int, Privileged]]:
    """Files with special rights and the layers that wrote them: one layer's, or all up to `top`."""
    numbers = range(top + 1) if layer is None else [layer]
    return [(number, each) for number in numbers for each in reader.privileged(number, top)]


def _document(package: Package) -> dict[str, Any]:
    return {
        "kind": package.kind,
        "name": package.name,
        "version": package.version or None,
        "size": package.size,
    }


def packages_text(loaded: Loaded, reader: PackageReader, layer: int | None) -> Iterator[str]:
    """The same for people, line by line."""
    top = loaded.stack.height - 1 if layer is None else layer
    if layer is None:
        packages, notes = reader.installed(top)
        rows = [(" ", package, package.version) for package in packages]
    else:
        glance = reader.glance(layer)
        notes = list(glance.notes)
        rows = changes(glance)
        yield f"Layer {layer}: {one_line(loaded.image.layers[layer].instruction)}"
        yield headline(glance)
    if rows:
        yield f"  {'KIND':<8} {'SIZE':>8}  PACKAGE"
    for letter, package, version in rows:
        size = "" if package.size is None else docker_size(package.size)
        kind = KINDS[package.kind]
        yield f"{letter} {kind:<8} {size:>8}  {visible(package.name)} {visible(version)}".rstrip()
    if not rows and layer is None:
        yield "No packages are known."
    found = special(reader, top, layer)
    if found:
        yield ""
        yield "  LAYER  RIGHTS"
    for number, each in found:
        yield f"  {number:>5}  {privileged_text(each)}"
    yield from notes


def changes(glance: Glance) -> list[tuple[str, Package, str]]:
    """What a layer did, as letter, package and version; of upgrades, both versions."""
    rows = [("A", package, package.version) for package in glance.added]
    rows += [("M", new, f"{old.version} → {new.version}") for old, new in glance.upgraded]
    return rows + [("R", package, package.version) for package in glance.removed]


def privileged_text(each: Privileged) -> str:
    """A file with special rights, and whose they are; safe to show."""
    whose = []
    if "setuid" in each.what.split():
        whose.append(f"user {each.owner}")
    if "setgid" in each.what.split():
        whose.append(f"group {each.group}")
    return f"/{visible(each.path)}  {each.what}" + (f" ({', '.join(whose)})" if whose else "")


def headline(glance: Glance) -> str:
    """How many packages a layer added, upgraded and removed, in a line."""
    parts = [
        f"{len(found):,} {word}"
        for found, word in (
            (glance.added, "added"),
            (glance.upgraded, "upgraded"),
            (glance.removed, "removed"),
        )
        if found
    ]
    if not parts:
        return "No packages were added, upgraded or removed."
    size = sum(package.size or 0 for package in glance.added)
    sized = f", {docker_size(size)} of new ones" if size else ""
    return f"Packages: {', '.join(parts)}{sized}"


def glance_facts(glance: Glance, room: int = 3) -> list[tuple[str, str]]:
    """The same in two short lines, each with a label; safe to show.

    Args:
        glance: What the layer did.
        room: How many packages or files to name in each.
    """
    counts = []
    names: list[str] = []
    for word, found in (
        ("added", [_named(package, package.version) for package in glance.added]),
        (
            "upgraded",
            [_named(new, f"{old.version} → {new.version}") for old, new in glance.upgraded],
        ),
        ("removed", [_named(package, package.version) for package in glance.removed]),
    ):
        if found:
            counts.append(f"{len(found):,} {word}")
            names += found
    packages = f"{', '.join(counts)}: {_some(names, room)}" if names else "none changed"
    if glance.notes and not names:
        packages = glance.notes[0]
    rights = "none"
    if glance.privileged:
        texts = [
            f"/{visible(each.path)}" + (f" {each.what}" if "cap_" in each.what else "")
            for each in glance.privileged
        ]
        rights = f"{len(texts)} {rights_word(glance)}: {_some(texts, room)}"
    return [("Packages", packages), ("Rights", rights)]


def rights_word(glance: Glance) -> str:
    """What sort of special rights the files of a layer have."""
    words = [
        word
        for word, mark in (("setuid", "setuid"), ("setgid", "setgid"), ("capable", "cap_"))
        if any(mark in each.what for each in glance.privileged)
    ]
    return ", ".join(words) or "special"


def _named(package: Package, version: str) -> str:
    return f"{visible(package.name)} {visible(version)}".rstrip()


def _some(names: Sequence[str], room: int) -> str:
    more = "…" if len(names) > room else ""
    return ", ".join(names[:room]) + (f", {more}" if more else "")
