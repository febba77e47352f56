"""Every seed and every finding of the past, again; and what fuzzers come up with in a moment, the same in every run."""

import pytest

from tests.fuzz import bounds
from tests.fuzz.bounds import TooLarge, TooSlow, bounded, guarded
from tests.fuzz.by_hypothesis import Found, examples
from tests.fuzz.corpus import ROOT, seeds
from tests.fuzz.documents import one_of
from tests.fuzz.target import simple
from tests.fuzz.targets import TARGETS

EXAMPLES = 60


@pytest.fixture
def _home(home):
    """No target writes into the user's own folders."""


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_findings_of_the_past_do_no_harm(name, _home):
    """What once broke a parser, and what is sound, is taken in time, in little memory, or refused as declared."""
    with guarded(), TARGETS[name].opened() as run:
        for data in seeds(name).values():
            with bounded():
                run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_fuzzer_comes_up_with_does_no_harm(name, _home):
    """So is what is made of sound documents by a few edits."""
    examples(TARGETS[name], EXAMPLES)


def test_every_target_has_seeds_and_they_are_few():
    """No corpus is without its target, or the other way round, and all of them are small."""
    assert {path.name for path in ROOT.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file()) < 200_000


def _harm(data: bytes) -> None:
    if data.startswith(b"loop"):
        while True:
            pass
    if data.startswith(b"eat"):
        bytearray(b"x" * (100 << 20))
    if data.startswith(b"raise"):
        raise ValueError("undeclared")


@pytest.mark.parametrize(("word", "fault"), [("loop", TooSlow), ("eat", TooLarge), ("raise", ValueError)])
def test_the_fuzzer_notices(word, fault, monkeypatch):
    """An input that takes for ever, that takes 200 MiB, and one that raises what is not declared are told."""
    monkeypatch.setattr(bounds, "SECONDS", 0.05)
    target = simple("harm", one_of(f"x {word}"), "a b")(_harm)
    with pytest.raises(Found) as found:
        examples(target, 100)
    assert isinstance(found.value.__cause__, fault)
    assert found.value.data.startswith(word.encode())
