"""The lanes that a coordinator has, over all its hosts: starting them, finding an idle one, losing a host."""

from typing import Any

import msgspec

from engine.errors import NetworkError
from engine.settings import MIB, Settings
from engine.telemetry import Log
from engine.transfer.cells import BODY, Cell
from engine.transfer.cores import usable_cores
from engine.transfer.health import Pulse, median
from engine.transfer.hosts import Host, Inbox, ProcessHost, ThreadHost
from engine.transfer.lane_count import CEILING, FIRST
from engine.transfer.spawn import can_start_processes
from engine.transport.auth import Credentials

_log = Log(__name__)

PROCESS_FROM_BYTES = 64 * MIB
"""From here on a worker process pays: starting one costs 0.1 s of another core."""
_LANES_PER_PROCESS, _TLS_LANES_PER_PROCESS = 4, 1
"""Under TLS a lane comes back to Python for each record of 16 KiB, and waits for the interpreter's lock where it is not
alone: 2 GiB took 3.6 s with two to a process, 3.1 s with one."""
_SMALL_FILE_LANES_PER_PROCESS = 16
"""Lanes that bring small files whole leave most of the work to the coordinator; another process has nothing to add
(perf's `many`: a worker less is a tenth less CPU)."""
_BLOCKS_BYTES = 24 * MIB
"""What the blocks of all lanes together may take of memory."""
_LEAST_MAX_BLOCK = MIB // 4
_MAX_DEATHS = 20


class Slot:
    """One lane of one host."""

    def __init__(self, host: Host, lane: int) -> None:
        self.host = host
        self.lane = lane
        self.lease: int | None = None
        self.refused_at = float("-inf")
        """When it was last refused a connection, by the monotonic clock."""
        self.has_failed = False
        """Its last lease did, so its connection is gone and the others are asked first."""
        self.is_draining = False
        """Revoked, and its thread has not come back yet."""
        self.revoked_at: float | None = None
        self.pulse = Pulse(0.0, 0)
        self.since, self.received_before = 0.0, 0
        """When it got its lease, what it had received by then, and when the body began to come."""
        self.body_since: float | None = None

    def __repr__(self) -> str:
        return f"<Slot {self.host}:{self.lane} lease={self.lease}{' draining' if self.is_draining else ''}>"

    @property
    def cell(self) -> Cell:
        return self.host.cells[self.lane]

    @property
    def is_idle(self) -> bool:
        return self.lease is None and not self.is_draining


class Sizing(msgspec.Struct, frozen=True):
    """How many lanes and processes a pull gets."""

    lanes: int
    processes: int


