"""`jarvis verify`: receipts, typed digests, and what has changed since."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Result
from tests.origin import Origin
from tests.origin.content import Pattern

Jarvis = Callable[..., Result]
SIZE = 20_000_000


@pytest.fixture
def content() -> Pattern:
    return Pattern(SIZE, 3)


@pytest.fixture
def pulled(jarvis: Jarvis, origin_factory: Callable[..., Origin], content: Pattern, tmp_path: Path) -> Path:
    origin = origin_factory({"m.gguf": content})
    target = tmp_path / "m.gguf"
    jarvis("pull", origin.url("m.gguf"), "-o", target, "--segment-size", "1MiB").check(0)
    return target


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_good_file(jarvis: Jarvis, pulled: Path, content: Pattern) -> None:
    """The path on stdout, by what it was verified on stderr, exit 0."""
    result = jarvis("verify", pulled).check(0)
    assert result.stdout == f"{pulled}\n"
    assert "verified against the SHA-256 computed when it was pulled" in result.stderr
    (file,) = jarvis("verify", pulled, "--json").check(0).events_named("file")
    assert (file["sha256"], file["verified"], file["size"]) == (content.sha256(), True, SIZE)


def test_flipped_bytes_are_found_and_named(jarvis: Jarvis, pulled: Path) -> None:
    """Exit 6, with the segments that have changed."""
    flip(pulled, 5 * (1 << 20) + 17)
    flip(pulled, SIZE - 1)
    result = jarvis("verify", pulled).check(6)
    assert "SHA256" in result.stderr
    assert (
        "2 of 20 segments have changed: bytes 5,242,880 to 6,291,456, 19,922,944 to 20,000,000"
        in result.stderr
    )
    assert result.stdout == ""


def test_stat_that_agrees_is_no_evidence(jarvis: Jarvis, pulled: Path) -> None:
    """A byte that changed behind the file's times is found: verify reads everything."""
    before = pulled.stat()
    flip(pulled, 100)
    os.utime(pulled, ns=(before.st_atime_ns, before.st_mtime_ns))
    jarvis("verify", pulled).check(6)


def test_another_size_is_a_mismatch(jarvis: Jarvis, pulled: Path) -> None:
    """A file that was cut is told so, with both sizes."""
    os.truncate(pulled, SIZE - 5)
    result = jarvis("verify", pulled).check(6)
    assert "19,999,995" in result.stderr and "20,000,000" in result.stderr


def test_copied_file_is_the_same_content(
    jarvis: Jarvis, pulled: Path, origin_factory: Callable[..., Origin]
) -> None:
    """Another inode with the same bytes verifies, and its receipt speaks for it again."""
    data = pulled.read_bytes()
    pulled.unlink()
    pulled.write_bytes(data)
    jarvis("verify", pulled).check(0)
    flip(pulled, 7)
    jarvis("verify", pulled).check(6)


def test_file_without_receipt(jarvis: Jarvis, tmp_path: Path) -> None:
    """Nothing is known about it: exit 1, and what to do."""
    (tmp_path / "foreign").write_bytes(b"x")
    result = jarvis("verify", tmp_path / "foreign").check(1)
    assert "no receipt" in result.stderr and "--sha256" in result.stderr


def test_typed_digest(jarvis: Jarvis, tmp_path: Path, content: Pattern) -> None:
    """--sha256 needs no receipt, and decides."""
    path = content.write_to(tmp_path / "foreign")
    result = jarvis("verify", path, "--sha256", content.sha256().upper()).check(0)
    assert "verified against the digest you gave" in result.stderr
    jarvis("verify", path, "--sha256", "0" * 64).check(6)
    jarvis("verify", path, "--sha256", "abc").check(2)
    jarvis("verify", path, path, "--sha256", content.sha256()).check(2)


def test_several_files(jarvis: Jarvis, pulled: Path, tmp_path: Path) -> None:
    """A bad one does not hide the good one; different failures are exit 1."""
    (tmp_path / "foreign").write_bytes(b"x")
    assert jarvis("verify", tmp_path / "foreign", pulled).check(1).stdout == f"{pulled}\n"
    assert jarvis("verify", tmp_path / "absent", pulled).check(3).stdout == f"{pulled}\n"
    jarvis("verify", tmp_path / "absent", tmp_path / "foreign").check(1)


def test_pulled_without_hash(
    jarvis: Jarvis, origin_factory: Callable[..., Origin], content: Pattern, tmp_path: Path
) -> None:
    """The segments' checks still tell whether it is what was received; nothing more is claimed."""
    origin = origin_factory({"m": content})
    jarvis("pull", origin.url("m"), "-o", tmp_path / "m", "--hash", "none").check(0)
    result = jarvis("verify", tmp_path / "m", "--json").check(0)
    assert result.events_named("file")[0]["verified"] == "transport"
    assert "pulled without hashing" in result.stderr
    flip(tmp_path / "m", 12)
    jarvis("verify", tmp_path / "m").check(6)


def test_folder(jarvis: Jarvis, tmp_path: Path) -> None:
    """A folder is no file: exit 7, in words."""
    assert "Cannot verify" in jarvis("verify", tmp_path).check(7).stderr
