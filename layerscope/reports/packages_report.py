"""`layerscope packages`: installed packages, a layer's changes to them, special permissions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from layerscope.content.package_lists import Package
from layerscope.images.files.packages import Glance, PackageReader, Privileged
from layerscope.images.loading import Loaded
from layerscope.reports.color import BOLD, by_size, marked, painted
from layerscope.reports.inspect_report import image_fields
from layerscope.text import decode, docker_size, visible

#: Names of the kinds.
KINDS = {
    "deb": "Debian",
    "apk": "Alpine",
    "rpm": "RPM",
    "python": "Python",
    "npm": "Node.js",
    "gem": "Ruby",
}


def packages_document(loaded: Loaded, reader: PackageReader, layer: int | None) -> dict[str, Any]:
    """The object of `packages --json`; sizes are bytes, from the package database."""
    image = loaded.image
    top = loaded.stack.height - 1 if layer is None else layer
    packages, notes = reader.installed(top)
    glance = None if layer is None else reader.glance(layer)
    return {
        "schema": "layerscope.packages/1",
        "image": image_fields(image),
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
    """Files with special permissions, and their layers: one layer's, or all up to `top`."""
    numbers = range(top + 1) if layer is None else [layer]
    return [(number, each) for number in numbers for each in reader.privileged(number, top)]


def _document(package: Package) -> dict[str, Any]:
    return asdict(package) | {"version": package.version or None}


def packages_text(loaded: Loaded, reader: PackageReader, layer: int | None) -> Iterator[str]:
    top = loaded.stack.height - 1 if layer is None else layer
    if layer is None:
        packages, notes = reader.installed(top)
        rows = [(" ", package, package.version) for package in packages]
    else:
        glance = reader.glance(layer)
        notes = list(glance.notes)
        rows = changes(glance)
        yield f"Layer {layer}: {loaded.image.layers[layer].made_by}"
        yield headline(glance)
    if rows:
        yield painted(f"  {'KIND':<8} {'SIZE':>8}  PACKAGE", BOLD)
    for letter, package, version in rows:
        size = "" if package.size is None else docker_size(package.size)
        size = by_size(f"{size:>8}", package.size or 0)
        kind = KINDS[package.kind]
        what = f"{visible(package.name)} {visible(version)}".rstrip()
        yield f"{marked(letter)} {kind:<8} {size}  {what}"
    if not rows and layer is None:
        yield "No packages were found."
    found = special(reader, top, layer)
    if found:
        yield ""
        yield "  LAYER  RIGHTS"
    for number, each in found:
        yield f"  {number:>5}  {privileged_text(each)}"
    yield from notes


def changes(glance: Glance) -> list[tuple[str, Package, str]]:
    """A layer's changes, as letter, package and version; both versions of an upgrade."""
    rows = [("A", package, package.version) for package in glance.added]
    rows += [("M", new, f"{old.version} → {new.version}") for old, new in glance.upgraded]
    return rows + [("R", package, package.version) for package in glance.removed]


def privileged_text(each: Privileged) -> str:
    """A file with special permissions, and their owner; safe on a terminal."""
    whose = []
    if "setuid" in each.what.split():
        whose.append(f"user {each.owner}")
    if "setgid" in each.what.split():
        whose.append(f"group {each.group}")
    return f"/{visible(each.path)}  {each.what}" + (f" ({', '.join(whose)})" if whose else "")


def _counts(glance: Glance) -> str:
    """The numbers of packages that a layer added, upgraded and removed; empty if none."""
    kinds = {"added": glance.added, "upgraded": glance.upgraded, "removed": glance.removed}
    return ", ".join(f"{len(found):,} {word}" for word, found in kinds.items() if found)


def headline(glance: Glance) -> str:
    counts = _counts(glance)
    if not counts:
        return "No packages were added, upgraded or removed."
    size = sum(package.size or 0 for package in glance.added)
    return f"Packages: {counts}" + (f", {docker_size(size)} of new ones" if size else "")


def glance_facts(glance: Glance, room: int = 3) -> list[tuple[str, str]]:
    """Packages and permissions in a short line each, with a label; safe on a terminal.

    `room` is the number of packages or files to name in each line.
    """
    names = [
        f"{visible(package.name)} {visible(version)}".rstrip()
        for _, package, version in changes(glance)
    ]
    packages = f"{_counts(glance)}: {_some(names, room)}" if names else "none changed"
    if glance.notes and not names:
        packages = glance.notes[0]
    rights = "none"
    if glance.privileged:
        texts = [
            f"/{visible(each.path)}" + (f" {each.what}" if "cap_" in each.what else "")
            for each in glance.privileged
        ]
        rights = f"{len(texts)} {_rights(glance)}: {_some(texts, room)}"
    return [("Packages", packages), ("Rights", rights)]


def _rights(glance: Glance) -> str:
    """The special permissions of files in a layer."""
    what = " ".join(each.what for each in glance.privileged)
    words = {"setuid": "setuid", "setgid": "setgid", "cap_": "capable"}
    found = [word for mark, word in words.items() if mark in what]
    return ", ".join(found) or "special"


def _some(names: Sequence[str], room: int) -> str:
    return ", ".join([*names[:room], *(["…"] if len(names) > room else [])])
