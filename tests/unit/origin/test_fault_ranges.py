"""Ranges answered wrongly."""

from typing import Any

import pytest

from tests.origin import Origin
from tests.unit.origin.made import MODEL, Fetch


@pytest.mark.parametrize(
    ("name", "options", "status", "content_range", "body"),
    [
        ("ok_to_range", {}, 200, None, MODEL.read()),
        ("shifted_range", {}, 206, "bytes 101-200/100000", MODEL.read(101, 201)),
        ("shifted_range", {"by": -7}, 206, "bytes 93-192/100000", MODEL.read(93, 193)),
        ("shifted_range", {"lie": True}, 206, "bytes 101-200/100000", MODEL.read(100, 200)),
        ("wrong_total", {}, 206, "bytes 100-199/100001", MODEL.read(100, 200)),
        ("wrong_total", {"by": -1}, 206, "bytes 100-199/99999", MODEL.read(100, 200)),
        ("star_total", {}, 206, "bytes 100-199/*", MODEL.read(100, 200)),
        ("short_range", {}, 206, "bytes 100-149/100000", MODEL.read(100, 150)),
        ("short_range", {"by": 1}, 206, "bytes 100-198/100000", MODEL.read(100, 199)),
        ("long_range", {}, 206, "bytes 100-200/100000", MODEL.read(100, 201)),
        ("long_range", {"by": 10**9}, 206, "bytes 100-99999/100000", MODEL.read(100)),
        ("no_content_range", {}, 206, None, MODEL.read(100, 200)),
        ("416_no_range", {}, 416, None, b""),
        ("416_no_range", {"content_range": "bytes */5"}, 416, "bytes */5", b""),
    ],
)
def test_range_faults(
    origin: Origin,
    curl: Fetch,
    name: str,
    options: dict[str, Any],
    status: int,
    content_range: str,
    body: bytes,
) -> None:
    """Each wrong answer to a range is that, and well-formed HTTP otherwise; a plain GET is untouched."""
    origin.fault(name, **options)
    assert curl(origin.url("m")).body == MODEL.read()
    assert origin.fired(name) == 0
    got = curl(origin.url("m"), "-r", "100-199")
    assert (got.code, got.status, got.headers.get("content-range")) == (0, status, content_range)
    assert got.body == body
    assert got.headers["content-length"] == str(len(body))
    assert origin.fired(name) == 1
    assert origin.requests[1].faults == [name]


def test_multipart(origin: Origin, curl: Fetch) -> None:
    """multipart: the range as the one part of a multipart/byteranges body."""
    origin.fault("multipart")
    got = curl(origin.url("m"), "-r", "100-199")
    assert got.status == 206
    assert "content-range" not in got.headers
    boundary = got.headers["content-type"].partition("boundary=")[2].encode()
    parts = got.body.split(b"\r\n--" + boundary)
    assert len(parts) == 3
    assert parts[2] == b"--\r\n"
    assert parts[1].partition(b"\r\n\r\n")[2] == MODEL.read(100, 200)
    assert b"Content-Range: bytes 100-199/100000" in parts[1]
