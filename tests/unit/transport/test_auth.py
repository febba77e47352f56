"""Credentials: who gets them, who does not, and where a token is looked for."""

import os

import pytest

from engine.errors import EngineError
from engine.transport.auth import (
    Credentials,
    hub_credentials,
    hub_endpoint,
    hub_origins,
    hub_token,
    origin_of,
    token_fault,
)

TOKEN = "hf_secret"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://huggingface.co/a/b?c", "https://huggingface.co:443"),
        ("HTTPS://HuggingFace.CO", "https://huggingface.co:443"),
        ("http://h", "http://h:80"),
        ("http://h:443/", "http://h:443"),
        ("https://h:8443/", "https://h:8443"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
        ("https://[2001:DB8::1]/", "https://[2001:db8::1]:443"),
    ],
)
def test_origin(url, origin):
    """Scheme, host in lower case, and the port, always written (RFC 6454)."""
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["http://[", "http://h:99999/", "http://h:x/"])
def test_origin_of_garbage(url):
    """What is no URL has no origin, and says so as our own error."""
    with pytest.raises(EngineError):
        origin_of(url)


SAME = ["https://h.example/x", "https://h.example:443/y", "https://H.EXAMPLE/", "HTTPS://h.example/z?a#b"]
OTHERS = [
    "http://h.example/x",
    "http://h.example:443/x",
    "https://h.example:8443/x",
    "https://h.example./x",
    "https://www.h.example/x",
    "https://example/x",
    "https://h.example.evil.example/x",
    "https://evil.example/https://h.example/",
    "https://evil.example/?h.example",
    "https://hh.example/x",
]


@pytest.mark.parametrize("url", SAME)
def test_credentials_go_to_their_origin(url):
    """A token belongs to scheme, host and port of what it was given for."""
    assert Credentials().with_token("https://h.example/model", TOKEN).for_url(url) == BEARER


@pytest.mark.parametrize("url", OTHERS)
@pytest.mark.row("attack/30-credentials-elsewhere")
def test_credentials_go_nowhere_else(url):
    """Another scheme, port, subdomain or look-alike gets nothing."""
    credentials = Credentials().with_token("https://h.example/model", TOKEN)
    assert credentials.for_url(url) == {}


def test_credentials_are_values():
    """Adding makes a copy; headers of one origin add up, the last of a name wins; what is handed out is a copy."""
    first = Credentials().with_token("https://a/", "1")
    second = first.with_headers("https://a/", {"X-Key": "k"}).with_headers("https://b/", {"X-Key": "b"})
    assert first.for_url("https://a/") == {"Authorization": "Bearer 1"}
    assert second.for_url("https://a/") == {"Authorization": "Bearer 1", "X-Key": "k"}
    assert second.for_url("https://b/") == {"X-Key": "b"}
    assert second.with_token("https://a/", "2").for_url("https://a/")["Authorization"] == "Bearer 2"
    second.for_url("https://a/")["X-Key"] = "changed"
    assert second.for_url("https://a/")["X-Key"] == "k"


@pytest.mark.row("attack/31-secrets-shown")
def test_credentials_do_not_print():
    """A log or a traceback that shows the object shows no secret."""
    credentials = Credentials().with_token("https://h/", TOKEN)
    assert "secret" not in repr(credentials) + str(credentials) + f"{credentials}"
    assert "https://h:443" in repr(credentials)


@pytest.mark.parametrize("token", ["a\nb", "a\r\nX-Evil: 1", "a b", "tök", "a\x00", "a\x7f"], ids=ascii)
def test_token_that_cannot_be_one(token):
    """A token that no header can carry is refused here, without showing it: http.client would print it."""
    for give in (lambda: Credentials().with_token("https://h/", token), lambda: hub_credentials(token, {})):
        with pytest.raises(EngineError) as caught:
            give()
        assert token not in str(caught.value)
    with pytest.raises(EngineError):
        hub_credentials(None, {"HF_TOKEN": token})


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "b\r\nX-Evil: 1"},
        {"X-A\r\nX-Evil": "b"},
        {"X A": "b"},
        {"": "b"},
        {"X-A:": "b"},
        {"X-A": "\u20ac"},
    ],
    ids=ascii,
)
def test_header_that_cannot_be_one(headers):
    """Names are tokens and values one line (RFC 9110 §5.1, §5.5)."""
    with pytest.raises(EngineError):
        Credentials().with_headers("https://h/", headers)


def test_header_with_spaces_and_latin1_passes():
    """A value may hold spaces, and what Latin-1 can write."""
    given = {"X-Key": "two words é", "Cookie": 'a="b"; c=d'}
    assert Credentials().with_headers("https://h/", given).for_url("https://h/") == given


