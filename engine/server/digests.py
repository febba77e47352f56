"""Digests of files being served: computed once, on threads, shared by all who ask.

Like the Hub, large files and weights are named by their SHA-256, as Git LFS would store them, and all others
by the SHA-1 that Git gives their content. A repository made with Git LFS has a list of patterns for that;
a plain folder has none, so the rule here is: 10 MiB and more, or a suffix that the Hub tracks by default.
"""

import asyncio
import hashlib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.digest import start_hash
from engine.server import patience
from engine.server.catalogue import Entry, Stamp, Unsettled
from engine.store.receipts import Receipt, Receipts

_LARGE_BYTES = 10 << 20
_BLOCK_BYTES = 1 << 20
_HELD = 200_000
"""Digests remembered; about 60 MB."""
_WEIGHTS = re.compile(
    r"(?i).*\.(?:7z|arrow|bin|bz2|ckpt|ftz|ggml|gguf|gz|h5|joblib|mlmodel|model|msgpack|np[yz]|onnx|ot|parquet"
    r"|pb|pickle|pkl|pth?|rar|safetensors|tar|tflite|tgz|wasm|xz|zip|zst)"
)


_T = TypeVar("_T")


class Closed(Exception):
    """The server ends; what was being hashed is given up."""


class Hashing(Exception):
    """Files are being hashed for the first time, and that takes longer than a client waits."""


class Damaged(Exception):
    """A file of the store that has changed since it was verified."""


class Published(msgspec.Struct, frozen=True):
    """What the server says of a file's content."""

    oid: str
    """SHA-1 as Git would name what is in its tree: the content, or the pointer that LFS puts in its place."""
    sha256: str | None = None
    """Of the content; only for files that go by LFS."""
    pointer_bytes: int = 0

    @property
    def etag(self) -> str:
        return f'"{self.sha256 or self.oid}"'


def is_large(entry: Entry) -> bool:
    """Whether the file goes by SHA-256, as if it were in Git LFS."""
    return entry.size >= _LARGE_BYTES or _WEIGHTS.fullmatch(entry.name) is not None


class Digests:
    """A cache with its own threads; `close` ends them. Nothing is read before somebody asks."""

    def __init__(self, receipts: Receipts | None = None) -> None:
        """receipts: of the files that are served, where they are a store's."""
        self._receipts = receipts
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        # Two pools, so that a small file never waits behind hundreds of gigabytes.
        self._slow = ThreadPoolExecutor(min(4, cores), "hash-large")
        self._quick = ThreadPoolExecutor(2, "hash-small")
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, Stamp], Future[Published]] = OrderedDict()
        self._small: OrderedDict[tuple[str, Stamp], Future[str]] = OrderedDict()
        """SHA-256 of files that the Hub names otherwise."""
        self._closing = threading.Event()

    def of(self, entry: Entry) -> Future[Published]:
        """The digests of entry's content; fails with Unsettled when it changes, Damaged, OSError, or Closed."""
        return self._once(self._held, entry, self._compute)

    def sha256_of(self, entry: Entry) -> Future[str]:
        """The SHA-256 of any entry's content, in hexadecimal; fails as `of` does."""
        if not is_large(entry):
            return self._once(self._small, entry, lambda entry: self._hash(entry, "sha256"))
        answer: Future[str] = Future()
        self.of(entry).add_done_callback(lambda done: _pass_on(done, answer))
        return answer

    def known_sha256(self, entry: Entry) -> str | None:
        """What `sha256_of` would bring, where that is there already."""
        held: Mapping[tuple[str, Stamp], Future[Any]] = self._held if is_large(entry) else self._small
        with self._lock:
            future = held.get((entry.path, entry.stamp))
        if future is None or not future.done() or _has_failed(future):
            return None
        found = future.result()
        return found.sha256 if isinstance(found, Published) else str(found)

    def _once(
        self, held: "OrderedDict[tuple[str, Stamp], Future[_T]]", entry: Entry, compute: Callable[[Entry], _T]
    ) -> "Future[_T]":
        key = (entry.path, entry.stamp)
        with self._lock:
            future = held.get(key)
            if future is None or _has_failed(future):
                pool = self._slow if entry.size >= _LARGE_BYTES else self._quick
                future = held[key] = pool.submit(compute, entry)
            held.move_to_end(key)
            while len(held) > _HELD:
                held.popitem(last=False)
        return future

    def close(self) -> None:
        """Give up what is not finished, and wait for the threads: a block's time, not a file's."""
        self._closing.set()
        for pool in (self._slow, self._quick):
            pool.shutdown(wait=True, cancel_futures=True)

    def _compute(self, entry: Entry) -> Published:
        if not is_large(entry):  # what its owner edits, like a README
            return Published(self._hash(entry, "git-sha1"))
        sha256 = self._hash(entry, "sha256")
        self._check(entry, sha256)
        # The pointer file's text: Git LFS specification, "The Pointer".
        pointer = (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {entry.size}\n".encode()
        )
        oid = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False).hexdigest()
        return Published(oid, sha256, len(pointer))

    def _check(self, entry: Entry, sha256: str) -> None:
        """Raise Damaged where the store knows the file as another one: whoever gets it would call it verified."""
        receipt = self._receipt_of(entry)
        if receipt is not None and (receipt.size != entry.size or sha256 != (receipt.sha256 or sha256)):
            raise Damaged(
                f"{entry.name} is not what was pulled: `jarvis verify --repair` mends it, where it is served"
            )

    def _receipt_of(self, entry: Entry) -> Receipt | None:
        return self._receipts.find(Path(entry.path)) if self._receipts else None

    def _vouched(self, entry: Entry) -> str | None:
        """Its SHA-256, where its receipt fits: as it was pulled, by all that a look can tell."""
        receipt = self._receipt_of(entry)
        with suppress(OSError):
            if receipt is not None and receipt.fits(Path(entry.path).lstat()):
                return receipt.sha256
        return None

    def _hash(self, entry: Entry, algorithm: str) -> str:
        if algorithm == "sha256" and (known := self._vouched(entry)) is not None:
            return known
        hasher = start_hash(algorithm, entry.size)
        block = memoryview(bytearray(min(_BLOCK_BYTES, entry.size + 1)))
        with entry.open() as file:
            while count := file.readinto(block):  # type: ignore[attr-defined]  # BinaryIO of typeshed lacks what every raw file has
                hasher.update(block[:count])
                if self._closing.is_set():
                    raise Closed
            if not entry.is_in(file):
                raise Unsettled(f"{entry.name} changed while it was read")
        return hasher.hexdigest()


async def awaited(futures: Iterable["Future[_T]"]) -> list[_T]:
    """What the futures bring, in their order. Raises Hashing where that takes too long, and what they fail with."""
    # Shielded: one client that goes away must not cancel what others wait for.
    waiting = [asyncio.shield(asyncio.wrap_future(future)) for future in futures]
    try:
        async with asyncio.timeout(patience.HASHING_S):
            return list(await asyncio.gather(*waiting))
    except TimeoutError:
        raise Hashing("The files of this model are being hashed for the first time. Ask again.") from None


def _pass_on(done: "Future[Published]", answer: "Future[str]") -> None:
    if done.cancelled():
        answer.set_exception(Closed())
    elif (failure := done.exception()) is not None:
        answer.set_exception(failure)
    else:
        answer.set_result(done.result().sha256 or "")


def _has_failed(future: "Future[Any]") -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)
