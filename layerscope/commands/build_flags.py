"""The flags of `layerscope build`: those of `docker build`, and some of its own."""

from __future__ import annotations

import argparse
from typing import Any


def add_build(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Adds the command to the parser."""
    what = "build an image, and tell what each step adds"
    build = subparsers.add_parser("build", help=what, description=f"{what.capitalize()}.")
    build.add_argument("context", metavar="CONTEXT", help="folder of the build context")
    build.add_argument(
        "-t",
        "--tag",
        metavar="NAME[:TAG]",
        action="append",
        default=[],
        help="a name of the image [several times]",
    )
    build.add_argument(
        "-f", "--file", metavar="FILE", help="CONTEXT/Dockerfile by default; - is stdin"
    )
    build.add_argument(
        "--builder",
        choices=("auto", "classic", "buildkit", "podman"),
        default="",
        help="auto, the default: BuildKit where docker has buildx, else what the engine has",
    )
    build.add_argument(
        "--target", metavar="STAGE", default="", help="stage to build, the last by default"
    )
    build.add_argument(
        "--platform",
        metavar="OS/ARCH[/VARIANT]",
        default="",
        help="such as linux/arm64; the engine's own by default",
    )
    build.add_argument(
        "--build-arg",
        metavar="NAME[=VALUE]",
        action="append",
        default=[],
        help="value of an ARG [several times]; without =, that of the environment",
    )
    build.add_argument(
        "--label",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a label of the image [several times]",
    )
    build.add_argument("--no-cache", action="store_true", help="run every step")
    build.add_argument("--pull", action="store_true", help="look for newer base images")
    build.add_argument(
        "--network", metavar="MODE", default="", help="of RUN steps: default, host, none"
    )
    build.add_argument(
        "--secret",
        metavar="id=ID,src=FILE|env=VARIABLE",
        action="append",
        default=[],
        help="for RUN --mount=type=secret [several times], with BuildKit and Podman; its value is "
        "in no layer, no log and no file of layerscope's",
    )
    build.add_argument(
        "--export",
        action="store_true",
        help="measure layers by the engine's exports, even where its data folder can be read",
    )
    build.add_argument(
        "--again",
        action="store_true",
        help="what is not given is as in the last build of the Dockerfile, but for the cache and "
        "--pull",
    )
    build.add_argument(
        "--dry-run",
        action="store_true",
        help="build nothing: print which builder it would be, what the Dockerfile offers, and what "
        "would be sent",
    )
    build.add_argument("--json", action="store_true", help="with --dry-run, one JSON object")
    build.add_argument("--json-lines", action="store_true", help="one JSON object an event")
    build.add_argument("-q", "--quiet", action="store_true", help="print the image's id only")
    build.add_argument(
        "-d", "--detach", action="store_true", help="print the number of the job, and do not wait"
    )
