"""The Hugging Face cache: written as its own client writes it, read without believing or following anything."""

import fcntl
import hashlib
import os
from pathlib import Path

import pytest

from engine.digest import Digest
from engine.errors import PathError, StoreError, UsageError
from engine.remote_file import RemoteName
from engine.store.hf_cache import HubCache, hub_cache

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BIG, SMALL = b"weights" * 999, b'{"a": 1}\n'


def sha256(data: bytes) -> Digest:
    return Digest("sha256", hashlib.sha256(data).hexdigest())


def git_sha1(data: bytes) -> Digest:
    return Digest("git-sha1", hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())


@pytest.fixture
def files(tmp_path):
    """Verified files as a pull leaves them."""
    (tmp_path / "big").write_bytes(BIG)
    (tmp_path / "small").write_bytes(SMALL)
    return [
        (RemoteName.parse("Q4/model.gguf"), tmp_path / "big", sha256(BIG)),
        (RemoteName.parse("config.json"), tmp_path / "small", git_sha1(SMALL)),
    ]


@pytest.fixture
def cache(tmp_path):
    return HubCache(tmp_path / "hub")


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"HF_HUB_CACHE": "/c"}, "/c"),
        ({"HF_HUB_CACHE": "/c", "HUGGINGFACE_HUB_CACHE": "/l", "HF_HOME": "/h"}, "/c"),
        ({"HUGGINGFACE_HUB_CACHE": "/l", "HF_HOME": "/h"}, "/l"),
        ({"HF_HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/h/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ({"HF_HUB_CACHE": "", "HF_HOME": ""}, "~/.cache/huggingface/hub"),
        ({"HF_HOME": "~/h"}, "~/h/hub"),
        ({"HF_HUB_CACHE": "$JARVIS_TEST_SCRATCH/hub"}, "/scratch/hub"),
    ],
)
def test_hub_cache_is_where_its_own_client_looks(environment, path, monkeypatch):
    """The order of huggingface_hub's constants.py."""
    monkeypatch.setenv("JARVIS_TEST_SCRATCH", "/scratch")
    assert hub_cache(environment) == Path(path).expanduser()


def test_write_makes_the_layout(cache, files):
    """Blobs by what the Hub publishes, relative links, and a reference without a line break; nothing else."""
    paths = cache.write("acme/tiny", "main", COMMIT, files)
    folder = cache.root / "models--acme--tiny"
    assert everything(folder) == sorted([
        f"blobs/{sha256(BIG).hex}", f"blobs/{git_sha1(SMALL).hex}", "refs/main",
        f"snapshots/{COMMIT}/Q4/model.gguf", f"snapshots/{COMMIT}/config.json",
    ])  # fmt: skip
    assert [path.read_bytes() for path in paths] == [BIG, SMALL]
    assert str(paths[0].readlink()) == f"../../../blobs/{sha256(BIG).hex}"
    assert str(paths[1].readlink()) == f"../../blobs/{git_sha1(SMALL).hex}"
    assert (folder / "refs/main").read_bytes() == COMMIT.encode()


def test_write_shares_bytes(cache, files, tmp_path):
    """A blob and the file that it came from are one on the disk, where there are no reflinks."""
    placed = []
    cache.write(
        "acme/tiny", "main", COMMIT, files, put=lambda source, target: placed.append((source, target))
    )
    assert [source for source, _ in placed] == [tmp_path / "big", tmp_path / "small"]


def test_write_again_and_further_files(cache, files):
    """The same call changes nothing; another file of the commit joins the first; a new commit moves the branch."""
    cache.write("acme/tiny", "main", COMMIT, files[:1])
    before = everything(cache.root)
    cache.write("acme/tiny", "main", COMMIT, files[:1])
    assert everything(cache.root) == before
    cache.write("acme/tiny", "refs/pr/1", COMMIT, files[1:])
    cache.write("acme/tiny", "main", "f" * 40, files[1:])
    found = {model.commit: (model.revisions, sorted(model.files)) for model in cache.models()}
    assert found == {
        COMMIT: (("refs/pr/1",), ["Q4/model.gguf", "config.json"]),
        "f" * 40: (("main",), ["config.json"]),
    }


