"""Ends in the middle, and what the next run makes of them: nothing that was received is fetched twice."""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.command import Running
from tests.integration.trial import LANES, MIB, SEGMENT, Trial, flip, wait_gone, wait_until
from tests.origin import Pattern

SIZE = 24 * MIB
WORKERS = ("-p", 2, "-c", 4)
LANES_OF_WORKERS = 4


@pytest.fixture
def paced(try_file: Callable[..., Trial]) -> Trial:
    """24 MiB, at a pace that takes two workers with four lanes about two seconds."""
    trial = try_file(SIZE, pace=3 * MIB)
    trial.options = WORKERS
    return trial


def at_half(trial: Trial, *options: object) -> Running:
    """The command, started, when half of the file has been sent."""
    running = trial.spawn(*options)
    trial.origin.wait_sent(trial.origin.bytes_sent() + trial.content.size // 2, timeout_s=20)
    return running


def go_fast(trial: Trial) -> None:
    for file in trial.origin.files.values():
        file.pace = None


@pytest.mark.alone
@pytest.mark.row("process/kill-command")
def test_a_killed_command_leaves_no_process_and_loses_little(paced: Trial) -> None:
    """SIGKILL at half: workers end by themselves within a second; the next run fetches what is missing and at most a
    segment per lane again, and starts to do so at once."""
    running = at_half(paced)
    workers = running.children()
    assert len(workers) == 2
    running.kill()
    running.wait()
    wait_gone(workers)
    assert not paced.target.exists()
    go_fast(paced)
    held = paced.segments_on_disk()
    assert held * SEGMENT >= SIZE // 2 - 2 * LANES_OF_WORKERS * SEGMENT
    before, first_run = paced.origin.bytes_sent(), len(paced.origin.requests)
    started = time.monotonic()
    result = paced.pull("--json")
    again = paced.origin.requests[first_run]
    assert again.started - started < 2.0
    sent = paced.origin.bytes_sent() - before
    assert sent <= SIZE - held * SEGMENT + LANES_OF_WORKERS * SEGMENT
    (done,) = result.events_named("file")
    assert done["fetched_bytes"] == sent
    assert done["held_bytes"] == SIZE - sent
    paced.assert_exact()


@pytest.mark.row("process/sigint")
def test_ctrl_c_on_a_terminal_reaches_everybody_and_is_one_message(paced: Trial) -> None:
    """SIGINT to the whole group, workers too: they leave the decision to the command; several are like one."""
    running = at_half(paced, "--json")
    workers = running.children()
    for _ in range(3):
        running.interrupt_group()
    result = running.wait(5)
    assert result.code == 130, str(result)
    wait_gone(workers)
    (error,) = result.events_named("error")
    assert (error["exit_code"], error["error"]) == (130, "Interrupted")
    assert error["kept_bytes"] >= SIZE // 3
    assert "Traceback" not in result.stderr
    go_fast(paced)
    paced.finish(lanes=1)


@pytest.mark.alone
@pytest.mark.row("process/signal-while-stalled")
def test_a_signal_during_a_stall_ends_too(trial: Trial) -> None:
    """Lanes that sit in a receive hold nobody up."""
    trial.origin.fault("stall", when=lambda r: r.range is not None and r.range[0] >= MIB, after_bytes=10)
    running = trial.spawn()
    trial.origin.wait_fired("stall", LANES)
    sent_at = time.monotonic()
    running.send(signal.SIGTERM)
    result = running.wait(5)
    assert time.monotonic() - sent_at < 1.3
    assert result.code == 130, str(result)
    trial.finish(lanes=0)


@pytest.mark.row("process/kill-worker")
def test_a_killed_worker_is_replaced_and_costs_what_it_had_in_flight(paced: Trial) -> None:
    """SIGKILL of one worker: the pull goes on and is exact."""
    running = at_half(paced, "--json")
    victim = running.children()[0]
    victim.kill()
    go_fast(paced)
    result = running.wait().check()
    kinds = [event["kind"] for event in result.events_named("retry")]
    assert "worker" in kinds
    assert set(kinds) <= {"worker", "slow"}, "answers that began at the old pace may be left for faster ones"
    in_flight = LANES_OF_WORKERS // 2 * SEGMENT
    buffered = LANES_OF_WORKERS // 2 * MIB  # what the kernel had taken for sockets that nobody reads any more
    assert paced.origin.bytes_sent() <= SIZE + in_flight + buffered
    paced.assert_exact()


@pytest.mark.row("process/kill-worker")
def test_workers_killed_one_after_the_other_do_not_stop_the_pull(paced: Trial) -> None:
    """Each one is replaced."""
    running = at_half(paced)
    for _ in range(3):
        workers = running.children()
        workers[0].kill()
        wait_until(lambda: not workers[0].is_running() and len(running.children()) == 2, "a new worker")  # noqa: B023 - called at once
    go_fast(paced)
    running.wait().check()
    paced.assert_exact()


@pytest.mark.row("process/kill-all")
def test_everything_killed_at_once_is_resumed(paced: Trial) -> None:
    """SIGKILL to the command and all of its workers in the same moment."""
    running = at_half(paced)
    running.kill_tree()
    go_fast(paced)
    paced.finish(at_least_held=SIZE // SEGMENT // 3, lanes=LANES_OF_WORKERS)


@pytest.mark.row("process/kill-again-and-again")
def test_killed_again_and_again_it_still_ends(paced: Trial) -> None:
    """Each run adds to what is there; together they send little more than the file."""
    for part in range(1, 4):
        running = paced.spawn()
        paced.origin.wait_sent(part * SIZE // 5, timeout_s=20)
        workers = running.children()
        running.kill()
        running.wait()
        wait_gone(workers)
        assert not paced.target.exists()
    go_fast(paced)
    paced.pull()
    paced.assert_exact()
    assert paced.origin.bytes_sent() <= SIZE + 3 * LANES_OF_WORKERS * (SEGMENT + MIB)


@pytest.mark.row("sequence/resume-of-all-bytes")
def test_a_kill_while_hashing_at_the_end_needs_no_byte_again(try_file: Callable[..., Trial]) -> None:
    """All bytes are there, the name is not: the next run asks for nothing that is on disk."""
    trial = try_file()
    trial.origin.fault(
        "stall", when=lambda r: r.range is not None and r.range[0] < SEGMENT, offset=SEGMENT - 1
    )
    running = trial.spawn()
    trial.origin.wait_fired("stall")
    wait_until(
        lambda: trial.segments_on_disk() == trial.content.size // SEGMENT - 1, "all but the first segment"
    )
    running.kill()
    running.wait()
    trial.origin.behave()
    trial.finish(at_least_held=trial.content.size // SEGMENT - 1)


@pytest.mark.parametrize("step", ["finish.sync_folder", "part.Part.remove"])
def test_a_kill_after_the_rename_needs_no_byte_again(trial: Trial, step: str) -> None:
    """The file has its name and nobody was told: the next run knows it by its receipt, and clears what is left."""
    code = (
        "import os, signal; from engine.store import part; from engine.transfer import finish\n"
        f"{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from engine.cli import main; main()"
    )
    words = trial.arguments("-p", 0)
    trial.command.run(*words, entry=[sys.executable, "-c", code]).check(-signal.SIGKILL)
    assert trial.content.first_difference(trial.target) is None
    assert sorted(path.name for path in trial.part.iterdir()) == ["journal", "lock", "pieces"]
    asked = len(trial.origin.requests)
    trial.pull("-p", 0)
    assert len(trial.origin.requests) == asked
    trial.assert_exact()


@pytest.mark.parametrize("processes", [0, 1])
@pytest.mark.row("pushback/not-found-midway")
def test_what_other_lanes_have_when_one_gives_up_is_kept(trial: Trial, processes: int) -> None:
    """The end of a file that fails is orderly: what a lane has received in mid-segment by then is not fetched again."""
    stall = trial.origin.fault("stall", range_start=0, after_bytes=SEGMENT - 1)
    trial.origin.fault("status", code=404, when=lambda r: bool(stall.fired and r.range and r.range[0]))
    trial.pull("-p", processes, "--retries", 0, code=3)
    assert stall.fired
    trial.origin.behave()
    asked = len(trial.origin.requests)
    trial.pull("-p", processes)
    trial.assert_exact()
    assert min(r.range[0] for r in trial.origin.requests[asked:] if r.range) >= 16 << 10, "a block"


# What is found on the disk


def journal_of(trial: Trial) -> bytes:
    return (trial.part / "journal").read_bytes()


@pytest.mark.row("journal/torn-tail", "attack/51-journal-tampering")
def test_a_torn_journal_costs_its_last_record(trial: Trial) -> None:
    """A record that was cut in the middle ends the journal; what stands before it holds."""
    trial.leave_half()
    (trial.part / "journal").write_bytes(journal_of(trial)[:-5])
    trial.finish(lanes=1)


@pytest.mark.row("journal/rubbish-behind")
def test_rubbish_behind_a_journal_is_cut_off(trial: Trial) -> None:
    """A torn write may leave anything."""
    trial.leave_half()
    (trial.part / "journal").write_bytes(journal_of(trial) + os.urandom(100))
    trial.finish(lanes=0)


@pytest.mark.parametrize("back", [30, 60])
@pytest.mark.row("journal/flipped-bit", "attack/51-journal-tampering")
def test_a_flipped_bit_in_the_journal_ends_it_there(trial: Trial, back: int) -> None:
    """Records after it are not believed, those before it are; the file is exact."""
    trial.leave_half()
    flip(trial.part / "journal", len(journal_of(trial)) - back)
    before = trial.origin.bytes_sent()
    trial.pull()
    assert trial.origin.bytes_sent() - before < trial.content.size
    trial.assert_exact()


@pytest.mark.parametrize("change", ["header", "empty", "rubbish", "gone", "folder"])
@pytest.mark.row("journal/header-broken")
def test_a_journal_that_cannot_be_read_starts_again(trial: Trial, change: str) -> None:
    """Nothing vouches for the data any more, so all of it is fetched."""
    trial.leave_half()
    journal = trial.part / "journal"
    if change == "header":
        flip(journal, 10)
    elif change == "empty":
        journal.write_bytes(b"")
    elif change == "rubbish":
        journal.write_bytes(os.urandom(5000))
    else:
        journal.unlink()
    if change == "folder":
        journal.mkdir()
        trial.assert_failed(trial.pull(code=7), "journal")
        journal.rmdir()
    before = trial.origin.bytes_sent()
    trial.pull()
    assert trial.origin.bytes_sent() - before == trial.content.size
    trial.assert_exact()


@pytest.mark.parametrize("with_digest", [False, True])
@pytest.mark.parametrize("offset", [0, SEGMENT + 1])
@pytest.mark.row("journal/data-flipped")
def test_a_flipped_byte_in_the_data_is_fetched_again(trial: Trial, offset: int, with_digest: bool) -> None:
    """Held segments are believed when they agree with the journal: one that does not is fetched again, alone."""
    digest = ("--sha256", trial.content.sha256()) if with_digest else ()
    trial.leave_half()
    held = trial.segments_on_disk()
    flip(trial.part / "data", offset)
    assert trial.segments_on_disk() == held - 1
    asked = len(trial.origin.requests)
    result = trial.finish(*digest, lanes=0)
    assert any(r.range and r.range[0] <= offset < r.range[1] for r in trial.origin.requests[asked:])
    assert "fetched again" in result.stderr


@pytest.mark.row("journal/data-flipped-nothing-missing")
def test_a_flipped_byte_is_fetched_again_though_nothing_else_is_missing(trial: Trial) -> None:
    """The only work of a run may be to mend."""
    trial.leave_half()
    data = trial.part / "data"
    trial.content.write_to(data)
    flip(data, 3 * SEGMENT // 2)
    trial.pull()
    trial.assert_exact()


@pytest.mark.parametrize("size", [0, 100, 5 * SEGMENT + 7, SIZE])
@pytest.mark.row("journal/data-shorter", "journal/data-longer", "attack/52-journal-ahead-of-data")
def test_data_that_was_cut_or_grew_is_made_good(trial: Trial, size: int) -> None:
    """Only segments that are there can be held."""
    trial.leave_half()
    os.truncate(trial.part / "data", size)
    trial.finish(at_least_held=min(size // SEGMENT, 1), lanes=0)


@pytest.mark.row("journal/data-gone")
def test_data_that_is_gone_starts_again(trial: Trial) -> None:
    """A journal without data vouches for nothing."""
    trial.leave_half()
    (trial.part / "data").unlink()
    before = trial.origin.bytes_sent()
    trial.pull()
    assert trial.origin.bytes_sent() - before == trial.content.size
    trial.assert_exact()


@pytest.mark.row("identity/other-address")
def test_a_part_of_another_address_is_not_continued(trial: Trial) -> None:
    """Another file under the same name: start again, said so."""
    trial.leave_half()
    other = Pattern(trial.content.size, seed=9)
    trial.origin.add("other.gguf", other)
    trial.url = trial.origin.url("other.gguf")
    result = trial.pull()
    assert "another address" in result.stderr
    trial.assert_exact(other)


@pytest.mark.row("identity/mirror")
def test_a_part_of_another_address_is_continued_for_the_same_digest(trial: Trial) -> None:
    """With a digest it is the content that counts: a mirror takes over."""
    trial.options = ("--sha256", trial.content.sha256())
    trial.leave_half()
    trial.origin.add("mirror.gguf", trial.content)
    trial.url = trial.origin.url("mirror.gguf")
    trial.finish(lanes=0)


@pytest.mark.row("identity/mirror")
def test_a_link_that_was_signed_anew_continues_with_a_digest(trial: Trial) -> None:
    """The address but for its query, and a digest: what the old link brought is used, as far as it is that content."""
    trial.url = trial.origin.url("model.gguf") + "?signature=old"
    trial.leave_half()
    trial.url = trial.origin.url("model.gguf") + "?signature=new"
    trial.finish("--sha256", trial.content.sha256(), lanes=0)


@pytest.mark.row("identity/other-address")
def test_a_query_that_names_another_file_is_found_out(trial: Trial) -> None:
    """What was taken for the same file was another one: the digest says so, and all of it is fetched."""
    trial.url = trial.origin.url("model.gguf") + "?file=1"
    trial.leave_half()
    other = Pattern(trial.content.size, seed=9)
    trial.origin.add("model.gguf", other)
    trial.url = trial.origin.url("model.gguf") + "?file=2"
    trial.pull("--sha256", other.sha256())
    trial.assert_exact(other)


@pytest.mark.row("journal/segment-size-differs")
def test_another_segment_size_continues_with_the_journals_own(trial: Trial) -> None:
    """What an earlier run began counts, whatever is typed now."""
    trial.leave_half()
    trial.finish("--segment-size", "1MiB", lanes=0)


@pytest.mark.row("identity/wrong-digest-given")
def test_another_digest_for_the_same_address_ends_with_a_mismatch(trial: Trial) -> None:
    """A digest typed later is compared with the whole file, held segments included."""
    trial.leave_half()
    trial.assert_failed(trial.pull("--sha256", "1" * 64, code=6), "SHA256")
    trial.pull("--sha256", trial.content.sha256())
    trial.assert_exact()


def test_force_forgets_what_is_held(trial: Trial) -> None:
    """--force starts at zero."""
    trial.leave_half()
    before = trial.origin.bytes_sent()
    trial.pull("--force")
    assert trial.origin.bytes_sent() - before == trial.content.size
    trial.assert_exact()


def events(result: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = result.events_named(name)
    return found


def test_a_resumed_pull_says_what_is_here(trial: Trial) -> None:
    """The plan and the summary tell held bytes from fetched ones."""
    trial.leave_half()
    held = trial.segments_on_disk() * SEGMENT
    result = trial.pull("--json")
    assert "from an earlier run" in result.stderr
    assert events(result, "plan")[0]["held_bytes"] >= held
    (done,) = events(result, "file")
    assert done["held_bytes"] + done["fetched_bytes"] == trial.content.size
    assert done["discarded_bytes"] == 0
