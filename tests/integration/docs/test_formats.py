"""What docs/formats.md says of journals and receipts is what a pull writes."""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.store.receipts import Receipts
from tests.integration.docs.pages import reader, records, text_of
from tests.origin import Origin, Pattern


@pytest.fixture
def interrupted(
    origin_factory: Callable[..., Origin], spawn: Callable[..., Any], tmp_path: Path
) -> Iterator[tuple[Origin, Path]]:
    """A pull that was killed when eight of its sixteen segments were on disk: its server, and its target."""
    content, target = Pattern((1 << 20) - 5), tmp_path / "model.gguf"
    origin = origin_factory({"model.gguf": content})
    origin.fault("stall", path="model.gguf", offset=8 * 65536 + 100)
    running = spawn("pull", origin.url("model.gguf"), "-o", target, "--segment-size", "64KiB", "-c", 1)
    origin.wait_fired("stall")
    wait_journal(tmp_path / "model.gguf.jarvis-part/journal", 8)
    running.kill()
    running.wait()
    origin.behave()
    yield origin, target


def wait_journal(journal: Path, segments: int) -> None:
    """Until it holds so many segments; AssertionError when that takes too long."""
    until = time.monotonic() + 20
    while not journal.exists() or len(records(journal)) < segments:
        assert time.monotonic() < until, f"{journal} holds too little"
        time.sleep(0.01)


def test_the_reader_of_the_page_reads_a_real_journal(interrupted: tuple[Origin, Path]) -> None:
    """The code of docs/formats.md finds what a killed pull left, a torn record at its end notwithstanding."""
    origin, target = interrupted
    part = target.with_name("model.gguf.jarvis-part")
    with (part / "journal").open("ab") as journal:
        journal.write(b"\x09\x00\x00\x00torn")
    header, checks = reader()["read_journal"](part / "journal")
    assert (header["size"], header["segment_size"], header["check"]) == ((1 << 20) - 5, 65536, "xxh3_64")
    assert header["url"] == origin.url("model.gguf")
    assert header["etag"] == origin.files["model.gguf"].etag
    assert sorted(checks) == list(range(8))
    assert reader()["held"](part) == list(range(8))
    spoil(part / "data", 3 * 65536 + 17)
    assert reader()["held"](part) == [0, 1, 2, 4, 5, 6, 7]


def spoil(path: Path, offset: int) -> None:
    """One byte becomes another."""
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_the_page_names_every_key_of_journal_and_receipt(
    interrupted: tuple[Origin, Path], jarvis: Callable[..., Any], home: Path
) -> None:
    """What a pull writes and what docs/formats.md lists are the same keys."""
    _, target = interrupted
    header, _ = reader()["read_journal"](target.with_name("model.gguf.jarvis-part") / "journal")
    jarvis("pull", header["url"], "-o", target, "--segment-size", "64KiB").check()
    (receipt,) = (json.loads(path.read_text()) for path in (home / "receipts").iterdir())
    journal_section, receipt_section = re.findall(
        r"^## (?:Journal|Receipt)\n(.*?)(?=^## )", text_of("docs/formats.md"), re.MULTILINE | re.DOTALL
    )
    for section, keys in ((journal_section, header), (receipt_section, receipt)):
        cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
        assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(keys)


def test_the_reader_of_the_page_reads_a_real_receipt(
    interrupted: tuple[Origin, Path], jarvis: Callable[..., Any], home: Path
) -> None:
    """The code of docs/formats.md finds the one segment of a finished file that was changed afterwards."""
    origin, target = interrupted
    jarvis("pull", origin.url("model.gguf"), "-o", target).check()
    name = hashlib.sha256(os.fsencode(target)).hexdigest()
    receipt = home / "receipts" / f"{name}.json"
    assert reader()["changed"](receipt) == []
    known = Receipts(home / "receipts").find(target)
    assert known and json.loads(receipt.read_text())["sha256"] == known.sha256
    spoil(target, (1 << 20) - 6)
    assert reader()["changed"](receipt) == [15]
