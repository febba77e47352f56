"""The leases of one file: what is asked of lanes, and what their answers say about the way to go on.

On the coordinator's thread; the file's state, failures and retries are not known here.
"""

from collections.abc import Callable

import msgspec

from engine.remote_file import RemoteFile
from engine.spans import Span
from engine.transfer.approach import Approach
from engine.transfer.assembly import Assembly
from engine.transfer.beginning import Beginning
from engine.transfer.messages import Lease, LeaseEnded, Opened, Proceed
from engine.transfer.plan import Plan
from engine.transfer.version import Version
from engine.transfer.voice import Voice
from engine.transport.retry import Failure


class Held(msgspec.Struct, frozen=True):
    """A lease that is out, and in which round of attempts."""

    lease: Lease
    round: int


class Leases:
    """Of one file; `file` is its number in messages, `out` the leases by theirs."""

    def __init__(
        self,
        file: int,
        remote: RemoteFile,
        voice: Voice,
        version: Version,
        assembly: Assembly,
        beginning: Beginning,
    ) -> None:
        self._file = file
        self._voice = voice
        self._version = version
        self._assembly = assembly
        self._beginning = beginning
        self._approach = Approach(remote)
        self.out: dict[int, Held] = {}

    def __repr__(self) -> str:
        return f"<Leases {len(self.out)} out {self._approach}>"

    @property
    def is_stream(self) -> bool:
        """Whether the file comes as one stream, without ranges."""
        return self._approach.is_stream

    @property
    def url(self) -> str:
        """Where the next request goes."""
        return self._approach.url

    def know_ranges(self) -> None:
        """An earlier run has found out that the server has them."""
        self._approach.has_ranges = True

    # Down

    @property
    def may_go_out(self) -> bool:
        """Whether there is something to ask for now: not while one lease finds the way for all."""
        plan = self._assembly.plan
        return self._approach.may_lease and (plan is None or plan.missing_bytes > 0)

    def next(self, number: int, lane: int, wanted: int, lanes: int, round_: int) -> Lease | None:
        """A lease with this number for a lane, noted as out in this round of attempts; None when there is nothing
        for it."""
        span = self._carve(number, wanted, lanes)
        if span is None:
            return None
        lease = self._approach.lease(
            number,
            lane,
            self._file,
            span,
            self._version.identity,
            has_digest=self._version.digest is not None,
            whole=self._beginning.whole_bytes,
            algorithms=self._beginning.algorithms,
            takes_pages=self._beginning.takes_pages,
        )
        self.out[number] = Held(lease, round_)
        return lease

    def _carve(self, number: int, wanted: int, lanes: int) -> Span | None:
        plan = self._assembly.plan
        if plan is None:
            # Either nobody has asked yet, or one stream of unknown length is at work.
            is_asked = self._approach.is_open
            return None if is_asked else Span(0, self._version.size or self._assembly.segment_size)
        return self._carve_of(plan, number, wanted, lanes)

    def _carve_of(self, plan: Plan, number: int, wanted: int, lanes: int) -> Span | None:
        return plan.carve_rest(number) if self.is_stream else plan.carve(number, wanted, lanes)

    # Up

    def learn(self, opened: Opened) -> bool:
        """Take note of an answer's headers. False where they are of another version. Raises DigestMismatch."""
        self._approach.opened(opened)
        if not self._version.learn(opened):
            return False
        self._assembly.expect(self._version.digest)
        return True

    def proceed(self, opened: Opened, may_proceed: Callable[[int], bool]) -> Proceed | None:
        """What to do with the body of an answer that has been learned from; None where its lane does not wait for
        that. may_proceed(size) says whether its host may have files of this size. Raises NoSpace, StoreError."""
        probe = self.out[opened.lease].lease
        if not probe.is_probe:
            return None
        manner = self._approach.judge(opened)
        size = 0 if manner == "empty" else opened.identity.size
        size = self._version.size if size is None else size
        if manner == "stream" and size != 0:
            self._voice.notice(
                "The server has no ranges: one stream, which starts again if it is interrupted."
            )
        drop = Proceed(probe.lane, probe.lease, None, go=False)
        if manner == "ask without range":
            return drop
        if self._assembly.plan is None and not self._begin(size):
            return Proceed(probe.lane, probe.lease, None, go=True)
        plan = self._assembly.plan
        assert plan is not None  # noqa: S101 - made above
        if manner == "ranges" and not may_proceed(plan.grid.size):
            return drop
        plan.end(probe.lease)
        span = self._carve_of(plan, probe.lease, 0, 1)
        return Proceed(probe.lane, probe.lease, span.stop, go=True) if span else drop

    def _begin(self, size: int | None) -> bool:
        """Make room for what the answer brings. Whether its size is known."""
        if size is None:
            self._beginning.start_stream()
        else:
            self._beginning.start(size, has_ranges=not self.is_stream)
        return size is not None

    def ended(self, message: LeaseEnded) -> Held | None:
        """A lease is over, and what it did not bring is missing again. None where it is not out."""
        held = self.out.pop(message.lease, None)
        if held is not None:
            self._approach.lease_ended(message.lease)
            if self._assembly.plan is not None:
                self._assembly.plan.end(message.lease)
        return held

    def failed(self, failure: Failure, held: Held) -> None:
        """Forget an address that has expired."""
        self._approach.failed(failure, held.lease)
