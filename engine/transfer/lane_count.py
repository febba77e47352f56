"""How many lanes a pull has at work. Pure: figures in, a number out.

It starts with a few and doubles as long as the last doubling brought goodput: a link that caps each connection
is filled within seconds, and a link, server or processor that has no more to give is not crowded (on loopback
four lanes in one process beat eight in two by a tenth). A doubling that brought nothing is taken back. A level is
judged only once all its lanes have delivered, so that connecting, TLS and a worker's start do not count against it.
Small files behind a long round trip are another
matter: lanes that mostly wait for answers are in nobody's way, so they double at once, without being judged.
While a server pushes back the number falls, and comes back slowly.
"""

FIRST = 4
CEILING = 32
"""Lanes without being asked: aria2 stops at 16 connections, hf_transfer opens 64 and more."""
WORTH = 1.1
"""A doubling pays if goodput grows by a tenth."""
_SETTLE_S, _LONGEST_SETTLE_S = 0.1, 2.0
_WINDOW_S = 0.3
_RECOVERY_S = 5.0
_FAR_S = 0.004
"""A server that takes longer to begin an answer is far away, not just busy."""


class LaneCount:
    """`now` is how many lanes may have a lease. asked: what the user said, which is taken at once."""

    def __init__(self, asked: int | None = None) -> None:
        self.ceiling = asked or CEILING
        self.now = self._goal = asked or FIRST
        self._best_rate = 0.0
        self._is_climbing = asked is None
        self._raised_at: float | None = None
        self._judge_from: float | None = None
        self._window: tuple[float, int] | None = None
        self._last_change = 0.0
        self._round_trip_s = float("inf")
        self._forget_answers()

    def __repr__(self) -> str:
        return f"<LaneCount {self.now} of {self.ceiling}{', climbing' if self._is_climbing else ''}>"

    @property
    def is_climbing(self) -> bool:
        return self._is_climbing

    def pushed_back(self, now: float, active: int) -> None:
        """429, 503, or connections refused while others work: halve, at most once a second, and climb no more."""
        self._is_climbing = False
        if now - self._last_change >= 1.0:
            self.now = max(1, min(self.now, active) // 2)
            self._last_change = now

    def recover(self, now: float) -> None:
        """One lane more after each quiet five seconds, up to what it was."""
        if self.now < self._goal and now - self._last_change >= _RECOVERY_S:
            self.now += 1
            self._last_change = now

    def answered(self, wait_s: float, receive_s: float) -> None:
        """A lane has done a lease, and what of that was waiting for the answer to begin."""
        self._round_trip_s = min(self._round_trip_s, wait_s)
        self._answers += 1
        self._waited_s += wait_s
        self._received_s += receive_s

    def _forget_answers(self) -> None:
        self._answers, self._waited_s, self._received_s = 0, 0.0, 0.0

    @property
    def _mostly_waits(self) -> bool:
        """Whether all lanes have had an answer at this level, and receiving was the lesser part."""
        return (
            self._answers >= self.now and self._round_trip_s >= _FAR_S and self._waited_s > self._received_s
        )

    def climb(self, now: float, *, received_bytes: int, delivering: int, may_grow: bool) -> None:
        """Judge this level, if it can be judged yet. received_bytes: by all lanes since the start. delivering: lanes
        that have got anything at all. may_grow: more lanes would have work, and nothing on this side is in the way."""
        if not self._is_climbing:
            return
        if self._raised_at is None:
            self._raised_at = now
        if may_grow and self._mostly_waits and self.now < self.ceiling:
            self._goal = self.now
            self._double(now)
            return
        if delivering < self.now:
            return
        if self._judge_from is None:
            # New connections speed up over several round trips; what it took them to deliver tells how long those are.
            self._judge_from = now + min(max(_SETTLE_S, now - self._raised_at), _LONGEST_SETTLE_S)
        if now < self._judge_from:
            return
        if self._window is None or received_bytes < self._window[1]:
            self._window = now, received_bytes
            return
        since, before = self._window
        if now - since >= _WINDOW_S:
            self._judge((received_bytes - before) / (now - since), now, may_grow=may_grow)

    def _judge(self, rate: float, now: float, *, may_grow: bool) -> None:
        self._window = None
        if rate < WORTH * self._best_rate:
            self.now = self._goal
            self._is_climbing = False
        elif may_grow and self.now < self.ceiling:
            self._goal, self._best_rate = self.now, rate
            self._double(now)
        else:
            self._goal = self.now
            self._is_climbing = self.now < self.ceiling

    def _double(self, now: float) -> None:
        self.now = min(2 * self.now, self.ceiling)
        self._raised_at, self._judge_from, self._window = now, None, None
        self._forget_answers()
