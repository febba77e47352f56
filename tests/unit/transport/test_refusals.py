"""Final statuses: which error they become, and what it tells the user."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import AccessDenied, EngineError, NetworkError, NotFound, ProtocolViolation
from engine.transport.refusals import model_page, refusal

API = "https://huggingface.co/api/models/ns/repo/revision/main"
FILE = "https://huggingface.co/ns/repo/resolve/main/a/b.gguf"

CODES = [
    ("RepoNotFound", 401, NotFound, "HF_TOKEN"),
    ("RepoNotFound", 404, NotFound, "spelling"),
    ("RevisionNotFound", 404, NotFound, "revision"),
    ("EntryNotFound", 404, NotFound, "file"),
    ("GatedRepo", 401, AccessDenied, "accept the terms"),
    ("GatedRepo", 403, AccessDenied, "accept the terms"),
    ("DisabledRepo", 403, AccessDenied, "disabled"),
]


@pytest.mark.parametrize(("code", "status", "kind", "advice"), CODES)
def test_error_code_decides(code, status, kind, advice):
    """The Hub's X-Error-Code, in any case, decides before the status."""
    error = refusal(FILE, status, {"x-ERROR-code": code})
    assert type(error) is kind
    assert advice in str(error)
    assert "https://huggingface.co/ns/repo" in str(error)


STATUSES = [
    (400, b"", NetworkError, "400"),
    (401, b"", AccessDenied, "--token"),
    (401, b'{"error":"Invalid credentials in Authorization header"}', AccessDenied, "expired"),
    (403, b"", AccessDenied, "access"),
    (403, b'{"error":"Access to this resource is disabled."}', AccessDenied, "has been disabled"),
    (404, b"", NotFound, "does not exist"),
    (407, b"", NetworkError, "--proxy"),
    (410, b"", NotFound, "gone"),
    (416, b"", ProtocolViolation, "range"),
    (418, b"", NetworkError, "418"),
    (429, b"", NetworkError, "slow down"),
    (451, b"", AccessDenied, "legal"),
    (500, b"", NetworkError, "later"),
    (503, b"", NetworkError, "later"),
    (204, b"", ProtocolViolation, "204"),
]


@pytest.mark.parametrize(("status", "body", "kind", "advice"), STATUSES)
def test_status_decides_without_code(status, body, kind, advice):
    """Without a code the status decides; the error names the address and what to do."""
    error = refusal("https://h.example/m.gguf?sig=secret", status, {}, body)
    assert type(error) is kind
    assert advice in str(error)
    assert "https://h.example/m.gguf" in str(error)
    assert "secret" not in str(error)
    if isinstance(error, NetworkError):
        assert error.status == status


GIVEN = [
    (FILE, 401, {}, "refuses the credentials that were given (401)"),
    (FILE, 403, {}, "refuses access (403), with the credentials that were given"),
    (FILE, 403, {"X-Error-Code": "GatedRepo"}, "accept the terms"),
    (FILE, 401, {"X-Error-Code": "RepoNotFound"}, "is private"),
    (
        "https://r.example/v2/ns/m/manifests/v1",
        401,
        {},
        "--token, which is USER:PASSWORD or the token itself",
    ),
    ("https://h.example/m.gguf", 401, {}, "Check --token or --header"),
]


@pytest.mark.parametrize(("url", "status", "headers", "told"), GIVEN)
@pytest.mark.row("attack/31-refused-credentials")
def test_credentials_that_were_given_are_not_asked_for(url, status, headers, told):
    """Who has given some is told to look at them."""
    error = str(refusal(url, status, headers, is_despite_credentials=True))
    assert told in error
    assert "set a token" not in error and "pass --token" not in error


def test_what_is_kept_is_told():
    """Of a file of which something has come, once."""
    for is_despite in (False, True):
        error = str(refusal(FILE, 403, {}, keeps=True, is_despite_credentials=is_despite))
        assert error.count("is kept") == 1
    assert "kept" not in str(refusal(FILE, 403, {}))
    lapsed = str(refusal("https://h.example/m", 403, {}, has_lapsed=True, keeps=True))
    assert lapsed.count("is kept") == 1


@pytest.mark.parametrize(
    ("url", "page"),
    [
        (API, "https://huggingface.co/ns/repo"),
        (FILE, "https://huggingface.co/ns/repo"),
        ("https://hf.example/api/models/gpt2/tree/main", "https://hf.example/gpt2"),
        ("https://hf.example/api/models/ns/repo", "https://hf.example/ns/repo"),
        ("http://127.0.0.1:8080/hub/ns/repo/resolve/main/x", "http://127.0.0.1:8080/hub/ns/repo"),
        ("http://127.0.0.1:8080/hub/api/models/ns/repo/tree/x?a=b", "http://127.0.0.1:8080/hub/ns/repo"),
        ("https://cdn.example/xyz?sig=1", None),
        ("https://jo:secret@hf.example/api/models/a/b", None),
        ("https://[", None),
    ],
)
def test_gated_says_where_to_ask(url, page):
    """A gated model's error carries the model's page at the endpoint that was asked."""
    error = refusal(url, 403, {"X-Error-Code": "GatedRepo"})
    assert isinstance(error, AccessDenied)
    assert error.visit == model_page(url) == page


@pytest.mark.parametrize("code", ["GatedRepo", "RepoNotFound", ""])
def test_advice_names_what_would_be_sent(code, monkeypatch):
    """A token of the environment goes to the Hub and to HF_ENDPOINT: elsewhere that advice would lead in a circle."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:8080/hub")
    for base, is_hub in (
        ("https://huggingface.co", True),
        ("http://127.0.0.1:8080/hub", True),
        ("http://127.0.0.1:8081", False),
        ("https://127.0.0.1:8080/hub", False),
    ):
        text = str(refusal(f"{base}/ns/repo/resolve/main/x", 401, {"X-Error-Code": code}))
        assert "--token" in text
        assert ("HF_TOKEN" in text) is is_hub, base


def test_only_not_found_holds_its_mark():
    """A URL or a server's text that says 404 or SHA256 makes no other error look like one of those."""
    for status in (400, 401, 403, 429, 451, 500):
        error = refusal("https://h.example/404/SHA256", status, {"x-error-message": "404 SHA256"})
        assert "404" not in str(error)
        assert "SHA256" not in str(error)
    assert "404" in str(refusal("https://h.example/x", 410, {}))


def test_server_text_is_bounded_and_harmless():
    """What the server says is shown, cut, and without control or direction characters."""
    error = refusal(
        "https://h.example/x", 500, {"X-Error-Message": "a\x1b[31m\u202e" + "b" * 900, "X-Request-Id": "r1"}
    )
    assert 'says: "a [31m bbb' in str(error)
    assert "(request r1)" in str(error)
    assert len(str(error)) < 500
    assert all(c.isprintable() for c in str(error))


@given(st.text(), st.integers(100, 999), st.dictionaries(st.text(), st.text()), st.binary())
def test_anything_becomes_an_error(url, status, headers, body):
    """Whatever a server sends, one typed error comes back."""
    assert isinstance(refusal(url, status, headers, body), EngineError)


def test_wait_that_is_told_is_harmless():
    """What Retry-After says is a stranger's text as well."""
    assert str(refusal("https://h.example/m", 429, {"Retry-After": "5\x9b2J\x1b[m"})).isprintable()
