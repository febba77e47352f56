"""A registry that says what it is told, and what a pull asks of it."""

import re
from contextlib import suppress
from hashlib import sha256
from typing import cast

from engine.errors import EngineError, NotFound
from engine.model_registry import ModelRegistry
from engine.sources import Choice
from engine.sources.huggingface import HuggingFace
from engine.sources.oci import Oci
from engine.transport.client import Client, JsonAnswer
from tests.fuzz.documents import HEX

_CHOICES = [
    Choice(quant="Q8_0"),
    Choice(file="config.json"),
    Choice(revision=HEX[:40]),
    Choice(include=("*.gguf",)),
    Choice(exclude=("*.bin",)),
    Choice(revision=f"sha256:{HEX}"),
    Choice(revision="latest"),
]


class Canned:
    """A client whose server says what it is told, one thing after the other, and then that there is nothing.

    A zero byte ends a thing; what stands before a byte of one in it is its Link. In a thing, @1@ is the digest of the
    next one, and #1# its size, so that indexes can name manifests; so of the first hundred, for each is hashed anew.
    """

    def __init__(self, data: bytes) -> None:
        self._said: list[tuple[bytes, str]] = []
        for thing in reversed(data.split(b"\0")[:20]):
            link, _, body = thing.rpartition(b"\1")
            body = re.sub(rb"@([1-9])@|#([1-9])#", self._reference, body, count=100)
            self._said.insert(0, (body, link.decode("latin-1")))
        self._at = 0

    @property
    def first_digest(self) -> str:
        return "sha256:" + sha256(self._said[0][0]).hexdigest()

    def _reference(self, match: re.Match[bytes]) -> bytes:
        number = int(match[1] or match[2])
        body = self._said[number - 1][0] if number <= len(self._said) else b""
        return b"sha256:" + sha256(body).hexdigest().encode() if match[1] else b"%d" % len(body)

    def get_json(self, url: str, *, limit_bytes: int = 64 << 20, accept: str = "") -> JsonAnswer:
        if self._at == len(self._said):
            raise NotFound("There is nothing more.")
        body, link = self._said[self._at]
        self._at += 1
        return JsonAnswer(body[:limit_bytes], {"link": link, "content-type": "a/b"} if link else {}, url)


def client(data: bytes) -> Client:
    return cast(Client, Canned(data))


def choices(data: bytes) -> tuple[Choice, Choice]:
    """None, and one that the length says, so that a space at the end makes another one of it."""
    return Choice(), _CHOICES[len(data) % len(_CHOICES)]


def pull(data: bytes, source: HuggingFace | Oci, typed: str, choice: Choice) -> None:
    """Version, listing, and the first files anew, all of one client: each answer is given once."""
    asked, path = client(data), ModelRegistry.parse(typed)
    with suppress(EngineError):
        source.version(asked, path, choice)
        files = source.list_files(asked, path, choice)
        assert files and all(file.url.startswith("https://") for file in files)
        for file in files[:2]:
            with suppress(EngineError):
                assert source.refresh(asked, file).name == file.name
