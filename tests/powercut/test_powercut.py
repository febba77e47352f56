"""Some hundred states of the ten thousand that `python -m tests.powercut` tries, and every planted mistake."""

from collections.abc import Iterator

import pytest

from tests.powercut import plants
from tests.powercut.plants import belief, planted
from tests.powercut.scenes import Scene, can_record, recorded
from tests.powercut.tape import Extent
from tests.powercut.verdict import explore

pytestmark = pytest.mark.skipif(not can_record(), reason="strace is not installed")

STATES = 30
PATIENCE = 40


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A file without a digest: nothing catches later what a resume has believed."""
    with recorded("no digest") as scene:
        yield scene


@pytest.mark.parametrize("name", ["stopped", "killed", "stored", "small files"])
def test_a_power_cut_never_leaves_what_is_believed_and_wrong(name: str) -> None:
    """A final name is complete, a receipt is true, what was done is there, and the next pull is exact."""
    with recorded(name) as scene:
        found = explore(scene, STATES, whole_every=15)
    assert found.first == {}
    assert found.states == STATES
    assert found.whole_pulls == 2
    assert found.anew > 0


def test_without_a_digest_the_checks_of_segments_are_enough(scene: Scene) -> None:
    """Likewise, and some of what had come is held."""
    found = explore(scene, STATES, whole_every=15)
    assert found.first == {}
    assert found.resumed > 0
    assert len(data_of(scene)) >= 64


def data_of(scene: Scene) -> list[Extent]:
    """What lanes wrote of segments."""
    inode = scene.tape.find(scene.target)
    return [op for op in scene.tape.operations if isinstance(op, Extent) and op.inode == inode]


def has_found(scene: Scene, problem: str, since: float = 0) -> bool:
    """Whether some state has this problem: a few at a time, until one has."""
    return any(explore(scene, 10, seed, since=since).problems[problem] for seed in range(PATIENCE))


def end_of_data(scene: Scene) -> float:
    return max(op.end for op in data_of(scene))


def test_a_believed_journal_is_found(scene: Scene) -> None:
    """A resume that does not compare held segments ends with content that is not the file's."""
    with belief():
        assert has_found(scene, "the next pull ends with another content")


def test_a_rename_before_the_sync_of_the_data_is_found(scene: Scene) -> None:
    """A name that is there before its bytes."""
    with planted(scene, plants.rename_before_sync):
        assert has_found(scene, "a final name has another content", end_of_data(scene))


def test_a_receipt_before_the_sync_of_the_data_is_found(scene: Scene) -> None:
    """Where the rename is, too: else there is nothing yet that the receipt would fit."""
    with planted(scene, plants.rename_and_receipt_before_sync):
        assert has_found(scene, "a receipt vouches for another content", end_of_data(scene))


def test_a_journal_without_a_sync_is_found(scene: Scene) -> None:
    """What it costs is all that had come."""
    with planted(scene, plants.journal_without_sync):
        assert has_found(scene, "data without its journal")


def test_a_folder_without_a_sync_is_found(scene: Scene) -> None:
    """What was told as done may be gone."""
    with planted(scene, plants.no_folder_sync):
        assert has_found(scene, "what was done is gone", scene.done)


@pytest.mark.parametrize("plant", [plants.receipt_before_folder_sync, plants.receipt_before_all_syncs])
def test_a_receipt_that_is_early_is_harmless_alone(scene: Scene, plant: plants.Plant) -> None:
    """It fits only the inode that gets the name after its sync."""
    with planted(scene, plant):
        assert explore(scene, STATES, since=end_of_data(scene)).first == {}
