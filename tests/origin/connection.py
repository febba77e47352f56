"""One connection of the origin: its requests, one after the other, on a thread of its own."""

import contextlib
import errno
import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from typing import TYPE_CHECKING

from tests.origin.files import requested_span
from tests.origin.ledger import Record
from tests.origin.manners import Exchange, shaped
from tests.origin.stream import BodyStream, Hangup
from tests.origin.wire import Answer, Request, RequestReader

if TYPE_CHECKING:
    from tests.origin.server import Origin

_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_GOODBYE_S = 1.0
_BEAT_S = 0.05
"""How often one that hangs looks whether it has been released."""


class Connection:
    """Serves until the client leaves, a fault ends it, or the origin shuts the socket down."""

    def __init__(self, origin: "Origin", sock: socket.socket, number: int) -> None:
        self.origin = origin
        self.number = number
        self.turned_away: Answer | None = None
        self._record: Record | None = None
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, _GONE)
        self._releases = origin.releases

    def run(self) -> None:
        """Until its end; raises nothing that a client or the origin's close may cause."""
        end = Hangup()
        try:
            end = self._serve()
        except Hangup as hangup:
            end = hangup
        except (ConnectionError, ssl.SSLError, TimeoutError):
            pass
        except OSError as exc:
            if not self.origin.is_closing and exc.errno != errno.ENOTCONN:
                raise
        except ValueError as exc:
            self.origin.ledger.complaints.append(str(exc))
        finally:
            self._close(end)

    def shutdown(self) -> None:
        """Wake the thread from whatever it waits for; from any thread. The run ends soon after."""
        # Not SSLSocket.shutdown, which takes the TLS object from under a thread that is using it.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    # What faults and bodies need

    def send(self, data: bytes | memoryview, record: Record | None = None) -> None:
        """All of data; counted as body bytes of record as they go."""
        view = memoryview(data)
        while view:
            nbytes = self._sock.send(view)
            view = view[nbytes:]
            if record is not None:
                self.origin.ledger.count_sent(record, nbytes)

    def rest(self, seconds: float) -> None:
        """Wait, unless the client leaves meanwhile: then Hangup."""
        with self.origin.ledger.waiting(self._record):
            if seconds > 0 and self._poll.poll(seconds * 1000):
                raise Hangup

    def hang(self, seconds: float | None) -> None:
        """Wait for seconds (None: for ever) or the origin's release(); one since the request came is enough, so that
        nobody who has seen its bytes or its fault can be too early."""
        until = None if seconds is None else time.monotonic() + seconds
        with self.origin.ledger.waiting(self._record):
            while self.origin.releases == self._releases and (until is None or time.monotonic() < until):
                left_s = _BEAT_S if until is None else until - time.monotonic()
                if self._poll.poll(min(max(left_s, 0.001), _BEAT_S) * 1000):
                    raise Hangup
        self._releases = self.origin.releases

    def drain(self, timeout_s: float = 2.0) -> None:
        """Wait until the client's kernel has acknowledged all that was sent, as far as it does so in time."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until and self._unacknowledged():
            self.rest(0.002)

    def _unacknowledged(self) -> int:
        answer = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(answer, "little")

    # Serving

    def _serve(self) -> Hangup:
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for fault in self.origin.faults_at_the_door():
            if fault.claim():
                fault.kind.act(self, **fault.options)
        if self.origin.tls is not None:
            self._start_tls(self.origin.tls)
        reader = RequestReader(self._sock)
        while (request := reader.next()) is not None:
            if self._answer_request(request):
                return Hangup(orderly=True)
        return Hangup(orderly=True)

    def _start_tls(self, context: ssl.SSLContext) -> None:
        try:
            self._sock = sock = context.wrap_socket(
                self._sock, server_side=True, do_handshake_on_connect=False
            )
            sock.do_handshake()
        except (OSError, ValueError) as exc:
            if not self.origin.is_closing:
                with self.origin.ledger.changing():
                    self.origin.ledger.handshake_failures.append(str(exc))
            raise Hangup from exc

    def _answer_request(self, request: Request) -> bool:
        """Answer one request; whether the connection ends after it."""
        self._releases = self.origin.releases
        record = self._record = self.origin.ledger.open(request, self.number)
        file = self.origin.find(request)
        record.range = requested_span(request, file.size if file else 0)
        exchange = Exchange(self, request, record, file, self.origin.faults_striking(record))
        try:
            answer = self.turned_away or self._decide(exchange)
            if request.wants_close:
                answer.close = True
            if answer.close and not answer.headers.has("Connection"):
                answer.headers.append(("Connection", "close"))
            self._send_answer(exchange, answer)
            record.completed = True
            return answer.close
        finally:
            self.origin.ledger.close(record)
            self._record = None

    def _decide(self, exchange: Exchange) -> Answer:
        for fault in exchange.faults_at("before"):
            if fault.claim(exchange.record):
                fault.kind.act(exchange, **fault.options)
        answer = self.origin.answer(exchange)
        for fault in exchange.faults_at("answer"):
            changed = shaped(answer)
            if fault.has_times_left and fault.kind.act(changed, exchange, **fault.options):
                answer = changed if fault.claim(exchange.record) else answer
        return answer

    def _send_answer(self, exchange: Exchange, answer: Answer) -> None:
        is_head = exchange.request.method == "HEAD"
        with self.origin.ledger.changing(exchange.record):
            exchange.record.status = answer.status
            exchange.record.expected = 0 if is_head else answer.length
        self.send(answer.head())
        if is_head:
            return
        stream = BodyStream(self, answer, exchange.record)
        faults = exchange.faults_at("body") if answer.status in (200, 206) else []
        if exchange.file is not None and answer.status in (200, 206):
            stream.rate = exchange.file.pace
        stream.send(faults)

    # The end

    def _close(self, end: Hangup) -> None:
        with contextlib.suppress(OSError, ValueError):
            if end.reset:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            elif end.orderly and not self.origin.is_closing:
                self._say_goodbye()
        self._sock.close()

    def _say_goodbye(self) -> None:
        """FIN after all data; over TLS, close_notify before it."""
        self._sock.settimeout(_GOODBYE_S)
        if isinstance(self._sock, ssl.SSLSocket):
            self._sock = self._sock.unwrap()
        self._sock.shutdown(socket.SHUT_WR)
