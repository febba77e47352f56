"""Running what may wait for the network so that a Ctrl-C is answered at once."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_TELL_EVERY_S = 10.0


def interruptibly(work: Callable[[], T], say: Callable[[str], None] = lambda _: None) -> T:
    """Run work on a thread that may be left behind: a name lookup in C cannot be interrupted, this thread can. say is
    told now and then that it is not over."""
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = work()
        except BaseException as exc:  # noqa: BLE001 - raised again on the caller's thread
            outcome["error"] = exc

    thread = threading.Thread(target=run, name="listing", daemon=True)
    thread.start()
    begun, told = time.monotonic(), 0
    while thread.is_alive():
        # In steps: without a timeout, a wait for a lock cannot be interrupted on every platform.
        thread.join(0.2)
        if (took_s := time.monotonic() - begun) >= (told + 1) * _TELL_EVERY_S:
            told += 1
            say(
                f"Still asking what there is, for {took_s:.0f} s: the server is slow, or wants to be asked slowly."
            )
    if "error" in outcome:
        raise outcome["error"]
    value: T = outcome["value"]
    return value
