"""Builders of an engine for tests that build nothing."""

from __future__ import annotations

from layerscope.build.builders import Builders

MISSING = {"podman": "Docker 28 does not have Podman's builder."}
NO_SECRETS = {"classic": "The classic builder does not support secrets; BuildKit does."}
DOCKER = Builders("Docker 28", "linux/amd64", "buildkit", "docker has buildx.", MISSING, NO_SECRETS)
