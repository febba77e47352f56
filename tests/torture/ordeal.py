"""One file, pulled to its end by the real command while it and its workers are killed; and judged after each end."""

import contextlib
import hashlib
import operator
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil
import xxhash

from engine.spans import Span, SpanSet
from engine.store.journal import Claim
from tests.command import ENTRY, Command, Result, Running
from tests.origin import File, Origin, Pattern
from tests.torture import session
from tests.torture.accounts import Delivery, settle
from tests.torture.dice import SEGMENT, Blow, Case
from tests.torture.tally import Kill, Tally

_GONE_WITHIN_S = 1.0
_RUN_WITHIN_S = 60.0
_BLOCK = 4096
_REPLACED_WITHIN_S = 2.0
UNDER_WAY_BEATS = 4
"""What a lane gets in a fifth of a second: in the kernel's buffers. On a machine with nothing else to do it is a piece
or two."""


def bound_bytes(case: Case) -> int:
    """What one kill may cost: on each lane a block in its hand, less than a segment, and what was under way."""
    return case.lanes * (SEGMENT - 1 + UNDER_WAY_BEATS * case.beat_bytes)


class Ordeal:
    """Of one case, with an origin of its own."""

    def __init__(
        self, case: Case, command: Command, env: Mapping[str, str | None], folder: Path, tally: Tally
    ) -> None:
        self._case = case
        self._command = command
        self._env = env
        self._tally = tally
        self._content = Pattern(case.size, case.seed)
        self._sha256 = self._content.sha256()
        self._name = f"case-{case.number}.gguf"
        self._folder = folder / f"case-{case.number}"
        self._target = self._folder / self._name
        self._part = self._folder / f"{self._name}.jarvis-part"
        self._kills: list[Kill] = []
        self._lost_before: set[int] = set()
        """Where blocks begin that earlier runs had received in vain, and that lie there still."""
        self._origin = Origin({self._name: File(self._content, pace=case.pace)})

    def run(self) -> None:
        """Until the file is done; what is found goes into the tally."""
        self._folder.mkdir(parents=True)
        blows = list(self._case.blows)
        with self._origin:
            while not self._run_once(blows):
                pass
            self._origin.wait_idle()
            self._account()
        self._target.unlink(missing_ok=True)

    # One run of the command

    def _run_once(self, blows: list[Blow]) -> bool:
        """Whether that was the last one: it ended by itself."""
        claimed = self._claimed_bytes()
        sent = self._origin.bytes_sent()
        running = self._spawn()
        while blows:
            blow = blows[0]
            if not self._wait_due(running, blow, sent, claimed):
                break
            blows.pop(0)
            if blow.victim == "worker":
                self._strike_worker(running, blow)
            elif self._strike_coordinator(running, blow):
                self._judge_uses(running, claimed)
                self._judge_stop()
                return False
        self._judge_end(self._wait(running))
        self._judge_uses(running, claimed)
        return True

    def _spawn(self) -> Running:
        case = self._case
        digest = ("--sha256", self._sha256) if case.has_digest else ()
        return self._command.spawn(
            *("pull", self._origin.url(self._name), "-o", self._target, "--json", *digest),
            *("--segment-size", SEGMENT, "-c", case.lanes, "-p", case.workers),
            env=self._env,
            entry=None if case.is_forked else ENTRY,
        )

    def _wait_due(self, running: Running, blow: Blow, sent: int, held: int) -> bool:
        """Until the moment of the blow; False when the command ends before."""
        due = sent + max(int(blow.share * self._case.size) - held, 1 if blow.share else 0)
        until = time.monotonic() + _RUN_WITHIN_S
        while running.process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                self._origin.wait_sent(due, timeout_s=0.05)
                time.sleep(blow.delay_s)
                return running.process.poll() is None
        return False

    def _wait(self, running: Running) -> Result | None:
        """Its end; None, and a violation, when that does not come."""
        try:
            return running.wait(_RUN_WITHIN_S)
        except subprocess.TimeoutExpired as exc:
            self._found(f"the command hangs: {exc.__notes__}")
            return None

    # Blows

    def _strike_worker(self, running: Running, blow: Blow) -> None:
        workers = sorted(running.children(), key=lambda process: process.pid)
        if not workers:
            return
        victim = workers[int(blow.choice * len(workers))]
        kill = self._kill_now(blow)
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended by itself
            victim.kill()
            self._kills.append(kill)
        until = time.monotonic() + _REPLACED_WITHIN_S
        while running.process.poll() is None and len(running.children()) < len(workers):
            if time.monotonic() > until:
                self._found(f"a worker killed at {kill.held_share:.1%} was not replaced")
                return
            time.sleep(0.01)

    def _strike_coordinator(self, running: Running, blow: Blow) -> bool:
        """Whether that was its end; it may have come to it by itself a moment before."""
        kill = self._kill_now(blow)
        running.send(blow.signal)
        result = self._wait(running)
        if result is None or result.code == 0:
            return result is None
        self._kills.append(kill)
        farewell = session.Farewell(running.pid)
        left = farewell.wait(_GONE_WITHIN_S)
        self._tally.ended_within(farewell.seconds)
        if left:
            self._tally.found("orphans", len(left))
            self._found(f"{len(left)} processes are left a second after {blow.signal.name}")
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        has_begun = bool(result.stdout)
        expected = -blow.signal if blow.signal == signal.SIGKILL else 130
        if result.code != expected and has_begun:
            self._found(f"{blow.signal.name} ended in exit code {result.code}: {result}")
        return True

    def _kill_now(self, blow: Blow) -> Kill:
        share = self._claimed_bytes() / self._case.size
        return Kill(blow.victim, blow.signal, time.monotonic(), share)

    # Judgement

    def _claimed_bytes(self) -> int:
        claim = Claim.read(self._part / "journal")
        return claim.nbytes if claim else 0

    def _judge_stop(self) -> None:
        """The final name is exact or not there, and every byte that the journal vouches for is on disk."""
        if self._target.exists():
            self._judge_content()
            return
        claim = Claim.read(self._part / "journal")
        spans = (
            [(claim.header.grid.span_of(index), check) for index, check in claim.checks.items()]
            if claim
            else []
        )
        if claim is None or not (spans or claim.pieces):
            return  # the journal comes before the data
        with (self._part / "data").open("rb") as data:
            wrong = [s for s, check in [*spans, *claim.pieces.items()] if not self._agrees(data, s, check)]
            claimed = SpanSet([span for span, _ in spans] + list(claim.pieces))
            self._kills[-1].lost_lanes = self._lost_bytes(data, claimed) / (self._case.lanes * SEGMENT)
        if wrong:
            self._found(
                f"the journal vouches for {len(wrong)} spans that are not on disk, such as {wrong[0]}"
            )

    def _lost_bytes(self, data: Any, claimed: SpanSet) -> int:
        """On disk, and in no journal: what the last run had received in vain."""
        lost = 0
        for span in claimed.complement(Span(0, self._case.size)):
            for start in range(span.start, span.stop, _BLOCK):
                data.seek(start)
                found = data.read(min(_BLOCK, span.stop - start))
                if start in self._lost_before or not found.strip(b"\0"):
                    continue
                sound = self._content.read(start, start + len(found))
                same = len(found) if found == sound else sum(map(operator.eq, found, sound))
                if same > _BLOCK // 64:  # less may be chance
                    self._lost_before.add(start)
                    lost += same
        return lost

    def _agrees(self, data: Any, span: Span, check: int) -> bool:
        data.seek(span.start)
        found = data.read(len(span))
        return found == self._content.read(span.start, span.stop) and (
            xxhash.xxh3_64_intdigest(found) == check
        )

    def _judge_end(self, result: Result | None) -> None:
        """It came to its end by itself: done, exact, and nothing is left beside it."""
        if result is None or result.code != 0:
            self._tally.found("clean_ups")
            self._found(f"it does not go on by itself: {result}")
            return
        self._judge_content()
        if (beside := sorted(path.name for path in self._folder.iterdir())) != [self._name]:
            self._tally.found("clean_ups")
            self._found(f"left behind: {beside}")

    def _judge_content(self) -> None:
        with self._target.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self._sha256:
            self._tally.found("corrupt")
            self._found("the final name holds something else")

    def _judge_uses(self, running: Running, claimed: int) -> None:
        """What was on disk before this run was taken up by it."""
        lines = [line for line in running.stdout.splitlines(keepends=True) if line.endswith("\n")]
        plans = [event for line in lines if (event := msgspec.json.decode(line))["event"] == "plan"]
        if plans and plans[0]["held_bytes"] < claimed:
            self._found(f"{claimed:,} bytes were on disk, {plans[0]['held_bytes']:,} are used")

    def _account(self) -> None:
        """Charge what was sent twice to the kills."""
        deliveries = []
        for record in self._origin.requests:
            start = record.range[0] if record.range else 0
            deliveries.append(Delivery(Span(start, start + record.sent), record.ended or 0.0))
        account = settle(deliveries, [kill.at for kill in self._kills])
        for kill, lost in zip(self._kills, account.by_kill, strict=True):
            kill.refetched_lanes = lost / (self._case.lanes * SEGMENT)
            if lost > bound_bytes(self._case):
                self._found(
                    f"{lost:,} bytes were fetched again after {kill.signal.name} of the {kill.victim} at "
                    f"{kill.held_share:.1%}; {bound_bytes(self._case):,} may be"
                )
        self._tally.add(self._case, self._kills, self._origin.bytes_sent(), account.otherwise)

    def _found(self, what: str) -> None:
        self._tally.violation(self._case, what)
