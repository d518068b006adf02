"""Every command of the command line: its description, options and examples."""

from __future__ import annotations

from layerscope.parser import Command

#: Options of every command that reads images.
_READING = ("--platform", "--export", "--insecure", "--no-cache")
#: Options of every command that creates an image from another one.
_MAKING = (
    *("--tag", "--into", "--force", *_READING, "--dry-run"),
    ("--json", "with --dry-run, print one JSON object"),
    *("--yes", "--json-lines", "-q --quiet", "-d --detach"),
)


COMMANDS: dict[str, Command] = {
    "inspect": Command(
        "image, layers, waste",
        ("source", *_READING, "--json"),
        examples=(
            "layerscope inspect debian:12",
            "layerscope inspect --json image.tar | jq .image.size",
        ),
    ),
    "waste": Command(
        "what could be saved, why, and how",
        ("image", *_READING, "--no-compare", "--all", "--index", "--json"),
        examples=("layerscope waste debian:12", "layerscope waste --all"),
    ),
    "packages": Command(
        "installed packages, what a layer did to them, setuid files and capabilities",
        ("source", *_READING, ("--layer", "what layer N changed"), "--json"),
        examples=("layerscope packages --layer 2 debian:12",),
    ),
    "files": Command(
        "the merged view, or one layer's changes",
        ("source", "below", *_READING, ("--layer", "the changes of layer N"), "--json-lines"),
        examples=(
            "layerscope files debian:12 /etc/apt",
            "layerscope files --layer 2 debian:12",
            "layerscope files --json-lines image.tar | jq -r .path",
        ),
    ),
    "history": Command(
        "every version of a path",
        ("source", "path", *_READING, "-p --patch", "--json"),
        examples=(
            "layerscope history debian:12 /etc/passwd",
            "layerscope history --patch oci:layout /etc/motd",
        ),
    ),
    "cat": Command(
        "content of a version of a file",
        (
            *("source", "path", *_READING, ("--layer", "the file as it is with layer N on top")),
            *("--describe", ("--json", "with --describe, print one JSON object")),
        ),
        examples=(
            "layerscope cat debian:12 /etc/os-release",
            "layerscope cat --layer 0 image.tar /etc/passwd",
        ),
    ),
    "extract": Command(
        "write files of an image to a folder",
        (
            *("source", "paths", *_READING, "-o --output"),
            ("--layer", "files as they are with layer N on top"),
        ),
        examples=("layerscope extract debian:12 /etc /usr/bin/env -o files",),
    ),
    "diff": Command(
        "two images, of any two sources",
        ("a", "b", *_READING, "--path", "--ignore-time", "--exit-code", "--json"),
        examples=(
            "layerscope diff debian:11 debian:12",
            "layerscope diff --path /etc/passwd old.tar new.tar",
        ),
        no="with --exit-code: the images differ",
    ),
    "find": Command(
        "a file in all local images",
        ("pattern", "sources", *_READING, "--regex", "--index", "--json-lines"),
        examples=("layerscope find libssl", "layerscope find '*.so.3' debian:12 image.tar"),
        no="nothing was found",
    ),
    "ci": Command(
        "check an image against thresholds",
        (
            *("source", *_READING, "--lowest-efficiency", "--highest-wasted-bytes"),
            *("--highest-wasted-percent", "--highest-user-wasted-percent", "--highest-size"),
            *("--exclude", "--config", "--json"),
        ),
        examples=("layerscope ci --lowest-efficiency 0.95 image.tar",),
        no="a rule is broken",
    ),
    "images": Command(
        "images of the current engine, or of a data folder",
        (
            (
                "image",
                "docker-root:DIR, containerd-root:DIR or containers-storage:[DIR]; with "
                "--all-engines, a name or an id",
            ),
            *("--wasted", "--index", "--platform", "--all-engines", "--json"),
        ),
        examples=(
            "layerscope images",
            "layerscope images --wasted",
            "layerscope images --all-engines app:1",
            "layerscope images containerd-root:/var/lib/containerd",
        ),
        no="with --all-engines, no engine has the image",
    ),
    "ps": Command(
        "containers of the current engine, and what each has written",
        ("--json",),
        examples=("layerscope ps",),
    ),
    "engines": Command(
        "engines that can be used, and the one that is used",
        ("--json",),
        examples=("layerscope engines", "layerscope engines use podman"),
    ),
    "serve": Command(
        "answer requests of layerscope on another host, which starts this over ssh",
        ("--stdio",),
        examples=("layerscope serve --stdio < requests > answers",),
    ),
    "rm": Command(
        "remove images, after showing what that frees and asking",
        (("images", "a name or an id; or container:NAME"), "--dry-run", "--yes", "--json"),
        examples=("layerscope rm --dry-run debian:11", "layerscope rm --yes container:web"),
        no="an image stays, or the removal was not confirmed",
    ),
    "commit": Command(
        "create an image from a container, after showing what it adds",
        (
            *("container", "image_name"),
            *("--message", "--author", "--change", "--no-pause", "--force"),
            *("--export", "--no-cache", "--dry-run", "--yes", "--json"),
        ),
        examples=(
            "layerscope commit --dry-run web",
            "layerscope commit --change 'CMD [\"nginx\"]' web web:fixed",
        ),
        no="it was not confirmed, or another image has the name",
    ),
    "squash": Command(
        "squash several layers into one, after showing what that saves",
        ("source", "--from", "--to LAYER", *_MAKING),
        examples=(
            "layerscope squash app:1 --from 2 --dry-run",
            "layerscope squash app:1 --from 2 --to 5 --tag app:small",
        ),
        no="it was not confirmed, or another image has the name",
    ),
    "rebase": Command(
        "move an image's own layers onto another base, after showing what that changes",
        ("source", "--onto", "--old-base", *_MAKING),
        examples=(
            "layerscope rebase app:1 --onto debian:12.9 --old-base debian:12.8 --tag app:2",
            "layerscope rebase docker://ghcr.io/org/app:1 --onto docker://debian:12 --dry-run",
        ),
        no="it was not confirmed, or another image has the name",
    ),
    "drop": Command(
        "remove paths from a layer, after showing what that changes",
        ("source", ("--layer", "the layer; the base is layer 0"), "--paths", *_MAKING),
        examples=("layerscope drop app:1 --layer 2 --paths '*.pyc' /root/.cache --tag app:small",),
        no="it was not confirmed, or another image has the name",
    ),
    "save": Command(
        "write an image to an archive or an OCI image layout, from any source",
        (
            *("source", "-o --output FILE", "--format", "--compression", "--without-layers-of"),
            ("--force", "replace an existing archive"),
            *("--json-lines", "-q --quiet", "-d --detach", *_READING),
        ),
        examples=(
            "layerscope save -o app.tar app:1",
            "layerscope save --format oci --compression zstd -o layout docker://debian:12",
            "layerscope save --without-layers-of app:1 app:2 | ssh host layerscope load -",
        ),
    ),
    "load": Command(
        "load the images of an archive or an OCI image layout into the engine",
        (
            "archive_file",
            ("--dry-run", "load nothing; show the images, and which names would move"),
            ("--json", "with --dry-run, print one JSON object"),
            ("--yes", "do not ask whether to take a name from another image"),
            *("--json-lines", "-q --quiet", "-d --detach"),
        ),
        examples=("layerscope load app.tar.zst", "layerscope load --yes - < app.tar"),
        no="another image has a name, and keeps it",
    ),
    "tag": Command(
        "give an image of the engine another name",
        (("source", "the image, by name or id"), "new_name", "--force"),
        examples=("layerscope tag app:1 registry.example.com:5000/app:1",),
        no="another image has the name, and keeps it",
    ),
    "untag": Command(
        "remove names of images; asks if that would remove an image, too",
        ("images", "--dry-run", "--yes", "--json"),
        examples=("layerscope untag app:old",),
        no="a container needs the image, or it was not confirmed",
    ),
    "prune": Command(
        "remove images, containers and build cache that nothing needs, after showing them",
        (
            *("--dangling", "--unused", "--containers", "--build-cache", "--older-than"),
            ("--label", "only images and containers with this label; NAME alone matches any value"),
            *("--dry-run", "--yes", "--json"),
        ),
        examples=(
            "layerscope prune",
            "layerscope prune --unused --older-than 30d --dry-run",
            "layerscope prune --containers --build-cache --yes",
        ),
        no="it was not confirmed",
    ),
    "pull": Command(
        "pull an image from its registry, and show each layer's progress",
        (
            *("name", "--platform", "--all-tags", "--via", "--to"),
            ("--dry-run", "pull nothing; show which layers are here, and what would be fetched"),
            ("--json", "with --dry-run, print one JSON object"),
            *("--json-lines", "-q --quiet", "-d --detach", "--insecure"),
        ),
        examples=(
            "layerscope pull debian:12",
            "layerscope pull --dry-run --platform linux/arm64 ghcr.io/org/app:1",
            "layerscope pull --via registry --to oci:layout ghcr.io/org/app:1",
        ),
    ),
    "push": Command(
        "push an image to its registry, and show each layer's progress",
        (
            *("source", "destination", "--all-tags", "--via", "--to-engine"),
            ("--dry-run", "push nothing; show what the registry has, and what would be sent"),
            ("--json", "with --dry-run, print one JSON object"),
            ("--yes", "with --to-engine, do not ask whether to take a name from another image"),
            *("--json-lines", "-q --quiet", "-d --detach", "--insecure"),
        ),
        examples=(
            "layerscope push registry.example.com:5000/app:1",
            "layerscope push --via registry oci:layout registry.example.com:5000/app:1",
            "layerscope push --to-engine node3 app:1",
        ),
    ),
    "search": Command(
        "find repositories in a registry",
        (
            *("term", "--registry", ("--limit", "how many to list, at most; 25 by default")),
            *("--official", "--stars", "--insecure", "--json"),
        ),
        examples=("layerscope search nginx", "layerscope search registry.example.com:5000/app"),
        no="nothing was found",
    ),
    "tags": Command(
        "the tags of a repository, newest first",
        (
            *("repository", ("--limit", "how many to list, at most; 50 by default")),
            *("--platform", "--insecure", "--no-cache", "--json"),
        ),
        examples=("layerscope tags debian", "layerscope tags --limit 5 ghcr.io/org/app"),
    ),
    "drift": Command(
        "which images are behind their registry, and what still runs older ones",
        ("names", "--insecure", "--json"),
        examples=("layerscope drift", "layerscope drift --json debian:12"),
        no="an image, or a container of it, is behind",
    ),
    "login": Command(
        "check a login, and store it where Docker does",
        ("registry", "-u --username", "--password-stdin", "--plain-text", "--insecure", "--json"),
        examples=(
            "layerscope login ghcr.io",
            "layerscope login -u gordon --password-stdin registry.example.com < token",
        ),
        no="the login was not kept",
    ),
    "logout": Command(
        "remove a login from every place where Docker may store it",
        ("registry", "--json"),
        examples=("layerscope logout ghcr.io",),
        no="a login is still found",
    ),
    "lint": Command(
        "problems of a Dockerfile",
        (
            *("file", *_READING, "--context", "--target", "--build-arg", "--image", "--bases"),
            ("--builder", "also report what this builder cannot do"),
            *("--fail-on", "--no-hadolint", "--no-buildkit", "--no-builds", "--json"),
        ),
        examples=("layerscope lint", "layerscope lint --fail-on error images/Dockerfile"),
        no="there are problems of at least the severity of --fail-on",
    ),
    "dockerfile": Command(
        "a Dockerfile from an image's history or a container's changes",
        ("source", *_READING, "--json"),
        examples=("layerscope dockerfile debian:12", "layerscope dockerfile container:web"),
    ),
    "build": Command(
        "build an image, and show what each step adds",
        (
            *("context", "-t --tag", "-f --file", "--builder", "--builder-instance"),
            *("--target", "--build-arg"),
            ("--platform", "such as linux/arm64; the engine's own by default"),
            *("--label", ("--no-cache", "run every step"), "--pull", "--network", "--secret"),
            *("--ssh", "--ignorefile", "--export", "--again"),
            (
                "--dry-run",
                "build nothing: show the builder, what the Dockerfile offers, what would be sent",
            ),
            ("--json", "with --dry-run, print one JSON object"),
            *("--json-lines", "-q --quiet", "-d --detach"),
        ),
        examples=("layerscope build -t app:1 .", "layerscope build --dry-run --builder buildkit ."),
        no="the build failed; with --dry-run, it would fail",
    ),
    "jobs": Command(
        "running and finished jobs, such as builds and transfers",
        ("--json",),
        examples=("layerscope jobs", "layerscope jobs attach 3", "layerscope jobs cancel 3"),
        no="with attach: the build failed; with cancel: the job had already ended",
    ),
    "run": Command(
        "run a shell or a command in an image or a container, with or without an engine",
        (
            ("source", "an image of the engine, or container:NAME; with --sandbox, any image"),
            *("command_line", ("--layer", "as the image is with layer N on top")),
            *("--name", "--user", "--workdir", "-e --env"),
            ("--network", "with --sandbox: host, the default, or none"),
            *("--shell", "--busybox", "--sandbox", *_READING),
            *("--timeout", "--memory", "--processes", "--save-changes"),
            ("--json", "with --sandbox, print one JSON object"),
        ),
        examples=(
            "layerscope run debian:12",
            "layerscope run --layer 2 app:1 ls -l /srv",
            "layerscope run --shell zsh container:web",
            "layerscope run embedded:demo",
            "layerscope run --sandbox docker-archive:app.tar",
            "layerscope run --sandbox docker://debian:12 apt-get update",
        ),
        no="with --sandbox, the command failed; without it, run exits as the command did",
    ),
    "tui": Command(
        "the TUI",
        ("image", *_READING, "--theme", "--ascii", "--no-mouse", "--demo"),
        examples=(
            "layerscope",
            "layerscope --demo",
            "layerscope debian:12",
            "layerscope --theme light docker://ghcr.io/org/app:1",
        ),
        no="a rule is broken, images differ, nothing was found, …",
    ),
    "config": Command(
        "the current settings, and where each comes from",
        ("what", "--json"),
        examples=("layerscope config", '$EDITOR "$(layerscope config path)"'),
    ),
    "completion": Command(
        "print a script that completes commands, images and paths in a shell",
        ("shell",),
        examples=(
            'eval "$(layerscope completion bash)"  # in ~/.bashrc',
            'eval "$(layerscope completion zsh)"  # in ~/.zshrc, after compinit',
            "layerscope completion fish > ~/.config/fish/completions/layerscope.fish",
        ),
    ),
    "help": Command(
        "help on a topic", ("topic",), examples=("layerscope help", "layerscope help sources")
    ),
    "version": Command("the version of layerscope", (), examples=("layerscope version",)),
}