def size_fleet(settings: Settings) -> Sizing:
    """Most lanes and processes: four lanes or more to a process, up to the cores, unless the user says otherwise;
    never more processes than lanes."""
    lanes = settings.connections or max(CEILING, settings.processes or 0)
    if settings.processes is not None:
        return Sizing(lanes, min(lanes, settings.processes))
    return Sizing(lanes, min(usable_cores(), -(-lanes // _LANES_PER_PROCESS)))


def first_lanes(*, is_tls: bool) -> int:
    """How many to begin with. Under TLS no more than have a core each, for the same reason; more have to pay."""
    return max(2, min(FIRST, usable_cores())) if is_tls else FIRST


class Fleet:
    """All hosts and slots."""

    def __init__(self, settings: Settings, credentials: Credentials, inbox: Inbox) -> None:
        self._settings = settings
        self._credentials = credentials
        self._inbox = inbox
        self._sizing = size_fleet(settings)
        self._max_block = max(_LEAST_MAX_BLOCK, min(MIB, _BLOCKS_BYTES // self._sizing.lanes))
        self._deaths = self._started = 0
        self.hosts: list[Host] = []
        self.slots: list[Slot] = []

    def __repr__(self) -> str:
        return f"<Fleet {self.hosts} {self.busy_count}/{len(self.slots)} busy>"

    @property
    def workers(self) -> list[int]:
        """Process numbers."""
        return [host.pid for host in self.hosts if isinstance(host, ProcessHost)]

    @property
    def received_bytes(self) -> int:
        """By all lanes since their start."""
        return sum(slot.cell.received for slot in self.slots)

    @property
    def delivering(self) -> int:
        """Lanes that have got anything at all."""
        return sum(slot.cell.received > 0 for slot in self.slots)

    @property
    def silent_s(self) -> float:
        """For how long a lane that is receiving has had no byte just now; the median of the half that has brought the
        most, for the bursts of the others hardly count."""
        receiving = [slot.cell for slot in self.slots if slot.cell.state == BODY]
        receiving.sort(key=lambda cell: -cell.received)
        return median([cell.silent_s for cell in receiving[: (len(receiving) + 1) // 2]])

    @property
    def has_processes(self) -> bool:
        return any(host.is_process for host in self.hosts)

    @property
    def busy_count(self) -> int:
        return sum(slot.lease is not None for slot in self.slots)

    def wants_processes(self, nbytes: int) -> bool:
        """Whether so much work is for worker processes."""
        if self._sizing.processes == 0 or not can_start_processes():
            return False
        return self._settings.processes is not None or nbytes >= PROCESS_FROM_BYTES

    def is_short_of(self, lanes: int) -> bool:
        """Whether the workers that there are cannot have so many lanes."""
        return self.has_processes and lanes > len(self.slots)

    def start(self, *, processes: bool, lanes: int, is_tls: bool = False, are_small: bool = False) -> None:
        """See to it that so many lanes have a host: a few to each worker process, or all in this process. are_small:
        it is small files that they bring."""
        if processes:
            each = _TLS_LANES_PER_PROCESS if is_tls else _LANES_PER_PROCESS
            each = _SMALL_FILE_LANES_PER_PROCESS if are_small else each
            wanted = self._settings.processes or -(-lanes // each)
            started = sum(host.is_process for host in self.hosts)
            for _ in range(started, min(wanted, self._sizing.processes)):
                self._add(self._new_process(), self._lanes_each)
        elif not self.hosts:
            self._add(
                ThreadHost(
                    self._settings,
                    self._credentials,
                    self._sizing.lanes,
                    self._inbox,
                    max_block=self._max_block,
                ),
                self._sizing.lanes,
            )

    def idle_slots(self) -> list[Slot]:
        """Lanes that could work, process lanes only once there are any, spread over the hosts; those with a
        connection that works come first, for a server may take no new ones; last, those whose worker still starts."""
        only_processes = self.has_processes
        idle = [s for s in self.slots if s.is_idle and (s.host.is_process or not only_processes)]
        return sorted(idle, key=lambda slot: (slot.has_failed, not slot.host.has_spoken, slot.lane))

    @property
    def helpful_count(self) -> int:
        """How many idle lanes may take over from others: not those whose connection has just failed. The one that a
        server still serves would be given up for one that it does not take."""
        return sum(not slot.has_failed for slot in self.idle_slots())

    def find(self, host: Any, lane: int) -> Slot | None:
        return next((s for s in self.slots if s.host is host and s.lane == lane), None)

    def lost(self, host: Host) -> list[int]:
        """A host is gone: replace it. Returns the leases that it had."""
        if host not in self.hosts:
            return []
        self._deaths += 1
        leases = [slot.lease for slot in self.slots if slot.host is host and slot.lease is not None]
        words = host.last_words() if isinstance(host, ProcessHost) else ""
        _log.warning("worker.died", host=str(host), leases=len(leases), stderr=words)
        self.hosts.remove(host)
        self.slots = [slot for slot in self.slots if slot.host is not host]
        host.kill()
        if self._deaths > _MAX_DEATHS:
            raise NetworkError(
                f"Worker processes died {self._deaths} times; the last one said: {words or 'nothing'}. "
                "Run with --processes 0 to do without them. What was received is kept."
            )
        self._add(self._new_process(), self._lanes_each)
        return leases

    def flush(self) -> None:
        """Let all orders go out."""
        for host in self.hosts:
            host.flush()

    def kill(self) -> None:
        """End all hosts and wait for them."""
        for host in self.hosts:
            host.kill()
        self.hosts, self.slots = [], []

    @property
    def _lanes_each(self) -> int:
        """Lanes of one worker process."""
        return -(-self._sizing.lanes // max(self._sizing.processes, 1))

    def _new_process(self) -> ProcessHost:
        """Its lanes have numbers that no other lane of this pull had: notes are kept by them."""
        first_turn = self._sizing.lanes + self._started * self._lanes_each
        self._started += 1
        host = ProcessHost(
            self._settings,
            self._credentials,
            self._lanes_each,
            self._inbox,
            first_turn=first_turn,
            max_block=self._max_block,
        )
        _log.info("worker.started", host=str(host), lanes=self._lanes_each)
        return host

    def _add(self, host: Host, lanes: int) -> None:
        self.hosts.append(host)
        self.slots += [Slot(host, lane) for lane in range(lanes)]
