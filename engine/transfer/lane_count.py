"""How many lanes a pull has at work. Pure: figures in, a number out.

It starts with a few and multiplies them as long as that brings goodput: a link that caps each connection is filled
within half a second, and a link, server or processor that has no more to give is not crowded (on loopback four lanes in
one process beat eight in two by a tenth). A level is judged once all its lanes have delivered, so that connecting, TLS
and a worker's start do not count against it, and over a time that grows with the link's round trip. What brought
nothing is taken back, to half of it first.

Then the number is settled, and only tried again now and then: a quarter more, ever more rarely where that is in vain,
and half where goodput has fallen, as often as that brings no less: some servers and links give less to many lanes than
to few. Small files behind a long round trip are another matter: lanes that mostly wait for answers are in nobody's way,
so they double at once, without being judged. While a server pushes back the number falls, and comes back slowly.
"""

from typing import Literal

import msgspec

FIRST = 4
CEILING = 32
"""Lanes without being asked: aria2 stops at 16 connections, hf_transfer opens 64 and more."""
WORTH, WORTH_FEWER = 1.1, 0.95
"""A climb pays if goodput grows by a tenth; a smaller step, if it grows by a third of what its lanes should bring;
fewer lanes, if they bring about as much."""
_PROPORTION = 0.7
_STEEP, _SMALL_STEP = 4, 0.25
_SETTLE_S, _LONGEST_SETTLE_S = 0.03, 2.0
_WINDOW_S, _LONG_WINDOW_S = 0.06, 1.0
"""How long a level is looked at while climbing, and when settled."""
_BURSTS = 6
"""Where bytes come in bursts, a window holds several: half a period is what a lane is silent for at any moment."""
_FALLEN = 0.7
_PATIENCE_S, _LONGEST_PATIENCE_S, _ENCOURAGED_S = 5.0, 80.0, 1.0
"""Before a few lanes more are tried: at first, after many that were in vain, after some that paid."""
_RECOVERY_S = 5.0
_FAR_S = 0.004
"""A server that takes longer to begin an answer is far away, not just busy."""


class Figures(msgspec.Struct, frozen=True):
    """What a look at all lanes gives."""

    now: float
    received_bytes: int
    """By all lanes since the start."""
    delivering: int
    """Lanes that have got anything at all."""
    may_grow: bool
    """More lanes would have work, and nothing on this side is in the way."""
    is_full: bool = True
    """As many lanes have work as may."""
    silent_s: float = 0.0
    """For how long a lane has had no byte just now; the median."""


class _Trial(msgspec.Struct):
    """A number of lanes that is tried in place of another one."""

    fallback: int
    pays_from_bytes_s: float
    """Below this it is taken back."""
    kind: Literal["climb", "more", "fewer"]
    is_last: bool = False
    """Of a climb: more than this was too many already."""

    @property
    def window_s(self) -> float:
        return _WINDOW_S if self.kind == "climb" else _LONG_WINDOW_S


