"""What one file has cost: bytes, seconds, retries. Becomes its FileDone."""

import time

from engine.remote_file import RemoteFile
from engine.transfer.events import FileDone, Verified
from engine.transfer.messages import LeaseEnded


class Tally:
    """Counts for one file; all sizes in bytes."""

    def __init__(self) -> None:
        self.fetched = 0
        self.discarded = 0
        self.retries = 0
        self._link_s = self._wait_s = self._disk_s = self._limit_s = 0.0
        self._lanes = 1
        self.restart_clock()

    def restart_clock(self) -> None:
        """Time spent before, waiting for somebody else's lock, is not this file's."""
        self._started = self._last_byte_at = self._hashed_at = time.monotonic()

    def received(self, nbytes: int) -> None:
        self.fetched += nbytes
        self._last_byte_at = time.monotonic()

    def hashed(self) -> None:
        """All of it; what comes now is the disk's, and other files' that are finished together with this one."""
        self._hashed_at = time.monotonic()

    def lease_ended(self, message: LeaseEnded) -> None:
        self.discarded += message.discarded_bytes
        self._link_s += message.receive_s
        self._wait_s += message.wait_s
        self._disk_s += message.write_s
        self._limit_s += message.limit_s

    def lanes_at_work(self, lanes: int) -> None:
        self._lanes = max(self._lanes, lanes)

    def threw_away(self, nbytes: int) -> None:
        """What was received of another version, or over a stream that broke."""
        self.discarded += nbytes
        self.fetched = 0

    def done(
        self,
        remote: RemoteFile,
        path: str,
        *,
        size: int,
        sha256: str | None,
        verified: Verified,
        held: int,
        finish_s: float,
    ) -> FileDone:
        """The event of a file that was fetched. Times of lanes are shares of wall time: sums over the number of
        lanes that worked at once."""
        now = time.monotonic()
        return FileDone(
            file=str(remote.name),
            path=path,
            size=size,
            sha256=sha256,
            verified=verified,
            fetched_bytes=self.fetched,
            held_bytes=held,
            discarded_bytes=self.discarded,
            seconds=now - self._started,
            retries=self.retries,
            link_s=self._link_s / self._lanes,
            wait_s=self._wait_s / self._lanes,
            disk_s=self._disk_s / self._lanes + finish_s,
            limit_s=self._limit_s / self._lanes,
            hash_s=max(0.0, self._hashed_at - self._last_byte_at),
        )

    def already_there(
        self, remote: RemoteFile, path: str, *, size: int, sha256: str | None, verified: Verified
    ) -> FileDone:
        """The event of a file that needed nothing."""
        return FileDone(
            file=str(remote.name),
            path=path,
            size=size,
            sha256=sha256,
            verified=verified,
            fetched_bytes=0,
            held_bytes=size,
            discarded_bytes=0,
            seconds=time.monotonic() - self._started,
            already_there=True,
        )
