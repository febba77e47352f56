"""What a lane asks, and which answers it may write: each row is a request, an answer and a verdict."""

import io

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from engine.remote_file import Identity
from engine.spans import Span
from engine.transfer.answers import facts_of, request_headers
from engine.transfer.messages import Lease
from engine.transfer.misfits import refuse_misfit
from engine.transport.retry import WireError
from engine.transport.wire import Answer, Hop
from tests.properties import steady

URL, EDGE = "https://h.example/model?sig=secret", "https://edge.example/x?sig=secret"
KNOWN = Identity(size=100, etag='"v1"', last_modified="Mon, 01 Jan 2024 00:00:00 GMT")


def lease(span=Span(8, 16), **facts) -> Lease:  # noqa: B008 - a frozen value
    return Lease(0, 1, 0, URL, span, **facts)


def answer(status=206, *, body=b"", url=URL, hops=(), **headers) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    response = urllib3.HTTPResponse(io.BytesIO(body), headers=named, status=status, preload_content=False)
    return Answer(response, url, [Hop(*hop) for hop in hops])


def verdict(asked: Lease, got: Answer) -> str | None:
    """The kind of failure, or None where the body may be written."""
    try:
        refuse_misfit(asked, got, facts_of(asked, got))
    except WireError as exc:
        assert "secret" not in exc.failure.message + exc.failure.url
        return exc.failure.kind
    return None


GOOD = {"content_range": "bytes 8-15/100", "content_length": "8", "etag": '"v1"'}

WRITTEN = [
    ("exact", lease(identity=KNOWN), answer(**GOOD)),
    ("no length, as chunked", lease(identity=KNOWN), answer(**GOOD | {"content_length": None})),
    ("total unknown", lease(identity=KNOWN), answer(**GOOD | {"content_range": "bytes 8-15/*"})),
    ("clipped at the end", lease(Span(96, 104)), answer(content_range="bytes 96-99/100", content_length="4")),
    ("identity coding, said", lease(), answer(**GOOD, content_encoding="Identity")),
    (
        "a page at first, where a page may be meant",
        lease(is_probe=True),
        answer(200, content_length="65", content_type="text/html"),
    ),
    ("empty coding", lease(), answer(**GOOD, content_encoding="")),
    (
        "digest decides, so another ETag is let be",
        lease(identity=KNOWN, has_digest=True),
        answer(**GOOD | {"etag": '"v2"'}),
    ),
    (
        "one of two validators comes",
        lease(identity=KNOWN),
        answer(**GOOD | {"etag": None}, last_modified=KNOWN.last_modified),
    ),
    (
        "digest decides, so no validator is missed",
        lease(identity=KNOWN, has_digest=True),
        answer(**GOOD | {"etag": None}),
    ),
    ("only a listing has been seen", lease(identity=Identity(size=100), wants_facts=True), answer(**GOOD)),
    (
        "never had a validator, and digest decides",
        lease(identity=Identity(size=100), has_digest=True),
        answer(**GOOD),
    ),
    ("no validator, as ever", lease(identity=Identity(size=100)), answer(**GOOD | {"etag": None})),
    (
        "probe: range",
        lease(Span(0, 8), is_probe=True),
        answer(content_range="bytes 0-7/100", content_length="8"),
    ),
    ("probe: whole file", lease(Span(0, 8), is_probe=True), answer(200, content_length="100")),
    (
        "probe: whole file of the right size",
        lease(is_probe=True, identity=KNOWN),
        answer(200, content_length="100"),
    ),
    ("probe: total unknown", lease(Span(0, 8), is_probe=True), answer(content_range="bytes 0-7/*")),
    ("probe: empty file", lease(is_probe=True), answer(416, content_range="bytes */0")),
    ("probe: no ranges wanted", lease(is_probe=True), answer(416)),
    ("stream", lease(None), answer(200, content_length="100")),
    ("stream of unknown length", lease(None), answer(200)),
]


@pytest.mark.parametrize(("asked", "got"), [row[1:] for row in WRITTEN], ids=[row[0] for row in WRITTEN])
def test_answer_is_taken(asked, got):
    """An answer that is what was asked for, of the version that was asked for."""
    assert verdict(asked, got) is None


