"""What needs no parser is exactly what urlsplit would have said."""

from urllib.parse import urlsplit

import pytest

from engine.plain_url import match_plain

PLAIN = [
    "http://127.0.0.1:18777/file-0001.bin",
    "https://huggingface.co/ns/repo/resolve/main/a%20b.gguf",
    "https://h/",
    "https://h",
    "http://h:1/a@b:c;d,e(f)~!$&'*+=[x]\"\\",
    "https://h.example:59999/a//b/../c",
]
OTHERS = [
    *(
        "HTTP://h/",
        "http://H/",
        "http://h/?q",
        "http://h/#f",
        "http://u@h/",
        "http://u:p@h/",
        "http://[::1]/a",
    ),
    *(
        "http://h:0/",
        "http://h:080/",
        "http://h:60000/",
        "http://h:65536/",
        "http://h:x/",
        "http://h:/",
        "http:///a",
    ),
    *(
        "ftp://h/",
        "http://h/a b",
        "http://h/\t",
        "http://h/\x7f",
        "http://h/é",
        "http://hé/",
        " http://h/",
        "http://h/\n",
    ),
    *("http://h\\@evil/", "http://.h/", "//h/", "h/a", ""),
]


@pytest.mark.parametrize("url", PLAIN)
def test_plain(url: str) -> None:
    """Its parts are those of urlsplit, and there are no others."""
    plain, parts = match_plain(url), urlsplit(url)
    assert plain is not None
    assert (plain["scheme"], plain["host"]) == (parts.scheme, parts.hostname)
    assert (int(plain["port"]) if plain["port"] else None) == parts.port
    assert not (parts.query or parts.fragment or parts.username or parts.password)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == url


@pytest.mark.parametrize("url", OTHERS)
def test_for_urlsplit(url: str) -> None:
    """All that is not plain."""
    assert match_plain(url) is None
