"""Searches that the engine does where the registry cannot be reached from here."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from layerscope.engines.docker import connect
from layerscope.engines.searching import search_anywhere
from layerscope.errors import RegistryError
from layerscope.images.answers import FoundRepository
from layerscope.images.registry import hub
from layerscope.images.registry.search import Hit

#: What Podman 4.3 answers.
PODMAN = [
    {
        "Index": "docker.io",
        "Name": "docker.io/library/nginx",
        "Description": "Official build of Nginx.",
        "Stars": 20000,
        "Official": "[OK]",
        "Automated": "",
        "Tag": "",
    }
]
DOCKER = [{"name": "nginx", "description": "d", "star_count": 5, "is_official": True}]


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "INDEX", "http://127.0.0.1:1")


def test_podman_has_its_own_form(answers: dict[str, Any]) -> None:
    answers["/version"] = {
        "ApiVersion": "1.41",
        "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}],
    }
    answers["/images/search"] = PODMAN
    with closing(connect()) as engine:
        found = engine.search("nginx", 5)
    assert found == [FoundRepository("nginx", "Official build of Nginx.", 20000, True, False)]


def test_the_engine_searches_instead(answers: dict[str, Any]) -> None:
    answers["/version"] = {"ApiVersion": "1.41", "Version": "28"}
    answers["/images/search"] = DOCKER
    assert search_anywhere("nginx", "docker.io", 5) == [Hit("nginx", "d", 5, True)]


def test_without_an_engine_the_registry_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/engine")
    with pytest.raises(RegistryError, match="Nothing listens"):
        search_anywhere("nginx", "docker.io", 5)


def test_stars_that_are_not_a_number_is_an_error(answers: dict[str, Any]) -> None:
    answers["/version"] = {"ApiVersion": "1.41", "Version": "28"}
    answers["/images/search"] = [{"name": "nginx", "star_count": "many"}]
    with pytest.raises(RegistryError):
        search_anywhere("nginx", "docker.io", 5)
