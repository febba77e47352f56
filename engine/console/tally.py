"""All files of a pull taken together, from their events. Pure but for what it is told."""

from collections.abc import Mapping

import msgspec

from engine.transfer.events import Event, FileDone, Plan, Progress


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the whole pull stands. Bytes of files whose size nobody knows yet are left out of size."""

    files: int
    finished: int
    done_bytes: int
    size: int
    bytes_per_s: float
    lanes: int

    @property
    def eta_s(self) -> float | None:
        return (self.size - self.done_bytes) / self.bytes_per_s if self.bytes_per_s > 0 else None


class Tally:
    """Keeps the last word on each file. sizes: what is known of each by its path, before anything is asked."""

    def __init__(self, sizes: Mapping[str, int | None]) -> None:
        self._sizes = dict(sizes)
        self._done: dict[str, int] = dict.fromkeys(sizes, 0)
        self._latest: dict[str, Progress] = {}
        self._over: set[str] = set()

    def note(self, event: Event) -> None:
        match event:
            case Plan():
                self._sizes[event.path] = event.size
                self._done[event.path] = event.held_bytes
            case Progress():
                self._done[event.path] = event.done_bytes
                self._latest[event.path] = event
                if event.size is not None:
                    self._sizes[event.path] = event.size
                if event.phase == "done":
                    self._end(event.path)
            case FileDone():
                self._sizes[event.path] = self._done[event.path] = event.size
                self._end(event.path)

    @property
    def active(self) -> list[Progress]:
        """The files under way, as they were last heard of."""
        return list(self._latest.values())

    @property
    def standing(self) -> Standing:
        return Standing(
            files=len(self._sizes),
            finished=len(self._over),
            done_bytes=sum(self._done.values()),
            size=sum(max(size or 0, self._done.get(path, 0)) for path, size in self._sizes.items()),
            bytes_per_s=sum(
                event.bytes_per_s
                for event in self._latest.values()
                if event.lanes or event.phase == "verifying"
            ),
            lanes=sum(event.lanes for event in self._latest.values()),
        )

    def _end(self, path: str) -> None:
        self._over.add(path)
        self._latest.pop(path, None)