class LaneCount:
    """`now` is how many lanes may have a lease. asked: what the user said, which is taken at once. first: to begin
    with. learned: by an earlier run; half of it is where this one begins, for the rest must pay anew."""

    def __init__(self, asked: int | None = None, *, first: int = FIRST, learned: int | None = None) -> None:
        self.ceiling = asked or CEILING
        if learned is not None:
            first = max(first, min(learned, self.ceiling) // 2)
        self.now = self._goal = asked or max(1, min(first, self.ceiling))
        self._factor = _STEEP if learned is None else 2
        self._is_fixed = asked is not None
        self._trial = None if self._is_fixed else _Trial(self.now, 0.0, "climb")
        self._rate = 0.0
        """What the settled number brings, in bytes a second."""
        self._raised_at: float | None = None
        self._judge_from: float | None = None
        self._window: tuple[float, int] | None = None
        self._last_change = 0.0
        self._patience_s = _PATIENCE_S
        self._step = _SMALL_STEP
        self.is_in_proportion = False
        """Whether the last lanes that were added brought about as much as those before: each gets what it can get, and
        none takes from another."""
        self._fallen = 0
        self._is_held_up = False
        self._round_trip_s = float("inf")
        self._silent_s = 0.0
        self._forget_answers()

    def __repr__(self) -> str:
        return f"<LaneCount {self.now} of {self.ceiling}{', trying' if self._trial else ''}>"

    @property
    def is_climbing(self) -> bool:
        """Whether the number is still unknown."""
        return self._trial is not None and self._trial.kind == "climb"

    @property
    def is_eager(self) -> bool:
        """Whether looks should be frequent: a step of the climb is under way, and not held up on this side."""
        return self.is_climbing and not self._is_held_up

    @property
    def soon(self) -> int:
        """How many there will be if the climb goes on: what is left of a file must be enough for them, too."""
        return min(self._factor * self.now, self.ceiling) if self.is_climbing else self.now

    @property
    def learned(self) -> int | None:
        """The number that has proved itself; None while that is not known."""
        return None if self._is_fixed or self._trial is not None else self._goal

    def pushed_back(self, now: float, active: int) -> None:
        """429, 503, or connections refused while others work: halve, at most once a second, and climb no more."""
        if self._trial is not None:
            self._goal, self._trial = self._trial.fallback, None
        self._patience_s = _LONGEST_PATIENCE_S
        if now - self._last_change >= 1.0:
            self.now = max(1, min(self.now, active) // 2)
            self._change(now)

    def recover(self, now: float) -> None:
        """One lane more after each quiet five seconds, up to what it was."""
        if self._trial is None and self.now < self._goal and now - self._last_change >= _RECOVERY_S:
            self.now += 1
            self._change(now)

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

    def look(self, figures: Figures) -> None:
        """Judge the present number, if it can be judged yet, and try another one where that may pay."""
        if self._is_fixed:
            return
        if self._raised_at is None and figures.delivering:
            self._raised_at = figures.now  # what a worker takes to start is no sign of a long way
        if self.is_climbing and figures.may_grow and self._mostly_waits and self.now < self.ceiling:
            self._try(2 * self.now, figures.now, _Trial(self.now, 0.0, "climb"))
            return
        rate = self._rate_at(figures)
        if rate is None:
            return
        if self._trial is not None:
            self._judge(self._trial, rate, figures)
        else:
            self._reconsider(rate, figures)

    def _rate_at(self, figures: Figures) -> float | None:
        """Bytes a second over a whole window at this level; None while there is none."""
        if self._judge_from is None:
            if self._raised_at is None or figures.delivering < self.now:
                return None
            # New connections speed up over several round trips; what it took them to deliver tells how long those are.
            took_s = min(max(_SETTLE_S, figures.now - self._raised_at), _LONGEST_SETTLE_S)
            self._judge_from = figures.now + took_s
        self._silent_s = max(self._silent_s, figures.silent_s)
        if figures.now < self._judge_from:
            return None
        if self._window is None or not figures.is_full or figures.received_bytes < self._window[1]:
            self._window = figures.now, figures.received_bytes
            return None
        since, before = self._window
        window_s = self._trial.window_s if self._trial else _LONG_WINDOW_S
        if figures.now - since < max(window_s, min(_BURSTS * self._silent_s, _LONG_WINDOW_S)):
            return None
        self._window = figures.now, figures.received_bytes
        return (figures.received_bytes - before) / (figures.now - since)

    def _judge(self, trial: _Trial, rate: float, figures: Figures) -> None:
        if trial.kind != "fewer" and self.now != trial.fallback:
            in_proportion = self._rate * self.now / trial.fallback
            self.is_in_proportion = rate - self._rate >= _PROPORTION * (in_proportion - self._rate)
        if rate < trial.pays_from_bytes_s and trial.kind == "climb" and self.now > 2 * trial.fallback:
            self._try(2 * trial.fallback, figures.now, msgspec.structs.replace(trial, is_last=True))
        elif rate < trial.pays_from_bytes_s:
            self._settle(trial.fallback, figures.now)
            self._patience_s, self._step = min(2 * self._patience_s, _LONGEST_PATIENCE_S), _SMALL_STEP
        elif trial.kind == "more":
            self._settle(self.now, figures.now, rate)
            self._patience_s, self._step = _ENCOURAGED_S, min(2 * self._step, 1.0)
        elif trial.kind == "fewer":
            self._patience_s = _PATIENCE_S
            self._settle(self.now, figures.now, rate)
            self._try_fewer(rate, figures.now)
        elif self.now >= self.ceiling or trial.is_last:
            self._settle(self.now, figures.now, rate)
        elif not figures.may_grow:
            self._is_held_up = True
        else:
            self._rate = rate
            self._try(self._factor * self.now, figures.now, _Trial(self.now, WORTH * rate, "climb"))

    def _reconsider(self, rate: float, figures: Figures) -> None:
        """Settled: has goodput fallen, or may a few lanes more pay?"""
        self._fallen = self._fallen + 1 if rate < _FALLEN * self._rate else 0
        if self._fallen >= 2:
            self._fallen, self._rate = 0, rate
            self._try_fewer(rate, figures.now)
            return
        self._rate = rate if not self._rate else max(rate, 0.8 * self._rate + 0.2 * rate)
        is_time = figures.now - self._last_change >= self._patience_s
        if is_time and figures.may_grow and self._goal <= self.now < self.ceiling:
            more = min(max(1, int(self._step * self.now)), self.ceiling - self.now)
            pays = rate * (1 + more / self.now / 3)
            self._try(self.now + more, figures.now, _Trial(self.now, pays, "more"))

    def _try_fewer(self, rate: float, now: float) -> None:
        if self.now > FIRST:
            trial = _Trial(self.now, WORTH_FEWER * rate, "fewer")
            self._try(max(FIRST, self.now // 2), now, trial)

    def _settle(self, lanes: int, now: float, rate: float | None = None) -> None:
        self.now = self._goal = lanes
        self._trial = None
        self._rate = rate or self._rate
        self._change(now)

    def _try(self, lanes: int, now: float, trial: _Trial) -> None:
        self.now, self._trial = min(lanes, self.ceiling), trial
        self._is_held_up = False
        self._change(now)

    def _change(self, now: float) -> None:
        """Another number of lanes from now on; nothing is known of it yet."""
        self._raised_at = self._last_change = now
        self._judge_from = self._window = None
        self._silent_s = 0.0
        self._forget_answers()
