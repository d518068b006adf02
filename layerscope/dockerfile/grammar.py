"""What instructions, flags and mounts there are, and a few words about each."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FlagRule:
    """A flag of an instruction.

    Attributes:
        name: Its name, without dashes.
        text: What it does, in a sentence or two.
        example: How it is written.
        takes: `value`, `values` if it may stand several times, or `bool`.
        choices: Values that it may have, if they are few.
    """

    name: str
    text: str
    example: str
    takes: str = "value"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InstructionRule:
    """An instruction.

    Attributes:
        name: Its name.
        syntax: How it is written, one form a line.
        text: What it does, in two or three sentences.
        example: A use of it.
        flags: Its flags.
        makes_layer: Whether it can make a layer.
    """

    name: str
    syntax: str
    text: str
    example: str
    flags: tuple[FlagRule, ...] = field(default=())
    makes_layer: bool = False

    def flag(self, name: str) -> FlagRule | None:
        """The flag of a name."""
        return next((flag for flag in self.flags if flag.name == name), None)


_CHOWN = FlagRule(
    "chown",
    "Owner and group of what is copied, by name or number. Setting them here spares a later "
    "chown -R, which would copy every file into one more layer.",
    "--chown=app:app",
)
_CHMOD = FlagRule(
    "chmod",
    "Permissions of what is copied, as an octal number or in chmod's symbols.",
    "--chmod=0755",
)
_LINK = FlagRule(
    "link",
    "Makes a layer that does not depend on those below, so that it can be reused when they "
    "change. A symbolic link in the destination's path is then replaced, not followed.",
    "--link",
    "bool",
)
_EXCLUDE = FlagRule(
    "exclude",
    "Leaves out what matches a pattern, as .dockerignore writes them. It may be given several "
    "times.",
    "--exclude=*.md",
    "values",
)

INSTRUCTIONS: dict[str, InstructionRule] = {
    rule.name: rule
    for rule in (
        InstructionRule(
            "ADD",
            "ADD [FLAGS] SOURCE... DESTINATION",
            "Copies files from the build context, a URL or a Git repository into the image, and "
            "unpacks local tar archives on the way. For plain files, COPY says better what "
            "happens.",
            "ADD --checksum=sha256:24454f83… https://example.com/tool.tar.gz /opt/",
            (
                FlagRule(
                    "keep-git-dir",
                    "Keeps the .git folder of a Git repository that is added.",
                    "--keep-git-dir=true",
                    "bool",
                ),
                FlagRule(
                    "checksum",
                    "Digest that a download must have, or the commit of a Git repository. The "
                    "build stops at any other.",
                    "--checksum=sha256:24454f83…",
                ),
                FlagRule(
                    "unpack",
                    "Whether archives are unpacked: by default local ones are, downloads are not.",
                    "--unpack=false",
                    "bool",
                ),
                _CHOWN,
                _CHMOD,
                _LINK,
                _EXCLUDE,
            ),
            makes_layer=True,
        ),
        InstructionRule(
            "ARG",
            "ARG NAME[=DEFAULT]...",
            "Declares a variable that `--build-arg` may set. It holds from here to the end of the "
            "stage; one above the first FROM holds in FROM lines only, and an ARG without default "
            "brings it into a stage. Its value can be read from the image's history.",
            "ARG VERSION=1.2",
        ),
        InstructionRule(
            "CMD",
            'CMD ["PROGRAM", "ARGUMENT"...]\nCMD COMMAND',
            "What a container runs if nothing else is asked for, or the arguments of ENTRYPOINT. "
            "Only the last one counts. The JSON form starts the program itself, so that it gets "
            "signals.",
            'CMD ["nginx", "-g", "daemon off;"]',
        ),
        InstructionRule(
            "COPY",
            "COPY [FLAGS] SOURCE... DESTINATION\nCOPY [FLAGS] <<NAME... DESTINATION",
            "Copies files from the build context, another stage or another image. Sources may have "
            "wildcards; a destination that ends with / is a folder. What .dockerignore leaves out "
            "is not there to be copied.",
            "COPY --from=build --chown=app /src/app /usr/local/bin/",
            (
                FlagRule(
                    "from",
                    "Where to copy from: a stage by name or number, a named context, or an image. "
                    "Variables are not replaced in it.",
                    "--from=build",
                ),
                _CHOWN,
                _CHMOD,
                _LINK,
                FlagRule(
                    "parents",
                    "Keeps the folders of each source's path. Everything before /./ in a source is "
                    "left out.",
                    "--parents",
                    "bool",
                ),
                _EXCLUDE,
            ),
            makes_layer=True,
        ),
        InstructionRule(
            "ENTRYPOINT",
            'ENTRYPOINT ["PROGRAM", "ARGUMENT"...]\nENTRYPOINT COMMAND',
            "The program that a container always runs; CMD or the command line give its arguments. "
            "Only the last one counts. In shell form CMD is ignored and signals go to the shell.",
            'ENTRYPOINT ["/usr/bin/tini", "--"]',
        ),
        InstructionRule(
            "ENV",
            "ENV NAME=VALUE...",
            "Sets variables for the instructions below and for containers. They stay in the image, "
            "where anybody can read them.",
            "ENV PATH=/opt/venv/bin:$PATH",
        ),
        InstructionRule(
            "EXPOSE",
            "EXPOSE PORT[/PROTOCOL]...",
            "Notes the ports that the program listens on. It publishes none; `docker run -P` does.",
            "EXPOSE 8080/tcp",
        ),
        InstructionRule(
            "FROM",
            "FROM [--platform=PLATFORM] IMAGE[:TAG|@DIGEST] [AS NAME]",
            "Begins a stage on an image, an earlier stage, or `scratch`, which is empty. The last "
            "stage is what is built unless `--target` names another.",
            "FROM python:3.13-slim AS build",
            (
                FlagRule(
                    "platform",
                    "Platform of the image. $BUILDPLATFORM is where the build runs, which spares "
                    "emulation for tools.",
                    "--platform=$BUILDPLATFORM",
                ),
            ),
        ),
        InstructionRule(
            "HEALTHCHECK",
            'HEALTHCHECK [FLAGS] CMD COMMAND\nHEALTHCHECK [FLAGS] CMD ["PROGRAM", "ARGUMENT"...]\n'
            "HEALTHCHECK NONE",
            "A command that tells whether a container is well: exit code 0 or 1. NONE switches off "
            "what the base image has. Only the last one counts.",
            "HEALTHCHECK --interval=30s --timeout=3s CMD curl -f http://localhost/ || exit 1",
            (
                FlagRule("interval", "Time between two checks; 30s by default.", "--interval=1m"),
                FlagRule("timeout", "Time that a check may take; 30s by default.", "--timeout=3s"),
                FlagRule(
                    "start-period",
                    "Time in which failures do not count; 0s by default.",
                    "--start-period=10s",
                ),
                FlagRule(
                    "start-interval",
                    "Time between two checks in the start period; 5s by default.",
                    "--start-interval=2s",
                ),
                FlagRule("retries", "Failures in a row that count; 3 by default.", "--retries=5"),
            ),
        ),
        InstructionRule(
            "LABEL",
            "LABEL NAME=VALUE...",
            "Adds labels to the image. Names with dots, such as those of the OCI specification, "
            "are the custom.",
            'LABEL org.opencontainers.image.source="https://example.com/repo"',
        ),
        InstructionRule(
            "MAINTAINER",
            "MAINTAINER NAME",
            "Names an author. It is deprecated: use LABEL org.opencontainers.image.authors.",
            'LABEL org.opencontainers.image.authors="jo@example.com"',
        ),
        InstructionRule(
            "ONBUILD",
            "ONBUILD INSTRUCTION",
            "An instruction that runs when another image is built on this one, right after its "
            "FROM. FROM, MAINTAINER and ONBUILD cannot stand in it.",
            "ONBUILD COPY . /app",
        ),
        InstructionRule(
            "RUN",
            'RUN [FLAGS] COMMAND\nRUN [FLAGS] ["PROGRAM", "ARGUMENT"...]\nRUN [FLAGS] <<EOF',
            "Runs a command and keeps what it changed as a layer. Files that a later RUN removes "
            "stay in this layer, so clean up in the command that made them.",
            "RUN --mount=type=cache,target=/root/.cache pip install -r requirements.txt",
            (
                FlagRule(
                    "mount",
                    "Mounts something while the command runs: files of the context or a stage, a "
                    "cache, a secret, an SSH agent, a tmpfs. None of it ends up in the layer.",
                    "--mount=type=cache,target=/root/.cache",
                    "values",
                ),
                FlagRule(
                    "network",
                    "Network of the command: default, none, or host, which the builder must allow.",
                    "--network=none",
                    choices=("default", "none", "host"),
                ),
                FlagRule(
                    "security",
                    "sandbox, or insecure for a privileged command, which the builder must allow.",
                    "--security=insecure",
                    choices=("sandbox", "insecure"),
                ),
                FlagRule(
                    "device",
                    "A CDI device that the command may use.",
                    "--device=vendor1.com/device=class1",
                    "values",
                ),
            ),
            makes_layer=True,
        ),
        InstructionRule(
            "SHELL",
            'SHELL ["PROGRAM", "ARGUMENT"...]',
            "The shell for the shell forms of RUN, CMD and ENTRYPOINT below. It must be JSON. "
            '["/bin/sh", "-c"] is the default on Linux.',
            'SHELL ["/bin/bash", "-o", "pipefail", "-c"]',
        ),
        InstructionRule(
            "STOPSIGNAL",
            "STOPSIGNAL SIGNAL",
            "The signal that asks the program to end, by name or number; SIGTERM by default.",
            "STOPSIGNAL SIGQUIT",
        ),
        InstructionRule(
            "USER",
            "USER USER[:GROUP]",
            "User and group for the RUN instructions below and for containers, by name or number.",
            "USER app:app",
        ),
        InstructionRule(
            "VOLUME",
            'VOLUME ["PATH"...]\nVOLUME PATH...',
            "Paths that are volumes in a container. What the classic builder writes there in later "
            "steps is lost.",
            "VOLUME /var/lib/postgresql/data",
        ),
        InstructionRule(
            "WORKDIR",
            "WORKDIR PATH",
            "The current folder for the instructions below and for containers. It is made if it is "
            "not there; a relative path starts at the last one.",
            "WORKDIR /app",
            makes_layer=True,
        ),
    )
}


#: Variables for FROM lines, that ARG brings into a stage.
PLATFORM_ARGS = {
    "BUILDPLATFORM": "Platform of the node that builds, such as linux/amd64.",
    "BUILDOS": "Its operating system.",
    "BUILDARCH": "Its architecture.",
    "BUILDVARIANT": "Its architecture's variant.",
    "TARGETPLATFORM": "Platform of the result, such as linux/arm64.",
    "TARGETOS": "Its operating system.",
    "TARGETARCH": "Its architecture.",
    "TARGETVARIANT": "Its architecture's variant.",
    "TARGETSTAGE": "Name of the stage that is built.",
}

#: Build arguments that need no ARG; commands see them as variables.
PREDEFINED_ARGS = tuple(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)

#: What a parser directive can be called, with what it does.
DIRECTIVES = {
    "syntax": "Which Dockerfile frontend reads this file, such as docker/dockerfile:1.",
    "escape": "The escape character: \\, or ` where paths have backslashes.",
    "check": "How checks behave: skip=all or skip=NAME,NAME; error=true.",
}