# Where a Hub token is found


@pytest.fixture
def token_file(tmp_path):
    """The Hub's own folder, HF_HOME, with a token in it."""
    (tmp_path / "token").write_text(" from-file\n")
    return tmp_path


def test_token_order(token_file):
    """HF_TOKEN, HUGGINGFACE_TOKEN, HUGGING_FACE_HUB_TOKEN, then the file; empty ones do not count."""
    environ = {
        "HF_TOKEN": " first ",
        "HUGGINGFACE_TOKEN": "second",
        "HUGGING_FACE_HUB_TOKEN": "third",
        "HF_HOME": str(token_file),
    }
    for name, token in [
        ("HF_TOKEN", "first"),
        ("HUGGINGFACE_TOKEN", "second"),
        ("HUGGING_FACE_HUB_TOKEN", "third"),
    ]:
        assert hub_token(environ) == token
        environ[name] = " "
    assert hub_token(environ) == "from-file"


def test_token_typed_comes_first(token_file):
    """What the user typed goes before all that is found."""
    found = hub_credentials(TOKEN, {"HF_TOKEN": "other", "HF_HOME": str(token_file)})
    assert found.for_url("https://huggingface.co/x") == BEARER


def test_token_file_places(tmp_path, monkeypatch):
    """HF_TOKEN_PATH, else HF_HOME, else XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    places = {
        "~": (tmp_path / "user/.cache/huggingface/token", {}),
        "xdg": (tmp_path / "xdg/huggingface/token", {"XDG_CACHE_HOME": str(tmp_path / "xdg")}),
        "home": (tmp_path / "hf/token", {"HF_HOME": str(tmp_path / "hf")}),
        "tilde": (tmp_path / "user/hf/token", {"HF_HOME": "~/hf"}),
        "path": (tmp_path / "mine", {"HF_TOKEN_PATH": str(tmp_path / "mine")}),
    }
    environ: dict[str, str] = {}
    for name, (path, variables) in places.items():
        environ |= variables
        assert hub_token(environ) is None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        assert hub_token(environ) == name


def test_token_file_unreadable(tmp_path):
    """A token file that is no text, too long, or no file is no token, and why is told; nobody waits for a pipe. Where
    none is, where it is empty, and where a variable holds the token, nothing is to be told."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes("hf_token".encode("utf-16"))
    (tmp_path / "long").write_bytes(b"x" * 70_000)
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", "empty", "empty/x", "/dev/null"):
        where = {"HF_TOKEN_PATH": str(tmp_path / name)}
        assert (hub_token(where), token_fault(where)) == (None, None)
    for name in ("binary", "long", "loop", "pipe", ".", "/dev/zero"):
        where = {"HF_TOKEN_PATH": str(tmp_path / name)}
        assert hub_token(where) is None
        assert f"{str(tmp_path / name)!r} cannot be read: " in (token_fault(where) or "")
        assert token_fault({**where, "HF_TOKEN": "hf_x"}) is None


def test_token_without_a_home():
    """A user without a home folder, as in some containers, has no token file and no error."""
    assert hub_token({"HF_HOME": "~nobody-of-that-name/x"}) is None


def test_hub_token_goes_to_the_hub_only():
    """A found token goes to the Hub's origins and to HF_ENDPOINT's, to nobody else, and never over plain http."""
    found = hub_credentials(None, {"HF_TOKEN": TOKEN, "HF_ENDPOINT": "http://127.0.0.1:8080/hub/"})
    for url in ("https://huggingface.co/x", "https://hf.co/x", "http://127.0.0.1:8080/ns/repo"):
        assert found.for_url(url) == BEARER
    for url in (
        "http://huggingface.co/x",
        "https://cdn-lfs.huggingface.co/x",
        "https://huggingface.co.evil.example/x",
        "http://127.0.0.1:8081/x",
        "https://127.0.0.1:8080/x",
    ):
        assert found.for_url(url) == {}


def test_endpoint():
    """HF_ENDPOINT without its trailing slash, else the Hub; set but empty is not set."""
    assert hub_endpoint({"HF_ENDPOINT": "http://h:1/x/"}) == "http://h:1/x"
    assert hub_endpoint({"HF_ENDPOINT": ""}) == hub_endpoint({}) == "https://huggingface.co"
    assert "http://h:1" in hub_origins({"HF_ENDPOINT": "http://h:1/x/"})


def test_no_token_no_headers():
    """Without a token anywhere nothing is sent."""
    assert hub_credentials(None, {"HF_HOME": "/nonexistent"}).by_origin == {}
