"""From targets to jobs: which files they mean, where those go, and who gets which credentials."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.digest import Digest
from engine.errors import EngineError, PathError, UsageError
from engine.library.fitting import fitted, is_auto
from engine.library.keys import key_of
from engine.library.lookup import manifests
from engine.library.places import check_places
from engine.library.remembered import remembered_files
from engine.library.shelves import Shelf, Shelves
from engine.manifest_record import Selection
from engine.model_downloader import loose_job, stored_job
from engine.model_path import HUB_REGISTRY, QUANTIZATION, ModelPath, with_quantization
from engine.model_registry import ModelRegistry
from engine.remote_file import RemoteFile, RemoteName
from engine.settings import Settings, home
from engine.sources import Choice, Source, find_source
from engine.store import layout
from engine.store.receipts import Receipts
from engine.telemetry import redact
from engine.transfer.job import Job
from engine.transport.auth import Credentials, hub_credentials, hub_endpoint, hub_origins, origin_of

if TYPE_CHECKING:
    from engine.transport.client import Client


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted, where it goes, and who may be told which secret."""

    targets: tuple[ModelPath, ...]
    settings: Settings = Settings()
    choice: Choice = Choice()
    directory: Path | None = None
    """Files keep their own paths below it; without it and output, they go into the store."""
    output: Path | None = None
    """The name of the one file. Both are absolute."""
    digest: Digest | None = None
    token: str | None = None
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[path.canonical for path in self.targets]})"

    @property
    def may_remember(self) -> bool:
        """Whether what was pulled before may stand for a listing."""
        return self.is_for_store and not self.settings.force

    @property
    def may_write(self) -> bool:
        """Whether what is found out on the way may be remembered on disk."""
        return True

    @property
    def is_for_store(self) -> bool:
        return self.directory is None and self.output is None


class Found(msgspec.Struct, frozen=True):
    """What one target turned out to be: jobs, or the reason why not."""

    target: ModelPath
    jobs: list[Job]
    """What is to be done for it, once no file is fetched for two targets."""
    files: list[Job] = []
    """All that belongs to it, the main file first."""
    error: EngineError | None = None
    source: Source | None = None
    choice: Choice = Choice()
    selections: list[Selection] = []
    """Where several choices were asked about together: what each of them means."""
    shelf: Shelf | None = None
    """Its folder in the store, where it goes there."""


def credentials_for(request: Request) -> Credentials:
    """Typed tokens and headers go to the targets' own origin, those of the environment to the Hub's only.

    Raises UsageError where there are several origins: what is one's secret is not another's.
    """
    if (request.token or request.headers) and len(
        {origin_of(_origins(path)[0]) for path in request.targets}
    ) > 1:
        raise UsageError(
            "--token and --header belong to one server, and the targets are on several. Pull them apart."
        )
    credentials = hub_credentials(None)
    for path in request.targets:
        for origin in _origins(path):
            if request.token:
                credentials = credentials.with_token(origin, request.token)
            if request.headers:
                credentials = credentials.with_headers(origin, request.headers)
    return credentials


def wants_hub_token(request: Request) -> bool:
    """Whether the token of the environment goes along with a question, because none was typed."""
    hub = hub_origins()
    return not request.token and any(origin_of(_origins(path)[0]) in hub for path in request.targets)


def _origins(path: ModelPath) -> list[str]:
    """Where a target's files are asked for; the Hub's names are one."""
    if path.url is not None:
        return [path.url]
    if path.registry == HUB_REGISTRY:
        return [hub_endpoint(), *sorted(hub_origins())]
    return [f"{path.scheme}://{path.registry}"]


def are_known(request: Request) -> bool:
    """Whether all targets were pulled before, as far as that is seen without asking, so that probably nothing is to be
    fetched."""
    if request.output is not None:
        return request.output.exists() and not request.settings.force
    if not request.may_remember:
        return False
    try:
        keys = [key_of(_named(path, request.choice.quant)) for path in request.targets]
    except EngineError:
        return False  # find_jobs says of which target
    return all(manifests().get_manifest(key) for key in keys)


def find_jobs(request: Request, credentials: Credentials) -> list[Found]:
    """Ask the sources what each target means. One that fails does not stop the others."""
    return find_all([request], credentials)


def find_all(requests: Sequence[Request], credentials: Credentials) -> list[Found]:
    """The same for several requests, which are one pull."""
    from engine.transport.client import Client

    shelves = Shelves()
    receipts = Receipts(layout.receipts(home()))
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(request.settings, credentials)) for request in requests]
        found = [
            _find(path, request, client, shelves, receipts)
            for request, client in zip(requests, clients, strict=True)
            for path in request.targets
        ]
    return _distinct(found)


