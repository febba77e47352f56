"""Many targets in one command: one scheduler, every file by itself, and an exit code that says how it went."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from tests.origin import Content, File, Origin, Pattern

COUNT = 1000
SIZE = 3000
ABSENT = range(0, COUNT, 100)
"""Ten of them."""


def contents(count: int = COUNT, size: int = SIZE) -> dict[str, Content]:
    return {f"m{number:04}.bin": Pattern(size + number % 7) for number in range(count)}


def urls(origin: Origin, names: list[str]) -> list[str]:
    return [origin.url(name) for name in names]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_thousand_files_of_which_some_are_not_there(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """Those that are there are all complete; each that is not is named; 3 says that something was not found."""
    files = contents()
    absent = {f"m{number:04}.bin" for number in ABSENT}
    origin = origin_factory({name: content for name, content in files.items() if name not in absent})
    result = command.run("pull", "-d", tmp_path / "out", "--json", *urls(origin, list(files)), timeout_s=120)
    result.check(3)
    assert names_in(tmp_path / "out") == files.keys() - absent
    for name in files.keys() - absent:
        assert files[name].first_difference(tmp_path / "out" / name) is None, name
    done = {event["file"]: event["sha256"] for event in result.events_named("file")}
    assert done.keys() == files.keys() - absent
    assert {Path(event["path"]).name for event in result.events_named("error")} == absent
    (total,) = result.events_named("done")
    assert (total["files"], total["failed"]) == (COUNT - len(absent), len(absent))
    some = next(iter(done))
    assert done[some] == hashlib.sha256((tmp_path / "out" / some).read_bytes()).hexdigest()


def test_connections_are_used_again_over_files(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """A connection for each lane, not for each file."""
    files = contents(200)
    origin = origin_factory(files)
    command.run("pull", "-d", tmp_path, "--quiet", *urls(origin, list(files))).check()
    assert len(origin.requests) == 200, "one request a file"
    assert origin.connections <= 32


def test_failures_of_different_kinds_are_one_code(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """Not found, and something in the way: 1; the other files are there."""
    files = contents(20)
    origin = origin_factory(files)
    (tmp_path / "m0003.bin").mkdir()
    asked = [*urls(origin, list(files)), origin.url("absent.bin")]
    result = command.run("pull", "-d", tmp_path, *asked).check(1)
    assert "m0003.bin" in result.stderr and "absent.bin" in result.stderr
    for name in files.keys() - {"m0003.bin"}:
        assert files[name].first_difference(tmp_path / name) is None, name


def test_a_batch_that_is_complete_asks_nothing(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """Receipts answer for all of them, the second time."""
    files = contents(200)
    origin = origin_factory(files)
    asked = ("pull", "-d", tmp_path, "--json", *urls(origin, list(files)))
    command.run(*asked).check()
    before = len(origin.requests)
    again = command.run(*asked).check()
    assert len(origin.requests) == before
    assert all(event["already_there"] for event in again.events_named("file"))
    assert len(again.events_named("file")) == 200


def test_nothing_is_left_but_files_and_receipts(
    command: Command, home: Path, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """No part, no lock, no probe."""
    files = contents(100)
    origin = origin_factory(files)
    command.run("pull", "-d", tmp_path / "out", "--quiet", *urls(origin, list(files))).check()
    assert names_in(tmp_path / "out") == files.keys()
    store = Path(os.environ["JARVIS_HOME"])
    assert len(names_in(store / "receipts")) == 100
    assert all(name.endswith(".json") for name in names_in(store / "receipts"))


@pytest.mark.row("together/same-store")
def test_the_same_batch_twice_at_once(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """Each file is written by one of the two; both end well, and every file is whole."""
    files = contents(300)
    origin = origin_factory(files)
    asked = ("pull", "-d", tmp_path / "out", "--quiet", *urls(origin, list(files)))
    running = [command.spawn(*asked) for _ in range(2)]
    for one in running:
        one.wait().check()
    assert names_in(tmp_path / "out") == files.keys()
    for name, content in files.items():
        assert content.first_difference(tmp_path / "out" / name) is None, name


def test_a_batch_that_is_interrupted_goes_on(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path
) -> None:
    """What has its name stays and is not asked for again; nothing else lies about but parts."""
    files = contents(400)
    origin = origin_factory({name: File(content, pace=100_000) for name, content in files.items()})
    asked = ("pull", "-d", tmp_path / "out", "--quiet", *urls(origin, list(files)))
    running = command.spawn(*asked)
    origin.wait_requests(100)
    running.send()
    running.wait().check(130)
    done = {name for name in names_in(tmp_path / "out") if not name.endswith(".jarvis-part")}
    assert done
    for name in done:
        assert files[name].first_difference(tmp_path / "out" / name) is None, name
    before = len(origin.requests)
    command.run(*asked).check()
    assert len(origin.requests) - before <= 400 - len(done)
    assert names_in(tmp_path / "out") == files.keys()


@pytest.mark.parametrize("header", [{"Retry-After": "1"}, {"RateLimit": '"resolvers";r=0;t=1'}])
@pytest.mark.row("pushback/retry-after-seconds")
def test_a_rate_limit_holds_for_all_files_and_all_pulls(
    command: Command, origin_factory: Callable[..., Origin], tmp_path: Path, header: dict[str, str]
) -> None:
    """Told once, nobody asks before the time is over: neither this pull for its other files, nor another pull."""
    files = contents(40)
    origin = origin_factory(files)
    origin.fault("status", code=429, nth=5, times=1, headers=header)
    names = list(files)
    first = command.spawn("pull", "-d", tmp_path / "a", "-c", 1, "--quiet", *urls(origin, names[:20]))
    origin.wait_fired("status")
    second = command.spawn("pull", "-d", tmp_path / "b", "-c", 1, "--quiet", *urls(origin, names[20:]))
    first.wait().check()
    second.wait().check()
    refused: Any = next(record for record in origin.requests if record.status == 429)
    assert refused.ended is not None
    later = [r.started - refused.ended for r in origin.requests if r.started > refused.ended]
    assert min(later) >= 0.99
    assert len(later) == 36
