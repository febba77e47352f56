"""What crosses between the coordinator and its hosts: a few dozen bytes of MessagePack, and no file bytes but for a
small file, which comes whole with the news of it.

Down: Hello, Open, Lease, Proceed, Shorten, Revoke, Close.
Up: Paused, Opened, SegmentWritten, PieceWritten, Shortened, LeaseEnded, Whole, LaneFree, Closed.
Every lease ends with exactly one LeaseEnded, whoever ends it (within a Whole, where there is one); whatever it wrote
was reported before. After it nothing is written under that lease.
"""

import msgspec

from engine.remote_file import Identity
from engine.settings import Settings
from engine.spans import Span
from engine.transfer.content import Content
from engine.transport.auth import Credentials
from engine.transport.retry import Failure


class Message(msgspec.Struct, frozen=True, array_like=True):
    """Root of all messages."""


class Hello(Message, frozen=True, array_like=True, tag="hello"):
    """The first message to a worker process, with the descriptor of its cells. It comes through the pipe because of
    the credentials."""

    settings: Settings
    credentials: Credentials
    lanes: int
    first_turn: int
    max_block: int
    parent: int
    """Process number; another parent than this one means that ours is gone."""


class Open(Message, frozen=True, array_like=True, tag="open"):
    """Take a part's descriptors (sent along) under this file number. size None: it grows as it comes."""

    file: int
    size: int | None
    segment_size: int
    seed: int = 0
    """Of the pieces' notes, whose descriptor comes third, where there are any."""


class Lease(Message, frozen=True, array_like=True, tag="lease"):
    """Fetch span of url into the file."""

    lane: int
    lease: int
    file: int
    url: str
    span: Span | None
    """None: ask for no range, take the whole body as it comes."""
    identity: Identity | None = None
    """What the answer must agree with; None where nothing is known yet."""
    has_digest: bool = False
    """A digest decides, so validators are neither sent nor compared (edges of one CDN disagree on them)."""
    is_located: bool = False
    """url is where a redirect has led, so a refusal may mean that it has expired."""
    wants_facts: bool = False
    """Answer with Opened before the body."""
    is_probe: bool = False
    """Wait for Proceed before the body: the part does not exist yet."""
    whole: int = 0
    """A probe's answer of up to so many bytes is sent back whole: it needs no Proceed and no part."""
    algorithms: tuple[str, ...] = ()
    """How to hash what is sent back whole."""
    accept: str | None = None
    """The media types that the answer may have; None for any."""
    is_never_a_page: bool = False
    """Its name is that of weights or of an archive, and no digest judges what comes in their place."""
    must_be_public: bool = False
    """A public server has led to url, so its name may not have become a private address meanwhile."""


class Proceed(Message, frozen=True, array_like=True, tag="proceed"):
    """The answer to a probe: write this much of the body, or drop it."""

    lane: int
    lease: int
    stop: int | None
    """Where to stop; None: at the end of the body."""
    go: bool


class Shorten(Message, frozen=True, array_like=True, tag="shorten"):
    """End this lease at stop, or as near to it as can still be done: somebody else is to fetch the rest."""

    lane: int
    lease: int
    stop: int


class Revoke(Message, frozen=True, array_like=True, tag="revoke"):
    """Stop writing under this lease now."""

    lane: int
    lease: int


class Close(Message, frozen=True, array_like=True, tag="close"):
    """Close the part's descriptors; none of its leases is alive."""

    file: int


class Opened(Message, frozen=True, array_like=True, tag="opened"):
    """The headers of an answer."""

    lane: int
    lease: int
    file: int
    url: str
    """Final URL; may be signed, so it is never stored or logged whole."""
    is_redirected: bool
    status: int
    span: Span | None
    identity: Identity
    linked_etag: str | None = None
    """X-Linked-Etag, X-Linked-Size and X-Repo-Commit of the first answer, from the origin that was asked."""
    linked_size: int | None = None
    commit: str | None = None
    must_be_public: bool = False
    """A public server has led to url: it holds for whoever goes there later."""


class Paused(Message, frozen=True, array_like=True, tag="paused"):
    """An origin has answered for the last time in this window of its rate limit."""

    origin: str
    seconds: float
    """Until the next window."""


class SegmentWritten(Message, frozen=True, array_like=True, tag="segment"):
    """A whole segment went to disk through one lane; check is the xxh3_64 of what was received."""

    lease: int
    file: int
    index: int
    check: int


class PieceWritten(Message, frozen=True, array_like=True, tag="piece"):
    """Part of a segment went to disk."""

    lease: int
    file: int
    span: Span


class Shortened(Message, frozen=True, array_like=True, tag="shortened"):
    """Nothing will be written under this lease from stop on. Not said of a lease that is over."""

    lease: int
    file: int
    stop: int
    is_over: bool
    """That is how far it has come: it ends at once, as if it had been revoked."""


class LeaseEnded(Message, frozen=True, array_like=True, tag="ended"):
    """No byte will be written under this lease any more. Without failure, all of it was."""

    lane: int
    lease: int
    file: int
    failure: Failure | None = None
    is_revoked: bool = False
    """The lane itself is not free before LaneFree."""
    discarded_bytes: int = 0
    wait_s: float = 0.0
    receive_s: float = 0.0
    write_s: float = 0.0
    limit_s: float = 0.0


class Whole(Message, frozen=True, array_like=True, tag="whole"):
    """All of a small file in the one answer to a probe. Nothing of it is on disk."""

    opened: Opened
    data: bytes
    content: Content
    ended: LeaseEnded


class LaneFree(Message, frozen=True, array_like=True, tag="free"):
    """A lane whose lease was revoked has come back."""

    lane: int
    file: int
    discarded_bytes: int = 0
    """Since it ended."""


class Closed(Message, frozen=True, array_like=True, tag="closed"):
    """The host has no descriptor of this file any more."""

    file: int
    errno: int = 0
    """Of the close, which is where some file systems tell of writes that failed, and none of them tells twice."""


Down = Hello | Open | Lease | Proceed | Shorten | Revoke | Close
Up = Paused | Opened | SegmentWritten | PieceWritten | Shortened | LeaseEnded | Whole | LaneFree | Closed
