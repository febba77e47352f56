"""Which URLs are asked and where redirects may lead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PathError, RedirectRefused
from engine.transport.redirects import check_url, next_url
from tests.properties import steady

HERE = "https://h.example/a/b?sig=secret"

FOLLOWED = [
    ("/c", "https://h.example/c"),
    ("c", "https://h.example/a/c"),
    ("../c", "https://h.example/c"),
    ("../../../c", "https://h.example/c"),
    ("?x=1", "https://h.example/a/b?x=1"),
    ("//other.example/c", "https://other.example/c"),
    ("https://other.example/c?x=1&y=%2F", "https://other.example/c?x=1&y=%2F"),
    ("HTTPS://other.example/c", "https://other.example/c"),
    ("https://other.example:8443/c", "https://other.example:8443/c"),
    ("https://other.example/c#frag", "https://other.example/c"),
    ("https://[2001:db8::1]:8443/c", "https://[2001:db8::1]:8443/c"),
    ("https://other.example/%0d%0aX:y", "https://other.example/%0d%0aX:y"),
]


@pytest.mark.parametrize(("location", "target"), FOLLOWED)
def test_redirect_leads(location, target):
    """Relative and absolute references are resolved (RFC 9110 §10.2.2, RFC 3986 §5); a fragment is not sent."""
    assert next_url(HERE, location) == target


REFUSED = [
    None,
    "",
    "http://h.example/c",
    "HTTP://other.example/c",
    "file:///etc/passwd",
    "ftp://h.example/c",
    "javascript:alert(1)",
    "data:text/plain,x",
    "mailto:a@b",
    "gopher://h.example/c",
    "https://",
    "https:///c",
    "https://user@h.example/c",
    "https://user:pw@h.example/c",
    "https://@h.example/c",
    "https://h.example\\@evil.example/c",
    "https://h.example:0/c",
    "https://h.example:99999/c",
    "https://h.example:x/c",
    "https://[::1/c",
    "https://[zz]/c",
    "/c\r\nX-Injected: yes",
    "/c\r\n folded",
    "/c\nd",
    "/c\td",
    "\x00/c",
    "/c\x7f",
    "/with space",
    "/ü",
    "/\u202e",
    "https://ünï.example/c",
    "/" + "x" * 8192,
]


@pytest.mark.parametrize("location", REFUSED, ids=ascii)
@pytest.mark.row("address/redirect-line-ends", "attack/29-redirects")
def test_redirect_refused(location):
    """Another scheme, a step down from https, credentials, and what is no clean URL end the request; the error
    names the server and no secret."""
    with pytest.raises(RedirectRefused) as caught:
        next_url(HERE, location)
    assert "https://h.example/a/b?…" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "pw" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.url == "https://h.example/a/b?…"


def test_redirect_up_to_https_is_followed():
    """From plain http anything of the two may follow."""
    assert next_url("http://h.example/", "https://h.example/") == "https://h.example/"
    assert next_url("http://h.example/", "http://other.example/") == "http://other.example/"


@pytest.mark.parametrize("location", ["ftp://h.example/c", "file://h.example/c", "gopher://h.example/c"])
def test_plain_http_leads_to_no_other_scheme(location):
    """Not from https alone: other schemes are refused for what they are."""
    with pytest.raises(RedirectRefused, match="Not an http or https URL"):
        next_url("http://h.example/", location)


@given(st.text() | st.text(st.sampled_from("htps:/[]@#?\\.%\r\n :0é"), max_size=25))
@steady(500)
def test_redirect_takes_anything(location):
    """Whatever a server sends, a URL that may be asked comes back, or RedirectRefused."""
    try:
        target = next_url(HERE, location)
    except RedirectRefused:
        return
    assert check_url(target) == target
    assert target.startswith("https://")
    assert "#" not in target


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "https://h.example/a?b=c",
        "http://127.0.0.1:8080/x",
        "http://[::1]:8080/x",
        "HTTP://H/x",
    ],
)
def test_url_is_taken(url):
    """An http or https URL with a host, unchanged."""
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h.example/x",
        "file:///x",
        "ftp://h/x",
        "gopher://h:70/x",
        "unix://h/x",
        "http://",
        "http:///x",
        "http://h:0/",
        "http://h:65536/",
        "http://h:port/",
        "http://[::1",
        "http://user@h/",
        "http://:secret@h/",
        "http://h/ä",
        "http://h/a b",
        "http://h/a\nb",
        "http://h/\x7f",
    ],
)
def test_url_is_refused(url):
    """Anything else is a PathError that shows no password."""
    with pytest.raises(PathError) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


@given(st.text())
@steady(300)
def test_url_check_raises_nothing_else(text):
    """Whatever is typed, a URL or a PathError comes back."""
    try:
        assert check_url(text) == text
    except PathError:
        pass