def test_write_by_commit_makes_no_reference(cache, files):
    """Who pulled a commit has said nothing of a branch."""
    cache.write("acme/tiny", COMMIT, COMMIT, files)
    cache.write("acme/tiny", None, COMMIT, files)
    assert not (cache.root / "models--acme--tiny/refs").exists()


def test_write_replaces_what_lies(cache, files):
    """A file of the right size and the wrong content is not taken for the blob, and a link there is not followed."""
    blob = cache.root / "models--acme--tiny/blobs" / sha256(BIG).hex
    blob.parent.mkdir(parents=True)
    victim = cache.root / "victim"
    victim.write_bytes(b"\0" * len(BIG))
    blob.symlink_to(victim)
    (path, *_) = cache.write("acme/tiny", "main", COMMIT, files)
    assert path.read_bytes() == BIG
    assert victim.read_bytes() == b"\0" * len(BIG)


def test_write_goes_on_beside_a_client_that_holds_the_lock(cache, files):
    """Its lock is honoured by not waiting: renames cannot harm it, and it may hold the lock for hours."""
    lock = cache.root / ".locks/models--acme--tiny" / f"{sha256(BIG).hex}.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (path, *_) = cache.write("acme/tiny", "main", COMMIT, files)
    assert path.read_bytes() == BIG


def test_write_holds_the_clients_lock(cache, files):
    """A client that starts meanwhile waits, instead of fetching what is about to be there."""
    seen = []

    def put(source: Path, target: Path) -> None:
        path = cache.root / ".locks/models--acme--tiny" / f"{target.name}.lock"
        with path.open("a") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        seen.append(target.name)
        target.write_bytes(source.read_bytes())

    cache.write("acme/tiny", "main", COMMIT, files, put=put)
    assert seen == [sha256(BIG).hex, git_sha1(SMALL).hex]


@pytest.mark.row("disk/no-hard-links")
def test_write_where_links_cannot_be(cache, files, monkeypatch):
    """On a file system without symbolic links the file itself is in the snapshot, as the Hub's client does it."""

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    paths = cache.write("acme/tiny", "main", COMMIT, files)
    assert [path.is_symlink() for path in paths] == [False, False]
    assert [path.read_bytes() for path in paths] == [BIG, SMALL]


@pytest.mark.parametrize(
    ("repo_id", "commit"),
    [
        ("a/b/c", COMMIT),
        ("../x", COMMIT),
        ("a--b/c", COMMIT),
        ("", COMMIT),
        ("a/b", "main"),
        ("a/b", "../.." + "0" * 35),
    ],
)
def test_write_refuses_what_is_no_model_of_the_hub(cache, files, repo_id, commit):
    """The layout has a place for a repository's commit and for nothing else."""
    with pytest.raises(UsageError):
        cache.write(repo_id, "main", commit, files)
    assert not cache.root.exists()


def test_write_refuses_a_revision_that_leads_out(cache, files):
    """A branch is a path below refs."""
    with pytest.raises(PathError):
        cache.write("a/b", "../../../x", COMMIT, files)


