"""The messages in the frames of a worker's pipe."""

from contextlib import suppress

import msgspec
from hypothesis import strategies as st

from engine.remote_file import Identity
from engine.settings import Settings
from engine.spans import Span
from engine.transfer.messages import (
    Close,
    Closed,
    Down,
    Hello,
    LaneFree,
    Lease,
    LeaseEnded,
    Open,
    Opened,
    Paused,
    PieceWritten,
    Proceed,
    Revoke,
    SegmentWritten,
    Shorten,
    Shortened,
    Up,
)
from engine.transport.auth import Credentials
from engine.transport.retry import Failure
from tests.fuzz.target import simple

_PACKED = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 1 << 63) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_TAGS = [
    "hello",
    "open",
    "lease",
    "proceed",
    "shorten",
    "revoke",
    "close",
    "opened",
    "paused",
    "segment",
    "piece",
    "shortened",
    "ended",
    "whole",
    "free",
    "closed",
]


def _messages(data: bytes) -> None:
    """msgspec's own errors are what the reader of a pipe takes for the end of the other side."""
    for kind in (Down, Up, Hello):
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            message = msgspec.msgpack.decode(data, type=kind)
            again = msgspec.msgpack.encode(message)
            assert msgspec.msgpack.decode(again, type=type(message)) == message or "nan" in repr(message)


_FAILURE = Failure(kind="status", message="m", status=503, retry_after_s=1.5, headers={"a": "b"}, body=b"x")
_OPENED = Opened(0, 1, 0, "https://h.example/", True, 206, Span(0, 9), Identity(size=9, etag="a"), commit="c")
_SOUND = st.sampled_from(
    [
        Hello(Settings(), Credentials({"https://h.example:443": {"A": "b"}}), 4, 0, 1 << 20, 7),
        Open(0, None, 1 << 20),
        Lease(
            0, 1, 0, "https://h.example/", Span(0, 9), Identity(size=9), algorithms=("sha256",), accept="a/b"
        ),
        Proceed(0, 1, None, True),
        Shorten(0, 1, 5),
        Revoke(0, 1),
        Close(0),
        Paused("https://h.example:443", 2.5),
        _OPENED,
        SegmentWritten(1, 0, 3, (1 << 64) - 1),
        PieceWritten(1, 0, Span(0, 3)),
        Shortened(1, 0, 5, False),
        LeaseEnded(0, 1, 0, _FAILURE, True, 3, 0.5),
        LaneFree(0, 0),
        Closed(0),
    ]
).map(msgspec.msgpack.encode)
messages = simple(
    "messages",
    st.builds(
        lambda tag, rest: msgspec.msgpack.encode([tag, *rest]),
        st.sampled_from(_TAGS),
        st.lists(_PACKED, max_size=12),
    )
    | _SOUND,
    (
        b"\x90",
        b"\x91",
        b"\xc0",
        b"\xc3",
        b"\xcf" + b"\xff" * 8,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        *map(str.encode, _TAGS),
    ),
    "transfer/messages.py",
)(_messages)
TARGETS = (messages,)
