"""Some hundred states of the ten thousand that `python -m tests.powercut` tries, and every planted mistake."""

from collections.abc import Iterator

import pytest

from tests.powercut import plants
from tests.powercut.plants import belief, planted
from tests.powercut.scenes import Scene, can_record, recorded
from tests.powercut.tape import Extent
from tests.powercut.verdict import Findings, explore

pytestmark = pytest.mark.skipif(not can_record(), reason="strace is not installed")

STATES = 40


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A file without a digest: nothing catches later what a resume has believed."""
    with recorded("no digest") as scene:
        yield scene


@pytest.mark.parametrize("name", ["stopped", "killed", "stored", "small files"])
def test_a_power_cut_never_leaves_what_is_believed_and_wrong(name: str) -> None:
    """A final name is complete, a receipt is true, what was done is there, and the next pull is exact."""
    with recorded(name) as scene:
        found = explore(scene, STATES, whole_every=20)
    assert found.first == {}
    assert found.states == STATES
    assert found.whole_pulls == 2
    assert found.anew > 0


def test_without_a_digest_the_checks_of_segments_are_enough(scene: Scene) -> None:
    """Likewise, and much of what had come is held."""
    found = explore(scene, STATES, whole_every=20)
    assert found.first == {}
    assert found.resumed > STATES // 10
    assert any(len(op.data) > 4096 for op in scene.tape.operations if isinstance(op, Extent))


def with_plant(scene: Scene, plant: plants.Plant, since: float | None = None) -> Findings:
    """As a rule from where the last bytes were written on."""
    if since is None:
        since = max(op.end for op in scene.tape.operations if isinstance(op, Extent) and len(op.data) > 4096)
    with planted(scene, plant):
        return explore(scene, STATES, since=since)


def test_a_believed_journal_is_found(scene: Scene) -> None:
    """A resume that does not compare held segments ends with content that is not the file's."""
    with belief():
        found = explore(scene, STATES)
    assert found.problems["the next pull ends with another content"] > 0


def test_a_rename_before_the_sync_of_the_data_is_found(scene: Scene) -> None:
    """A name that is there before its bytes."""
    found = with_plant(scene, plants.rename_before_sync)
    assert found.problems["a final name has another content"] > 0


def test_a_receipt_before_the_sync_of_the_data_is_found(scene: Scene) -> None:
    """Where the rename is, too: else there is nothing yet that the receipt would fit."""
    found = with_plant(scene, plants.rename_and_receipt_before_sync)
    assert found.problems["a receipt vouches for another content"] > 0


@pytest.mark.parametrize("plant", [plants.receipt_before_folder_sync, plants.receipt_before_all_syncs])
def test_a_receipt_that_is_early_is_harmless_alone(scene: Scene, plant: plants.Plant) -> None:
    """It fits only the inode that gets the name after its sync."""
    assert with_plant(scene, plant).first == {}


def test_a_journal_without_a_sync_is_found(scene: Scene) -> None:
    """It corrupts nothing; what it costs is all that had come."""
    found = with_plant(scene, plants.journal_without_sync, since=0)
    assert set(found.problems) == {"data without its journal"}


def test_a_folder_without_a_sync_is_found(scene: Scene) -> None:
    """What was told as done may be gone."""
    found = with_plant(scene, plants.no_folder_sync, scene.done)
    assert found.problems["what was done is gone"] > 0