#: Actions of commands; the default is `list`.
ACTIONS: dict[str, dict[str, Command]] = {}
ACTIONS["engines"] = {
    "list": Command("all engines, and what each has", (), ("layerscope engines list --json",)),
    "builders": Command(
        "the builders of buildx, and their states",
        ("--json",),
        ("layerscope engines builders", "layerscope build --builder-instance far ."),
    ),
    "use": Command(
        "use an engine from now on; auto is the one that the docker command would use",
        ("chosen",),
        ("layerscope engines use podman", "layerscope engines use auto"),
    ),
}
ACTIONS["jobs"] = {
    "list": Command("all jobs, newest first", (), ("layerscope jobs list --json",)),
    "attach": Command(
        "follow a job from its first event",
        ("id", "--json-lines"),
        ("layerscope jobs attach 3",),
        no="the build failed",
    ),
    "cancel": Command(
        "stop a job", ("id",), ("layerscope jobs cancel 3",), no="it had already ended"
    ),
    "repeat": Command(
        "start a job again, with the same request, folder and engine",
        ("id", "--json-lines", "-q --quiet", "-d --detach"),
        ("layerscope jobs repeat 3",),
        no="the build failed",
    ),
}

#: The commands in display order.
GROUPS = {
    "what an image has": "inspect waste packages files history cat extract diff find ci",
    "images of an engine": "images ps rm tag untag prune run save load engines serve",
    "new images": "commit squash rebase drop",
    "registries": "pull push search tags drift login logout",
    "Dockerfiles and builds": "build jobs lint dockerfile",
    "layerscope itself": "config completion help version",
}
