"""From targets to jobs: which files they mean, where those go, and who gets which credentials."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from engine.console.options import PullOptions
from engine.errors import EngineError, PathError, UsageError
from engine.model_downloader import loose_job, stored_job
from engine.model_path import HUB_REGISTRY, ModelPath
from engine.remote_file import RemoteFile, RemoteName
from engine.sources import Source, find_source
from engine.store import layout
from engine.transfer.job import Job
from engine.transport.auth import Credentials, hub_credentials, hub_endpoint, hub_origins, origin_of

if TYPE_CHECKING:
    from engine.transport.client import Client

T = TypeVar("T")


class Found(msgspec.Struct, frozen=True):
    """What one target turned out to be: jobs, or the reason why not."""

    target: ModelPath
    jobs: list[Job]
    error: EngineError | None = None


def credentials_for(options: PullOptions) -> Credentials:
    """Typed tokens and headers go to the targets' own origin, those of the environment to the Hub's only.

    Raises UsageError where there are several origins: what is one's secret is not another's.
    """
    if (options.token or options.headers) and len(
        {origin_of(_origins(path)[0]) for path in options.targets}
    ) > 1:
        raise UsageError(
            "--token and --header belong to one server, and the targets are on several. Pull them apart."
        )
    credentials = hub_credentials(None)
    for path in options.targets:
        for origin in _origins(path):
            if options.token:
                credentials = credentials.with_token(origin, options.token)
            if options.headers:
                credentials = credentials.with_headers(origin, options.headers)
    return credentials


def _origins(path: ModelPath) -> list[str]:
    """Where a target's files are asked for; the Hub's names are one."""
    if path.url is not None:
        return [path.url]
    if path.registry == HUB_REGISTRY:
        return [hub_endpoint(), *sorted(hub_origins())]
    return [f"{path.scheme}://{path.registry}"]


def find_jobs(options: PullOptions, credentials: Credentials) -> list[Found]:
    """Ask the sources what each target means. One that fails does not stop the others."""
    from engine.transport.client import Client

    with Client(options.settings, credentials) as client:
        found = [_find(path, options, client) for path in options.targets]
    return _distinct(found)


def _find(path: ModelPath, options: PullOptions, client: "Client") -> Found:
    try:
        source = find_source(path)
        choice = options.choice
        if path.url is not None and options.output is not None:
            choice = msgspec.structs.replace(choice, name=_called(options.output))
        files = source.list_files(client, path, choice)
        _check_single(path, files, options)
        return Found(path, [_job(path, file, options, source) for file in files])
    except EngineError as exc:
        return Found(path, [], exc)


def _called(output: Path) -> str:
    """What messages call a file of the user's own naming, which need not be a name that a stranger may give."""
    try:
        return RemoteName.parse(output.name)
    except PathError:
        return "output"


def _check_single(path: ModelPath, files: list[RemoteFile], options: PullOptions) -> None:
    """What can only be said of one file, and of a plain file."""
    if len(files) > 1 and options.output is not None:
        raise UsageError(
            f"{path.canonical} has {len(files)} files, and --output names one. Use --dir, or choose with --file."
        )
    if len(files) > 1 and options.digest is not None:
        raise UsageError(
            f"{path.canonical} has {len(files)} files, and --sha256 is one file's. Choose one with --file."
        )
    if options.settings.hash is None and path.url is None:
        raise UsageError("--hash none is for plain URLs: a model's files are always hashed.")


def _job(path: ModelPath, file: RemoteFile, options: PullOptions, source: Source) -> Job:
    if options.digest is not None:
        if file.digest is not None and file.digest.algorithm == "sha256" and file.digest != options.digest:
            raise UsageError(
                f"--sha256 says {options.digest.hex}, but {path.canonical} publishes {file.digest.hex} "
                f"for {file.name}. Check which is meant."
            )
        file = msgspec.structs.replace(file, digest=options.digest)

    def ask_again() -> RemoteFile:
        # On a helper thread, long after: a client of its own.
        from engine.transport.client import Client

        with Client(options.settings, credentials_for(options)) as fresh:
            return source.refresh(fresh, file)

    ask = None if path.url is not None or options.digest is not None else ask_again
    if options.output is not None:
        return msgspec.structs.replace(loose_job(file, options.output), refresh=ask)
    if options.directory is not None:
        return msgspec.structs.replace(
            loose_job(file, layout.inside(options.directory, file.name)), refresh=ask
        )
    return stored_job(file, *_shelf(path), refresh=ask)


def _shelf(path: ModelPath) -> tuple[str, str]:
    """Namespace and repository under which a target is kept; a plain file's are its host and its folders."""
    if path.url is None:
        return path.namespace or path.registry.replace(":", "_"), path.repository
    parts = urlsplit(path.url)
    host = parts.netloc.replace(":", "_").strip("[]")
    folder = unquote(parts.path.rpartition("/")[0]).strip("/")
    try:
        return host, RemoteName.parse(folder or "files")
    except PathError as exc:
        raise PathError(
            f"The folders of {path.canonical} cannot be kept as they are. Say where to with -o FILE."
        ) from exc


def _distinct(found: list[Found]) -> list[Found]:
    """The same file asked for twice is fetched once; two different ones cannot have one place."""
    seen: dict[Path, str] = {}
    distinct: list[Found] = []
    for one in found:
        fresh: list[Job] = []
        error = one.error
        for job in one.jobs:
            known = seen.setdefault(job.target, job.remote.url)
            if known != job.remote.url:
                error = UsageError(
                    f"Two different files would both become {str(job.target)!r}. Pull them one by one."
                )
            elif not any(
                job.target == other.target
                for done in [*distinct, Found(one.target, fresh)]
                for other in done.jobs
            ):
                fresh.append(job)
        distinct.append(Found(one.target, [] if error else fresh, error))
    return distinct


def interruptibly(work: Callable[[], T]) -> T:
    """Run work on a thread that may be left behind: a name lookup in C cannot be interrupted, this thread can."""
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = work()
        except BaseException as exc:  # noqa: BLE001 - raised again on the caller's thread
            outcome["error"] = exc

    thread = threading.Thread(target=run, name="listing", daemon=True)
    thread.start()
    while thread.is_alive():
        # In steps: without a timeout, a wait for a lock cannot be interrupted on every platform.
        thread.join(0.2)
    if "error" in outcome:
        raise outcome["error"]
    value: T = outcome["value"]
    return value
