"""What a user sets: in words on the command line, in a program, in the environment."""

import os
from contextlib import suppress
from typing import Any, cast
from unittest.mock import patch

import msgspec
import urllib3
from hypothesis import strategies as st

from engine.console.sizes import format_rate, format_seconds, format_size, parse_rate, parse_size
from engine.errors import UsageError
from engine.settings import Settings, home, proxy_url
from engine.transport.proxies import proxy_headers
from tests.fuzz.documents import as_json, one_of, record, sizes
from tests.fuzz.target import simple

_WHOLE = ("connections", "processes", "segment_size", "limit_rate", "retries", "chunk_size")


def _settings(data: bytes) -> None:
    """As a worker gets them, and as a program makes them; sizes, rates and a proxy as they are typed; a store as the
    environment names it, which cannot hold a zero byte."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        msgspec.json.decode(data, type=Settings)
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = msgspec.json.decode(data, type=dict[str, int | None])
        with suppress(UsageError):
            Settings(**{name: cast(Any, fields[name]) for name in _WHOLE if name in fields})
    typed = data.decode("utf-8", "surrogateescape")
    with suppress(UsageError), patch.dict(os.environ, {"JARVIS_HOME": typed.partition("\0")[0]}):
        assert home().is_absolute()
    if (proxy := proxy_url(typed)) is not None:
        with urllib3.ProxyManager(proxy, proxy_headers=proxy_headers(proxy)) as manager:
            manager.connection_from_host("h", 80, "http")
    for parse, shown in ((parse_size, format_size), (parse_rate, format_rate)):
        with suppress(UsageError):
            size = parse(typed)
            assert 1 <= size <= 1 << 62
            assert shown(size) and format_seconds(size)
    assert (
        format_seconds(0.001)
        and format_seconds(len(data))
        and format_size(len(data))
        and format_rate(len(data))
    )


settings = simple(
    "settings",
    as_json(
        record(
            {},
            connections=sizes,
            processes=sizes,
            hash=st.sampled_from(["sha256", None, "md5"]),
            proxy=st.sampled_from(["http://h", "x", None]),
            retry_delay_s=sizes,
            allocate=st.sampled_from(["full", "y"]),
        )
    )
    | one_of("8MiB 500k 10MB/s 10mbit 1.5gb 9999999T 0 4e9 ~/x ~nobody-here ../x", "1.5 GB", "")
    | one_of(
        "h:1 http://u:p@h:3128 https://[::1]:1/ socks5://h HTTP://H:0 http://h:99999 http://[", "ü:1", "h h"
    ),
    (
        b'"connections": "processes": "segment_size": "proxy": { } null -1 0 9 . k Mi B /s bit NaN ~ / '
        b"http:// : [ ] @ % 1e999 \xc2\xb2"
    ).split(),
    "settings.py",
    "console/sizes.py",
)(_settings)
TARGETS = (settings,)
