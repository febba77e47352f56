"""Single fields of an answer's head: ranges, waits, challenges, links."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import strategies as st

from engine.errors import NetworkError
from engine.sources.listing import in_words, next_page
from engine.spans import Span
from engine.transport.auth import origin_of
from engine.transport.challenge import (
    bearer_challenge,
    check_realm,
    parse_challenges,
    token_in,
    token_requests,
)
from engine.transport.pauses import Pauses
from engine.transport.ranges import fits, format_range, parse_content_range
from engine.transport.retry import Failure, WireError, backoff_s, parse_retry_after
from engine.transport.verdicts import wait_s
from tests.fuzz.documents import joined, one_of, text
from tests.fuzz.target import Run, housed, simple

_NUMBERS = st.integers(0, 20).map(b"%d".__mod__) | one_of("99999999999999999999 007 1_0 ² +1")


def _content_range(data: bytes) -> None:
    header = data.decode("latin-1")
    found = parse_content_range(header)
    if found is not None and found.span is not None:
        assert found.span and (found.total is None or found.span.stop <= found.total)
        assert fits(found.span, found)
        span = format_range(found.span).replace("=", " ")
        assert parse_content_range(f"{span}/{'*' if found.total is None else found.total}") == found
    assert not fits(Span(3, 3), found) or found is not None


content_range = simple(
    "content-range",
    joined(one_of("bytes BYTES octets"), " ", _NUMBERS, "-", _NUMBERS, "/", _NUMBERS | one_of("*"))
    | joined("bytes */", _NUMBERS | one_of("*")),
    "bytes bytes=  * - / 0 9 \t , \n ²",
    "transport/ranges.py",
)(_content_range)

_DATES = one_of(
    "",
    "Wed, 21 Oct 2026 07:28:00 GMT",
    "Wed, 21 Oct 2026 07:28:00 -2359",
    "21 Oct 26 0:0 EST",
    "1 Jan 0001 00:00:00 +2359",
)
_LIMITS = one_of(
    '"a";r=0;t=172 "a";r=0 "a";r=1;t=5,"b";r=0;t=9 limit=100,remaining=0,reset=50 "a";q=10;w=300 "a";"b";w=30'
)


def _waits() -> Iterator[Run]:
    """Retry-After, RateLimit and RateLimit-Policy, a line each."""
    now = datetime(2026, 10, 21, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        pauses = [Pauses(Path(folder, "pauses")), Pauses(None), Pauses(Path("/proc/none"))]

        def run(data: bytes) -> None:
            lines = data.decode("latin-1").split("\n") + [""] * 3
            headers = dict(zip(("retry-after", "ratelimit", "ratelimit-policy"), lines, strict=False))
            seconds = parse_retry_after(headers, now)
            if seconds is not None:
                assert 0 <= seconds < math.inf
                for memory in pauses:
                    memory.note(f"https://h{len(data)}.example/", seconds)
                    memory.note(f"https://h{len(data)}.example/", 0)
            assert all(0 <= memory.left_s(f"https://h{len(data)}.example/") <= 60 for memory in pauses)
            failure = Failure(
                kind="status", message="m", status=429 + 100 * (len(data) % 2), retry_after_s=seconds
            )
            assert isinstance((failure.is_pushback, failure.is_final), tuple)
            assert Failure(kind="tls", message="m").is_final
            with suppress(NetworkError):
                assert wait_s(failure, len(data), 1.0) <= 60
            assert backoff_s(len(data) + 1, 1.0, 0.5) <= 60

        yield run


waits = housed(
    "waits",
    joined(_NUMBERS | _DATES, "\n", _LIMITS | st.just(b""), "\n", _LIMITS | st.just(b"")),
    (b"\n", *b'; , " = r=0 t= w= remaining=0 reset= GMT Mon, Oct -0000 +9999 : 0 9 24:60:60 \xb2 ('.split()),
    "transport/retry.py",
    "transport/rate_limit.py",
    "transport/pauses.py",
)(_waits)


def _challenge(data: bytes) -> None:
    """A WWW-Authenticate, and after a zero byte the answer of the server that gives tokens."""
    header, _, body = data.partition(b"\0")
    url = "https://r.example/v2/ns/m/manifests/latest"
    assert len(parse_challenges(header.decode("latin-1"))) <= len(header)
    challenge = bearer_challenge(header.decode("latin-1"))
    if challenge is not None:
        with suppress(WireError):
            realm = check_realm(url, challenge.parameters["realm"])
            assert origin_of(realm).rpartition(":")[0].rstrip(".").endswith("r.example")
            for given in (None, "Basic eDp5", "Bearer abc", ""):
                for request in token_requests(realm, challenge, url, given):
                    assert request.method in ("GET", "POST")
    for registry in (
        "http://10.0.0.1:5000/v2/",
        "https://auth.a.co.uk/",
        "http://localhost/",
        "https://[::1]/",
    ):
        with suppress(WireError):
            check_realm(registry, header.decode("latin-1"))
    with suppress(WireError):
        assert token_in(body, "https://r.example/token")


_REALMS = one_of(
    "https://auth.r.example/t https://r.example/t?a=b http://r.example/ https://evil.example/ "
    "r ftp://r.example/ https://r.example:99999"
)
challenge = simple(
    "challenge",
    joined(
        one_of("Bearer bearer Basic"),
        ' realm="',
        _REALMS,
        '",service="',
        text,
        '", scope=',
        text,
        "\0",
        one_of('{"token":"a"} {"access_token":"b.c"} {} [] {"token":1}'),
    )
    | joined("Negotiate ", text, ', Bearer realm="', _REALMS, '"')
    | _REALMS
    | one_of(
        "http://10.0.0.1:5000/t http://10.0.0.1/t https://b.a.co.uk/x https://a.b.co.uk/ "
        "http://localhost/t https://[::1]/t https://1.0.0.1/"
    ),
    (
        b"\0",
        b'\\"',
        b" ",
        *(
            b'Bearer realm= realm=" , " = \\ scope= service= https://r.example/ ; token68== \t {"token":"'
        ).split(),
    ),
    "transport/challenge.py",
)(_challenge)


def _link(data: bytes) -> None:
    current = "https://h.example/api/models/ns/m/tree/main?recursive=true"
    header = data.decode("latin-1")
    with suppress(ValueError):
        found = next_page(current, {"Link": header}, {"https://h.example:443"})
        assert found is None or origin_of(found) == "https://h.example:443"
    assert next_page(current, {}, set()) is None
    assert in_words(header.split("\n")).isprintable()


link = simple(
    "link",
    joined(
        "<",
        one_of("/x?cursor=1 https://h.example/x https://evil.example/ //evil.example http://[ ?a"),
        '>; rel="',
        one_of("next prev"),
        '"',
    ),
    '< > ; , rel= rel="next" rel=next https://h.example/ // http://[ ? \\ @ next " title=',
    "sources/links.py",
)(_link)
TARGETS = (content_range, waits, challenge, link)
