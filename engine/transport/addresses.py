"""Names to addresses, by us: so that a lane is pinned to one edge, a dead address is skipped, and
a public origin cannot lead to a private address (checked at the address that is connected to)."""

import ipaddress
import socket
from collections.abc import Sequence

from engine.errors import NetworkError


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
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_global


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
