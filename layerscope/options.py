"""Every argument and option of the command line, with its meaning."""

from __future__ import annotations

import argparse
from typing import Any

from layerscope import __version__
from layerscope.parser import age, choice, number, repeated, size, switch, unless, value

_SOURCE = (
    "an image: NAME[:TAG] or an id in the current engine, a file that `docker save` wrote, a "
    "folder with an OCI image layout; or TRANSPORT:…, where TRANSPORT is container, "
    "containerd-root, containers-storage, dir, docker, docker-archive, docker-daemon, docker-root, "
    "embedded, oci or oci-archive (see layerscope help sources)"
)


OPTIONS: dict[str, dict[str, Any]] = {
    "a": value("A", _SOURCE),
    "b": value("B", "another image"),
    "chosen": value("ENGINE", "a name that `layerscope engines` lists, or an address"),
    "container": value("CONTAINER", "a container, by name or id"),
    "below": value("PATH", "only this path and everything below it", nargs="?"),
    "context": value("CONTEXT", "folder of the build context"),
    "destination": value(
        "NAME", "with --via registry: its name there, if it is not that of SOURCE", nargs="?"
    ),
    "file": value("FILE", "- for standard input; ./Dockerfile by default", nargs="?"),
    "id": value("ID", "the job's id"),
    "image": value("SOURCE", _SOURCE, nargs="?"),
    "archive_file": value(
        "FILE", "an archive of any form, an OCI image layout, or - for standard input"
    ),
    "image_name": value("NAME", "the image's name: [HOST/]NAME[:TAG]", nargs="?"),
    "images": value("IMAGE", "a name or an id", nargs="+"),
    "names": value("IMAGE", "names of images; all by default", nargs="*", default=[]),
    "name": value("NAME", "[HOST/]NAME[:TAG], of Docker Hub without HOST"),
    "new_name": value("NAME", "the new name: [HOST/]NAME[:TAG]"),
    "path": value("PATH", "a path in the image"),
    "paths": value("PATH", "a file or folder; / is all", nargs="+"),
    "pattern": value(
        "PATTERN", "part of a path, a glob, or sha256:DIGEST of the content", type=str
    ),
    "shell": choice("bash", "zsh", "fish", text="bash, zsh or fish", metavar="SHELL"),
    "repository": value("REPOSITORY", "[HOST/]NAME, of Docker Hub without HOST"),
    "registry": value("REGISTRY", "HOST[:PORT]; Docker Hub by default", nargs="?"),
    "source": value("SOURCE", _SOURCE),
    "term": value("TERM", "part of a name; HOST/TERM searches another registry than Docker Hub"),
    "sources": value("SOURCE", "images to search instead", nargs="*", default=[]),
    "topic": value("TOPIC", "without it, all topics", nargs="?"),
    "command_line": value(
        "COMMAND", "what to run instead of the image's own command", nargs=argparse.REMAINDER
    ),
    "what": choice(
        *("show", "path"),
        text="show, the default; or path: where the settings file is",
        metavar="WHAT",
        nargs="?",
        default="show",
    ),
    "--again": switch(
        "use the options of the Dockerfile's last build, unless given; never --no-cache or --pull"
    ),
    "--all-tags": switch("all tags of the repository"),
    "--all-engines": switch("images of all engines: which engine has which, and what others lack"),
    "--all": switch("all images of the current engine instead, those that waste most first"),
    "--ascii": switch("draw with ASCII only") | {"default": None},
    "--build-cache": switch("unused build cache that no image shares"),
    "--containers": switch("containers that do not run; their volumes stay"),
    "--dangling": switch("images without a tag; the default if nothing else is named"),
    "--from": value("N", "the lowest of the layers", type=int, dest="first", required=True),
    "--force": switch("move the name, even if another image has it"),
    "--older-than": value(
        "AGE", "only what was created, or last used, at least this long ago: 30d, 12h, 2w", type=age
    ),
    "--unused": switch("images that no container uses, with or without a tag"),
    "--author": value("NAME", "the author of the image"),
    "--bases": switch("look base images up in the engine or a registry"),
    "--build-arg": repeated(
        "NAME[=VALUE]", "value of an ARG; NAME alone takes it from the environment"
    ),
    "--builder": choice(
        *("auto", "classic", "buildkit", "podman", "embedded"),
        text="auto, the default: BuildKit if docker has buildx, else the engine's own; embedded "
        "needs no engine",
        default="",
    ),
    "--busybox": value("PATH", "a static busybox of this host, to run in an image without a shell"),
    "--change": repeated("INSTRUCTION", "a line of a Dockerfile, such as CMD or ENV, to apply"),
    "--builder-instance": value(
        "NAME", "with BuildKit: the builder, as `layerscope engines builders` names it"
    ),
    "--color": choice(
        *("auto", "always", "never"),
        text="auto, the default: color on a terminal, unless NO_COLOR is set",
    ),
    "--compression": choice(
        *("none", "gzip", "zstd"),
        text="compression of layers; by default, none, but layers of a file stay as they are",
    ),
    "--config": value("FILE", "a layerscope.toml, pyproject.toml or .dive-ci to read"),
    "--context": value("DIR", "the build context; FILE's folder by default"),
    "-e --env": repeated(
        "NAME[=VALUE]", "an environment variable; NAME alone passes that of this shell"
    ),
    "--describe": switch("show what kind of file it is instead"),
    "--demo": switch("build a small image without any engine, and see what its layers show"),
    "-d --detach": switch("print the job's id, and do not wait"),
    "--dry-run": switch("show what would be done, and do nothing"),
    "--engine": value(
        "ENGINE", "the engine: a name that `layerscope engines` lists, or an address"
    ),
    "--exclude": repeated("GLOB", "paths whose waste does not count"),
    "--exit-code": switch("exit with 1 if they differ"),
    "--export": switch("make the engine export the image, even if its data folder can be read"),
    "--fail-on": choice(
        *("error", "warning", "info", "never"),
        text="exit with 1 from this severity on; warning by default",
        default="warning",
    ),
    "-f --file": value("FILE", "CONTEXT/Dockerfile by default; - for standard input"),
    "--format": choice(
        *("docker-archive", "oci-archive", "oci"),
        text="docker-archive, the default: what `docker load` takes; oci is a folder",
        default="",
    ),
    "--highest-size": value("BYTES", "shipped bytes, at most"),
    "--highest-user-wasted-percent": value(
        "FRACTION", "wasted ÷ bytes shipped above the base layer, at most"
    ),
    "--highest-wasted-bytes": value("BYTES", "wasted bytes, at most"),
    "--highest-wasted-percent": value("FRACTION", "wasted ÷ shipped bytes, at most"),
    "--ignore-time": switch("leave out paths that differ only in their time"),
    "--ignorefile": value(
        "FILE", "the ignore rules of the context, with Podman and the classic builder"
    ),
    "--image": value("SOURCE", "an image built from FILE: also report what its steps wasted"),
    "--index": switch("read layers that have not been read yet"),
    "--insecure": switch("also read registries without TLS or with an invalid certificate"),
    "--into": value(
        "TARGET",
        "docker-archive:PATH, oci-archive:PATH or oci:DIR, each with [:REF]; or embedded:[NAME]; "
        "the current engine by default",
    ),
    "--json": switch("print one JSON object"),
    "--json-lines": switch("print one JSON object for each entry, match or event"),
    "--limit": value("N", "how many to list, at most", type=number),
    "--label": repeated("NAME=VALUE", "a label of the image"),
    "--layer": value("N", "a layer; the base is layer 0", type=int),
    "--log": value("FILE", "append unexpected errors, with tracebacks, to FILE"),
    "--lowest-efficiency": value("FRACTION", "visible ÷ shipped bytes, at least"),
    "--message": value("TEXT", "a note in the image's history"),
    "--memory": value("SIZE", "memory that the command may take, such as 512MB", type=size),
    "--name": value(
        "NAME", "in the embedded store: the name of the container that keeps the changes"
    ),
    "--ssh": repeated("ID", "an SSH agent for RUN --mount=type=ssh: default, or ID=SOCKET"),
    "--network": value("MODE", "network of RUN steps: default, host or none"),
    "--no-buildkit": unless("buildkit", "do not run docker buildx"),
    "--no-builds": unless("builds", "do not report what the last build of FILE wasted"),
    "--no-cache": switch("neither read nor write the cache"),
    "--no-compare": unless(
        "compare", "do not compare content to tell copied files from rewritten ones"
    ),
    "--no-hadolint": unless("hadolint", "do not run hadolint"),
    "--no-pause": unless("pause", "do not pause the container during the commit"),
    "--no-mouse": switch("leave the mouse to the terminal"),
    "--old-base": value(
        "SOURCE",
        "the base as it was when the image was built; by default, the one that the image's "
        "annotations name",
    ),
    "--onto": value("SOURCE", "the new base", required=True),
    "-o --output": value("DIR", "the folder to write to", required=True),
    "-o --output FILE": value(
        "FILE", "the file or folder to write; - for standard output", dest="archive"
    ),
    "-p --patch": switch("show unified diffs between versions, which patch accepts"),
    "--password-stdin": switch("read the password from standard input"),
    "--official": switch("only Docker Official Images"),
    "--processes": value("N", "how many processes the command may have at a time", type=number),
    "--paths": value(
        "GLOB",
        "paths, and everything below them; a name without a slash is one in any folder",
        nargs="+",
        action="extend",
        required=True,
    ),
    "--path": value("PATH", "show a unified diff of this path only"),
    "--plain-text": switch("keep it in Docker's config.json, even if there is a credential helper"),
    "--platform": value(
        "OS/ARCH[/VARIANT]", "the platform to choose if there are several; this host's by default"
    ),
    "--sandbox": switch("run without an engine, isolated as well as this host allows"),
    "--save-changes": value(
        "FILE", "write what the command changed to FILE, as the tar of a layer"
    ),
    "--timeout": value("SECONDS", "stop the command after this time", type=number),
    "--workdir": value("DIR", "the folder to run in; the image's by default"),
    "--pull": switch("look for newer base images"),
    "--registry": value("HOST", "the registry to search; Docker Hub by default"),
    "--stars": value("N", "only repositories with at least N stars", type=number),
    "-q --quiet": switch("print only the image's id"),
    "--regex": switch("PATTERN is a regular expression"),
    "--secret": repeated(
        "id=ID,src=FILE|env=VARIABLE",
        "for RUN --mount=type=secret, not with the classic builder; its value is never written to "
        "a layer, a log or a file of layerscope",
    ),
    "--tag": value("NAME", "the name of the new image: [HOST/]NAME[:TAG]"),
    "-t --tag": repeated("NAME[:TAG]", "a name for the image"),
    "--shell": value("SHELL", "which shell; bash or sh by default", dest="shell_name"),
    "--stdio": switch("speak the protocol on standard input and output; required"),
    "--target": value("STAGE", "the stage to build; the last by default"),
    "--theme": value("NAME", "auto, dark, light, terminal, plain, …"),
    "--user": value("USER", "NAME, UID, NAME:GROUP or UID:GID; the image's by default"),
    "-u --username": value("USER", "the user name; by default, checks the stored login, or asks"),
    "--to": value(
        "TARGET",
        "with --via registry: docker-archive:PATH, oci-archive:PATH or oci:DIR, each with [:REF]; "
        "or embedded:[NAME], layerscope's own store; the current engine by default",
    ),
    "--via": choice(
        "engine",
        "registry",
        text="engine, the default, or registry: layerscope's own client, which resumes layers "
        "that were interrupted",
        metavar="WAY",
        default="engine",
    ),
    "--version": {
        "action": "version",
        "version": f"layerscope {__version__}",
        "help": "print the version",
    },
    "--without-layers-of": value(
        "OTHER",
        "leave out the lowest layers that are also in OTHER, an image that the loading engine has",
    ),
    "--to LAYER": value(
        "M", "the highest of them; the top layer by default", type=int, dest="last"
    ),
    "--to-engine": value("NAME", "load it into another engine, without a registry"),
    "--wasted": switch("also show what each image wastes, those that waste most first"),
    "--yes": switch("do not ask"),
}
