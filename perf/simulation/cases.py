"""What the model is asked: links past this machine, and those of perf's own scenarios, by which it is judged."""

from dataclasses import dataclass, replace

from perf.scenarios import ALL, GIB, KIB, MB, MIB
from perf.servers import UNEQUAL_EDGES
from perf.simulation.links import Link
from perf.simulation.world import Pull

GB, TB = 1000 * MB, 1_000_000 * MB
SHA256_BYTES_S = 1.65 * GIB
"""Of a core with SHA-NI (docs/architecture.md)."""
_WINDOW_BYTES = 3 << 20
"""Half of 6 MiB, the last figure of net.ipv4.tcp_rmem as Linux sets it: half of a buffer is window (tcp(7))."""


@dataclass(frozen=True)
class Case:
    """One row of the report."""

    name: str
    title: str
    link: Link
    pull: Pull


_100G = Link(total=12.5 * GB, round_trip_s=0.001, has_slow_start=True)
_FAR_100G = replace(_100G, round_trip_s=0.2)
_2TB = Pull(size=2 * TB, lanes=64, hash_bytes_s=SHA256_BYTES_S, cores=64)
_UNVERIFIED = replace(_2TB, hash_bytes_s=0.0)

BEYOND = (
    Case("near", "2 TB over 100 Gbit/s, 1 ms away, 64 lanes, verified", _100G, _2TB),
    Case("far", "the same 200 ms away, not verified", _FAR_100G, _UNVERIFIED),
    Case(
        "far-windows",
        "the same with Linux's usual largest window, 3 MiB a connection",
        replace(_FAR_100G, largest_window_bytes=_WINDOW_BYTES),
        replace(_UNVERIFIED, size=200 * GB),
    ),
    Case(
        "far-default", "200 ms away, lanes as the engine chooses", _FAR_100G, replace(_UNVERIFIED, lanes=None)
    ),
    Case(
        "files",
        "2 TB as 10,000 files of 200 MB, 200 ms away, 64 lanes, verified",
        _FAR_100G,
        replace(_2TB, size=200 * MB, files=10_000),
    ),
    Case(
        "small-files",
        "100,000 files of 100 KiB over 10 Gbit/s, 20 ms away, lanes as the engine chooses",
        Link(total=1.25 * GB, round_trip_s=0.02),
        Pull(size=100 * KIB, files=100_000),
    ),
    Case(
        "capped-each",
        "100 GB, each connection capped at 40 MB/s",
        Link(edges=((1.0, 40 * MB),), round_trip_s=0.02),
        Pull(size=100 * GB),
    ),
    Case(
        "capped-all",
        "20 GB over 1 Gbit/s, 20 ms away",
        Link(total=125 * MB, round_trip_s=0.02),
        Pull(size=20 * GB),
    ),
    Case(
        "collapsing",
        "100 GB over 25 Gbit/s at up to 16 lanes of 200 MB/s, a fifth of that with more",
        Link(total=3.125 * GB, edges=((1.0, 200 * MB),), holds=16, collapsed=0.625 * GB, round_trip_s=0.02),
        Pull(size=100 * GB),
    ),
    Case(
        "refusing",
        "20 GB at 40 MB/s a connection from a server that answers 503 beside 12 others",
        Link(edges=((1.0, 40 * MB),), refuses_above=12, round_trip_s=0.02),
        Pull(size=20 * GB),
    ),
    Case(
        "unequal-edges",
        "100 GB, of the connections 15 % get 1 MB/s, 25 % 15 MB/s, the rest 60 MB/s",
        Link(edges=((0.15, MB), (0.25, 15 * MB), (0.6, 60 * MB)), round_trip_s=0.02),
        Pull(size=100 * GB),
    ),
    Case(
        "stalling",
        "4 GiB at 40 MB/s a connection, one of which falls silent for ever after nine tenths",
        Link(edges=((1.0, 40 * MB),), stalls_at_byte=4 * GIB * 9 // 10, round_trip_s=0.02),
        Pull(size=4 * GIB),
    ),
)


def measured() -> dict[str, Case]:
    """The scenarios that are predicted, as perf's own tables have them; of `stall` the runs without one."""
    loopback = Link(round_trip_s=0.0002)
    links = {
        "capped-40m": replace(loopback, edges=((1.0, 40 * MB),)),
        "far-8": Link(round_trip_s=0.1, edges=((1.0, 50 * MB),)),
        "unequal": replace(loopback, edges=edges_of(UNEQUAL_EDGES)),
        "stall": replace(loopback, edges=((1.0, 16 * MIB),)),
        "cap-1gbit": replace(loopback, total=125 * MB),
    }
    rows = {row.name: row for row in ALL if row.name in links}
    return {
        name: Case(
            name,
            rows[name].title,
            link,
            Pull(
                size=rows[name].size_bytes,
                lanes=8 if name == "far-8" else None,
                hash_bytes_s=SHA256_BYTES_S,  # the default, in all of them
            ),
        )
        for name, link in links.items()
    }


def edges_of(split_clients: str) -> tuple[tuple[float, float], ...]:
    """Of nginx's words: `15% 1000000; * 60000000;`."""
    edges, left = [], 1.0
    for words in filter(None, (part.split() for part in split_clients.split(";"))):
        share = left if words[0] == "*" else float(words[0].rstrip("%")) / 100
        edges.append((share, float(words[1])))
        left -= share
    return tuple(edges)
