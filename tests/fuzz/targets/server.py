"""Whole requests, raw, at the server itself."""

import asyncio
import hashlib
import json
import logging
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from aiohttp import web
from hypothesis import strategies as st

from engine.server.app import make_app
from tests.fuzz.documents import HEX, joined, one_of
from tests.fuzz.target import Run, housed
from tests.fuzz.targets.requests import KNOWN, PATHS, QUERIES

_LINES = joined(
    one_of("Range: If-None-Match: If-Match: If-Range: Accept: Content-Type: Expect: X:"),
    one_of(
        ' "a" * application/vnd.oci.image.manifest.v1+json application/json 100-continue',
        " bytes=0-3",
        " bytes=-1",
        ' W/"a", "b"',
        " application/json; charset=punycode",
        " text/plain; charset=x",
    ),
    "\r\n",
) | joined(
    one_of("Sec-Fetch-Site: Sec-Fetch-Mode: Sec-Fetch-Dest:"),
    one_of("cross-site none navigate document image"),
    "\r\n",
)
_TOKENS = (b"@manifest@", b"@config@", b"@layer@")
_NAMED = joined("/v2/acme/tiny/", one_of("manifests/ blobs/"), st.sampled_from(_TOKENS))
_BODIES = one_of(
    '{"paths":["config.json","sub"],"expand":true} {"paths":"x"} '
    'paths=config.json&paths=sub&expand=1 [ {"paths":[1]} %ff',
    "",
)
_POST = st.builds(
    lambda kind, body: (
        b"POST /api/models/acme/tiny/paths-info/main HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        + kind
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
    ),
    one_of(
        "application/json application/x-www-form-urlencoded application/json;charset=punycode "
        "application/json;charset=idna text/x;charset=utf-16 x"
    ),
    _BODIES,
)
_GET = joined(
    one_of("GET GET GET HEAD POST PUT OPTIONS DELETE"),
    " ",
    KNOWN | PATHS | _NAMED,
    QUERIES,
    " HTTP/1.1\r\nHost: ",
    one_of("localhost localhost 127.0.0.1:80 [::1] evil.example :", ""),
    "\r\n",
    st.lists(_LINES, max_size=3).map(b"".join),
    "\r\n",
)


_PATIENCE_S = 0.05
"""With a request whose body does not come to its end."""


class _Faults(logging.Handler):
    """What the server's own library logs of exceptions that nobody caught."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def _server() -> Iterator[Run]:
    """Raw bytes to the application, over a pair of sockets, all on this thread. No answer may be a 500, and nothing may
    be left to the library, not even where nobody listens. A store is served as its folder of models and itself are."""
    faults, logger = _Faults(), logging.getLogger("aiohttp.server")
    logger.addHandler(faults)
    logger.propagate, old = False, logger.propagate
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory() as folder:
        store = _store(Path(folder))
        apart, whole = (
            loop.run_until_complete(_started(*made)) for made in ((store / "llm", store), (store,))
        )
        while not (said := loop.run_until_complete(_ask(apart, _MANIFEST))):
            pass  # the machine is busy
        digests = _digests(said)

        def run(data: bytes) -> None:
            for token, digest in digests.items():
                data = data.replace(token, digest, 1)
            faults.records.clear()
            said = loop.run_until_complete(_ask(apart, data))
            assert not said.startswith(b"HTTP/1.1 500"), said
            same = loop.run_until_complete(_ask(whole, data))
            assert not (said and same) or said[:12] == same[:12]  # a busy machine may be too late with one
            loop.run_until_complete(_ask(apart, data, listens=False))
            for record in faults.records:
                if record.exc_info and record.exc_info[1] and not _is_of_http(record.exc_info[1]):
                    raise record.exc_info[1]

        try:
            yield run
        finally:
            for runner in (apart, whole):
                loop.run_until_complete(runner.cleanup())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            logger.removeHandler(faults)
            logger.propagate = old


async def _started(root: Path, store: Path | None = None) -> web.AppRunner:
    app = make_app(root, store=store)
    app.on_response_prepare.append(_end)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    return runner


_MANIFEST = b"GET /v2/acme/tiny/manifests/latest HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _digests(said: bytes) -> dict[bytes, bytes]:
    """What stands in requests for the digests in this answer, which is a manifest."""
    body = said.partition(b"\r\n\r\n")[2]
    named = json.loads(body)
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    found = (digest, named["config"]["digest"], named["layers"][0]["digest"])
    return {token: text.encode() for token, text in zip(_TOKENS, found, strict=True)}


async def _end(_request: web.Request, response: web.StreamResponse) -> None:
    """One answer a connection, so that its end is seen."""
    response.force_close()


def _is_of_http(exc: BaseException) -> bool:
    """aiohttp's own words for what is no HTTP, answered with 400; and that we have gone, as views may raise."""
    return type(exc).__module__.startswith("aiohttp") or isinstance(exc, ConnectionError)


async def _ask(runner: web.AppRunner, data: bytes, *, listens: bool = True) -> bytes:
    """What is answered to these bytes, and to the end that follows where they hold no whole head."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        assert runner.server is not None
        transport, _ = await loop.connect_accepted_socket(runner.server, theirs)
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await loop.sock_sendall(ours, data)
        if b"\r\n\r\n" not in data:
            ours.shutdown(socket.SHUT_WR)
        said = b""
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                if not listens:
                    ours.shutdown(socket.SHUT_RD)
                while not (listens or transport.is_closing()):
                    await asyncio.sleep(0)
                while piece := await loop.sock_recv(ours, 1 << 16):
                    said += piece
        if not transport.is_closing():
            transport.abort()
        await asyncio.sleep(0)
    return said


def _store(folder: Path) -> Path:
    """A store of models, and with manifests of a registry: good, broken, and none."""
    manifest = (
        b'{"schemaVersion":2,"config":{"mediaType":"a","digest":"sha256:%b","size":2},"layers":[]}'
        % HEX.encode()
    )
    files = {
        "llm/acme/tiny/config.json": b"{}",
        "llm/acme/tiny/weights.gguf": b"GGUF" + bytes(100),
        "llm/acme/tiny/sub/a b.txt": b"x",
        "llm/solo/README.md": b"# solo",
        "registry/r.example/ns/m/latest": manifest.replace(
            HEX.encode(), b"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        ),
        "registry/r.example/ns/m/index": b'{"schemaVersion":2,"manifests":[]}',
        "registry/r.example/ns/m/told": b'{"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}',
        "registry/r.example/stray": b"{}",
        "registry/r.example/ns/m/broken": b"{",
        "registry/r.example/ns/m/layers": b'{"layers":7,"config":[]}',
        "blobs/sha256-44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a": b"{}",
    }
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


server = housed(
    "server",
    _GET | _GET | _POST,
    (
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        *_TOKENS,
        *(
            b"GET HEAD POST HTTP/1.1 Host: localhost Content-Length: Transfer-Encoding: chunked Range: "
            b"bytes= If-None-Match: / % ? .. %2f"
        ).split(),
    ),
    "server/app.py",
    "server/answering.py",
    "server/hub.py",
    "server/oci.py",
    "server/oci_store.py",
    "server/sending.py",
    "server/tree.py",
)(_server)
TARGETS = (server,)
