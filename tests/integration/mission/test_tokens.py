"""The document's tokens: which one arrives, and where."""

import re

import pytest

from tests.mission import document
from tests.mission.document import examples, program
from tests.mission.world import IN_ENVIRONMENT, PRIVATE, SET, World, setup


def private(world: World, token: str) -> bytes:
    """A private repository that this token may read; its file."""
    return world.publish(PRIVATE, "private-Q4_K_M.gguf", bearer=token)["private-Q4_K_M.gguf"]


def tokens(line: int) -> str:
    """The example, with the two tokens that it leaves open."""
    set_call, environment = (text for text in examples()[line].split("os.environ"))
    filled = [
        re.sub(r'"hf_\w*(?:\.\.\.)?"', f'"{token}"', text)
        for text, token in ((set_call, SET), (environment, IN_ENVIRONMENT))
    ]
    return "os.environ".join(filled)


FETCH = f"""
downloader.download("private", get_download_url("{PRIVATE}"), "private.gguf")
"""
FRESH = """
downloader = ModelDownloader(download_dir=Path("models/llm"))
"""


@pytest.mark.parametrize("line", [document.TOKEN, document.FORBIDDEN])
def test_token_that_was_set(world: World, mistral: dict[str, bytes], line: int) -> None:
    """The token that was set arrives at the Hub, before that of the environment, and nowhere else."""
    content = private(world, SET)
    world.run(program(document.SETUP, tokens(line), FETCH, fill=setup(mistral)))
    assert world.read("models/llm/private.gguf") == content
    assert world.hub.tokens(PRIVATE) == {f"Bearer {SET}"}
    assert all("Authorization" not in record.headers for record in world.hub.content.requests)


@pytest.mark.parametrize("line", [document.TOKEN, document.FORBIDDEN])
def test_token_of_the_environment(world: World, mistral: dict[str, bytes], line: int) -> None:
    """A downloader to which none was set takes the token of the environment."""
    content = private(world, IN_ENVIRONMENT)
    world.run(program(document.SETUP, tokens(line), FRESH, FETCH, fill=setup(mistral)))
    assert world.read("models/llm/private.gguf") == content
    assert world.hub.tokens(PRIVATE) == {f"Bearer {IN_ENVIRONMENT}"}


def test_no_token(world: World, mistral: dict[str, bytes]) -> None:
    """Without one the private repository stays closed, so the two tests above prove something."""
    private(world, SET)
    ended = world.run(program(document.SETUP, FETCH, fill=setup(mistral)), code=1)
    assert "engine.errors.NotFound" in ended.stderr
    assert "--token or in HF_TOKEN" in ended.stderr
    assert not (world.folder / "models/llm/private.gguf").exists()
