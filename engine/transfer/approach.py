"""How one file is asked for: at which address, with ranges or as one stream, and who finds that out.

The first request is the first lease, and it goes out alone: it learns size, range support, version and the
address that redirects lead to, while it works. When a signed address expires, one lease alone asks for a new
one, and all lanes share it. Pure.
"""

from typing import Literal

from engine.remote_file import Identity, RemoteFile
from engine.spans import Span
from engine.transfer.messages import Lease, Opened
from engine.transport.retry import Failure

_NO_PAGES = (
    *(".gguf", ".ggml", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".onnx", ".tflite", ".h5"),
    *(".npy", ".npz", ".msgpack", ".model", ".json", ".jsonl", ".parquet", ".llamafile"),
    *(".zip", ".gz", ".tgz", ".zst", ".xz", ".bz2", ".7z", ".tar"),
)
"""Names that no page for people has."""
Manner = Literal["ranges", "stream", "empty", "ask without range"]


class Approach:
    """What is known of the way to one remote file."""

    def __init__(self, remote: RemoteFile) -> None:
        self._remote = remote
        self._located: str | None = None
        self._must_be_public = False
        self._locating: int | None = None
        self._refuses_ranges = False
        self.has_ranges = False
        self.is_stream = False

    def __repr__(self) -> str:
        return f"<Approach {'stream' if self.is_stream else 'ranges' if self.has_ranges else 'unknown'}>"

    @property
    def url(self) -> str:
        """Where the next request goes."""
        return self._located or self._remote.url

    @property
    def may_lease(self) -> bool:
        """Whether a lease may go out: not while another one finds the way."""
        return self._located is not None or self._locating is None

    @property
    def is_open(self) -> bool:
        """Whether some answer has come."""
        return self._located is not None

    def lease(
        self,
        number: int,
        lane: int,
        file: int,
        span: Span,
        identity: Identity,
        *,
        has_digest: bool,
        whole: int = 0,
        algorithms: tuple[str, ...] = (),
        takes_pages: bool = False,
    ) -> Lease:
        """The order for a lane; if it has to find the way, the others wait for it. whole: up to what size it shall
        bring all of the file at once, if it does, and hash it with these algorithms. takes_pages: a web page may be
        the file, whatever its name."""
        is_known = self.has_ranges or self.is_stream
        if self._located is None:
            self._locating = number
        return Lease(
            lane,
            number,
            file,
            url=self.url,
            span=None if self.is_stream or self._refuses_ranges else span,
            identity=identity if identity.size is not None else None,
            has_digest=has_digest,
            is_located=self._located not in (None, self._remote.url),
            wants_facts=self._located is None,
            is_probe=not is_known,
            whole=whole,
            algorithms=algorithms if whole else (),
            accept=self._remote.accept,
            is_never_a_page=not (has_digest or takes_pages) and self._remote.name.lower().endswith(_NO_PAGES),
            must_be_public=self._located is not None and self._must_be_public,
        )

    def opened(self, opened: Opened) -> None:
        """An answer has come: its address serves all lanes."""
        self._located, self._locating = opened.url, None
        self._must_be_public = opened.must_be_public

    def judge(self, opened: Opened) -> Manner:
        """What a probe's answer says about the way to go on."""
        size = opened.identity.size
        if opened.status == 416:
            # RFC 9110 §15.5.17: "bytes */0" is an empty file; any other first 416 is a server that wants no range.
            self._located = None
            self._refuses_ranges = size != 0
            return "empty" if size == 0 else "ask without range"
        if opened.status == 206:
            # A total of "*" leaves the size unknown, and what has come is only a part of the file.
            self.has_ranges = size is not None
            if not self.has_ranges:
                self._located, self._refuses_ranges = None, True
            return "ranges" if self.has_ranges else "ask without range"
        self.is_stream = True
        return "stream"

    def lease_ended(self, number: int) -> None:
        if self._locating == number:
            self._locating = None

    def failed(self, failure: Failure, lease: Lease) -> None:
        """Forget an address that has expired; of several lanes that say so, the first is enough."""
        if failure.kind == "expired" and (not lease.is_located or lease.url == self._located):
            self._located = None
