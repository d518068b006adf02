"""The engines' answers as typed records: a value of the wrong type is an error here, not later.

Fields are named after those of Docker's API; fields that layerscope does not use are left out.
"""

from __future__ import annotations

from typing import Any

from layerscope.oci.platform import Platform
from layerscope.records import Count, Record, Whole, field

ABSENT = -1  # Stands for a size that an engine did not compute.


class RootFs(Record, frozen=True, rename="pascal"):
    layers: tuple[str, ...] = ()  # The diff_ids, base first.


class PlatformAnswer(Record, frozen=True):
    os: str = ""
    architecture: str = ""
    variant: str = ""

    @property
    def platform(self) -> Platform:
        return Platform(self.os, self.architecture, self.variant)


class DescriptorAnswer(Record, frozen=True, rename="camel"):
    media_type: str = ""
    digest: str = ""
    size: Whole = 0
    platform: PlatformAnswer = PlatformAnswer()


class ImageData(Record, frozen=True, rename="pascal"):
    platform: PlatformAnswer = PlatformAnswer()


class ManifestAnswer(Record, frozen=True, rename="pascal"):
    """A manifest of an image for several platforms."""

    kind: str = ""
    available: bool = False
    image_data: ImageData = ImageData()


class Inspected(Record, frozen=True, rename="pascal"):
    """`GET /images/NAME/json`."""

    id: str = ""
    tags: tuple[str, ...] = field(default=(), name="RepoTags")
    digests: tuple[str, ...] = field(default=(), name="RepoDigests")
    parent: str = ""
    created: str | Whole | float = ""
    os: str = ""
    architecture: str = ""
    variant: str = ""
    size: Whole = 0
    root: RootFs = field(default=RootFs(), name="RootFS")
    config: dict[str, Any] = field(default_factory=dict)
    descriptor: DescriptorAnswer = DescriptorAnswer()
    manifests: tuple[ManifestAnswer, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """The diff_ids of its layers, base first."""
        return self.root.layers

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms that the engine has the image for; only newer engines report them."""
        images = (m for m in self.manifests if m.kind == "image" and m.available)
        return tuple(dict.fromkeys(m.image_data.platform.platform for m in images))

    @property
    def full_architecture(self) -> str:
        """The architecture, followed by a slash and its variant, if any."""
        return "/".join(filter(None, (self.architecture, self.variant)))


class HistoryAnswer(Record, frozen=True, rename="pascal"):
    """An entry of `GET /images/NAME/history`."""

    created: Whole | float | str = 0
    created_by: str = ""
    size: Whole = 0
    comment: str = ""


class ListedImage(Record, frozen=True, rename="pascal"):
    """An entry of `GET /images/json`."""

    id: str = ""
    parent: str = field(default="", name="ParentId")
    tags: tuple[str, ...] = field(default=(), name="RepoTags")
    digests: tuple[str, ...] = field(default=(), name="RepoDigests")
    created: Whole | float | str = 0
    size: Whole = 0
    shared_size: Whole = ABSENT
    labels: dict[str, Any] = field(default_factory=dict)


class CacheEntry(Record, frozen=True, rename="pascal"):
    id: str = field(default="", name="ID")
    parents: tuple[str, ...] = ()
    parent: str = ""  # The only one that older engines report.
    description: str = ""
    in_use: bool = False
    shared: bool = False
    size: Whole = 0
    created: Whole | float | str = field(default=0, name="CreatedAt")
    used: Whole | float | str = field(default=0, name="LastUsedAt")


class Pruned(Record, frozen=True, rename="pascal"):
    """`POST /build/prune`."""

    reclaimed: Whole = field(default=0, name="SpaceReclaimed")


class Committed(Record, frozen=True, rename="pascal"):
    """`POST /commit`."""

    id: str = ""


class DiskUsage(Record, frozen=True, rename="pascal"):
    """`GET /system/df`."""

    images: tuple[ListedImage, ...] = ()
    layers_size: Whole = ABSENT
    cache: tuple[CacheEntry, ...] = field(default=(), name="BuildCache")


class ListedContainer(Record, frozen=True, rename="pascal"):
    """An entry of `GET /containers/json`."""

    id: str = ""
    names: tuple[str, ...] = ()
    image: str = field(default="", name="ImageID")
    image_name: str = field(default="", name="Image")
    state: str = ""
    created: Whole | float | str = 0
    size: Whole = field(default=0, name="SizeRw")  # Left out if it is 0 or was not requested.
    labels: dict[str, Any] = field(default_factory=dict)


class EventActor(Record, frozen=True, rename="pascal"):
    id: str = field(default="", name="ID")


class EventAnswer(Record, frozen=True, rename="pascal"):
    """A message of `GET /events`."""

    type: str = ""
    action: str = ""
    actor: EventActor = EventActor()


class GraphDriver(Record, frozen=True, rename="pascal"):
    data: dict[str, Any] = field(default_factory=dict)


class ContainerConfig(Record, frozen=True, rename="pascal"):
    image: str = ""  # The image's name when the container was created.


class InspectedContainer(Record, frozen=True, rename="pascal"):
    """`GET /containers/NAME/json`."""

    id: str = ""
    name: str = ""
    image: str = ""
    manifest: DescriptorAnswer = field(default=DescriptorAnswer(), name="ImageManifestDescriptor")
    graph: GraphDriver = field(default=GraphDriver(), name="GraphDriver")
    config: ContainerConfig = ContainerConfig()


class Change(Record, frozen=True, rename="pascal"):
    """An entry of `GET /containers/NAME/changes`."""

    path: str = ""
    kind: Whole = 0


class Info(Record, frozen=True, rename="pascal"):
    """`GET /info`."""

    driver: str = ""
    folder: str = field(default="", name="DockerRootDir")  # Where the engine keeps its data.
    status: tuple[tuple[Any, ...], ...] = field(default=(), name="DriverStatus")

    @property
    def snapshotter(self) -> bool:
        """Whether containerd keeps its images."""
        return any(
            len(entry) == 2 and str(entry[1]).startswith("io.containerd.snapshotter")
            for entry in self.status
        )


class FoundRepository(Record, frozen=True):
    """An entry of `GET /images/search`."""

    name: str = ""
    description: str = ""
    star_count: Count = 0
    is_official: bool = False
    is_automated: bool = False


class PodmanRepository(Record, frozen=True, rename="pascal"):
    """An entry of Podman's answer, which differs from Docker's."""

    name: str = ""
    index: str = ""
    description: str = ""
    stars: Whole = 0
    official: str = ""  # `[OK]` or empty.
    automated: str = ""


class Component(Record, frozen=True, rename="pascal"):
    name: str = ""
    version: str = ""


class Version(Record, frozen=True, rename="pascal"):
    """`GET /version`."""

    version: str = ""
    os: str = ""
    arch: str = ""
    components: tuple[Component, ...] = ()
