"""What is known of the content of one file: segment checks, the running hashes, and what to do if they are wrong."""

from collections.abc import Mapping

from engine.digest import Digest
from engine.settings import Settings
from engine.spans import Grid, Span
from engine.transfer.content import Content, agrees, algorithms_for
from engine.transfer.frontier import Frontier, check_of
from engine.transfer.mending import Mending


class Proof:
    """Checks, frontier and mending of one file of known size; the file is open at fd as long as this lives."""

    def __init__(
        self,
        fd: int,
        grid: Grid,
        digest: Digest | None,
        unproven: Mapping[int, int | None],
        settings: Settings,
    ) -> None:
        self._fd = fd
        self._grid = grid
        self._settings = settings
        self._mending: Mending | None = None
        self.digest = digest
        self.checks = {index: check for index, check in unproven.items() if check is not None}
        self.follow_again(unproven)

    def follow_again(self, unproven: Mapping[int, int | None] | None = None) -> None:
        """Hash from the start: nothing is hashed yet, the digest is another, or bytes were replaced."""
        self.frontier = Frontier(
            self._fd,
            self._grid,
            algorithms_for(self.digest, self._settings),
            unproven or {},
            self._settings.chunk_size,
        )

    def expect(self, digest: Digest) -> None:
        """The digest has become known while the first bytes come. What an earlier run left is still to be proven, and a
        hash step that is under way is of no use any more."""
        self.digest = digest
        self.frontier.must_stop = True
        self.follow_again(self.frontier.unproven)

    def wrote(self, index: int, check: int) -> None:
        """A segment is on disk."""
        self.checks[index] = check
        if self._mending is not None:
            self._mending.arrived(index, check)

    def check_on_disk(self, index: int) -> int:
        """xxh3_64 of a segment as the disk gives it back. Raises OSError."""
        return self.check_of(self._grid.span_of(index))

    def check_of(self, span: Span) -> int:
        """Likewise of any span."""
        return check_of(self._fd, span.start, span.stop, memoryview(bytearray(min(len(span), 1 << 20))))

    def bad_on_disk(self) -> list[int]:
        """Segments that the disk gives back otherwise than they were written. Raises OSError."""
        return [index for index in range(self._grid.count) if self.check_on_disk(index) != self.checks[index]]

    def content(self) -> Content:
        """What the file is, once the frontier is done."""
        self.checks.update(self.frontier.found)
        names = algorithms_for(self.digest, self._settings)
        return Content(
            size=self._grid.size,
            segment_size=self._grid.segment_size,
            checks=self.checks,
            digests={name: self.frontier.hexdigest(name) for name in names},
        )

    def agrees(self, content: Content) -> bool:
        return agrees(self.digest, content)

    def mending(self, *, is_stream: bool) -> Mending:
        """The one procedure for a wrong digest of this file."""
        if self._mending is None:
            self._mending = Mending(self._grid, repair=self._settings.repair, is_stream=is_stream)
        return self._mending
