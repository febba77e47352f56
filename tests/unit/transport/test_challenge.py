"""The challenge, who may be asked for a token, and how."""

from urllib.parse import parse_qs, urlsplit

import pytest

from engine.transport.auth import Credentials
from engine.transport.challenge import (
    Challenge,
    bearer_challenge,
    check_realm,
    parse_challenges,
    repository_of,
    token_in,
    token_requests,
)
from engine.transport.retry import WireError
from tests.fuzz.bounds import bounded, guarded

URL = "https://r.example/v2/ns/m/manifests/v1"

HEADERS = [
    (
        'Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"',
        [("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:x:pull,push"})],
    ),
    (
        'Basic realm="x", BEARER Realm=https://a/t , service="q\\"uote"',
        [("basic", {"realm": "x"}), ("bearer", {"realm": "https://a/t", "service": 'q"uote'})],
    ),
    ('Negotiate abc==, Bearer realm="x"', [("negotiate", {}), ("bearer", {"realm": "x"})]),
    ('Bearer   realm = "sp" ,, scope=""', [("bearer", {"realm": "sp", "scope": ""})]),
    ('Bearer realm="a",realm="b"', [("bearer", {"realm": "a"})]),
    ('Bearer realm="never ends', [("bearer", {})]),
    ('realm="of nobody"', []),
    ("Bearer", [("bearer", {})]),
    ("", []),
    (",,,", []),
    ("\\\"'=;", []),
]


@pytest.mark.parametrize(("header", "challenges"), HEADERS)
def test_challenges(header, challenges):
    """By RFC 9110's grammar, one or several in a header; what makes no sense is passed over."""
    assert [(c.scheme, c.parameters) for c in parse_challenges(header)] == challenges


def test_a_long_header_takes_no_time():
    assert parse_challenges('Bearer realm="' + "\\" * 1_000_000) == [Challenge("bearer", {})]
    assert bearer_challenge("Bearer " * 100_000) is None
    with guarded(), bounded():
        for _ in range(50):
            assert parse_challenges("," * 8192) == parse_challenges(", \t" * 4000) == []


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("https://registry-1.docker.io", "https://auth.docker.io/token"),
        ("https://ghcr.io", "https://ghcr.io/token"),
        ("https://registry.gitlab.example", "https://gitlab.example/jwt/auth"),
        ("https://r.acme.co.uk", "https://auth.acme.co.uk/t"),
        ("https://R.Example:5000", "https://r.example:5001/t"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/t"),
        ("http://127.0.0.1:5000", "https://127.0.0.1:6000/t"),
        ("http://r.example", "http://r.example:80/t"),
        ("http://localhost:5000", "https://localhost/t"),
        ("https://[::1]:5000", "https://[::1]/t"),
    ],
)
def test_realms_that_are_asked(registry, realm):
    assert check_realm(f"{registry}/v2/a/manifests/b", realm) == realm


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("https://r.example", "https://evil.example.net/t"),
        ("https://r.example", "http://r.example/t"),
        ("https://r.example:80", "http://r.example:80/t"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:6000/t"),
        ("http://r.example", "http://r.example:5001/t"),
        ("http://r.example:5000", "http://r.example/t"),
        ("https://r.acme.co.uk", "https://evil.co.uk/t"),
        ("https://acme.co.uk", "https://co.uk/t"),
        ("https://10.0.0.1", "https://10.0.0.2/t"),
        ("https://1.2.3.4", "https://9.9.3.4/t"),
        ("http://127.0.0.1:5000", "http://127.0.0.2:5000/t"),
        ("http://r.example", "http://auth.r.example/t"),
        ("https://localhost", "https://other/t"),
        ("https://r.example", "https://u:p@r.example/t"),
        ("https://r.example", "file:///etc/passwd"),
        ("https://r.example", "/token"),
        ("https://r.example", "https://r.example\r\nX: y/t"),
        ("https://r.example", ""),
        ("https://r.example", "https://r.example.evil.net/t"),
        ("https://r.example", "https://[::1"),
    ],
)
@pytest.mark.row("attack/32-realm-elsewhere")
def test_realms_that_are_refused(registry, realm):
    """Another site, plain http, an address that is none; trying again cannot help."""
    with pytest.raises(WireError) as refused:
        check_realm(f"{registry}/v2/a/manifests/b", realm)
    assert refused.value.failure.is_final


def test_anonymous_request():
    """Service and scope as the challenge has them, added to what the realm's address asks already."""
    challenge = Challenge("bearer", {"service": "s&x=y", "scope": "repository:ns/m:pull"})
    (request,) = token_requests("https://r.example/t?a=b#c", challenge, URL, None)
    assert (request.method, request.headers, request.body) == ("GET", {}, None)
    asked = parse_qs(urlsplit(request.url).query)
    assert asked == {"a": ["b"], "service": ["s&x=y"], "scope": ["repository:ns/m:pull"]}


def test_scope_of_our_own():
    """A challenge without a scope: reading this repository."""
    (request,) = token_requests("https://r.example/t", Challenge("bearer", {}), URL, None)
    assert parse_qs(urlsplit(request.url).query) == {"scope": ["repository:ns/m:pull"]}


def test_what_the_user_gave():
    """Basic goes along; what is no token of the registry's is tried as a refresh token, then as a password."""
    challenge = Challenge("bearer", {"service": "s"})
    (request,) = token_requests("https://r.example/t", challenge, URL, "Basic YTpi")
    assert request.headers == {"Authorization": "Basic YTpi"}
    post, get = token_requests("https://r.example/t", challenge, URL, "Bearer secret")
    assert (post.method, get.method) == ("POST", "GET")
    assert "secret" not in post.url + get.url
    assert parse_qs((post.body or b"").decode())["refresh_token"] == ["secret"]
    assert get.headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"token": 5}', b'{"token": "a\\nb"}', b'{"token": "a b"}', b"\xff", b"[" * 99999],
)
def test_answers_without_a_token(body):
    with pytest.raises(WireError):
        token_in(body, "https://r.example/t?secret")


def test_token_of_an_answer():
    """access_token wins, as the distribution project's own clients have it."""
    assert token_in(b'{"token": "a", "expires_in": 300}', "u") == "a"
    assert token_in(b'{"token": "a", "access_token": "b"}', "u") == "b"


def test_repository_of():
    assert repository_of("https://r/v2/a/b/c/blobs/sha256:x") == "a/b/c"
    assert repository_of("https://r/v2/a/manifests/v1?x") == "a"
    for url in (
        "https://r/v2/",
        "https://r/x/v2/a/blobs/b",
        "https://r/api/models/a",
        "https://r/a?/v2/a/blobs/b",
    ):
        assert repository_of(url) is None


def test_earned_tokens_belong_to_one_repository():
    """A token goes along with requests for its repository only, before what the user gave; it is not shown."""
    credentials = Credentials().with_token(URL, "alice:s3cret")
    credentials.earned["https://r.example:443/ns/m"] = "earned"
    assert credentials.for_url("https://r.example/v2/ns/m/blobs/sha256:x") == {
        "Authorization": "Bearer earned"
    }
    for other in ("https://r.example/v2/ns/mm/blobs/sha256:x", "https://r.example/token"):
        assert credentials.for_url(other) == {"Authorization": "Basic YWxpY2U6czNjcmV0"}
    for foreign in ("http://r.example/v2/ns/m/blobs/x", "https://r.example:444/v2/ns/m/blobs/x"):
        assert credentials.for_url(foreign) == {}
    assert "earned" not in repr(credentials) and "YWxp" not in repr(credentials)
