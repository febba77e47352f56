"""Where things lie."""

import hashlib
from pathlib import Path

from engine.digest import Digest
from engine.remote_file import RemoteFile, RemoteName
from engine.store import layout

HEX = "ab" * 32
ROOT = Path("/store")


def remote(digest: Digest | None = None, url: str = "https://h/m?sig=secret") -> RemoteFile:
    return RemoteFile(name=RemoteName.parse("a/b.gguf"), url=url, digest=digest)


def test_part_is_named_by_content_where_it_is_known():
    """One content is fetched once, whatever its address; without a digest the address tells, and does not show."""
    known = Digest("sha256", HEX)
    assert layout.partial_in_store(ROOT, remote(known)) == ROOT / "partial" / f"sha256-{HEX}"
    assert layout.key_of(remote(known, "https://other/x")) == layout.key_of(remote(known))
    assert layout.key_of(remote()) != layout.key_of(remote(url="https://h/m?sig=other"))
    assert "secret" not in layout.key_of(remote())
    assert layout.key_of(remote()).startswith("url-")


def test_part_beside_a_loose_file():
    """In the target's own folder, so that the last step is a rename; a name that would be too long is hashed."""
    assert layout.partial_beside(Path("/d/m.gguf")) == Path("/d/m.gguf.jarvis-part")
    for name in ("x" * 255, "é" * 127):
        part = layout.partial_beside(Path("/d") / name)
        assert part == Path("/d") / (hashlib.sha256(name.encode()).hexdigest()[:40] + ".jarvis-part")
        assert len(part.name.encode()) <= 255


def test_part_beside_a_name_that_is_no_text(tmp_path):
    """A target's name is bytes; the part of one that is no UTF-8 can be made."""
    for name in (b"m\xff.gguf", b"\xff" * 255):
        part = layout.partial_beside(tmp_path / name.decode("utf-8", "surrogateescape"))
        part.mkdir()
        assert part.is_dir()


def test_folders():
    """The parts of the store's root that people and docs/formats.md know."""
    assert layout.models(ROOT) == ROOT / "llm"
    assert layout.receipts(ROOT) == ROOT / "receipts"
    assert layout.inside(ROOT, RemoteName.parse("a/b.gguf")) == ROOT / "a" / "b.gguf"
