"""The Hugging Face Hub and servers that speak its API (huggingface.co/docs/hub/api).

Two requests find a model: `…/revision/{rev}` for the commit, then the tree of that commit, in pages. Everything
else is said there: sizes, SHA-256 of large files, Git's SHA-1 of small ones. So no file is asked for twice, and a
branch that moves meanwhile cannot mix two versions. A commit that was named in full saves the first request.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from engine.digest import Digest
from engine.errors import DigestMismatch, NotFound, PathError, ProtocolViolation, UsageError
from engine.model_path import ModelPath
from engine.remote_file import RemoteFile, RemoteName
from engine.sources.listing import Entry, RawManifest, next_page
from engine.sources.selection import Choice, Wish, select
from engine.telemetry import Log, redact
from engine.transport.auth import origin_of

if TYPE_CHECKING:
    from engine.transport.client import Client

_log = Log(__name__)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_MAX_PAGES = 1000
"""Of 1000 entries each, as the Hub serves them: ten times its advice of at most 100,000 files in a repository."""
_MAX_PAGE_BYTES = 64 << 20
_MAX_LISTING_BYTES = 256 << 20
"""Bytes of all pages together; an entry has about 250."""
_MAX_INDEX = 64 << 20
"""Bytes of a safetensors index; the largest known have a tenth of that."""

_T = TypeVar("_T")
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Revision(msgspec.Struct, frozen=True):
    sha: str


class _Lfs(msgspec.Struct, frozen=True):
    oid: str
    size: _Size


class _Node(msgspec.Struct, frozen=True):
    type: str
    path: str
    size: _Size = 0
    oid: str | None = None
    lfs: _Lfs | None = None


class _Index(msgspec.Struct, frozen=True):
    weight_map: dict[str, str]


def _is_endpoint(text: str) -> bool:
    try:
        return bool(re.match(r"https?://[^/@?#]+(/[^?#]*)?$", text)) and urlsplit(text).port != 0
    except ValueError:  # no port, or one of more than 65535
        return False


class HuggingFace:
    """One endpoint. Requests carry the client's credentials for it and for nobody else."""

    manifest: RawManifest | None = None

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is an http(s) URL, perhaps with a path, without a slash at its end. Raises UsageError."""
        if not _is_endpoint(endpoint):
            # Not shown: a user, a password or a token may be what is wrong with it.
            raise UsageError(
                "HF_ENDPOINT must be a URL such as https://huggingface.co, without user, password, query and fragment."
            )
        self.endpoint = endpoint
        self._commits: dict[tuple[str, str], str] = {}
        """What was asked already: by repository and revision."""

    def version(self, client: "Client", path: ModelPath, choice: Choice) -> str:
        """As Source says: the commit, in one request, in none where it was named or asked before."""
        return self.resolve(client, path.model_id, Wish.of(path, choice).revision)

    def list_files(self, client: "Client", path: ModelPath, choice: Choice) -> list[RemoteFile]:
        """As Source says. Two requests, one more for each further page and for a safetensors index."""
        wish = Wish.of(path, choice)
        commit = self.resolve(client, path.model_id, wish.revision)
        entries = self.list_tree(client, path.model_id, commit)

        def read_index(entry: Entry) -> list[str]:
            return self._read_index(client, path.model_id, commit, entry)

        chosen = select(entries, wish, read_index)
        _log.info("model.listed", model=path.canonical, commit=commit, files=len(entries), chosen=len(chosen))
        return [self._remote(path, commit, entry) for entry in chosen]

    def refresh(self, client: "Client", file: RemoteFile) -> RemoteFile:
        """Asks for the folder of the file at the commit it was found at. NotFound when it is no longer listed."""
        tail = f"/resolve/{file.revision}/{quote(file.name)}"
        repo = file.url.removeprefix(f"{self.endpoint}/").removesuffix(tail)
        if file.revision is None or file.url != f"{self.endpoint}/{repo}{tail}":
            return file
        folder, _, _ = file.name.rpartition("/")
        for entry in self.list_tree(client, repo, file.revision, folder):
            if entry.path == file.name:
                return msgspec.structs.replace(file, size=entry.size, digest=entry.digest)
        raise NotFound(f"{redact(file.url)} is no longer listed. Run the same command again.")

    def resolve(self, client: "Client", repo: str, revision: str) -> str:
        """The commit that a branch, tag or commit is now."""
        if _COMMIT.fullmatch(revision):
            return revision
        if (repo, revision) in self._commits:
            return self._commits[repo, revision]
        url = f"{self.endpoint}/api/models/{repo}/revision/{quote(revision, safe='')}"
        answer = client.get_json(url)
        commit = _decoded(answer.body, _Revision, url).sha
        if not _COMMIT.fullmatch(commit):
            raise _broken(url, f"sha is {commit[:60]!r}, which is no commit")
        self._commits[repo, revision] = commit
        return commit

    def list_tree(self, client: "Client", repo: str, commit: str, folder: str | None = None) -> list[Entry]:
        """All files of the commit; with a folder ("" is the root), those directly in it."""
        url = f"{self.endpoint}/api/models/{repo}/tree/{commit}"
        url += (
            "?recursive=true&expand=false"
            if folder is None
            else f"/{quote(folder)}".rstrip("/") + "?expand=false"
        )
        origins, seen, left = {origin_of(self.endpoint)}, set[str](), _MAX_LISTING_BYTES
        entries: dict[str, Entry] = {}
        following: str | None = url
        while following is not None:
            if following in seen or len(seen) == _MAX_PAGES:
                raise _broken(url, "its pages never end")
            seen.add(following)
            answer = client.get_json(following, limit_bytes=_MAX_PAGE_BYTES)
            if (left := left - len(answer.body)) < 0:
                raise _broken(url, f"its pages have more than {_MAX_LISTING_BYTES} bytes together")
            for node in _decoded(answer.body, list[_Node], following):
                if node.type == "file" and entries.setdefault(node.path, entry := _entry(node, url)) != entry:
                    raise _broken(url, f"it names {node.path[:120]!r} twice, differently")
            origins.add(origin_of(answer.url))
            try:
                following = next_page(following, answer.headers, origins)
            except ValueError as exc:
                raise _broken(url, str(exc)) from exc
        _check_sizes(entries.values(), url)
        return list(entries.values())

    def _remote(self, path: ModelPath, commit: str, entry: Entry) -> RemoteFile:
        return RemoteFile(
            name=RemoteName.parse(entry.path),
            url=self._file_url(path.model_id, commit, entry),
            size=entry.size,
            digest=entry.digest,
            revision=commit,
            model=path.canonical,
        )

    def _file_url(self, repo: str, commit: str, entry: Entry) -> str:
        return f"{self.endpoint}/{repo}/resolve/{commit}/{quote(entry.path)}"

    def _read_index(self, client: "Client", repo: str, commit: str, entry: Entry) -> list[str]:
        """The shards that an index maps tensors to; a name that could leave the folder is a PathError. One that is not
        what the listing says would make half a model whole."""
        url = self._file_url(repo, commit, entry)
        body = client.get_json(url, limit_bytes=_MAX_INDEX).body
        promised = entry.digest
        if promised is not None and (actual := promised.of(body)) != promised:
            raise DigestMismatch(
                f"The index at {redact(url)} does not have the {promised.algorithm} digest that its listing gives it: "
                f"expected {promised.hex}, got {actual.hex}. Nothing was written. Ask whoever runs the Hub.",
                expected=promised.hex,
                actual=actual.hex,
            )
        names = sorted(set(_decoded(body, _Index, url).weight_map.values()))
        return [RemoteName.parse(name) for name in names]


def _entry(node: _Node, url: str) -> Entry:
    if node.lfs is not None and node.lfs.size != node.size:
        raise _broken(url, f"{node.path[:120]!r} has two sizes, {node.size} and {node.lfs.size}")
    try:
        if node.lfs is not None:
            # oid is then that of the small pointer which Git keeps in place of the file.
            digest: Digest | None = Digest.parse(f"sha256:{node.lfs.oid.removeprefix('sha256:')}")
        else:
            digest = Digest.parse(f"git-sha1:{node.oid}") if node.oid else None
    except PathError as exc:
        raise _broken(url, f"the digest of {node.path[:120]!r} is none") from exc
    if digest is not None and not digest.may_be_of(node.size):
        raise _broken(url, f"{node.path[:120]!r} has no bytes, and the digest of some")
    return Entry(node.path, node.size, digest)


def _check_sizes(entries: Iterable[Entry], url: str) -> None:
    """One content cannot be of two sizes: who says so is not to be believed in either."""
    seen: dict[Digest, Entry] = {}
    for entry in entries:
        if entry.digest is not None and (other := seen.setdefault(entry.digest, entry)).size != entry.size:
            raise _broken(
                url, f"{other.path[:120]!r} and {entry.path[:120]!r} have one digest, and two sizes"
            )


def _decoded(body: bytes, kind: type[_T], url: str) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise _broken(url, str(exc)[:200]) from exc


def _broken(url: str, why: str) -> ProtocolViolation:
    return ProtocolViolation(
        f"{redact(url)} does not answer as a Hub does: {why}. Check the registry's address.",
        url=redact(url),
    )
