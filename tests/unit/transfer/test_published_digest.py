"""Whose ETag is a digest: the Hub's own, and nobody else's."""

from pathlib import Path

import pytest

from engine.digest import Digest
from engine.remote_file import RemoteFile, RemoteName
from engine.transfer.admission import published_digest

SHA256, GIT = "ab" * 32, "cd" * 20


def published(url: str, etag: str | None) -> Digest | None:
    return published_digest(RemoteFile(name=RemoteName.parse("m"), url=url), etag)


@pytest.mark.parametrize(
    ("etag", "digest"),
    [
        (f'"{SHA256}"', f"sha256:{SHA256}"),
        (f'W/"{SHA256}"', f"sha256:{SHA256}"),
        (f'"{GIT}"', f"git-sha1:{GIT}"),
    ],
)
def test_the_hubs_etag_is_a_digest(home: Path, etag: str, digest: str) -> None:
    """Of a large file its SHA-256, of a small one what Git calls it."""
    assert str(published("https://huggingface.co/a/b/resolve/main/m", etag)) == digest


@pytest.mark.parametrize(
    "url",
    [
        "https://models.example/a/b/resolve/main/m",
        "http://huggingface.co/a/b/resolve/main/m",
        "https://huggingface.co:444/a/b/resolve/main/m",
        "https://huggingface.co.evil.example/a/b/resolve/main/m",
        "https://huggingface.co/a/b/raw/main/m",
    ],
)
def test_nobody_elses_etag_is_a_digest(home: Path, url: str) -> None:
    """It may look like one: what anybody else says of its own file proves nothing."""
    assert published(url, f'"{SHA256}"') is None


@pytest.mark.parametrize("etag", [None, "", '""', '"abc"', f'"{SHA256}-5"', f'"{SHA256[1:]}"', '"../../x"'])
def test_what_is_no_digest_is_none(home: Path, etag: str | None) -> None:
    """Other tags of the Hub's say nothing of the content."""
    assert published("https://huggingface.co/a/b/resolve/main/m", etag) is None
