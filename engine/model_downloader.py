"""ModelDownloader, the mission's door to the engine, and `pull`, which it shares with the command."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from engine.arguments import check_callable, check_path, check_text
from engine.digest import Digest
from engine.errors import EngineError, PathError, UsageError
from engine.remote_file import RemoteFile, RemoteName
from engine.settings import MIB, Settings, home
from engine.store import layout
from engine.store.receipts import Receipts
from engine.telemetry import Log, redact
from engine.transfer.admission import hash_file
from engine.transfer.events import Event, FileDone, Observer, Progress
from engine.transfer.job import Job
from engine.transport.auth import Credentials, hub_credentials
from engine.transport.redirects import check_url

_log = Log(__name__)
Outcome = FileDone | EngineError
RateSource = Callable[[], int | None]
"""Bytes a second at most, as of now; None: no limit."""


class DownloadProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a download stands. Handed to the callback on the caller's thread; the last one is at 100 %."""

    model: str
    filename: str
    phase: str
    """connecting, downloading, verifying or done."""
    downloaded_bytes: int
    total_bytes: int | None
    speed_bytes_s: float
    eta_s: float | None

    @property
    def percent(self) -> float:
        """0.0 while the size is unknown."""
        if self.phase == "done":
            return 100.0
        return 100.0 * self.downloaded_bytes / self.total_bytes if self.total_bytes else 0.0

    @property
    def speed_mbps(self) -> float:
        """Megabytes (10^6) a second."""
        return self.speed_bytes_s / 1e6

    @property
    def eta_formatted(self) -> str:
        """ "1m 23s"; "--" while unknown."""
        return format_eta(self.eta_s)


def format_eta(seconds: float | None) -> str:
    """ "45s", "1m 23s", "2h 05m"; "--" for None or more than four days."""
    if seconds is None or not 0 <= seconds < 4 * 86400:
        return "--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


ProgressCallback = Callable[[DownloadProgress], None]


class ModelDownloader:
    """Downloads files into one folder. Attributes are read at each download, so they may be changed any time;
    limit_rate also while a download runs."""

    def __init__(
        self,
        download_dir: Path | str,
        *,
        hash: str | None = "sha256",  # noqa: A002 - the contract's name
        connections: int | None = None,
        processes: int | None = None,
        limit_rate: int | None = None,
        cacert: str | None = None,
        proxy: str | None = None,
    ) -> None:
        check_path(download_dir=download_dir)
        self.download_dir = Path(download_dir)
        self.max_retries = 3
        """Further attempts after a failure, counted anew once the file got further than ever before."""
        self.retry_delay = 1.0
        """Seconds before the first retry; doubled each time, with jitter, at most 60."""
        self.chunk_size = 4 * MIB
        """Upper bound of one read or hash step, in bytes."""
        self.progress_interval = 0.5
        """Seconds between two calls of a progress callback."""
        self.hash = hash
        """"sha256", or None: trust the connection, and compare with no digest."""
        self.connections = connections
        self.processes = processes
        self._limit_rate = Settings(limit_rate=limit_rate).limit_rate
        self.cacert = cacert
        self.proxy = proxy
        self._hf_token: str | None = None

    @property
    def limit_rate(self) -> int | None:
        """Bytes of content a second at most, over all connections and worker processes of a download; None: no limit.

        May be set from any thread: downloads that are running obey within a fifth of a second. Two downloads at once
        have this rate each. Setting raises UsageError below 1."""
        return self._limit_rate

    @limit_rate.setter
    def limit_rate(self, rate: int | None) -> None:
        self._limit_rate = Settings(limit_rate=rate).limit_rate

    def set_hf_token(self, token: str) -> None:
        """Use this token for the Hub, before those of the environment and of the Hub's own file."""
        if token is not None:  # as it is where a variable is not set
            check_text(token=token)
        self._hf_token = token

    def download(
        self,
        model_key: str,
        url: str,
        filename: str,
        expected_sha256: str | None = None,
        progress_callback: ProgressCallback | None = None,
        force: bool = False,
    ) -> Path:
        """Fetch url to download_dir/filename and return that path, once the content is verified.

        Resumes what an earlier call left. A file that is there is accepted when its receipt still fits it, hashed
        again when it does not, and fetched anew when no digest is known. force starts at zero; the old file stays
        until the new one is verified. Raises EngineError (a RuntimeError): see errors.py.
        """
        check_text(model_key=model_key, url=url, filename=filename)
        check_callable(progress_callback=progress_callback)
        remote = RemoteFile(
            name=RemoteName.parse(filename),
            url=check_url(url),
            digest=self._expected(expected_sha256),
            model=model_key,
        )
        target = layout.inside(self.download_dir.expanduser().absolute(), remote.name)
        _log.info("download.started", model=model_key, file=filename, url=redact(remote.url))
        (outcome,) = pull(
            [loose_job(remote, target)],
            self._settings(force=force),
            hub_credentials(self._hf_token),
            CallbackObserver(model_key, progress_callback),
            limit_rate=lambda: self.limit_rate,
        )
        if isinstance(outcome, EngineError):
            _log.info("download.failed", model=model_key, file=filename, error=str(outcome))
            raise outcome
        _log.info("download.complete", model=model_key, file=filename, size=outcome.size)
        return Path(outcome.path)

    def calculate_file_hash(self, path: Path | str) -> str:
        """SHA-256 of a file in hex, read at most chunk_size bytes at a time. Raises StoreError."""
        check_path(path=path)
        return hash_file(Path(path), ("sha256",), self.chunk_size)["sha256"]

    def _expected(self, sha256: str | None) -> Digest | None:
        """The digest that is promised, judged at the door."""
        if sha256 is None:
            return None
        if self.hash is None:
            raise UsageError(
                "expected_sha256 cannot be compared while the downloader's hash is None. Set hash to 'sha256', or "
                "leave the digest out."
            )
        check_text(expected_sha256=sha256)
        digest = Digest.parse(sha256)
        if digest.algorithm != "sha256":
            raise PathError(f"Expected a sha256 digest, got {digest.algorithm!r}.")
        return digest

    def _settings(self, *, force: bool) -> Settings:
        return Settings(
            connections=self.connections,
            processes=self.processes,
            limit_rate=self.limit_rate,
            retries=self.max_retries,
            retry_delay_s=self.retry_delay,
            chunk_size=self.chunk_size,
            progress_interval_s=self.progress_interval,
            hash=self.hash,
            cacert=self.cacert,
            proxy=self.proxy,
            force=force,
        )


