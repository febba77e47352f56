"""What clients ask of `jarvis serve`: targets, ranges and conditions."""

from contextlib import suppress

from hypothesis import strategies as st

from engine.server.conditions import format_content_range, judge, parse_range
from engine.server.target import BadTarget, Target, parse_fields
from tests.fuzz.documents import HEX, Bytes, joined, one_of
from tests.fuzz.target import simple

_SEGMENTS = one_of(
    "api models acme tiny resolve tree main revision refs paths-info v2 manifests blobs tags "
    "list weights.gguf config.json latest lib%72ary old "
    "%2e%2e a%2Fb %00 %ff %zz Q4_K_M solo README.md refs%2Fheads%2Fmain sub"
)
PATHS: Bytes = st.lists(_SEGMENTS, min_size=1, max_size=7).map(lambda parts: b"/" + b"/".join(parts))
KNOWN = one_of(
    "/api/models /api/models/acme/tiny /api/models/acme/tiny/tree/main "
    "/api/models/acme/tiny/tree/main/sub /acme/tiny/resolve/main/weights.gguf "
    "/api/models/solo/refs "
    "/api/models/acme/tiny/revision/main /v2/ /v2/acme/tiny/manifests/latest "
    "/v2/acme/tiny/tags/list /v2/ns/m/manifests/latest /v2/ns/m/tags/list "
    f"/v2/ns/m/manifests/broken /v2/ns/m/manifests/index /v2/ns/m/manifests/told "
    f"/v2/ns/m/manifests/layers /v2/acme/tiny/blobs/sha256:{HEX} "
    f"/v2/acme/tiny/manifests/sha256:{HEX} /datasets/x /api/spaces/y "
    ""
    "/v2/acme/tiny/blobs/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a "
    "/v2/ns/m/blobs/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
)
QUERIES = one_of(
    "",
    "?recursive=true&limit=1",
    "?expand=1",
    "?blobs=true&expand=siblings",
    "?cursor=YQ==",
    "?cursor=%C3%A4",
    "?n=0",
    "?n=1&last=a",
    "?limit=0",
    "?limit=x",
    "?include_prs=1",
    "?recursive=1&limit=1&cursor=Y29uZmlnLmpzb24=",
)


def _target(data: bytes) -> None:
    """As aiohttp decodes a request line."""
    with suppress(BadTarget):
        target = Target.parse(data.decode("utf-8", "surrogateescape"))
        "".join(target.segments).encode()
        assert target.get("a") in [*target.all("a"), ""]
        assert target.is_set("a") in (True, False)
    with suppress(BadTarget):
        parse_fields(data.decode("utf-8", "surrogateescape"))


target = simple(
    "request-target",
    joined(PATHS, QUERIES) | KNOWN,
    "/ ? & = a=true a=1 % %2F %00 %e2%80%ae + # .. \x00 \xa0 http://",
    "server/target.py",
)(_target)


def _conditions(data: bytes) -> None:
    """Range, If-Range, If-Match, If-None-Match, a line each."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    for size in (0, 10):
        for method in ("GET", "HEAD"):
            named = dict(zip(("Range", "If-None-Match", "If-Match", "If-Range"), lines, strict=False))
            for headers in (named, {"Range": lines[0]}, {"If-None-Match": lines[0]}):
                verdict = judge(method, headers, '"abc"', size)
                assert 0 <= verdict.span.start <= verdict.span.stop <= size
                assert format_content_range(verdict.span, size).isascii()
        assert parse_range(lines[0], size).stop <= size


_TAGS = joined(
    one_of('"abc" W/"abc" "" * "a'), one_of(",", ", ", " ,", ",,", "", " , , "), one_of('"abc" W/"x" x', "")
)
conditions = simple(
    "conditions",
    joined(
        one_of("bytes=0-4 bytes=-3 bytes=3- bytes=9-1 bytes=0-0,2-3 Bytes=0-99 items=0-1", ""),
        "\n",
        _TAGS,
        "\n",
        _TAGS,
        "\n",
        _TAGS,
    )
    | _TAGS,
    (b"\n", b" ", b"\t", b", ", *b'bytes= - , " W/ "abc" * 0 99999999999999999999 \xc2\xb2 \xff'.split()),
    "server/conditions.py",
)(_conditions)
TARGETS = (target, conditions)
