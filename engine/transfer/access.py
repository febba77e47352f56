"""Which hosts have a part's descriptors: opened before the first lease there, closed before the file gets its name."""

from engine.store.part import Part
from engine.transfer.hosts import Host
from engine.transfer.messages import Close, Open


class Access:
    """Of one file; `file` is its number in messages."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._open: set[Host] = set()
        self._closing: set[Host] = set()

    def __bool__(self) -> bool:
        """Whether any host may still write."""
        return bool(self._open or self._closing)

    @property
    def is_open(self) -> bool:
        """Whether any host has not been told to close."""
        return bool(self._open)

    def give(self, host: Host, size: int | None, segment_size: int, part: Part) -> None:
        """Let a host have the part's descriptors, once."""
        if host not in self._open:
            self._open.add(host)
            notes = part.pieces
            fds = (part.fd, part.lock.fd) + ((notes.fd,) if notes else ())
            host.send(Open(self._file, size, segment_size, notes.seed if notes else 0), fds)

    def has(self, host: Host) -> bool:
        return host in self._open

    def close(self) -> None:
        """Tell all hosts to close; none of the file's leases is alive."""
        for host in self._open:
            self._closing.add(host)
            host.send(Close(self._file))
        self._open.clear()

    def closed(self, host: Host) -> None:
        """A host has closed it."""
        self._closing.discard(host)

    def lost(self, host: Host) -> None:
        """A host is gone, and its descriptors with it."""
        self._open.discard(host)
        self._closing.discard(host)
