"""What `--revision` and `-q` mean for a model of an OCI registry whose path may name a version, too."""

import json
import re
from typing import cast

import pytest

from engine.errors import NotFound, UsageError
from engine.model_registry import ModelRegistry
from engine.sources import Choice
from engine.sources.oci import Oci
from engine.transport.client import Client, JsonAnswer

ONE, OTHER = (f"sha256:{digit * 64}" for digit in "12")
BY_CHANCE = f"sha256:{'404' * 21}4"
"""An error's text breaks up what looks as if something were not found."""


class Asked:
    """A client that knows of nothing, and what it was asked for."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def get_json(self, url: str, **_: object) -> None:
        self.urls.append(url)
        raise NotFound("Nothing is here.")


class Holding:
    """A client of a registry that has an index of two manifests under every name."""

    def get_json(self, url: str, **_: object) -> JsonAnswer:
        entries = [
            {
                "mediaType": "m",
                "digest": digest,
                "size": 5,
                "platform": {"os": "x" * 200, "architecture": "y"},
            }
            for digest in (ONE, BY_CHANCE)
        ]
        return JsonAnswer(json.dumps({"schemaVersion": 2, "manifests": entries}).encode(), {}, url)


@pytest.mark.parametrize(
    "typed", ["r.example:5000/ns/m:v1", "http://r.example/a/m", "llama3:8b", f"localhost/{'deep/' * 40}m"]
)
def test_what_an_index_leaves_to_choose_can_be_typed(typed: str) -> None:
    """Its registry and scheme are part of the name, and no digest is cut, however long names and platforms are."""
    path = ModelRegistry.parse(typed)
    with pytest.raises(UsageError, match="Choose one of") as caught:
        Oci().list_files(cast(Client, Holding()), path, Choice())
    told = [ModelRegistry.parse(name) for name in re.findall(r"\S+@\S+", str(caught.value))]
    assert [one.pin for one in told] == [ONE, BY_CHANCE]
    assert {(one.registry, one.scheme, one.model_id) for one in told} == {
        (path.registry, path.scheme, path.model_id)
    }


def asked_for(typed: str, choice: Choice) -> list[str]:
    client = Asked()
    with pytest.raises(NotFound):
        Oci().list_files(cast(Client, client), ModelRegistry.parse(typed), choice)
    return [url.partition("/manifests/")[2] for url in client.urls]


@pytest.mark.parametrize(
    ("typed", "revision", "named"),
    [
        ("r.example/ns/m", "v2", "v2"),
        ("r.example/ns/m", ONE, ONE),
        ("r.example/ns/m:v2", "v2", "v2"),
        (f"r.example/ns/m@{ONE}", ONE, ONE),
        ("r.example/ns/m:v2", ONE, ONE),
        (f"r.example/ns/m:v2@{ONE}", "v2", ONE),
        (f"r.example/ns/m:v2@{ONE}", ONE, ONE),
        ("llama3", "8b", "8b"),
        ("llama3", ONE, ONE),
    ],
)
def test_a_version_that_agrees_with_the_path(typed, revision, named):
    """It is asked for, and a pin wins over a tag; Ollama's latest is a default that nobody need have typed."""
    assert asked_for(typed, Choice(revision=revision)) == [named]


@pytest.mark.parametrize(
    ("typed", "choice"),
    [
        ("r.example/ns/m:v1", Choice(revision="v2")),
        (f"r.example/ns/m@{ONE}", Choice(revision=OTHER)),
        (f"r.example/ns/m@{ONE}", Choice(revision="v2")),
        (f"r.example/ns/m:v1@{ONE}", Choice(revision="v2")),
        ("llama3:8b", Choice(revision="70b")),
        ("r.example/ns/m", Choice(revision="v2", quant="Q8_0")),
    ],
)
def test_two_versions_of_one_model(typed, choice):
    """Neither is taken for the other, a pin least of all: nobody is asked, and the error says to leave one out."""
    client = Asked()
    with pytest.raises(UsageError, match="Leave one out"):
        Oci().list_files(cast(Client, client), ModelRegistry.parse(typed), choice)
    assert not client.urls