def _find(path: ModelPath, request: Request, client: "Client", shelves: Shelves, receipts: Receipts) -> Found:
    try:
        path = _named(path, request.choice.quant)
        source = find_source(path, may_write=request.may_write)
        choice = request.choice
        if path.url is not None and request.output is not None:
            choice = msgspec.structs.replace(choice, name=_called(request.output))
        if is_auto(path, choice):
            choice = fitted(client, path, choice)
        files = remembered_files(source, client, path, choice) if request.may_remember else None
        files = files or source.list_files(client, path, choice)
        path, choice = _as_found(path, choice, files[0])
        _check_single(path, files, request)
        shelf = shelves.find(path) if request.is_for_store else None
        folder = shelf.folder if shelf else ""
        jobs = [_job(path, file, request, source, folder, receipts) for file in files]
        if not request.settings.force:
            check_places(path, jobs)
    except EngineError as exc:
        return Found(path, [], error=exc)
    return Found(path, jobs, jobs, source=source, choice=choice, shelf=shelf)


def _named(path: ModelPath, quantization: str | None) -> ModelPath:
    """The path with the quantization in it where it can be said so: two quantizations are two models."""
    if (
        path.registry != HUB_REGISTRY
        or path.url
        or not quantization
        or not QUANTIZATION.fullmatch(quantization)
    ):
        return path
    if path.filename is not None:
        return msgspec.structs.replace(path, filename=with_quantization(path.filename, quantization))
    if path.quantization or path.tag_file:
        return path
    pin = path.pin or (path.tag if path.tag != "main" else None)
    return msgspec.structs.replace(path, tag=quantization.upper(), pin=pin)


def _as_found(path: ModelPath, choice: Choice, file: RemoteFile) -> tuple[ModelPath, Choice]:
    """The path with the tag that was chosen among an OCI registry's: two tags are two models."""
    if path.url is not None or path.registry == HUB_REGISTRY or file.model in ("", path.canonical):
        return path, choice
    return ModelRegistry.parse(file.model), msgspec.structs.replace(choice, quant=None, revision=None)


def _called(output: Path) -> str:
    """What messages call a file of the user's own naming, which need not be a name that a stranger may give."""
    try:
        return RemoteName.parse(output.name)
    except PathError:
        return "output"


def _check_single(path: ModelPath, files: list[RemoteFile], request: Request) -> None:
    """What can only be said of one file, and of a plain file."""
    if len(files) > 1 and request.output is not None:
        raise UsageError(
            f"{path.canonical} has {len(files)} files, and --output names one. Use --dir, or choose with --file."
        )
    if len(files) > 1 and request.digest is not None:
        raise UsageError(
            f"{path.canonical} has {len(files)} files, and --sha256 is one file's. Choose one with --file."
        )
    if request.settings.hash is None and path.url is None:
        raise UsageError("--hash none is for plain URLs: a model's files are always hashed.")


def _job(
    path: ModelPath, file: RemoteFile, request: Request, source: Source, folder: str, receipts: Receipts
) -> Job:
    if request.digest is not None:
        if file.digest is not None and file.digest.algorithm == "sha256" and file.digest != request.digest:
            raise UsageError(
                f"--sha256 says {request.digest.hex}, but {path.canonical} publishes {file.digest.hex} "
                f"for {file.name}. Check which is meant."
            )
        file = msgspec.structs.replace(file, digest=request.digest)

    def ask_again() -> RemoteFile:
        # On a helper thread, long after: a client of its own.
        from engine.transport.client import Client

        with Client(request.settings, credentials_for(request)) as fresh:
            return source.refresh(fresh, file)

    ask = None if path.url is not None or request.digest is not None else ask_again
    if request.output is not None:
        return loose_job(file, request.output, receipts=receipts, refresh=ask)
    if request.directory is not None:
        place = layout.inside(request.directory, file.name)
        job = loose_job(file, place, receipts=receipts, refresh=ask)
        return msgspec.structs.replace(job, spares_others=path.url is None)
    return stored_job(file, folder, refresh=ask)


def _distinct(found: list[Found]) -> list[Found]:
    """The same file asked for twice is fetched once; two different ones cannot have one place. Raises UsageError where
    two targets would: nothing has begun yet."""
    taken: dict[Path, str] = {}
    distinct: list[Found] = []
    for one in found:
        fresh = {job.target: job for job in one.files}
        if clash := next((j for j in one.files if taken.get(j.target, j.remote.url) != j.remote.url), None):
            both = f"{redact(taken[clash.target])} and {redact(clash.remote.url)}"
            raise UsageError(
                f"Two different files would both become {str(clash.target)!r}: {both}. Pull one of them by itself, "
                "with another -d or -o."
            )
        if clash := next((j for j in one.files if fresh[j.target].remote.url != j.remote.url), None):
            error = UsageError(f"Two different files would both become {str(clash.target)!r}.")
            distinct.append(Found(one.target, [], error=error))
            continue
        jobs = [job for target, job in fresh.items() if target not in taken]
        taken |= {job.target: job.remote.url for job in jobs}
        distinct.append(msgspec.structs.replace(one, jobs=jobs))
    return distinct
