"""Content that is not what was promised: healed if the way is to blame, set aside if it is not."""

from collections.abc import Callable

import pytest

from tests.integration.trial import MIB, SEGMENT, Trial, flip, wait_until

SIZE = 4 * MIB


@pytest.mark.row("identity/wrong-digest-given", "attack/18-content-of-another-digest")
def test_a_wrong_digest_sets_the_file_aside_and_the_right_one_adopts_it(trial: Trial) -> None:
    """Exit 6 with both digests; then the same file with the right digest costs not one byte."""
    wrong, right = "0" * 64, trial.content.sha256()
    trial.assert_failed(trial.pull("--sha256", wrong, code=6), "SHA256", wrong, right, "set aside")
    sent = trial.origin.bytes_sent()
    trial.pull("--sha256", right)
    assert trial.origin.bytes_sent() == sent
    trial.assert_exact()


@pytest.mark.row("disk/old-file-until-the-end")
def test_a_wrong_digest_does_not_touch_a_file_that_stands_there(trial: Trial) -> None:
    """What has the final name already stays until something verified takes its place."""
    trial.target.write_bytes(b"mine")
    result = trial.pull("--sha256", "0" * 64, code=6)
    assert "SHA256" in result.stderr
    assert trial.target.read_bytes() == b"mine"


def test_a_digest_that_the_file_has_already_costs_nothing(trial: Trial) -> None:
    """A file that somebody else put there is hashed and accepted; nothing is asked of the server."""
    trial.content.write_to(trial.target)
    trial.pull("--sha256", trial.content.sha256())
    assert trial.origin.requests == []
    assert trial.content.first_difference(trial.target) is None


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "stream"])
@pytest.mark.row("identity/flipped-byte-once")
def test_a_byte_that_was_changed_on_the_way_is_healed(try_file: Callable[..., Trial], ranges: bool) -> None:
    """One corrupted byte, same size, with a digest: found, fetched again, exit 0."""
    trial = try_file(ranges=ranges)
    trial.origin.fault("same_size_corruption", offset=SIZE // 2 + 17, times=1)
    result = trial.pull("--sha256", trial.content.sha256(), "--json")
    assert trial.origin.fired("same_size_corruption") == 1
    assert "digest is wrong" in result.stderr
    assert result.events_named("file")[0]["verified"] is True
    trial.assert_exact()


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "stream"])
@pytest.mark.row("identity/flipped-byte-always")
def test_a_byte_that_is_always_wrong_ends_with_a_mismatch(
    try_file: Callable[..., Trial], ranges: bool
) -> None:
    """The server's copy is wrong: exit 6, set aside, fetched twice and not more."""
    trial = try_file(ranges=ranges)
    trial.origin.fault("same_size_corruption", offset=SIZE // 2 + 17)
    result = trial.pull("--sha256", trial.content.sha256(), code=6)
    trial.assert_failed(result, "SHA256", trial.content.sha256(), "set aside")
    assert trial.origin.fired("same_size_corruption") == 2
    assert trial.origin.bytes_sent() == 2 * SIZE
    kept = [path for path in trial.part.iterdir() if path.name.startswith("rejected-")]
    assert [path.stat().st_size for path in kept] == [SIZE]


@pytest.mark.row("identity/flipped-byte-without-digest")
def test_without_a_digest_the_hash_is_computed_and_said_so(trial: Trial) -> None:
    """Nothing to compare with is not the same as verified, and the output says which it was."""
    result = trial.pull("--json")
    (done,) = result.events_named("file")
    assert (done["verified"], done["sha256"]) == ("computed", trial.content.sha256())
    trial.forget()
    result = trial.pull("--json", "--hash", "none", "--force")
    (done,) = result.events_named("file")
    assert (done["verified"], done["sha256"]) == ("transport", None)
    trial.assert_exact()


def test_a_second_pull_is_instant(trial: Trial) -> None:
    """The receipt fits: nothing is asked."""
    trial.pull()
    before = len(trial.origin.requests)
    result = trial.pull("--json")
    assert len(trial.origin.requests) == before
    assert result.events_named("file")[0]["already_there"] is True
    trial.assert_exact()


@pytest.mark.row("disk/old-file-until-the-end")
def test_force_fetches_everything_and_keeps_the_old_file_until_the_end(trial: Trial) -> None:
    """--force starts at zero; a failure on the way leaves the old file as it was."""
    trial.pull()
    old = trial.target.read_bytes()
    trial.origin.fault("cut", after_bytes=100)
    result = trial.pull("--force", "--retries", 0, code=5)
    assert "error: " in result.stderr
    assert trial.origin.fired("cut") >= 1
    assert trial.target.read_bytes() == old
    trial.origin.behave()
    before = trial.origin.bytes_sent()
    trial.pull("--force")
    assert trial.origin.bytes_sent() - before == SIZE
    trial.assert_exact()


def test_a_changed_file_is_not_believed(trial: Trial) -> None:
    """A finished file whose stat no longer fits its receipt is hashed, and fetched again if it is wrong."""
    options = ("--sha256", trial.content.sha256())
    trial.pull(*options)
    flip(trial.target, SIZE // 3)
    before = trial.origin.bytes_sent()
    trial.pull(*options)
    assert trial.origin.bytes_sent() - before == SIZE
    trial.assert_exact()


@pytest.mark.row("disk/changes-a-segment")
def test_a_disk_that_changes_a_segment_is_found_out(trial: Trial) -> None:
    """A byte that was written right and comes back wrong: that segment alone is fetched again."""
    trial.origin.fault("stall", range_start=0)
    running = trial.spawn("--sha256", trial.content.sha256())
    trial.origin.wait_fired("stall")
    wait_until(lambda: trial.segments_on_disk() == SIZE // SEGMENT - 1, "all segments but the first")
    flip(trial.part / "data", 2 * SEGMENT + 5)
    trial.origin.thaw()
    result = running.wait().check()
    assert "The disk changed 1 segment" in result.stderr
    assert trial.origin.bytes_sent() == SIZE + SEGMENT
    trial.assert_exact()
