"""A network namespace behind a cable of limited rate: a total cap over all connections, as a home line or a NIC has it.

A veth pair leads into the namespace; on its inner end a token bucket (tc-tbf(8)) lets through so many bytes a second.
The cable carries packets of 9000 bytes (jumbo frames), so that headers, which the bucket counts too, take 0.7 % of the
rate. It needs root, and leaves nothing behind: with the namespace its ends and its queue are gone.
"""

import contextlib
import ipaddress
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

_BENCHMARKS = ipaddress.ip_network("198.18.0.0/15")
_MTU = 9000
_BURST_BYTES = 1 << 20
_QUEUE_S = 0.05
"""What may wait before packets are dropped."""


@dataclass(frozen=True)
class Namespace:
    """A place to run a server in: prefix goes before its command, host is its address."""

    name: str
    host: str

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)


def why_impossible() -> str | None:
    """Why there can be no namespace here; None if there can."""
    if os.geteuid() != 0:
        return "a total cap needs root"
    missing = [name for name in ("ip", "tc") if shutil.which(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else None


@contextlib.contextmanager
def capped(rate_bytes_s: int) -> Iterator[Namespace]:
    """A namespace whose answers come at rate_bytes_s at most, until the block ends. Raises CalledProcessError."""
    number = os.getpid() % (1 << 14)
    name, outer, inner = f"perf-{os.getpid()}", f"pf{number}o", f"pf{number}i"
    # 198.18.0.0/15 is set aside for benchmarks (RFC 2544); four addresses a process.
    ours, theirs = (str(_BENCHMARKS[4 * number + host]) for host in (1, 2))
    queue_bytes = _BURST_BYTES + int(_QUEUE_S * rate_bytes_s)
    _run("ip", "netns", "add", name)
    try:
        inside = ("ip", "-n", name)
        _run("ip", "link", "add", outer, "mtu", f"{_MTU}", "type", "veth", "peer", inner, "netns", name)
        _run(*inside, "link", "set", inner, "mtu", f"{_MTU}")
        _run("ip", "address", "add", f"{ours}/30", "dev", outer)
        _run(*inside, "address", "add", f"{theirs}/30", "dev", inner)
        _run("ip", "link", "set", outer, "up")
        for device in ("lo", inner):
            _run(*inside, "link", "set", device, "up")
        bucket = ("rate", f"{8 * rate_bytes_s}bit", "burst", f"{_BURST_BYTES}b", "limit", f"{queue_bytes}b")
        _run("tc", "-n", name, "qdisc", "add", "dev", inner, "root", "tbf", *bucket)
        yield Namespace(name, theirs)
    finally:
        # Processes that still hold the namespace keep it alive; its cable goes now.
        subprocess.run(["ip", "link", "delete", outer], stderr=subprocess.DEVNULL, check=False)
        _run("ip", "netns", "delete", name)


def _run(*words: str) -> None:
    subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=True)
