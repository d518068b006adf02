"""The known instructions, flags, variables and directives, with short descriptions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlagRule:
    text: str  # A description of a sentence or two.
    example: str  # Its syntax.
    takes: str = "value"  # `value`, `values` if it may be repeated, or `bool`.
    choices: tuple[str, ...] = ()  # The allowed values, if there are only a few.

    @property
    def name(self) -> str:
        return self.example[2:].partition("=")[0]


@dataclass(frozen=True, slots=True)
class InstructionRule:
    syntax: str  # One form per line.
    text: str  # A description of two or three sentences.
    example: str
    flags: tuple[FlagRule, ...] = ()

    @property
    def name(self) -> str:
        return self.syntax.partition(" ")[0]

    def flag(self, name: str) -> FlagRule | None:
        return next((flag for flag in self.flags if flag.name == name), None)


_CHOWN = FlagRule(
    "Owner and group of the copied files, by name or number. This avoids a later chown -R, which "
    "would copy every file into another layer.",
    "--chown=app:app",
)
_CHMOD = FlagRule(
    "Permissions of the copied files, octal or in chmod's symbolic form.", "--chmod=0755"
)
_LINK = FlagRule(
    "Creates a layer that does not depend on the layers below, so that it can be reused when they "
    "change. A symbolic link in the destination path is replaced, not followed.",
    "--link",
    "bool",
)
_EXCLUDE = FlagRule(
    "Excludes files that match a pattern, written as in .dockerignore. Can be repeated.",
    "--exclude=*.md",
    "values",
)

INSTRUCTIONS: dict[str, InstructionRule] = {
    rule.name: rule
    for rule in (
        InstructionRule(
            "ADD [FLAGS] SOURCE... DESTINATION",
            "Copies files from the build context, a URL or a Git repository into the image, and "
            "unpacks local tar archives. For plain files, COPY is clearer.",
            "ADD --checksum=sha256:24454f83… https://example.com/tool.tar.gz /opt/",
            (
                FlagRule(
                    "Keeps the .git folder of an added Git repository.",
                    "--keep-git-dir=true",
                    "bool",
                ),
                FlagRule(
                    "Expected digest of a download, or commit of a Git repository. The build fails "
                    "if it differs.",
                    "--checksum=sha256:24454f83…",
                ),
                FlagRule(
                    "Whether to unpack archives; by default local ones are, downloads are not.",
                    "--unpack=false",
                    "bool",
                ),
                _CHOWN,
                _CHMOD,
                _LINK,
                _EXCLUDE,
            ),
        ),
        InstructionRule(
            "ARG NAME[=DEFAULT]...",
            "Declares a variable that `--build-arg` can set. It is valid from here to the end of "
            "the stage. Above the first FROM, it is valid in FROM lines only; an ARG without a "
            "default brings it into a stage. Its value can be read in the image's history.",
            "ARG VERSION=1.2",
        ),
        InstructionRule(
            'CMD ["PROGRAM", "ARGUMENT"...]\nCMD COMMAND',
            "The default command of a container, or the default arguments of ENTRYPOINT. Only the "
            "last one counts. The JSON form starts the program without a shell, so that it "
            "receives signals.",
            'CMD ["nginx", "-g", "daemon off;"]',
        ),
        InstructionRule(
            "COPY [FLAGS] SOURCE... DESTINATION\nCOPY [FLAGS] <<NAME... DESTINATION",
            "Copies files from the build context, another stage or another image. Sources can have "
            "wildcards; a destination that ends with / is a folder. Files excluded by "
            ".dockerignore cannot be copied.",
            "COPY --from=build --chown=app /src/app /usr/local/bin/",
            (
                FlagRule(
                    "Where to copy from: a stage by name or number, a named context, or an image. "
                    "Variables are not replaced.",
                    "--from=build",
                ),
                _CHOWN,
                _CHMOD,
                _LINK,
                FlagRule(
                    "Keeps the parent folders of each source. Everything before /./ in a source is "
                    "dropped.",
                    "--parents",
                    "bool",
                ),
                _EXCLUDE,
            ),
        ),
        InstructionRule(
            'ENTRYPOINT ["PROGRAM", "ARGUMENT"...]\nENTRYPOINT COMMAND',
            "The program that a container runs; CMD or the command line provides its arguments. "
            "Only the last one counts. In shell form, CMD is ignored and signals go to the shell.",
            'ENTRYPOINT ["/usr/bin/tini", "--"]',
        ),
        InstructionRule(
            "ENV NAME=VALUE...",
            "Sets variables for the following instructions and for containers. They are stored in "
            "the image, where anyone can read them.",
            "ENV PATH=/opt/venv/bin:$PATH",
        ),
        InstructionRule(
            "EXPOSE PORT[/PROTOCOL]...",
            "Documents the ports that the program listens on. It does not publish them; "
            "`docker run -P` does.",
            "EXPOSE 8080/tcp",
        ),
        InstructionRule(
            "FROM [--platform=PLATFORM] IMAGE[:TAG|@DIGEST] [AS NAME]",
            "Starts a stage from an image, an earlier stage, or `scratch`, which is empty. The "
            "last stage is built, unless `--target` names another.",
            "FROM python:3.13-slim AS build",
            (
                FlagRule(
                    "Platform of the image. $BUILDPLATFORM is the platform that the build runs on, "
                    "which avoids emulation for tools.",
                    "--platform=$BUILDPLATFORM",
                ),
            ),
        ),
        InstructionRule(
            'HEALTHCHECK [FLAGS] CMD COMMAND\nHEALTHCHECK [FLAGS] CMD ["PROGRAM", "ARGUMENT"...]\n'
            "HEALTHCHECK NONE",
            "A command that checks whether a container is healthy (exit code 0) or not (1). NONE "
            "disables the base image's check. Only the last one counts.",
            "HEALTHCHECK --interval=30s --timeout=3s CMD curl -f http://localhost/ || exit 1",
            (
                FlagRule("Time between two checks; 30s by default.", "--interval=1m"),
                FlagRule("Maximum time for a check; 30s by default.", "--timeout=3s"),
                FlagRule(
                    "Initial time during which failures do not count; 0s by default.",
                    "--start-period=10s",
                ),
                FlagRule(
                    "Time between two checks during the start period; 5s by default.",
                    "--start-interval=2s",
                ),
                FlagRule(
                    "Consecutive failures that make it unhealthy; 3 by default.", "--retries=5"
                ),
            ),
        ),
        InstructionRule(
            "LABEL NAME=VALUE...",
            "Adds labels to the image. Names usually contain dots, as in the OCI specification.",
            'LABEL org.opencontainers.image.source="https://example.com/repo"',
        ),
        InstructionRule(
            "MAINTAINER NAME",
            "Names the author. Deprecated: use LABEL org.opencontainers.image.authors.",
            'LABEL org.opencontainers.image.authors="jo@example.com"',
        ),
        InstructionRule(
            "ONBUILD INSTRUCTION",
            "An instruction that runs when another image is built on this one, right after its "
            "FROM. FROM, MAINTAINER and ONBUILD are not allowed in it.",
            "ONBUILD COPY . /app",
        ),
        InstructionRule(
            'RUN [FLAGS] COMMAND\nRUN [FLAGS] ["PROGRAM", "ARGUMENT"...]\nRUN [FLAGS] <<EOF',
            "Runs a command and stores its changes as a layer. Files that a later RUN removes stay "
            "in this layer, so clean up in the command that creates them.",
            "RUN --mount=type=cache,target=/root/.cache pip install -r requirements.txt",
            (
                FlagRule(
                    "Mounts something while the command runs: files from the context or a stage, a "
                    "cache, a secret, an SSH agent, a tmpfs. None of it becomes part of the layer.",
                    "--mount=type=cache,target=/root/.cache",
                    "values",
                ),
                FlagRule(
                    "The network: default, none, or host, which the builder must allow.",
                    "--network=none",
                    choices=("default", "none", "host"),
                ),
                FlagRule(
                    "sandbox, or insecure for a privileged command, which the builder must allow.",
                    "--security=insecure",
                    choices=("sandbox", "insecure"),
                ),
                FlagRule(
                    "A CDI device for the command.", "--device=vendor1.com/device=class1", "values"
                ),
            ),
        ),
        InstructionRule(
            'SHELL ["PROGRAM", "ARGUMENT"...]',
            "The shell for the shell form of RUN, CMD and ENTRYPOINT below, as a JSON array. "
            'The default on Linux is ["/bin/sh", "-c"].',
            'SHELL ["/bin/bash", "-o", "pipefail", "-c"]',
        ),
        InstructionRule(
            "STOPSIGNAL SIGNAL",
            "The signal that stops the program, by name or number; SIGTERM by default.",
            "STOPSIGNAL SIGQUIT",
        ),
        InstructionRule(
            "USER USER[:GROUP]",
            "User and group for the following RUN instructions and for containers, by name or "
            "number.",
            "USER app:app",
        ),
        InstructionRule(
            'VOLUME ["PATH"...]\nVOLUME PATH...',
            "Paths that become volumes in a container. With the classic builder, changes that "
            "later steps make there are lost.",
            "VOLUME /var/lib/postgresql/data",
        ),
        InstructionRule(
            "WORKDIR PATH",
            "The working directory for the following instructions and for containers. It is "
            "created if necessary; a relative path starts at the previous one.",
            "WORKDIR /app",
        ),
    )
}


#: Variables for FROM lines; ARG brings them into a stage.
PLATFORM_ARGS = {
    "BUILDPLATFORM": "Platform that the build runs on, such as linux/amd64.",
    "BUILDOS": "Operating system that the build runs on.",
    "BUILDARCH": "Architecture that the build runs on.",
    "BUILDVARIANT": "Architecture variant that the build runs on.",
    "TARGETPLATFORM": "Platform of the result, such as linux/arm64.",
    "TARGETOS": "Operating system of the result.",
    "TARGETARCH": "Architecture of the result.",
    "TARGETVARIANT": "Architecture variant of the result.",
    "TARGETSTAGE": "Name of the stage that is built.",
}

#: Build arguments that need no ARG; commands get them as variables.
PREDEFINED_ARGS = tuple(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)

#: Parser directives.
DIRECTIVES = {
    "syntax": "The Dockerfile frontend for this file, such as docker/dockerfile:1.",
    "escape": "The escape character: \\, or ` if paths have backslashes.",
    "check": "How checks behave: skip=all or skip=NAME,NAME; error=true.",
}
