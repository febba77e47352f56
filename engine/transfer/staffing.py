"""Staffing: how many lanes a pull has at work, and the hosts that they need."""

from engine.settings import Settings
from engine.telemetry import Log
from engine.transfer.cores import Load
from engine.transfer.file_transfer import FileTransfer
from engine.transfer.fleet import PROCESS_FROM_BYTES, Fleet
from engine.transfer.lane_count import Figures, LaneCount
from engine.transfer.lane_memory import LaneMemory
from engine.transfer.limiter import Limiter
from engine.transfer.messages import LeaseEnded
from engine.transfer.roster import Roster

_log = Log(__name__)


class Staffing:
    """Of one coordinator."""

    def __init__(
        self,
        settings: Settings,
        fleet: Fleet,
        roster: Roster,
        limiter: Limiter,
        memory: LaneMemory,
        *,
        first: int,
    ) -> None:
        """first: lanes to begin with, where no earlier run knows better."""
        self._fleet = fleet
        self._roster = roster
        self._limiter = limiter
        self._asked = settings.connections
        self._memory, self._remembered = memory, memory.recall()
        self._lane_count = LaneCount(settings.connections, first=first, learned=self._remembered)
        self._load = Load()
        self._is_due = False
        self._ended = self._wholes = 0
        """Leases, and those among them that brought a small file whole."""

    @property
    def lanes(self) -> int:
        """How many may have a lease; no more than a limit is for, unless the user says how many."""
        return min(self._lane_count.now, self._asked or self._limiter.most_lanes)

    def lanes_for(self, transfer: FileTransfer) -> int:
        """How many may have to share what is left of a file, soon: those that no other file has work for. Small leases
        cost a round trip each, and are only for the end of a pull."""
        lanes = self._lane_count.soon
        return max(1, lanes - self._roster.missing_beside(transfer, lanes))

    @property
    def is_eager(self) -> bool:
        """Whether their number may soon be another, and looks should be frequent."""
        return self._lane_count.is_eager

    @property
    def is_in_proportion(self) -> bool:
        """Whether goodput grows with the number of lanes."""
        return self._lane_count.is_in_proportion

    @property
    def vacancies(self) -> int:
        """How many more lanes may get one."""
        return self.lanes - self._fleet.busy_count

    # The number of lanes

    def lease_ended(self, ended: LeaseEnded, now: float, *, others: bool, is_whole: bool) -> None:
        """Draw the lesson of a lease. others: whether more of them are out. is_whole: it brought all of a small
        file."""
        self._ended += 1
        self._wholes += is_whole
        failure = ended.failure
        if failure is None:
            if not ended.is_revoked:
                self._lane_count.answered(ended.wait_s, ended.receive_s)
        elif failure.is_pushback or (others and failure.kind in ("connect", "reset")):
            self._lane_count.pushed_back(now, self._fleet.busy_count + 1)

    def count(self, now: float) -> None:
        """More lanes where they pay."""
        self._lane_count.recover(now)
        if self._asked is not None:
            return
        self._load.look(now, self._fleet.workers)
        before = self._lane_count.now
        is_held_up = self._limiter.is_reached
        self._lane_count.look(
            Figures(
                now,
                received_bytes=self._fleet.received_bytes,
                delivering=self._fleet.delivering,
                may_grow=self._roster.missing_segments >= before
                and before < self._limiter.most_lanes
                and not is_held_up
                # Where each lane brings what the others do, it is not the processor that keeps them from more.
                and (self.is_in_proportion or not self._load.is_bound),
                # A lane or two are always between two leases. Those that are too many have theirs until it is over.
                is_full=not is_held_up and before - before // 8 - 1 <= self._fleet.busy_count <= before,
                silent_s=self._fleet.silent_s,
            )
        )
        self._remember()
        if self._lane_count.now != before:
            _log.debug("lanes.counted", lanes=self._lane_count.now, before=before)

    def _remember(self) -> None:
        learned = self._lane_count.learned
        if learned is not None and learned != self._remembered:
            self._remembered = learned
            self._memory.note(learned)

    # Hosts

    def ask(self) -> None:
        """There may be work that lanes are missing for."""
        self._is_due = True

    def staff(self) -> None:
        """Start hosts, if that was asked for and a file really needs one. Work may also come late: a target that is
        hashed turns out wrong, or a held segment bad."""
        if not self._is_due:
            return
        self._is_due = False
        needing = [transfer for transfer in self._roster.active.values() if transfer.needs_lanes]
        if not needing:
            return
        work, lanes = self._roster.missing_bytes, self.lanes
        if any(transfer.size is None for transfer in needing):
            # It may be large. A worker asks as soon as this process could, which never loads what a lane needs.
            work = max(work, PROCESS_FROM_BYTES)
        if all(transfer.size is None for transfer in needing):
            lanes = min(lanes, len(needing))  # each is asked for by one lane, alone
        is_wanted = self._fleet.wants_processes(work) or self._fleet.is_short_of(lanes)
        self._fleet.start(
            processes=is_wanted and not all(t.leases.is_stream for t in needing),
            lanes=lanes,
            is_tls=any(transfer.is_tls for transfer in needing),
            are_small=2 * self._wholes > self._ended,
        )
