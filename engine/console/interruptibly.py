"""Running what may wait for the network so that a Ctrl-C is answered at once."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def interruptibly(work: Callable[[], T]) -> T:
    """Run work on a thread that may be left behind: a name lookup in C cannot be interrupted, this thread can."""
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = work()
        except BaseException as exc:  # noqa: BLE001 - raised again on the caller's thread
            outcome["error"] = exc

    thread = threading.Thread(target=run, name="listing", daemon=True)
    thread.start()
    while thread.is_alive():
        # In steps: without a timeout, a wait for a lock cannot be interrupted on every platform.
        thread.join(0.2)
    if "error" in outcome:
        raise outcome["error"]
    value: T = outcome["value"]
    return value
