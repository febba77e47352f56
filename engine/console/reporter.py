"""Everything that one pull has to say, to scripts on stdout and to people on stderr."""

import sys
import time
from collections.abc import Mapping

from engine.console.exit_codes import combined, exit_code
from engine.console.interrupts import INTERRUPTED
from engine.console.json_lines import JsonLines, Paths, Results
from engine.console.lines import PlainView, View
from engine.console.options import Manner
from engine.console.streams import is_terminal, stderr, stdout
from engine.console.tally import Tally
from engine.console.words import in_words, of_model
from engine.errors import EngineError
from engine.transfer.events import Done, Event, Failed, FileDone, Retry
from engine.transfer.job import Job

_REPEAT_S = 2.0
"""The same kind of retry of the same file is told so often at most, unless --verbose."""


class Reporter:
    """The observer of a pull; it makes the `error` and `done` events, for it knows the exit codes."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._err = stderr()
        self._results: Results = JsonLines(stdout()) if manner.json else Paths(stdout())
        self._view: View = PlainView(self._err, Tally({}), None)
        self._tally = Tally({})
        self._started = time.monotonic()
        self._told: dict[tuple[str, str], float] = {}
        self.files: list[FileDone] = []
        self.failures: list[Failed] = []

    def begin(self, sizes: Mapping[str, int | None]) -> None:
        """The files are known, by their paths, with their sizes in bytes where those are."""
        self._tally = Tally(sizes)
        if self._manner.quiet:
            return
        if is_terminal() and not (self._manner.json and is_terminal(sys.stdout)):
            from engine.console.bars import Bars

            self._view = Bars(self._tally, self._err)
        else:
            self._view = PlainView(self._err, self._tally)

    def __call__(self, event: Event) -> None:
        self._tally.note(event)
        if isinstance(event, FileDone):
            self.files.append(event)
        if not self._manner.quiet and (text := self._words(event)):
            self._view.say(text)
        self._view(event)
        if isinstance(event, FileDone):
            # Both streams may be the same terminal.
            with self._view.stepping_aside():
                self._results(event)
        else:
            self._results(event)

    def say(self, text: str) -> None:
        """A line for people, unless --quiet."""
        if not self._manner.quiet:
            self._view.say(text)

    def failed(
        self, exc: EngineError, *, file: str = "", path: str = "", kept_bytes: int = 0, model: str = ""
    ) -> None:
        """A file, or a whole target, has failed for good. model: which one, where there are several."""
        self.failures.append(
            event := Failed(
                file=file,
                path=path,
                error=type(exc).__name__,
                message=str(exc),
                exit_code=exit_code(exc),
                kept_bytes=kept_bytes,
            )
        )
        self._view.say(f"error: {of_model(model, exc)}")
        self._results(event)

    def interrupted(self, kept_bytes: int, message: str) -> int:
        """The user, or a signal, has ended it; the exit code."""
        self._view.close()
        self._results(
            Failed(
                file="",
                path="",
                error="Interrupted",
                message=message,
                exit_code=INTERRUPTED,
                kept_bytes=kept_bytes,
            )
        )
        self._view.say(message)
        self._finish(INTERRUPTED)
        return INTERRUPTED

    def end(self) -> int:
        """All is over: the last event, and the command's exit code."""
        self._view.close()
        code = combined(failure.exit_code for failure in self.failures)
        self._finish(code)
        return code

    def has_ended(self, job: Job) -> bool:
        """Whether its file has its final name."""
        return any(file.path == str(job.target) for file in self.files)

    @property
    def seconds(self) -> float:
        """Since the command began to work."""
        return time.monotonic() - self._started

    def close(self) -> None:
        """Give the terminal back. May be called twice."""
        self._view.close()

    def _finish(self, code: int) -> None:
        if not self._manner.json:
            return
        self._results(
            Done(
                files=len(self.files),
                failed=len(self.failures),
                size=sum(f.size for f in self.files),
                fetched_bytes=sum(f.fetched_bytes for f in self.files),
                held_bytes=sum(f.held_bytes for f in self.files),
                discarded_bytes=sum(f.discarded_bytes for f in self.files),
                seconds=self.seconds,
                exit_code=code,
            )
        )

    def _words(self, event: Event) -> str | None:
        verbose = self._manner.verbose
        if isinstance(event, Retry) and not verbose:
            key, now = (event.path, event.kind), time.monotonic()
            if now - self._told.get(key, float("-inf")) < _REPEAT_S:
                return None
            self._told[key] = now
        return in_words(event, verbose=verbose)
