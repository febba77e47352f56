"""What nginx really gives a connection where a location caps it, measured in the run whose report says it.

limit_rate counts a request's age in whole seconds and starts with one in hand; between pieces of sendfile_max_chunk
it waits a whole number of milliseconds. So what comes is near the configured rate, not at it.
"""

import contextlib
import http.client
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from perf import payload
from perf.servers import EDGE_RATE, Origin

FOR_S = 0.5
CONNECTIONS, AT_ONCE = 24, 8
FILE_BYTES = 1 << 30
FREE_BYTES = 256 << 10
"""The first piece comes at once; nothing up to here counts."""
UNEQUAL, FREE = "unequal", "plain"
Rates = dict[str, list[list[float]]]


def measure(origin: Origin, locations: set[str]) -> Rates:
    """Bytes a second by capped location. Of unequal edges, for each connection that was opened: the speed that nginx
    gives it, the same asked again on that connection, and what came."""
    capped = sorted(locations - {FREE})
    if capped:
        payload.sparse_file(origin.files / "rates.bin", FILE_BYTES)
    return {name: _unequal(origin) if name == UNEQUAL else [[_one(origin, name)]] for name in capped}


def sentence(rates: Rates) -> str:
    """What was measured, for people."""
    plain = [f"{name} {_mb(found[0][0])}" for name, found in rates.items() if name != UNEQUAL]
    said = "A single connection, measured for half a second before the first round, really got "
    edges = [_edges(rates[UNEQUAL])] if UNEQUAL in rates else []
    return said + "; ".join([", ".join(plain)] * bool(plain) + edges) + "."


def _edges(edges: list[list[float]]) -> str:
    by_given = {
        given: [came for one, _, came in edges if one == given]
        for given in sorted({edge[0] for edge in edges})
    }
    groups = [
        f"{len(came)} were given {_mb(given)} and got {_mb(statistics.median(came))}"
        for given, came in by_given.items()
    ]
    kept = sum(edge[0] == edge[1] for edge in edges)
    return (
        f"of {len(edges)} unequal ones {', '.join(groups)}, and {kept} kept their speed in a second request"
    )


def _one(origin: Origin, location: str) -> float:
    with contextlib.closing(_connect(origin)) as connection:
        return _read(connection, location)


def _unequal(origin: Origin) -> list[list[float]]:
    def edge(_: int) -> list[float]:
        with contextlib.closing(_connect(origin)) as connection:
            return [_given(connection), _given(connection), _read(connection, UNEQUAL)]

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(edge, range(CONNECTIONS)))


def _connect(origin: Origin) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(origin.host, origin.http_port, timeout=30)


def _given(connection: http.client.HTTPConnection) -> float:
    connection.request("GET", EDGE_RATE)
    return float(connection.getresponse().read())


def _read(connection: http.client.HTTPConnection, location: str) -> float:
    """Bytes a second of a long answer after the free ones, for a while."""
    connection.request("GET", f"/{location}/rates.bin")
    answer, buffer = connection.getresponse(), bytearray(64 << 10)
    free, count = 0, 0
    while free < FREE_BYTES:
        free += answer.readinto(buffer)
    began = now = time.monotonic()
    while now - began < FOR_S and (got := answer.readinto(buffer)):
        count, now = count + got, time.monotonic()
    return count / (now - began)


def _mb(bytes_s: float) -> str:
    return f"{bytes_s / 1e6:.1f} MB/s"
