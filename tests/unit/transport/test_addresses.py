"""Addresses: public or not, literal or not, and their order."""

import pytest

from engine.errors import NetworkError
from engine.transport.addresses import is_literal, is_public, resolve, rotated, sounds_public

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "172.15.0.1",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address):
    """Reachable from anywhere."""
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.row("attack/29-address-spellings")
def test_private(address):
    """Loopback, private networks, link-local (where clouds keep their metadata), shared (RFC 6598), documentation,
    multicast; and the same in the IPv6 clothes that lead to an IPv4 address (RFC 4291 §2.5.5, RFC 6052, RFC 3056)."""
    assert not is_public(address)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0"])
@pytest.mark.row("attack/29-address-spellings")
def test_other_spellings_of_loopback(host):
    """Decimal, octal and short forms are no literals of ours; the resolver makes them the address that is judged."""
    assert not is_literal(host)
    assert not any(is_public(address) for address in resolve(host, 80))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "fe80::1%eth0", "1.1.1.1"])
def test_literal(host):
    """Addresses as they stand in URLs, with brackets and zone."""
    assert is_literal(host)


@pytest.mark.parametrize("host", ["localhost", "h.example", "1.1.1", "", "::g", "300.1.1.1"])
def test_not_literal(host):
    """Names, and what only looks like an address."""
    assert not is_literal(host)


@pytest.mark.parametrize(
    "host", ["h.example", "huggingface.co", "1.1.1.1", "2606:4700::1111", "x1.9a.example."]
)
def test_name_that_sounds_public(host):
    """Names with a dot, and public addresses."""
    assert sounds_public(host)


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "LOCALHOST.", "a.localhost", "nas", "nas.local", "metadata.google.internal", "127.1",
     "2130706433", "0x7f000001", "0177.0.0.1", "10.0.0.1", "::1", "fe80::1%eth0", "169.254.169.254"],
)  # fmt: skip
def test_name_that_does_not(host):
    """Names of local networks, private addresses, and what a resolver would read as one."""
    assert not sounds_public(host)


def test_resolve_local():
    """Addresses of a name come once each."""
    found = resolve("localhost", 80)
    assert "127.0.0.1" in found or "::1" in found
    assert len(found) == len(set(found))
    assert resolve("127.0.0.1", 80) == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["a" * 64 + ".invalid", "a..b", "ü" * 80, "a\x00b"], ids=ascii)
def test_resolve_fails_in_words(host):
    """A name without an address, or that cannot be a name, is a NetworkError that names it."""
    with pytest.raises(NetworkError, match="Cannot find the address"):
        resolve(host, 80)


def test_rotated():
    """Each lane starts with another address and has all of them; turns go round."""
    assert [rotated("abc", turn) for turn in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]
    assert rotated(["a"], 17) == ["a"]
