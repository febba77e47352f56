"""What names a file: digests, names, URLs, redirects."""

from contextlib import suppress

from hypothesis import strategies as st

from engine.digest import Digest
from engine.errors import PathError, RedirectRefused
from engine.plain_url import match_plain
from engine.remote_file import Identity, RemoteName
from engine.telemetry import redact
from engine.transport.auth import Credentials, origin_of
from engine.transport.redirects import check_url, next_url
from tests.fuzz.documents import HEX, joined, one_of, text
from tests.fuzz.target import simple
from tests.fuzz.targets.names import HOSTS, URLS


def _digest(data: bytes) -> None:
    with suppress(PathError):
        digest = Digest.parse(data.decode("utf-8", "surrogateescape"))
        assert Digest.parse(str(digest)) == digest
        hasher = digest.start(3)
        hasher.update(b"abc")
        assert len(hasher.hexdigest()) == len(digest.hex)


digest = simple(
    "digest",
    one_of(f"sha256:{HEX} {HEX.upper()} git-sha1:{HEX[:40]} md5:{HEX[:32]} sha256:{HEX[1:]}"),
    f"sha256: git-sha1: : {HEX} 0 f ² \u0663",
    "digest.py",
)(_digest)


def _remote_name(data: bytes) -> None:
    name = data.decode("utf-8", "surrogateescape")
    with suppress(PathError):
        assert not {"", ".", ".."} & set(RemoteName.parse(name).split("/"))
    identity = Identity(size=1, etag=name, last_modified=name or None)
    assert identity.has_validator is bool(name)
    assert identity.strong_etag in (None, name)


remote_name = simple(
    "remote-name",
    joined(text, "/", text, one_of(".gguf .jarvis-part . con nul.txt")),
    ".. . / \\ C: con NUL.txt COM1 \x1b \u202e \ud7ff .jarvis-part .JARVIS-PART/data é " + "x" * 250,
    "remote_file.py",
)(_remote_name)


def _url(data: bytes) -> None:
    url = data.decode("utf-8", "surrogateescape")
    assert "@" not in redact(url).partition("://")[2].partition("/")[0]
    with suppress(PathError):
        origin = origin_of(url)
        if match_plain(url):
            assert check_url(url) == url
            assert origin.startswith(url.partition(":")[0])
        check_url(url)
        assert Credentials({origin: {"X": "1"}}).for_url(url) == {"X": "1"}


url = simple(
    "url",
    URLS | joined("https://", one_of("u:p@ u@ @"), HOSTS, "/?token=1"),
    "http https :// / ? # @ : :0 :65536 [ ] [::1] \\ % \x00 é 。 。。 h.example",
    "plain_url.py",
)(_url)


def _redirect(data: bytes) -> None:
    """A Location as http.client hands it over."""
    location = data.decode("latin-1")
    for current in ("https://h.example/a/b?c", "http://127.0.0.1:8080/x", "https://[2001:db8::1]/"):
        with suppress(RedirectRefused):
            target = next_url(current, location)
            assert check_url(target) == target
            assert target.lower().startswith("https:") or not current.startswith("https:")


redirect = simple(
    "redirect",
    URLS | one_of("/x ../../y ?q=1 //h.example/z # https:h http:///x https:///x") | st.just(b""),
    "http:// https:// // / .. ? # @ : [ ] javascript: \t \n \xa0 %0a file:///etc/passwd",
    "transport/redirects.py",
)(_redirect)


TARGETS = (digest, remote_name, url, redirect)
