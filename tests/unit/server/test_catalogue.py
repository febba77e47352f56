"""What a folder of models is seen to hold, and what must never be seen."""

import os
import time
from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.remote_file import RemoteName
from engine.server.catalogue import Catalogue, Missing, Unsettled
from tests.unit.server.conftest import write

TINY = "acme/tiny"


def names(root: Path, repository: str = TINY) -> list[str]:
    return list(Catalogue(root).listing(repository).entries)


def read(catalogue: Catalogue, revision: str, name: str) -> bytes:
    _, _, file = catalogue.find(TINY, revision, RemoteName.parse(name))
    with file:
        return file.read()


def test_repositories_with_and_without_namespace(root: Path) -> None:
    """Every second-level folder is a repository, and so is a first-level one that holds files itself."""
    (root / "acme/empty").mkdir()
    write(root / ".git/objects/x", b"")
    write(root / ".cache/model/x", b"")
    assert Catalogue(root).repositories() == ["acme/empty", "acme/tiny", "solo"]


def test_listing_has_all_files_in_order(root: Path) -> None:
    """Files of all depths are listed by their names from the repository's folder, sorted."""
    assert names(root) == ["config.json", "sub/deep/a.txt", "weights.gguf"]
    assert names(root, "solo") == ["README.md"]


@pytest.mark.parametrize(
    "hidden",
    [
        "model.gguf.jarvis-part",
        "model.gguf.jarvis-journal",
        ".env",
        ".cache/huggingface/x",
        ".git/config",
        "big.incomplete",
        "half.jarvis-part/x",
        "back\\slash",
        "ends.with.dot.",
        "bidi\u202egpj.exe",
        "tab\there",
    ],
)
def test_hidden_names_are_not_listed(root: Path, hidden: str) -> None:
    """Unfinished files, dot files and names that deceive are not there, whoever asks."""
    before = names(root)
    write(root / TINY / hidden, b"secret")
    assert names(root) == before


@pytest.mark.parametrize(
    "shown", [".gitattributes", ".gitignore", "a.part", "jarvis-part", "what?.txt", "ca%2Fche"]
)
def test_odd_but_harmless_names_are_listed(root: Path, shown: str) -> None:
    """Hiding goes no further than it says."""
    write(root / TINY / shown, b"x")
    assert shown in names(root)


def test_name_that_is_not_utf8_is_not_listed(root: Path) -> None:
    """A name that cannot be written in a URL is left out instead of breaking the listing."""
    before = names(root)
    descriptor = os.open(os.fsencode(root / TINY) + b"/caf\xe9", os.O_CREAT | os.O_WRONLY)
    os.close(descriptor)
    assert names(root) == before


def test_links_inside_root_are_followed_to_files(root: Path) -> None:
    """A link to a file elsewhere in root is served as that file, as in a cache of blobs."""
    write(root / "blobs/b1", b"shared")
    (root / TINY / "linked.bin").symlink_to(root / "blobs/b1")
    catalogue = Catalogue(root)
    assert "linked.bin" in catalogue.listing(TINY).entries
    assert read(catalogue, "main", "linked.bin") == b"shared"


def test_links_that_lead_out_or_to_hidden_files_are_not_there(root: Path, tmp_path: Path) -> None:
    """Neither a file nor a folder nor a repository outside of root can be reached through a link."""
    before = names(root)
    write(tmp_path / "outside/repo/secret", b"secret")
    write(root / "acme/other/x.jarvis-part", b"unfinished")
    tiny = root / TINY
    (tiny / "out").symlink_to(tmp_path / "outside/repo/secret")
    (tiny / "relative").symlink_to("../../../outside/repo/secret")
    (tiny / "folder").symlink_to(tmp_path / "outside/repo")
    (tiny / "loop").symlink_to(tiny)
    (tiny / "self").symlink_to(tiny / "self")
    (tiny / "dangling").symlink_to(tiny / "nothing")
    (tiny / "part").symlink_to(root / "acme/other/x.jarvis-part")
    (root / "acme/linked").symlink_to(tmp_path / "outside/repo")
    (root / "spaces-out").symlink_to(tmp_path / "outside")
    assert names(root) == before
    for repository in ("acme/linked", "spaces-out", "spaces-out/repo"):
        with pytest.raises(Missing):
            Catalogue(root).listing(repository)


def test_fifo_is_neither_listed_nor_opened(root: Path) -> None:
    """A pipe is no file: it is not listed, and one put in a file's place does not hang the reader."""
    os.mkfifo(root / TINY / "pipe")
    catalogue = Catalogue(root)
    entry = catalogue.listing(TINY).entries["config.json"]
    assert "pipe" not in catalogue.listing(TINY).entries
    (root / TINY / "config.json").unlink()
    os.mkfifo(root / TINY / "config.json")
    with pytest.raises(Unsettled):
        entry.open()


def test_file_swapped_for_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    """A link that takes a listed file's place between listing and opening leads nowhere."""
    write(tmp_path / "secret", b"{}")
    catalogue = Catalogue(root)
    entry = catalogue.listing(TINY).entries["config.json"]
    (root / TINY / "config.json").unlink()
    (root / TINY / "config.json").symlink_to(tmp_path / "secret")
    with pytest.raises(Unsettled):
        entry.open()
    with pytest.raises(Missing):
        read(catalogue, "main", "config.json")