REFUSED = [
    ("whole file instead of a range", lease(), answer(200, content_length="100"), "range"),
    ("another span", lease(), answer(**GOOD | {"content_range": "bytes 0-7/100"}), "range"),
    ("begins before", lease(), answer(content_range="bytes 7-15/100"), "range"),
    ("begins after", lease(), answer(content_range="bytes 9-15/100"), "range"),
    ("longer span", lease(), answer(content_range="bytes 8-16/100"), "range"),
    ("shorter span", lease(), answer(content_range="bytes 8-14/100"), "range"),
    ("no Content-Range", lease(), answer(content_length="8"), "range"),
    ("garbled Content-Range", lease(), answer(content_range="bytes 8-15"), "range"),
    ("length is another", lease(), answer(**GOOD | {"content_length": "9"}), "range"),
    ("several ranges", lease(), answer(content_type="multipart/byteranges; boundary=x"), "range"),
    (
        "probe: several ranges",
        lease(is_probe=True),
        answer(content_type="multipart/byteranges; boundary=x"),
        "range",
    ),
    (
        "probe: another span",
        lease(is_probe=True),
        answer(**GOOD | {"content_range": "bytes 0-7/100"}),
        "range",
    ),
    ("a part, unasked", lease(None), answer(content_range="bytes 0-7/100"), "range"),
    ("probe: a part, unasked", lease(None, is_probe=True), answer(content_range="bytes 8-15/100"), "range"),
    ("compressed", lease(), answer(**GOOD, content_encoding="gzip"), "encoding"),
    ("compressed stream", lease(None), answer(200, content_encoding="br"), "encoding"),
    ("another total", lease(identity=KNOWN), answer(content_range="bytes 8-15/101"), "changed"),
    (
        "another total, digest known",
        lease(identity=KNOWN, has_digest=True),
        answer(content_range="bytes 8-15/101"),
        "range",
    ),
    (
        "frames of a multipart",
        lease(),
        answer(**GOOD, content_type="Multipart/byteranges; boundary=x"),
        "range",
    ),
    ("another ETag", lease(identity=KNOWN), answer(**GOOD | {"etag": '"v2"'}), "changed"),
    ("the first validator comes midway", lease(identity=Identity(size=100)), answer(**GOOD), "changed"),
    ("no validator comes", lease(identity=KNOWN), answer(**GOOD | {"etag": None}), "changed"),
    ("no answer at all", lease(identity=KNOWN), answer(content_length="6"), "range"),
    ("no answer, by its place", lease(identity=KNOWN), answer(content_range="bytes 0-5/100"), "range"),
    ("a part that calls itself whole", lease(None), answer(200, content_range="bytes 0-7/100"), "range"),
    (
        "another kind of validator comes",
        lease(identity=Identity(size=100, etag='"v1"')),
        answer(**GOOD | {"etag": None}, last_modified=KNOWN.last_modified),
        "changed",
    ),
    ("the ETag became weak", lease(identity=KNOWN), answer(**GOOD | {"etag": 'W/"v1"'}), "changed"),
    (
        "another date",
        lease(identity=KNOWN),
        answer(**GOOD, last_modified="Tue, 02 Jan 2024 00:00:00 GMT"),
        "changed",
    ),
    ("stream of another size", lease(None, identity=KNOWN), answer(200, content_length="99"), "changed"),
    (
        "a page of somebody else's with a version",
        lease(identity=KNOWN),
        answer(200, content_length="65", etag='"p"', content_type="text/html; charset=utf-8"),
        "page",
    ),
    (
        "a page at first, in place of weights",
        lease(is_probe=True, is_never_a_page=True),
        answer(200, content_length="65", content_type="Text/HTML; charset=utf-8"),
        "page",
    ),
    ("a page of somebody else's", lease(identity=KNOWN), answer(200, content_length="65"), "range"),
    (
        "a whole file of another version",
        lease(identity=KNOWN),
        answer(200, content_length="65", etag='"v2"'),
        "changed",
    ),
    (
        "beyond the end that it has now",
        lease(identity=KNOWN),
        answer(416, content_range="bytes */7"),
        "changed",
    ),
    (
        "beyond the end, digest known",
        lease(identity=KNOWN, has_digest=True),
        answer(416, content_range="bytes */7"),
        "range",
    ),
    ("If-Match failed", lease(identity=KNOWN), answer(412), "changed"),
    ("412 without a condition", lease(identity=KNOWN, has_digest=True), answer(412), "range"),
    (
        "416 to a probe without a range",
        lease(None, is_probe=True),
        answer(416, content_range="bytes */0"),
        "range",
    ),
    ("416 in the middle", lease(identity=KNOWN), answer(416, content_range="bytes */100"), "range"),
    ("not found", lease(), answer(404), "status"),
    ("denied", lease(), answer(403), "status"),
    ("denied by a signed address", lease(is_located=True), answer(403), "expired"),
    ("bad request to a signed address", lease(is_located=True), answer(400), "expired"),
    ("too many, by a signed address", lease(is_located=True), answer(429), "status"),
    ("denied where a redirect led", lease(), answer(403, url=EDGE, hops=[(URL, {})]), "expired"),
    ("denied where a redirect led within", lease(), answer(403, url=URL + "&b", hops=[(URL, {})]), "status"),
    ("nothing", lease(), answer(204), "status"),
    ("unavailable", lease(), answer(503, retry_after="7"), "status"),
]


