"""What answers add to what is known of a file, and which of them contradict it."""

from pathlib import Path

import pytest

from engine.remote_file import Identity, RemoteFile, RemoteName
from engine.transfer.messages import Opened
from engine.transfer.version import Version

SHA256 = "ab" * 32
NONE = Identity(size=9)
TAGGED = Identity(size=9, etag='"1"')
DATED = Identity(size=9, last_modified="Mon, 02 Jan 2023 00:00:00 GMT")


@pytest.fixture
def version(home: Path) -> Version:
    return Version(RemoteFile(name=RemoteName.parse("m"), url="https://h.example/m", size=9))


def opened(identity: Identity, status: int = 206) -> Opened:
    return Opened(
        0, 0, 0, url="https://h.example/m", is_redirected=False, status=status, span=None, identity=identity
    )


@pytest.mark.parametrize("late", [TAGGED, DATED])
def test_a_validator_that_appears_late_is_another_versions(version: Version, late: Identity) -> None:
    """Bytes came from a server that showed none: nothing says that the next ones are of the same file."""
    assert version.learn(opened(NONE))
    assert not version.learn(opened(late))
    assert not version.can_be_told


@pytest.mark.parametrize("refused", [416, 503])
def test_a_refusal_says_nothing_of_the_file(version: Version, refused: int) -> None:
    """A refusal brought no bytes, so the first answer that does may show the version."""
    assert version.learn(opened(NONE, refused))
    assert version.learn(opened(TAGGED))
    assert version.identity == TAGGED and version.can_be_told


def test_a_validator_that_fails_to_come_again_changes_nothing(version: Version) -> None:
    """Lanes judge that (test_answers): what is known stays known."""
    assert version.learn(opened(TAGGED))
    assert version.learn(opened(NONE))
    assert version.identity == TAGGED


def test_a_digest_judges_instead(home: Path) -> None:
    """Where one is known, the bytes are checked, and headers may change."""
    remote = RemoteFile(name=RemoteName.parse("m"), url="https://h.example/m", digest=f"sha256:{SHA256}")
    version = Version(remote)
    assert version.learn(opened(NONE))
    assert version.learn(opened(TAGGED))