@pytest.mark.parametrize(
    "repository",
    ["", "acme", "nope", "acme/nope", "acme/tiny/sub", "..", "../root", "acme/..", "acme/../acme", "/etc",
     "acme//tiny", "acme/", ".", "x" * 5000, "a\0b"],
)  # fmt: skip
def test_unknown_repositories(root: Path, repository: str) -> None:
    """A name that is no repository's is missing, however it is written; nothing outside is looked at."""
    with pytest.raises(Missing) as caught:
        Catalogue(root).listing(repository)
    assert caught.value.kind == "repository"


def test_commit_is_stable_across_restarts_and_changes_with_content(root: Path) -> None:
    """Two catalogues agree on the commit; a changed, new, renamed or removed file makes another."""
    seen = [Catalogue(root).listing(TINY).commit]
    assert Catalogue(root).listing(TINY).commit == seen[0]
    tiny = root / TINY
    changes = [
        lambda: (tiny / "config.json").write_bytes(b"{ }"),
        lambda: os.utime(tiny / "config.json", ns=(0, 1)),
        lambda: write(tiny / "new.txt", b""),
        lambda: (tiny / "new.txt").rename(tiny / "newer.txt"),
    ]
    for change in changes:
        change()
        seen.append(Catalogue(root).listing(TINY).commit)
    assert len(set(seen)) == len(seen)
    (tiny / "newer.txt").unlink()
    assert Catalogue(root).listing(TINY).commit == seen[2], "the same state has the same name again"


def test_revisions(root: Path) -> None:
    """main, refs/heads/main and the commit itself name the present state; nothing else does."""
    catalogue = Catalogue(root)
    commit = catalogue.listing(TINY).commit
    assert {catalogue.listing(TINY, r).commit for r in ("main", "refs/heads/main", commit)} == {commit}
    for unknown in ("v1.0", "", "HEAD", "refs/pr/1", commit[:7], "0" * 40, commit.upper() + "x"):
        with pytest.raises(Missing) as caught:
            catalogue.listing(TINY, unknown)
        assert caught.value.kind == "revision"


def test_commit_is_known_to_a_catalogue_that_never_handed_it_out(root: Path) -> None:
    """A client that pinned a commit goes on after the server was restarted."""
    commit = Catalogue(root).listing(TINY).commit
    assert Catalogue(root).listing(TINY, commit).commit == commit
    assert read(Catalogue(root), commit, "config.json") == b"{}"


def test_pinned_commit_outlives_changes_to_other_files(root: Path) -> None:
    """Under an old commit unchanged files are served, changed and new ones are not."""
    catalogue = Catalogue(root)
    pinned = catalogue.listing(TINY).commit
    write(root / TINY / "new.txt", b"new")
    write(root / TINY / "config.json", b'{"changed": true}')
    (root / TINY / "weights.gguf").unlink()
    assert catalogue.listing(TINY).commit != pinned
    assert read(catalogue, pinned, "sub/deep/a.txt") == b"a"
    for name, kind in [("config.json", "revision"), ("weights.gguf", "revision"), ("new.txt", "entry")]:
        with pytest.raises(Missing) as caught:
            read(catalogue, pinned, name)
        assert caught.value.kind == kind
    assert read(catalogue, "main", "config.json") == b'{"changed": true}'


def test_change_is_seen_at_once_through_main(root: Path) -> None:
    """A file that is new or has changed is found under main even if main was listed a moment ago."""
    catalogue = Catalogue(root)
    assert read(catalogue, "main", "config.json") == b"{}"
    write(root / TINY / "config.json", b"other")
    write(root / TINY / "later.txt", b"later")
    assert read(catalogue, "main", "config.json") == b"other"
    assert read(catalogue, "main", "later.txt") == b"later"
    (root / TINY / "later.txt").unlink()
    with pytest.raises(Missing) as caught:
        read(catalogue, "main", "later.txt")
    assert caught.value.kind == "entry"


def test_pinned_files_are_opened_without_listing_the_folder(root: Path) -> None:
    """A thousand ranged requests for a pinned file cost a thousand opens, not a thousand listings."""
    for index in range(3000):
        write(root / TINY / "many" / f"{index}.txt", b"")
    catalogue = Catalogue(root)
    began = time.perf_counter()
    commit = catalogue.listing(TINY).commit
    listing_s = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(100):
        read(catalogue, commit, "config.json")
    assert time.perf_counter() - began < 100 * listing_s / 4


def test_old_commits_are_forgotten_in_the_end(root: Path) -> None:
    """What is remembered is bounded: a repository that changes for ever does not fill the memory."""
    catalogue = Catalogue(root)
    first = catalogue.listing(TINY).commit
    for index in range(40):
        os.utime(root / TINY / "config.json", ns=(index, index))
        catalogue.listing(TINY)
    with pytest.raises(Missing):
        catalogue.listing(TINY, first)


def test_unreadable_folder_is_skipped(root: Path) -> None:
    """A folder that cannot be read is left out; the rest is served."""
    blocked = root / TINY / "blocked"
    write(blocked / "x", b"")
    blocked.chmod(0)
    try:
        if os.access(blocked, os.R_OK):
            # The superuser reads everything: a folder that goes away is the other way to meet the error.
            blocked.chmod(0o755)
            (blocked / "x").unlink()
            blocked.rmdir()
        assert names(root) == ["config.json", "sub/deep/a.txt", "weights.gguf"]
    finally:
        if blocked.exists():
            blocked.chmod(0o755)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_root_that_is_no_folder(tmp_path: Path, kind: str) -> None:
    """A root that is missing or a file is told at once, with what is expected."""
    if kind == "file":
        (tmp_path / "root").write_bytes(b"")
    with pytest.raises(UsageError, match="Name a folder that holds"):
        Catalogue(tmp_path / "root")
