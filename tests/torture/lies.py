"""`python -m tests.torture.lies`: pulls from a server whose answers are edited at random; see README.md.

Bytes of the content are never edited, only what says which bytes they are and where they end. So whatever becomes of
a pull, a wrong byte under the final name is a fault of ours.
"""

import argparse
import hashlib
import random
import re
import shutil
import ssl
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import msgspec
import trustme

from engine import EngineError, ModelDownloader
from engine.settings import Settings

SEGMENT = 64 << 10
_SIZES = (1, 4000, SEGMENT, SEGMENT + 1, 5 * SEGMENT + 77, 17 * SEGMENT)
_MOST_S = 60.0
"""For a pull with its retries; the server never waits for long."""
_TOKENS = (
    *(
        "0",
        "1",
        "-1",
        "+5",
        "0x10",
        "1_0",
        "10,10",
        "1e3",
        "18446744073709551616",
        "bytes",
        "bytes=0-9/10",
        "chunked",
    ),
    *(
        "identity",
        "gzip",
        "close",
        "keep-alive",
        "multipart/byteranges;boundary=x",
        'W/"a"',
        '"b"',
        "Mon,\x0002",
        "",
    ),
    *("\t", ":", ";", ",", "=", "/", "*", "\x85", "\xa0", "\u0661"),
)
_NAMES = (
    *("Content-Length", "Content-Range", "Transfer-Encoding", "Content-Encoding", "ETag", "Last-Modified"),
    *("Connection", "Accept-Ranges", "Content-Type", "Trailer", "Keep-Alive"),
)
_VERSIONS = ("HTTP/1.1", "HTTP/1.0", "HTTP/2", "HTTP/0.9", "ICY")
_STATUSES = (200, 206, 204, 205, 304, 416, 203, 226, 299, 100, 199, 2000)
_SIZED = re.compile("(?im)^(content-range|transfer-encoding)[ :]")