@pytest.mark.parametrize(
    ("asked", "got", "kind"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
@pytest.mark.row("range/206-unasked")
def test_answer_is_refused(asked, got, kind):
    """Of anything else not a byte is written, and the failure says which kind it is."""
    assert verdict(asked, got) == kind


def test_refusal_keeps_what_explains_it():
    """Status, Retry-After, the explaining headers and the start of the body come along; cookies do not."""
    got = answer(
        403,
        body=b'{"error": "no"}' + b"x" * 99_999,
        retry_after="7",
        x_error_code="GatedRepo",
        set_cookie="s",
    )
    with pytest.raises(WireError) as caught:
        refuse_misfit(lease(), got, facts_of(lease(), got))
    failure = caught.value.failure
    assert (failure.status, failure.retry_after_s) == (403, 7.0)
    assert failure.headers == {"x-error-code": "GatedRepo"}
    assert failure.body.startswith(b'{"error": "no"}')
    assert len(failure.body) <= 1 << 14


REQUESTS = [
    (lease(), {"Range": "bytes=8-15"}),
    (lease(None), {}),
    (lease(identity=KNOWN), {"Range": "bytes=8-15", "If-Match": '"v1"'}),
    (lease(identity=KNOWN, has_digest=True), {"Range": "bytes=8-15"}),
    (lease(identity=Identity(size=100, etag='W/"v1"')), {"Range": "bytes=8-15"}),
    (lease(None, identity=KNOWN), {"If-Match": '"v1"'}),
]


@pytest.mark.parametrize(("asked", "headers"), REQUESTS)
def test_request(asked, headers):
    """A closed range; a strong validator goes along where no digest decides."""
    assert request_headers(asked) == headers


def test_facts_of_a_range():
    """The total stands in Content-Range, the rest beside it."""
    opened = facts_of(
        lease(), answer(**GOOD, last_modified="Mon, 01 Jan 2024 00:00:00 GMT", x_repo_commit="c0ffee")
    )
    assert (opened.status, opened.span, opened.identity) == (206, Span(8, 16), KNOWN)
    assert (opened.is_redirected, opened.linked_etag, opened.commit) == (False, '"v1"', "c0ffee")


def test_facts_of_a_redirect():
    """What the first answer says of the file counts, not the edge's own headers (Hub: X-Linked-*)."""
    hop = (URL, {"x-linked-etag": '"abc"', "x-linked-size": "100", "x-repo-commit": "c0ffee"})
    opened = facts_of(lease(), answer(**GOOD | {"etag": '"edge"'}, url=EDGE, hops=[hop]))
    assert (opened.url, opened.is_redirected) == (EDGE, True)
    assert (opened.linked_etag, opened.linked_size, opened.commit) == ('"abc"', 100, "c0ffee")
    assert opened.identity.etag == '"edge"'
    plain = facts_of(lease(), answer(**GOOD, url=EDGE, hops=[(URL, {})]))
    assert plain.linked_etag is None


@pytest.mark.parametrize(
    ("got", "size"),
    [
        (answer(200, content_length="100"), 100),
        (answer(200, content_length="0"), 0),
        (answer(200), None),
        (answer(200, content_length="-1"), None),
        (answer(200, content_length="1e3"), None),
        (answer(200, content_length="٣"), None),
        (answer(200, content_length="9" * 30), None),
        (answer(206, content_range="bytes 0-7/*", content_length="8"), None),
        (answer(206, content_length="8"), None),
        (answer(416, content_range="bytes */0"), 0),
        (answer(416, content_range="bytes */100"), 100),
        (answer(416), None),
    ],
)
def test_size(got, size):
    """A part's own length is never taken for the file's; numbers that are none are not known."""
    assert facts_of(lease(), got).identity.size == size


header = st.sampled_from(
    ["content-range", "content-length", "content-encoding", "etag", "last-modified", "retry-after"]
)
value = st.text(st.characters(max_codepoint=255), max_size=20) | st.sampled_from(
    ["bytes 8-15/100", "8", '"v1"']
)


@given(st.integers(100, 599), st.dictionaries(header, value), st.booleans(), st.booleans())
@steady(300)
def test_anything_is_judged(status, headers, probe, located):
    """Whatever a server answers, its body may be written or a failure says why not; and what may be written into the
    middle of a file is exactly the span that was asked for."""
    asked = lease(identity=KNOWN, is_probe=probe, is_located=located)
    got = answer(status, **{name.replace("-", "_"): text for name, text in headers.items()})
    if verdict(asked, got) is None and not probe:
        assert status == 206
        assert facts_of(asked, got).span == Span(8, 16)