class CallbackObserver:
    """Engine events as calls of a progress callback, with the name that the caller has for the model."""

    def __init__(self, model_key: str, callback: ProgressCallback | None) -> None:
        self._model_key = model_key
        self._callback = callback

    def __call__(self, event: Event) -> None:
        if self._callback is None or not isinstance(event, Progress):
            return
        self._callback(
            DownloadProgress(
                model=self._model_key,
                filename=event.file,
                phase=event.phase,
                downloaded_bytes=event.done_bytes,
                total_bytes=event.size,
                speed_bytes_s=event.bytes_per_s,
                eta_s=event.eta_s,
            )
        )


def loose_job(
    remote: RemoteFile,
    target: Path,
    *,
    receipts: Receipts | None = None,
    refresh: Callable[[], RemoteFile] | None = None,
) -> Job:
    """A job whose part lies beside its target, and whose receipt lies in the store, which are those of `receipts` where
    there are many such jobs."""
    return Job(
        remote=remote,
        target=target,
        partial=layout.partial_beside(target),
        receipts=receipts or Receipts(layout.receipts(home())),
        refresh=refresh,
    )


def stored_job(remote: RemoteFile, folder: str, refresh: Callable[[], RemoteFile] | None = None) -> Job:
    """A job for the store: <root>/llm/<folder>/<path>, its part under <root>/partial/. folder: "namespace/repository",
    as a rule."""
    root = home()
    place = layout.inside(layout.models(root), RemoteName.parse(folder))
    return Job(
        remote=remote,
        target=layout.inside(place, remote.name),
        partial=layout.partial_in_store(root, remote),
        receipts=Receipts(layout.receipts(root)),
        is_stored=True,
        refresh=refresh,
    )


def pull(
    jobs: Sequence[Job],
    settings: Settings,
    credentials: Credentials,
    observer: Observer,
    limit_rate: RateSource | None = None,
) -> list[Outcome]:
    """Run all jobs under one scheduler; a failed one does not stop the others. Returns an outcome for each, in
    order. limit_rate is asked ten times a second what the limit is now; without it, it stays that of the settings.
    KeyboardInterrupt passes through after everything has stopped; its `kept_bytes` says what stays on disk
    of unfinished files."""
    coordinator = None
    try:
        from engine.transfer.complete import all_there

        if (done := all_there(jobs, settings, observer)) is not None:
            return [*done]
        # Loads half of the engine: not before it is needed.
        from engine.transfer.coordinator import Coordinator

        coordinator = Coordinator(jobs, settings, credentials, observer, limit_rate)
        return coordinator.run()
    except KeyboardInterrupt as exc:
        kept = coordinator.kept_bytes if coordinator else 0
        exc.kept_bytes = kept  # type: ignore[attr-defined]  # a fact for whoever tells the user
        raise
