"""A worker that goes mad: what it sends is no message, and it is taken for dead."""

import queue

import pytest

from engine.settings import Settings
from engine.transfer import spawn
from engine.transfer.hosts import ProcessHost
from engine.transport.auth import Credentials

GARBAGE = [b"\xc1", b"\x91\xa3bad", b"\x93\xa6paused\xa1\xff\x01", b"\x91" * 5000]


@pytest.mark.parametrize("payload", GARBAGE, ids=["no value", "no message", "no text", "nested for ever"])
def test_a_worker_that_sends_what_is_no_message_is_gone(monkeypatch, payload):
    """It is ended, and the coordinator told, as if it had died; else its leases would be waited for for ever."""
    frame = len(payload).to_bytes(4, "little") + b"\0" + payload
    mad = f"import os, signal, sys; os.write(int(sys.argv[1]), {frame!r}); signal.pause()"
    monkeypatch.setattr(spawn, "_BOOT", mad)
    monkeypatch.setattr(spawn, "_ahead", [])
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    host = ProcessHost(Settings(), Credentials(), 1, inbox, first_turn=0, max_block=1 << 20)
    try:
        assert inbox.get(timeout=20) == (host, None)
    finally:
        host.kill()
