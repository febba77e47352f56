"""What is measured: a table. A new kind of link is a location in servers.py and a row here.

Names carry the size that their targets are about; a run with another --size keeps the name, says its size, and
leaves the targets unmeasured.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

MB = 1_000_000
"""Rates of links are decimal, as everywhere."""

LIMITS = {
    "limit-1m": MB,
    "limit-10m": 10 * MB,
    "limit-100m": 100 * MB,
    "limit-500m": 500 * MB,
    "limit-1g": 1000 * MB,
}
"""Scenarios of --limit-rate, in bytes a second."""

PEERS = ("single", "curl", "aria2", "axel", "wget2", "rclone", "hf_transfer", "hf_transfer 64")
QUICK_PEERS = PEERS[1:-1]
QUICK_TLS_PEERS = ("curl", "hf_transfer")


@dataclass(frozen=True)
class Scenario:
    """One table of the report. kind: "pull" (timed downloads), "many" (likewise, of many files at once), "command"
    (timed, no output file), "memory" (sampled only), "watch" (watched only), "resume" (killed at half, run again)."""

    name: str
    title: str
    kind: str
    tools: tuple[str, ...]
    size_bytes: int
    """Of each file."""
    files: int = 1
    round_trip_s: float = 0.0
    """Added by a proxy between tool and origin (delay.py)."""
    cap_bytes_s: int = 0
    """Of all connections together, headers included; 0: none. The origin is in a network namespace (namespace.py)."""
    stalls: bool = False
    """One connection falls silent for ever at a random point (stall.py)."""
    tls: bool = False
    verified: bool = False
    hash_none: bool = False
    """Ours is told to hash nothing; elsewhere it has its default settings, which compute a SHA-256."""
    location: str = "plain"
    sparse: bool = False
    """Served from a sparse file, to a target on a real disk, or in memory under a limit."""
    limit_bytes_s: int = 0
    """What ours is told with --limit-rate; 0: nothing."""
    rounds: int = 5
    quick_rounds: int = 1
    in_quick: bool = True
    sampled: tuple[str, ...] = ()
    """Tools whose memory is sampled in runs of their own."""
    watched: tuple[str, ...] = ()
    """Tools whose file is watched while it grows, in runs of their own (trace.py)."""
    repeats: int = 3
    """How many such runs a tool gets that a target asks for, in full mode; all others get one, for the charts."""
    quick_tools: tuple[str, ...] | None = None
    specified_bytes: int | None = None
    """What the name promises, where --size made size_bytes something else."""

    @property
    def is_on_disk(self) -> bool:
        """Whether the target is."""
        return self.sparse and not self.limit_bytes_s

    @property
    def is_as_specified(self) -> bool:
        return self.specified_bytes in (None, self.size_bytes)


ALL = (
    Scenario(
        "http-2g-nohash",
        "2 GiB over HTTP, nothing hashed",
        "pull",
        ("jarvis", *PEERS, "limit", "limit splice"),
        2 * GIB,
        hash_none=True,
        quick_tools=("jarvis", *QUICK_PEERS),
        sampled=("jarvis", "curl", "aria2", "rclone", "hf_transfer"),
        watched=("jarvis", "curl", "aria2", "hf_transfer"),
    ),
    Scenario(
        "tls-2g-nohash",
        "2 GiB over TLS, nothing hashed",
        "pull",
        ("jarvis", *PEERS, "limit"),
        2 * GIB,
        hash_none=True,
        tls=True,
        quick_tools=("jarvis", *QUICK_TLS_PEERS),
    ),
    Scenario(
        "http-2g-sha256",
        "2 GiB over HTTP, SHA-256 verified",
        "pull",
        ("jarvis", "single", "aria2 -x4", "aria2", "limit sha256"),
        2 * GIB,
        verified=True,
        quick_tools=("jarvis", "aria2"),
        watched=("jarvis", "aria2"),
    ),
    Scenario(
        "tls-2g-sha256",
        "2 GiB over TLS, SHA-256 verified",
        "pull",
        ("jarvis", "aria2", "limit sha256"),
        2 * GIB,
        tls=True,
        verified=True,
        in_quick=False,
    ),
    Scenario(
        "capped-40m",
        "1 GiB over HTTP, each connection capped at 40 MB/s",
        "pull",
        ("jarvis", "jarvis --hash none", "aria2", "hf_transfer 64", "limit 32 sha256"),
        GIB,
        location="capped-40m",
        quick_tools=("jarvis", "aria2", "hf_transfer 64"),
        sampled=("jarvis", "aria2", "hf_transfer 64"),
        watched=("jarvis", "aria2", "hf_transfer 64"),
    ),
    Scenario(
        "unequal",
        "1 GiB over HTTP, of the connections 15 % get 1 MB/s, 25 % 15 MB/s, the rest 60 MB/s",
        "pull",
        ("jarvis", "jarvis --hash none", "aria2", "hf_transfer", "hf_transfer 64"),
        GIB,
        location="unequal",
        watched=("jarvis", "aria2"),
        quick_tools=("jarvis", "aria2"),
    ),
    Scenario(
        "stall",
        "1 GiB over HTTP, 16 MiB/s a connection, one of which falls silent for ever at a random point",
        "pull",
        ("jarvis", "jarvis unstalled"),
        GIB,
        location="paced",
        stalls=True,
        in_quick=False,
        watched=("jarvis", "jarvis unstalled"),
    ),
    Scenario(
        "cap-1gbit",
        "2 GiB over HTTP, all connections together capped at 1 Gbit/s, SHA-256 verified",
        "pull",
        ("jarvis", "aria2"),
        2 * GIB,
        cap_bytes_s=125 * MB,
        verified=True,
        in_quick=False,
        watched=("jarvis",),
    ),
    Scenario(
        "cap-500m",
        "2 GiB over HTTP, all connections together capped at 500 MB/s, SHA-256 verified",
        "pull",
        ("jarvis", "jarvis --hash none", "aria2"),
        2 * GIB,
        cap_bytes_s=500 * MB,
        verified=True,
        in_quick=False,
        watched=("jarvis",),
    ),
    Scenario(
        "far-8",
        "2 GiB over HTTP behind 100 ms of round trip, 50 MB/s a connection, 8 lanes",
        "watch",
        ("jarvis -c 8",),
        2 * GIB,
        round_trip_s=0.1,
        location="capped-50m",
    ),
    Scenario(
        "tiny",
        "1 KiB over HTTP",
        "pull",
        ("jarvis", "single", "curl", "aria2"),
        KIB,
        rounds=11,
        quick_rounds=5,
    ),
    Scenario(
        "many",
        "1,000 files of 100 KiB over HTTP, SHA-256 of each by ours",
        "many",
        ("jarvis pull hf.co", "jarvis pull -d", "aria2 -i", "limit in Python", "limit by urllib3"),
        100 * KIB,
        in_quick=False,
        files=1000,
    ),
    Scenario(
        "many-20ms",
        "1,000 files of 100 KiB behind 20 ms of round trip, SHA-256 of each by ours",
        "many",
        ("jarvis pull hf.co", "jarvis pull -d", "aria2 -i"),
        100 * KIB,
        quick_tools=("jarvis pull hf.co", "aria2 -i"),
        files=1000,
        round_trip_s=0.02,
    ),
    Scenario("help", "jarvis --help", "command", ("jarvis --help",), 0, rounds=11, quick_rounds=5),
    Scenario(
        "memory-1g",
        "1 GiB, 16 MiB/s a connection, 16 and 64 lanes",
        "memory",
        ("jarvis -c 16", "jarvis -c 64"),
        GIB,
        location="paced",
        sparse=True,
        rounds=3,
    ),
    Scenario(
        "memory-20g",
        "20 GiB, 16 and 64 lanes",
        "memory",
        ("jarvis -c 16", "jarvis -c 64"),
        20 * GIB,
        sparse=True,
        rounds=1,
        in_quick=False,
    ),
    Scenario(
        "kill-resume",
        "1 GiB over HTTP, killed at half, run again",
        "resume",
        ("jarvis", "aria2 -c"),
        GIB,
        location="paced",
        quick_tools=("jarvis",),
        rounds=3,
    ),
    *(
        Scenario(
            name,
            f"{rate / MB:,.0f} MB/s at most, as ours was told",
            "watch",
            (
                f"jarvis at {rate // MB}MB/s",
                *((f"curl at {rate // MB}MB/s", "limit") if rate > 100 * MB else ()),
            ),
            12 * rate,
            hash_none=rate > 100 * MB,
            sparse=True,
            limit_bytes_s=rate,
            rounds=3,
            in_quick=False,
        )
        for name, rate in LIMITS.items()
    ),
)


def select(
    names: Iterable[str], *, quick: bool, rounds: int | None, only: Iterable[str], size_bytes: int | None
) -> list[Scenario]:
    """The rows to run: exact names or beginnings of them; none means all of the mode. Raises ValueError."""
    wanted, kept = list(names), list(only)
    for name in wanted:
        if not any(row.name.startswith(name) for row in ALL):
            raise ValueError(f"no scenario {name!r}; there are: {', '.join(row.name for row in ALL)}")
    rows = [row for row in ALL if any(row.name.startswith(name) for name in wanted)] if wanted else list(ALL)
    if quick and not wanted:
        rows = [row for row in rows if row.in_quick]
    return [_adapted(row, quick, rounds, kept, size_bytes) for row in rows]


def _adapted(
    row: Scenario, quick: bool, rounds: int | None, only: list[str], size_bytes: int | None
) -> Scenario:
    tools = row.quick_tools or row.tools if quick else row.tools
    if only:
        tools = tuple(tool for tool in row.tools if tool in only or tool.partition(" ")[0] in only)
    size = size_bytes if size_bytes and row.size_bytes >= GIB else row.size_bytes
    return replace(
        row,
        title=row.title if size == row.size_bytes else f"{row.title}; run with {size >> 20} MiB",
        tools=tools,
        rounds=rounds or (row.quick_rounds if quick else row.rounds),
        size_bytes=size,
        specified_bytes=row.size_bytes,
    )
