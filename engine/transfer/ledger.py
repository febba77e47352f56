"""The ledger: which leases are out, on whose lane, and of which file."""

from collections.abc import Iterable
from types import MappingProxyType

from engine.transfer.cells import Cell
from engine.transfer.fleet import Slot
from engine.transfer.hosts import Host
from engine.transfer.messages import Revoke, Shorten

_UNRESPONSIVE_S = 15.0
"""A host that does not acknowledge a revocation for so long is ended."""


class Ledger:
    """Of one coordinator. A lease is entered when it goes out and struck when its end has been told."""

    def __init__(self) -> None:
        self.next_number = 1
        """Numbers are never used again."""
        self._slots: dict[int, Slot] = {}
        self._files: dict[int, int] = {}
        self.cuts: set[int] = set()
        """Leases that have been asked to end sooner, and have not said where."""
        self.slots = MappingProxyType(self._slots)
        """Lanes at work, by lease."""

    def __len__(self) -> int:
        return len(self._slots)

    def __repr__(self) -> str:
        return f"<Ledger {len(self)} out, next {self.next_number}>"

    @property
    def cells(self) -> list[list[Cell]]:
        """The figures of all lanes at work, file by file."""
        found: dict[int, list[Cell]] = {}
        for number, slot in self._slots.items():
            found.setdefault(self._files[number], []).append(slot.cell)
        return list(found.values())

    @property
    def being_cut(self) -> int:
        """How many leases are about to leave something to another lane."""
        return len(self.cuts) + sum(slot.revoked_at is not None for slot in self._slots.values())

    def enter(self, slot: Slot, file: int) -> None:
        """The lease of the next number goes out to this lane."""
        self._slots[self.next_number] = slot
        self._files[self.next_number] = file
        self.next_number += 1

    def strike(self, number: int) -> Slot | None:
        """The lease is over. Its lane; None where it was struck before."""
        self._files.pop(number, None)
        self.cuts.discard(number)
        return self._slots.pop(number, None)

    def strike_host(self, host: Host) -> None:
        """The host is gone, and all its leases are over."""
        for number in [n for n, slot in self._slots.items() if slot.host is host]:
            self.strike(number)

    def file_of(self, number: int) -> int:
        """Which file a lease that is out is of."""
        return self._files[number]

    def at_work_on(self, leases: Iterable[int]) -> list[Slot]:
        """The lanes of those leases that are out."""
        return [self._slots[number] for number in leases if number in self._slots]

    def shorten(self, number: int, stop: int) -> None:
        """Have a lease end at this offset, or as near to it as can be; where, is still to be told."""
        slot = self._slots[number]
        self.cuts.add(number)
        slot.host.send(Shorten(slot.lane, number, stop))

    def revoke(self, number: int, now: float) -> None:
        """Take a lease back; its end is still to be told. May be called twice."""
        slot = self._slots[number]
        if slot.revoked_at is None:
            slot.revoked_at = now
            slot.host.send(Revoke(slot.lane, number))

    def revoke_all(self, now: float) -> None:
        for number in self._slots:
            self.revoke(number, now)

    def end_unresponsive(self, now: float) -> None:
        """A host that does not acknowledge a revocation is killed; its reader then reports that it is gone."""
        for slot in list(self._slots.values()):
            if slot.revoked_at is not None and now - slot.revoked_at > _UNRESPONSIVE_S:
                slot.revoked_at = None
                slot.host.kill()
