"""The Hugging Face cache: what transformers, vLLM, llama.cpp and the Hub's own client share.

    <root>/models--<namespace>--<repository>/
        blobs/<etag>                the SHA-256 of a large file, the git SHA-1 of a small one; since 2.x it may be a
                                    link into <root>/blobs/<2 hex>/<xet hash>, where repositories share contents
        snapshots/<commit>/<path>   a relative link to a blob, or, where there are no links, the file itself
        refs/<branch or tag>        the commit, without a line break
    <root>/.locks/models--<namespace>--<repository>/<etag>.lock

Source: huggingface_hub 2.4, file_download.py and utils/_cache_manager.py. It verifies no content, so neither may we
believe one. Reading needs no more than refs and snapshots.
"""

import errno
import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from engine.digest import Digest
from engine.errors import PathError, UsageError
from engine.regular_file import open_regular
from engine.remote_file import RemoteName
from engine.store.disk import disk_errors
from engine.store.foreign import file_inside, files_in, folders_in, read_bounded
from engine.store.layout import inside
from engine.store.linking import Place, link_relative, place, write_whole
from engine.telemetry import Log

_log = Log(__name__)
_ID = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_KINDS = ("models--", "datasets--", "spaces--")
_MAX_DEPTH = 32
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
"""What file systems without symbolic links answer, FAT for one."""


class CachedModel(msgspec.Struct, frozen=True):
    """One revision of a repository, as somebody else has cached it."""

    repo_id: str
    commit: str
    revisions: tuple[str, ...]
    """Branches and tags that mean this commit, in order."""
    files: dict[RemoteName, Path]
    """Regular files, without links on their way. Nothing has been verified."""
    unusable: tuple[str, ...] = ()
    """Names behind which there is none: links to what is gone, or lies outside of the cache."""

    @property
    def folder(self) -> str:
        """The name of the repository's folder."""
        return f"models--{self.repo_id.replace('/', '--')}"


def hub_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the cache is, whether there is one or not: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, or below ~/.cache."""
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or f"{cache}/huggingface"
    text = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    try:
        return Path(os.path.expandvars(text)).expanduser().absolute()
    except RuntimeError:  # there is no home folder to expand
        return Path(os.path.expandvars(text)).absolute()


class HubCache:
    """One such cache. Nothing of it is made before something is written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, digest: Digest, size_bytes: int | None = None) -> Iterator[Path]:
        """Files that are named by this digest, in any repository. Their content is for the caller to hash."""
        for repository in folders_in(self.root):
            if repository.name.startswith(_KINDS):
                blob = repository / "blobs" / digest.hex
                if (found := file_inside(blob, self.root, size_bytes)) is not None:
                    yield found

    def models(self) -> Iterator[CachedModel]:
        """Every revision of every model that holds a file, or names one. A name that no file of ours can have is left
        out and logged."""
        for folder in folders_in(self.root):
            kind, _, name = folder.name.partition("--")
            repo_id = name.replace("--", "/")
            if kind == "models" and _ID.fullmatch(repo_id):
                yield from self._revisions(folder, repo_id)

    def _revisions(self, folder: Path, repo_id: str) -> Iterator[CachedModel]:
        refs = dict(_refs(folder / "refs"))
        for snapshot in folders_in(folder / "snapshots"):
            names = tuple(sorted(name for name, commit in refs.items() if commit == snapshot.name))
            found = dict(_files(snapshot, self.root))
            files = {name: path for name, path in found.items() if path is not None}
            unusable = tuple(name for name, path in found.items() if path is None)
            if found:
                yield CachedModel(repo_id, snapshot.name, names, files, unusable)

    def write(
        self,
        repo_id: str,
        revision: str | None,
        commit: str,
        files: Sequence[tuple[RemoteName, Path, Digest]],
        put: Place = place,
    ) -> list[Path]:
        """Put verified files where the Hub's client, offline, finds them: under the commit, and under revision, a
        branch or tag. Each is its name, where it is, and the digest that the Hub publishes for it, which names the
        blob. Returns the names of the files in the snapshot, in order.

        May be called again, and for further files of the same commit. A crash leaves no file that is not whole; refs
        come last. Raises UsageError for what the layout cannot hold, StoreError where the disk refuses.
        """
        if not _ID.fullmatch(repo_id) or "--" in repo_id or not _COMMIT.fullmatch(commit):
            raise UsageError(
                f"The Hugging Face cache keeps models of the Hub by their commit, and {repo_id[:120]!r} at "
                f"{commit[:80]!r} is none. Pull it with -d DIR instead."
            )
        folder = self.root / f"models--{repo_id.replace('/', '--')}"
        with disk_errors("write to the Hugging Face cache", folder):
            (folder / "blobs").mkdir(parents=True, exist_ok=True)
            snapshot = folder / "snapshots" / commit
            paths = [
                self._add(folder, inside(snapshot, name), path, digest, put)
                for name, path, digest in _distinct(files)
            ]
            if revision is not None and revision != commit:
                _point(folder, RemoteName.parse(revision), commit)
        return paths

    def _add(self, folder: Path, name: Path, source: Path, digest: Digest, put: Place) -> Path:
        blob = folder / "blobs" / digest.hex
        with self._locked(folder.name, digest.hex):
            put(source, blob)
            name.parent.mkdir(parents=True, exist_ok=True)
            try:
                link_relative(name, blob, scratch=folder)
            except OSError as exc:
                if exc.errno not in _NO_LINKS:
                    raise
                put(source, name)
        return name

    @contextmanager
    def _locked(self, repository: str, etag: str) -> Iterator[None]:
        """Hold the Hub client's own lock, so that one that starts now waits and finds the blob, instead of fetching
        it. Where it is held already we go on: with renames alone neither can harm the other."""
        lock = self.root / ".locks" / repository / f"{etag}.lock"
        with ExitStack() as stack:
            try:
                lock.parent.mkdir(parents=True, exist_ok=True)
                fd = open_regular(lock, os.O_RDWR | os.O_CREAT, 0o664)
                stack.callback(os.close, fd)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                _log.debug("cache.unlocked", lock=str(lock), error=exc.strerror)
            yield


def _distinct(
    files: Sequence[tuple[RemoteName, Path, Digest]],
) -> list[tuple[RemoteName, Path, Digest]]:
    """Each name once, the last one given."""
    return list({name: (name, path, digest) for name, path, digest in files}.values())


def _point(folder: Path, revision: RemoteName, commit: str) -> None:
    ref = inside(folder / "refs", revision)
    ref.parent.mkdir(parents=True, exist_ok=True)
    if read_bounded(ref, 64) != commit.encode():
        write_whole(ref, commit.encode(), scratch=folder)


def _refs(folder: Path) -> Iterator[tuple[str, str]]:
    for path, name in _walk(folder):
        content = read_bounded(path, 256)
        if content is not None:
            yield name, content.decode("utf-8", "replace").strip()


def _files(snapshot: Path, root: Path) -> Iterator[tuple[RemoteName, Path | None]]:
    for path, text in _walk(snapshot):
        try:
            name = RemoteName.parse(text)
        except PathError as exc:
            _log.info("cache.ignored", path=str(path), why=str(exc))
            continue
        yield name, file_inside(path, root)


def _walk(folder: Path, prefix: str = "", depth: int = 0) -> Iterator[tuple[Path, str]]:
    """Everything below a folder that is none itself, with its path in the folder; linked folders are not entered."""
    for path in files_in(folder):
        yield path, prefix + path.name
    for path in folders_in(folder):
        if depth < _MAX_DEPTH:
            yield from _walk(path, f"{prefix}{path.name}/", depth + 1)
