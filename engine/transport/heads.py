"""The head of an answer: http.client's response, but that it passes over informational ones, and reads ordinary header
fields without the email package, which takes a tenth of a lane's time where files are small (perf's `many`).

Whatever is not plainly `name: value` in every line goes to http.client's own parser, as a whole.
"""

import http.client
import io
import re
import time
from email.parser import Parser

_MAX_INFORMATIONAL = 16
"""Before one answer; a server sends one or two (100, 102, 103)."""
_MAX_LINE, _MAX_FIELDS = 65536, 100
"""As in http.client."""
_PLAIN = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*+([\t !-~\x80-\xff]*)\r?\n").fullmatch
"""A field in one line (RFC 9112 §5). Blanks before the value are not given back: a line of them that goes wrong at its
end would take 20 s, at 64 KiB."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?\r?\n", re.DOTALL).fullmatch
"""Digits and nothing else (RFC 9112 §7.1): int() would take "-5", "0x10" and "1_0", too."""
_MAX_FRAME_BYTES, _MAX_FRAME_S = 8192, 5.0
"""For the size of a chunk, and for the trailer behind all of them, of which nothing is used."""


class BrokenFrames(http.client.HTTPException):
    """A body's frames do not fit together, so what came of it may be other bytes than the content's."""


class FinalResponse(http.client.HTTPResponse):
    """Passes over informational responses, asked for or not (RFC 9110 §15.2), and not for ever; http.client knows 100
    only. A 101 is final: nobody asked for another protocol."""

    fp: io.BufferedReader
    _chunk_size = 0

    def begin(self) -> None:
        """Read status and fields. As http.client's own, and what it makes of them."""
        version, status, reason = self._read_status()
        self.code = self.status = status
        self.reason = reason.strip()
        if not version.startswith(("HTTP/1.", "HTTP/0.9")):
            raise http.client.UnknownProtocol(version)
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.headers = self.msg = read_fields(self.fp)
        self._frame(status)

    def _frame(self, status: int) -> None:
        """Where the body ends (RFC 9112 §6.3)."""
        self.chunked = self._transfer_coding() == "chunked"
        self.chunk_left = None
        self.will_close = self._check_close()  # type: ignore[attr-defined]  # private, as _read_status
        length = None if self.chunked else _length(self.headers.get("content-length"))
        if status in (101, 204, 304) or self._method == "HEAD":  # type: ignore[attr-defined]  # likewise
            length = 0
        self.length = length
        if not self.will_close and not self.chunked and length is None:
            self.will_close = True

    def _transfer_coding(self) -> str:
        """At most "chunked", once, the one that we take: with another one inside or around it, what comes is no
        content, and http.client would hand out the frames themselves. RFC 9112 §7 has no "identity" any more."""
        if "transfer-encoding" not in self.headers:
            return ""
        codings = ", ".join(self.headers.get_all("transfer-encoding", [])).strip().lower()
        if codings != "chunked":
            raise http.client.HTTPException(f"its Transfer-Encoding is {codings[:80]!r}")
        return codings

    def _get_chunk_left(self) -> int | None:
        """As http.client's own, which takes any two bytes for the end of a chunk, and what is no size for the end of
        the connection. None: the last chunk has been read."""
        if self.chunk_left:
            return self.chunk_left
        if self.chunk_left is not None and self._safe_read(2) != b"\r\n":  # type: ignore[attr-defined]  # private
            raise BrokenFrames("a chunk does not end where it should")
        self.chunk_left = None
        self._chunk_size = self._read_next_chunk_size()
        self.chunk_left = self._chunk_size or None
        if self.chunk_left is None:
            self._read_and_discard_trailer()
            self._close_conn()  # type: ignore[attr-defined]  # private
        return self.chunk_left

    @property
    def open_chunk(self) -> tuple[int, int]:
        """Of a chunk whose end has not been seen: bytes handed out, and bytes to come. Until it ends where it should,
        its size may be wrong, and frames that came behind it have passed for content."""
        if not self.chunked or self.chunk_left is None:
            return 0, 0
        return self._chunk_size - self.chunk_left, self.chunk_left

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline() if b"\n" in self.fp.peek(1) else self._dripping_line()
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(b"")
        if (sized := _CHUNK_SIZE(line)) is None:
            raise BrokenFrames("a chunk begins without a size")
        return int(sized[1], 16)

    def _dripping_line(self) -> bytes:
        """Byte by byte: those of a frame are no content, and no sign of life."""
        ends, line = time.monotonic() + _MAX_FRAME_S, b""
        while len(line) < _MAX_FRAME_BYTES and time.monotonic() < ends:
            byte = self.fp.read(1)
            line += byte
            if byte in (b"", b"\n"):
                return line
        raise http.client.HTTPException("the size of a chunk does not end")

    def _read_and_discard_trailer(self) -> None:
        """Within bounds, and byte by byte, so that one that drips without a line's end is noticed, too."""
        ends = time.monotonic() + _MAX_FRAME_S
        line = b""
        for _ in range(_MAX_FRAME_BYTES):
            byte = self.fp.read(1)
            if not byte or (byte == b"\n" and not line.strip()):
                return  # as http.client, which takes the end of the connection for the end of a trailer
            line = b"" if byte == b"\n" else line + byte
            if time.monotonic() > ends:
                break
        raise http.client.HTTPException("the trailer behind its body does not end")

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(_MAX_INFORMATIONAL + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]  # private, the one seam there is
            if not 100 <= status < 200 or status == 101:
                return version, status, reason
            read_fields(self.fp)
        raise http.client.BadStatusLine("it sends informational responses without end")


def read_fields(stream: io.BufferedReader) -> http.client.HTTPMessage:
    """The header fields up to the empty line. Raises HTTPException for lines that are too long or too many."""
    lines: list[bytes] = []
    while (line := stream.readline(_MAX_LINE + 1)) not in (b"\r\n", b"\n", b""):
        if len(line) > _MAX_LINE:
            raise http.client.LineTooLong("header line")
        lines.append(line)
        if len(lines) >= _MAX_FIELDS:
            raise http.client.HTTPException(f"got more than {_MAX_FIELDS} headers")
    fields = http.client.HTTPMessage()
    for line in lines:
        plain = _PLAIN(line)
        if plain is None:
            return _parsed(b"".join([*lines, b"\r\n"]).decode("iso-8859-1"))
        name, value = plain.groups()
        fields.set_raw(name.decode("ascii"), value.decode("iso-8859-1").rstrip(" \t"))
    return fields


def _parsed(text: str) -> http.client.HTTPMessage:
    """By the email package, which knows folded lines (RFC 9112 §5.2), and takes whatever is no field for the beginning
    of a body: that a head does not end where its server thinks shows in such lines alone."""
    fields = Parser(_class=http.client.HTTPMessage).parsestr(text)
    has_bare_cr = text.count("\r") > text.count("\r\n")  # that package ends a line there (RFC 9112 §2.2)
    if has_bare_cr or fields.defects or fields.get_payload() or not all(map(_NAME, fields.keys())):
        raise http.client.HTTPException("there are lines in its head that are no fields")
    bare = http.client.HTTPMessage()
    for name, value in fields.items():
        bare.set_raw(name, value.rstrip(" \t"))  # RFC 9110 §5.5: blanks around a value are no part of it
    return bare


def _length(text: str | None) -> int | None:
    try:
        length = int(text or "")
    except ValueError:
        return None
    return length if length >= 0 else None
