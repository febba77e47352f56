"""Small bodies are read to a limit, whatever comes."""

import io

import pytest
import urllib3

from engine.errors import ProtocolViolation
from engine.transport.bodies import read_bounded, read_start, status_failure
from engine.transport.retry import WireError
from engine.transport.wire import Answer


class Endless(io.RawIOBase):
    """A body without end that counts what is taken from it."""

    taken = 0

    def read(self, nbytes: int = -1) -> bytes:
        assert nbytes >= 0, "somebody wants all of it"
        self.taken += nbytes
        return b"x" * nbytes


def answer(body: io.RawIOBase | io.BytesIO, status: int = 200, **headers: str) -> Answer:
    response = urllib3.HTTPResponse(body, headers=headers, status=status, preload_content=False)
    return Answer(response, "https://h.example/list?sig=secret", [])


@pytest.mark.parametrize("limit", [0, 1, 1000, 1 << 20])
def test_a_body_beyond_its_limit_is_refused(limit: int) -> None:
    """One byte more than the limit is read, and then no more: a listing of a terabyte costs what a large one does."""
    endless = Endless()
    with pytest.raises(ProtocolViolation, match=f"more than the {limit} bytes") as caught:
        read_bounded(answer(endless), limit)
    assert "secret" not in str(caught.value)
    assert endless.taken <= limit + 1


def test_a_body_up_to_its_limit_is_taken() -> None:
    """All of it."""
    assert read_bounded(answer(io.BytesIO(b"12345")), 5) == b"12345"
    assert read_start(answer(io.BytesIO(b"12345")), 3) == b"123"


def test_a_refusals_body_is_read_to_a_limit() -> None:
    """What a server says of its 500 is not read for ever either."""
    endless = Endless()
    failure = status_failure(answer(endless, 500))
    assert len(failure.body) == endless.taken == 1 << 14


def test_a_compressed_body_is_refused() -> None:
    """Nobody asked for it, and unpacked it could be of any size."""
    with pytest.raises(WireError) as caught:
        read_bounded(answer(io.BytesIO(b"\x1f\x8b"), **{"content-encoding": "gzip"}), 100)
    assert caught.value.failure.kind == "encoding"
