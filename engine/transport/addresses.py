"""Names to addresses, by us: so that a lane is pinned to one edge, a dead address is skipped, and
a public origin cannot lead to a private address (checked at the address that is connected to)."""

import ipaddress
import socket
from collections.abc import Sequence

from engine.errors import NetworkError

_LEADS_TO_IPV4 = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b::/96"))
"""Their last 32 bits are the IPv4 address that is reached (RFC 4291 §2.5.5.1, RFC 6052 §2.1)."""
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
"""RFC 8215. Python 3.11 and 3.12 took it for global in their first releases."""

_LOCAL_DOMAINS = frozenset({"localhost", "local", "internal"})


def resolve(host: str, port: int) -> list[str]:
    """All addresses of host, IPv6 and IPv4 in the system's order (RFC 6724). Raises NetworkError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise NetworkError(
            f"Cannot find the address of {host!r}: {exc}. Check the name, and the network or proxy settings."
        ) from exc
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an address is reachable from anywhere (IANA special-purpose registries)."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.is_site_local or parsed in _LOCAL_NAT64:
            return False
        parsed = _ipv4_within(parsed) or parsed
    return parsed.is_global and not parsed.is_multicast


def _ipv4_within(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to, where it does."""
    if any(address in network for network in _LEADS_TO_IPV4):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def sounds_public(host: str) -> bool:
    """Whether a host is public as far as its name tells: for who asks through a proxy, which finds the address itself.

    Names without a dot and of local domains are not (RFC 6761, RFC 6762, and ICANN's .internal), nor are numbers that
    resolvers take for addresses (2130706433, 127.1)."""
    if is_literal(host):
        return is_public(host)
    _, dot, last = host.lower().rstrip(".").rpartition(".")
    return bool(dot) and last not in _LOCAL_DOMAINS and not last[:1].isdigit()


def is_literal(host: str) -> bool:
    """Whether host is an IP address already."""
    try:
        ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


def rotated(addresses: Sequence[str], turn: int) -> list[str]:
    """The same addresses, starting with another one for each lane that asks."""
    start = turn % len(addresses)
    return [*addresses[start:], *addresses[:start]]