def test_write_says_what_the_disk_refuses(tmp_path, files):
    """Errors of the disk are ours, with the path."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="models--a--b"):
        HubCache(tmp_path / "file").write("a/b", "main", COMMIT, files)


def test_find_by_digest(cache, files):
    """By SHA-256 or git SHA-1, in any repository, of that size only; what comes back is no link."""
    cache.write("acme/tiny", "main", COMMIT, files)
    cache.write("other/copy", "main", COMMIT, files[:1])
    found = list(cache.find(sha256(BIG), len(BIG)))
    assert len(found) == 2
    assert {path.parent.parent.name for path in found} == {"models--acme--tiny", "models--other--copy"}
    assert [path.read_bytes() for path in cache.find(git_sha1(SMALL))] == [SMALL]
    assert list(cache.find(sha256(BIG), len(BIG) + 1)) == []
    assert list(cache.find(sha256(b"unknown"))) == []


def test_find_in_the_shared_blobs(cache):
    """Since 2.x a repository's blob may be a link into a folder that all share, where names are Xet hashes."""
    blob = cache.root / "models--acme--tiny/blobs" / sha256(BIG).hex
    shared = cache.root / "blobs/ab" / ("ab" * 32)
    for path in (blob, shared):
        path.parent.mkdir(parents=True)
    shared.write_bytes(BIG)
    blob.symlink_to(f"../../blobs/ab/{'ab' * 32}")
    assert list(cache.find(sha256(BIG), len(BIG))) == [shared.resolve()]


def test_find_believes_names_only_where_they_are_plain(cache, tmp_path):
    """Pipes, folders, links that lead out or in a circle, and files that may not be read are none."""
    secret = tmp_path / "secret"
    secret.write_bytes(BIG)
    for number in range(4):
        (cache.root / f"models--a--{number}/blobs").mkdir(parents=True)
    name = sha256(BIG).hex
    os.mkfifo(cache.root / "models--a--0/blobs" / name)
    (cache.root / "models--a--1/blobs" / name).symlink_to(secret)
    (cache.root / "models--a--2/blobs" / name).symlink_to(name)
    (cache.root / "models--a--3/blobs" / name).mkdir()
    (cache.root / "models--a--4").symlink_to(tmp_path)
    assert list(cache.find(sha256(BIG))) == []


def test_models_lists_what_is_there(cache, files):
    """Every revision with its names and files; other kinds of repositories are not models."""
    cache.write("acme/tiny", "main", COMMIT, files)
    cache.write("gpt2", None, COMMIT, files[1:])
    (cache.root / "datasets--acme--data/snapshots" / COMMIT).mkdir(parents=True)
    (cache.root / "datasets--acme--data/snapshots" / COMMIT / "x").touch()
    first, second = cache.models()
    assert (first.repo_id, first.commit, first.revisions) == ("acme/tiny", COMMIT, ("main",))
    assert {name: path.read_bytes() for name, path in first.files.items()} == {
        "Q4/model.gguf": BIG, "config.json": SMALL,
    }  # fmt: skip
    assert (second.repo_id, second.revisions, list(second.files)) == ("gpt2", (), ["config.json"])


def test_models_passes_over_what_cannot_be(cache, files, tmp_path):
    """Dangling and outward links, pipes, names that deceive, a gigantic or binary reference: the rest is listed."""
    cache.write("acme/tiny", "main", COMMIT, files[1:])
    folder = cache.root / "models--acme--tiny"
    snapshot = folder / "snapshots" / COMMIT
    (snapshot / "dangling").symlink_to("../../blobs/gone")
    (snapshot / "out").symlink_to("/etc/passwd")
    (snapshot / "folder-out").symlink_to("/etc")
    (snapshot / "evil\u202egnp").write_bytes(b"x")
    (snapshot / "back\\slash").write_bytes(b"x")
    os.mkfifo(snapshot / "pipe")
    os.mkfifo(folder / "refs/pipe")
    (folder / "refs/huge").write_bytes(b"0" * 5000)
    (folder / "refs/binary").write_bytes(b"\xff\xfe")
    (folder / "refs/broken").write_bytes(COMMIT.encode() + b"\n")
    (folder / "snapshots/file").touch()
    (cache.root / "models--no--such--id").mkdir()
    (cache.root / "models--..--x").mkdir()
    (cache.root / "CACHEDIR.TAG").touch()
    (model,) = cache.models()
    assert (model.revisions, list(model.files)) == (("broken", "main"), ["config.json"])


def test_an_absent_cache_is_empty(cache):
    """Nothing is made by looking."""
    assert list(cache.models()) == []
    assert list(cache.find(sha256(BIG))) == []
    assert not cache.root.exists()