class Script:
    """What a server does in one pull: its content, and how often it lies about it."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.content = dice.randbytes(dice.choice(_SIZES))
        self.lies = dice.choice((1, 1, 2, 3, 5, 10, 1000))
        """How many are left."""
        self.share = dice.choice((0.05, 0.2, 0.5, 1.0))
        self.has_ranges = dice.random() < 0.9
        self.headers = [f'ETag: "{dice.randrange(10**6)}"'] if dice.random() < 0.7 else []
        if dice.random() < 0.5:
            self.headers.append("Last-Modified: Mon, 02 Jan 2023 03:04:05 GMT")
        self.told: list[str] = []
        self.is_unsized = False
        """Something was sent as a whole file whose size nothing tells truly, so it was one."""

    def answer(self, asked: str) -> tuple[bytes, bool]:
        """The bytes for a request, and whether the connection stays open after them."""
        match = re.search(r"(?im)^range: bytes=(\d+)-(\d+)\r?$", asked)
        headers, body, status = ["Server: liar", *self.headers], self.content, "200 OK"
        if match and self.has_ranges:
            start, stop = int(match[1]), min(int(match[2]) + 1, len(self.content))
            if start >= stop:
                return b"HTTP/1.1 416 No\r\nContent-Range: bytes */%d\r\nContent-Length: 0\r\n\r\n" % len(
                    self.content
                ), True
            body, status = self.content[start:stop], "206 Partial Content"
            headers.append(f"Content-Range: bytes {start}-{stop - 1}/{len(self.content)}")
        is_lie = self.lies > 0 and self.dice.random() < self.share
        self.lies -= is_lie
        frames = [body]
        if self.dice.random() < (0.4 if is_lie else 0.1):
            headers.append("Transfer-Encoding: chunked")
            frames = self._chunked(body)
        else:
            headers.append(f"Content-Length: {len(body)}")
        self.dice.shuffle(headers)
        head = [f"HTTP/1.1 {status}", *headers]

        if not is_lie:
            return "\r\n".join([*head, "", ""]).encode() + b"".join(frames), True
        return self._lie(head, frames)

    def _chunked(self, body: bytes) -> list[bytes]:
        """Frames and content take turns, beginning with a frame."""
        frames, at, end = [], 0, b""
        while at < len(body):
            size = min(self.dice.choice((1, 10, 4000, 70_000, len(body))), len(body) - at)
            frames += [end + b"%x\r\n" % size, body[at : at + size]]
            at, end = at + size, b"\r\n"
            if len(frames) > 40:
                frames += [end + b"%x\r\n" % (len(body) - at), body[at:]] if at < len(body) else []
                break
        return [*frames, end + b"0\r\n\r\n"]

    def _lie(self, head: list[str], frames: list[bytes]) -> tuple[bytes, bool]:
        stays = self.dice.random() < 0.7
        kinds = [self.dice.choice(_KINDS) for _ in range(self.dice.choice((1, 1, 1, 2, 3)))]
        # Where sizes are wrong as well, what is put behind a body is in it, and nobody could tell.
        alone = next((kind for kind in kinds if kind in (second, extra)), None)
        for kind in [alone] if alone else sorted(kinds, key=lambda kind: kind is cut):
            self.told.append(kind.__name__)
            head, frames = kind(self.dice, head, frames)
        ending = self.dice.choice(("\r\n",) * 6 + ("\n", "\r", "\r\n "))
        is_sized = _SIZED.search("\n".join(head)) or f"Content-Length: {len(self.content)}" in head
        self.is_unsized |= not is_sized and " 206 " not in head[0]
        text = "\r\n".join(head[:-1]) + ("\r\n" if len(head) > 1 else "") + head[-1] + ending + "\r\n"
        return text.encode("latin-1", "replace") + b"".join(frames), stays


Edited = tuple[list[str], list[bytes]]


def drop(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    at = dice.randrange(len(head))
    return head[:at] + head[at + 1 :] or [""], frames


def repeat(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    return [*head, dice.choice(head)], frames


def digit(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    return _edited(
        dice,
        head,
        lambda line: re.sub(r"\d", lambda m: dice.choice((m[0], str(dice.randrange(10)), "")), line),
    ), frames


def token(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    def put(line: str) -> str:
        at = dice.randrange(len(line) + 1)
        return line[:at] + dice.choice(_TOKENS) + line[at:]

    return _edited(dice, head, put), frames


def value(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    return _edited(dice, head, lambda line: line.partition(":")[0] + ": " + dice.choice(_TOKENS)), frames


def added(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    return [*head, f"{dice.choice(_NAMES)}: {dice.choice(_TOKENS)}"], frames


def repeated_otherwise(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    (line,) = _edited(
        dice, [dice.choice(head)], lambda text: re.sub(r"\d", lambda _: str(dice.randrange(10)), text)
    )
    return [*head, line], frames


def folded(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    return _edited(
        dice, head, lambda line: line.replace(" ", dice.choice(("\r\n ", "\n\t", "\n", "\r")), 1)
    ), frames


def bare(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    return ["\n".join(head)], frames


def status(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    return [f"{dice.choice(_VERSIONS)} {dice.choice(_STATUSES)} X", *head[1:]], frames


def early(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    first = dice.choice(
        ("HTTP/1.1 100 C\r\n\r\n", "HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 102 P\r\n\r\nx")
    )
    return [first * dice.choice((1, 3, 200)) + head[0], *head[1:]], frames


def second(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    return head, [*frames, "\r\n".join([*head, "", ""]).encode("latin-1", "replace"), *frames]


def extra(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    return head, [*frames, dice.randbytes(dice.choice((1, 2, 1000)))]


def cut(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    whole = b"".join(frames)
    return head, [whole[: dice.randrange(len(whole) + 1)]]


def frame(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    """Of a chunked body, what stands between the content."""
    places = [at for at, piece in enumerate(frames) if re.fullmatch(rb"(\r\n)?[0-9a-f]+(\r\n)+", piece)]
    if len(places) < 2:
        return head, frames
    at = dice.choice(places)
    edited = bytearray(frames[at])
    for _ in range(dice.choice((1, 1, 2))):
        where = dice.randrange(len(edited))  # what is put behind it would be content
        edited[where : where + dice.choice((0, 1))] = dice.choice(_TOKENS).encode("latin-1", "replace")[:4]
    return head, [*frames[:at], bytes(edited), *frames[at + 1 :]]


def unframed(dice: random.Random, head: list[str], frames: list[bytes]) -> Edited:
    """Chunked, and not said so; or said so, and not chunked."""
    lines = [line for line in head if not line.startswith("Transfer-Encoding")]
    return (lines if lines != head else [*head, "Transfer-Encoding: chunked"]), frames


_KINDS = (
    drop, repeat, digit, digit, token, token, value, added, added, repeated_otherwise, folded, bare, status, early,
    second, extra, cut, frame, frame, frame, unframed,
)  # fmt: skip


def _edited(dice: random.Random, head: list[str], edit: Any) -> list[str]:
    at = dice.randrange(len(head))
    return [*head[:at], edit(head[at]), *head[at + 1 :]]


class Liar(ThreadingTCPServer):
    """Serves whatever script it has been given."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100
    script: Script
    context: ssl.SSLContext | None = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who is lied to hangs up."""


class _Handler(StreamRequestHandler):
    server: Liar

    def setup(self) -> None:
        if self.server.context:
            self.request.settimeout(10)
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        stays, script = True, self.server.script
        self.request.settimeout(10)
        while stays and (asked := self._request()):
            with _one_asks:
                data, stays = script.answer(asked)
            self.request.sendall(data)
        if self.server.context and not script.dice.random() < 0.5:
            self.request.unwrap()

    def _request(self) -> str:
        lines = []
        while (line := self.rfile.readline(1 << 16)) not in (b"\r\n", b""):
            lines.append(line.decode("latin-1"))
        return "".join(lines)


_one_asks = threading.Lock()


class _Downloader(ModelDownloader):
    authority: str | None = None

    def _settings(self, *, force: bool) -> Settings:
        return msgspec.structs.replace(
            super()._settings(force=force),
            segment_size=SEGMENT,
            connections=4,
            processes=0,
            retries=2,
            retry_delay_s=0.01,
            stall_timeout_s=0.4,
            cacert=self.authority,
        )


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.torture.lies", description=__doc__)
    parser.add_argument("--pulls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 20))
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first pull, to see a finding again"
    )
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    liar = Liar(("127.0.0.1", 0), _Handler)
    threading.Thread(target=liar.serve_forever, daemon=True).start()
    found, ends, started = 0, Counter[str](), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lies-") as name:
        folder = Path(name)
        if options.tls:
            authority = trustme.CA()
            liar.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(liar.context)
            authority.cert_pem.write_to_path(str(folder / "ca.pem"))
            _Downloader.authority = str(folder / "ca.pem")
        url = f"http{'s' if options.tls else ''}://127.0.0.1:{liar.server_address[1]}/m.bin"
        for number in range(options.first, options.first + options.pulls):
            script = liar.script = Script(random.Random(f"{options.seed}/{number}"))
            end, fault = _pull(folder / str(number), url, script)
            ends[end] += 1
            if fault:
                found += 1
                print(f"--seed {options.seed} --first {number}: {fault}; lies: {script.told}", flush=True)
            shutil.rmtree(folder / str(number), ignore_errors=True)
    print(f"{options.pulls} pulls in {time.monotonic() - started:.0f} s: {dict(ends)}; {found} faults")
    return 1 if found else 0


def _pull(folder: Path, url: str, script: Script) -> tuple[str, str]:
    """How it ended, and what was wrong with that."""
    end, fault = _once(folder, url, script)
    if fault or end == "done":
        return end, fault
    if (folder / "m.bin").exists():
        return end, "an error, and a final name"
    script.lies = 0
    again, fault = _once(folder, url, script)
    if not fault and again != "done":
        fault = f"an honest server does not help: {again}"
    return end, f"the second time: {fault}" if fault else ""


def _once(folder: Path, url: str, script: Script) -> tuple[str, str]:
    started = time.monotonic()
    try:
        path = _Downloader(folder).download("m", url, "m.bin")
    except EngineError as exc:
        end, fault = type(exc).__name__, ""
    except Exception as exc:
        end, fault = "?", f"{type(exc).__name__}: {exc}"
    else:
        end, got = "done", path.read_bytes()
        fault = "" if got == script.content or script.is_unsized else _difference(got, script)
    if (took := time.monotonic() - started) > _MOST_S:
        fault = f"{fault} took {took:.0f} s"
    return end, fault


def _difference(got: bytes, script: Script) -> str:
    kind = "the beginning of it" if script.content.startswith(got) else "something else"
    digest = hashlib.sha256(got).hexdigest()[:8]
    return f"done, and {len(got)} of {len(script.content)} bytes are {kind} ({digest})"


if __name__ == "__main__":
    sys.exit(main())
