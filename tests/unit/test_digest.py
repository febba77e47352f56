"""Digests: what parses, what does not, and that the hashers are the ones that Git and sha256sum use."""

import hashlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.digest import Digest, start_hash
from engine.errors import PathError
from tests.properties import steady

SHA256, SHA1 = "0123456789abcdef" * 4, "0123456789" * 4


@pytest.mark.parametrize(
    ("text", "algorithm", "value"),
    [
        (SHA256, "sha256", SHA256),
        (SHA256.upper(), "sha256", SHA256),
        (f"sha256:{SHA256}", "sha256", SHA256),
        (f" sha256:{SHA256}\n", "sha256", SHA256),
        (f"git-sha1:{SHA1}", "git-sha1", SHA1),
    ],
)
def test_digest_parses(text, algorithm, value):
    """Bare or prefixed, in any case of hex; it prints as it parses."""
    digest = Digest.parse(text)
    assert (digest.algorithm, digest.hex) == (algorithm, value)
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":" + SHA256,
        SHA256[:-1],
        SHA256 + "0",
        SHA256[:-1] + "g",
        SHA256[:-1] + "٣",  # a digit, but not one of ours
        SHA256[:32] + "\n" + SHA256[32:],
        f"sha1:{SHA1}",
        f"sha256:{SHA1}",
        f"git-sha1:{SHA256}",
        f"md5:{SHA256[:32]}",
        f"x:sha256:{SHA256}",
        "abc123...",
    ],
)
def test_digest_refuses(text):
    """Anything but the right number of hexadecimal digits of a kind we know is a PathError."""
    with pytest.raises(PathError, match="Not a digest"):
        Digest.parse(text)


@given(st.text(max_size=90))
@steady()
def test_digest_parse_raises_nothing_else(text):
    """Whatever is typed, a digest or a PathError comes back."""
    try:
        assert Digest.parse(text).hex == text.strip().rpartition(":")[2].lower()
    except PathError:
        pass


@pytest.mark.parametrize("content", [b"", b"hello\n", bytes(range(256)) * 100])
def test_hashers_agree_with_the_tools(content):
    """SHA-256 as sha256sum prints it; git-sha1 as `git hash-object` does."""
    sha256 = start_hash("sha256", len(content))
    git = Digest.parse(f"git-sha1:{SHA1}").start(len(content))
    for hasher in (sha256, git):
        hasher.update(content)
    shown = subprocess.run(["sha256sum"], input=content, capture_output=True, check=True).stdout.split()[0]
    assert sha256.hexdigest() == shown.decode() == hashlib.sha256(content).hexdigest()
    named = subprocess.run(["git", "hash-object", "--stdin"], input=content, capture_output=True, check=True)
    assert git.hexdigest() == named.stdout.decode().strip()


def test_hasher_copies_apart():
    """A copy keeps its state when the original goes on: the frontier steps back that way."""
    hasher = start_hash("git-sha1", 3)
    hasher.update(b"a")
    before = hasher.copy()
    hasher.update(b"XX")
    before.update(b"bc")
    assert before.hexdigest() == hashlib.sha1(b"blob 3\0abc").hexdigest()


@pytest.mark.row("attack/23-empty-blob")
@pytest.mark.parametrize(
    "empty",
    [
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "git-sha1:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    ],
)
def test_no_bytes_have_one_digest(empty: str) -> None:
    """Any other one is that of some bytes, in either kind."""
    other = f"{empty[:-1]}0"
    assert Digest.parse(empty).may_be_of(0)
    assert not Digest.parse(other).may_be_of(0)
    assert Digest.parse(other).may_be_of(1)
