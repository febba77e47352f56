"""The last steps of many small files, taken together.

A disk takes about as long to sync one small file as to sync fifty. So files that become complete while a batch is
being synced make up the next one: alone, a file waits for nobody, and a thousand cost some dozens of syncs.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.store.receipts import Receipts
from engine.transfer.finish import Ending, Finished, finish_all
from engine.transfer.tasks import Done, Submit

_ENOUGH = 16
"""Files that are worth a batch while others are still coming: handing over and syncing folders is shared."""


class _Entry(msgspec.Struct, frozen=True):
    ending: Ending
    done: Done


class Finisher:
    """Of one coordinator, on its thread; the work is done on a helper thread."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self._waiting: list[_Entry] = []
        self._batch: list[_Entry] = []
        self._prepared: set[Path] = set()

    def prepare(self, receipts: Receipts) -> None:
        """Find out, once for each folder, that receipts can be written. Raises StoreError."""
        if receipts.folder not in self._prepared:
            receipts.prepare()
            self._prepared.add(receipts.folder)

    def add(self, ending: Ending, done: Done) -> None:
        """Finish a file with the next batch; done hears of it on the coordinator's thread."""
        self._waiting.append(_Entry(ending, done))

    def flush(self, *, must_begin: bool) -> None:
        """Let the next batch begin, if none is under way and there is enough for it, or it must. The coordinator calls
        this when it has taken in all that had come, so that files that came together are one batch."""
        if self._waiting and not self._batch and (must_begin or len(self._waiting) >= _ENOUGH):
            self._batch, self._waiting = self._waiting, []
            endings = [entry.ending for entry in self._batch]
            self._submit(lambda: finish_all(endings), self._back)

    def _back(self, outcomes: list[Finished | Exception] | None, exc: BaseException | None) -> None:
        batch, self._batch = self._batch, []
        each: Sequence[Finished | BaseException | None] = outcomes or [exc] * len(batch)
        for entry, outcome in zip(batch, each, strict=True):
            if isinstance(outcome, BaseException):
                entry.done(None, outcome)
            else:
                entry.done(outcome, None)
