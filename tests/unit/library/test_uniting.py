"""engine.library.uniting: what a manifest is after more of its model was pulled."""

from typing import Any

import pytest

from engine.library.uniting import unite
from engine.manifest_record import ModelManifest

ALL, ONLY_A, ONLY_C = {}, {"file": "a"}, {"file": "c"}


def manifest(names: str, choice: dict[str, Any], revision: str | None = "r1", **more: Any) -> ModelManifest:
    """A model whose files have one letter, and a content that the revision makes."""
    fields = {"model_key": "k", "registry": "r", "namespace": "n", "repository": "m"}
    made = ModelManifest(**fields, revision=revision, choice=choice, **more)
    for name in names:
        made.add_layer(name, f"{ord(name) + len(revision or ''):064x}", 1)
    made.mark_verified()
    return made


CASES = [
    ("nothing is kept yet", None, ("ab", ALL), "ab", [ALL]),
    ("a narrower choice takes nothing away", ("ab", ALL), ("a", ONLY_A), "ab", [ALL]),
    ("the same again", ("ab", ALL), ("ab", ALL), "ab", [ALL]),
    ("a choice beside it adds to it", ("ab", ALL), ("c", ONLY_C), "abc", [ALL, ONLY_C]),
    ("a wider one comes in place of it", ("a", ONLY_A), ("ab", ALL), "ab", [ALL]),
    ("two that overlap", ("ab", ONLY_A), ("bc", ONLY_C), "abc", [ONLY_A, ONLY_C]),
    ("two that bring the same", ("ab", ALL), ("ba", ONLY_A), "ba", [ALL]),
]


@pytest.mark.parametrize(
    ("why", "known", "fresh", "files", "choices"), CASES, ids=[case[0] for case in CASES]
)
def test_what_one_revision_brought_stays(
    why: str, known: Any, fresh: Any, files: str, choices: list[Any]
) -> None:
    """Files in the order of the main one first, and the choices that brought them, as far as they matter."""
    after = manifest(*fresh)
    unite(after, manifest(*known) if known else None)
    assert "".join(layer.filename for layer in after.layers) == files
    assert [one.choice for one in after.selected] == choices
    assert after.choice == choices[0]
    assert after.verified


@pytest.mark.parametrize(
    ("known", "fresh"),
    [
        (("ab", ALL, "r1"), ("a", ONLY_A, "r22")),
        (("ab", ALL, None), ("a", ONLY_A, None)),
        (("ab", {"revision": "v1"}), ("a", ONLY_A)),
    ],
    ids=["another revision", "no revision", "asked for by another name"],
)
def test_a_new_revision_begins_anew(known: Any, fresh: Any) -> None:
    """Only what is pulled now, for what was pulled then may be another content by now, or move on by itself."""
    after = manifest(*fresh)
    unite(after, manifest(*known))
    assert [layer.filename for layer in after.layers] == ["a"]
    assert [one.choice for one in after.selected] == [ONLY_A]


def test_what_is_not_verified_stays_so() -> None:
    """The union is as sound as both."""
    known, after = manifest("ab", ALL), manifest("c", ONLY_C)
    known.verified = False
    unite(after, known)
    assert not after.verified


def test_three_choices_meet() -> None:
    """Two narrow ones, and then the one that has them all."""
    first, second, third = manifest("a", ONLY_A), manifest("c", ONLY_C), manifest("abc", ALL)
    unite(second, first)
    assert [one.choice for one in second.selected] == [ONLY_A, ONLY_C]
    unite(third, second)
    assert [one.choice for one in third.selected] == [ALL]


def test_what_is_known_of_a_model_stays_known() -> None:
    """Also across revisions; its quantization while the files are the same."""
    known = manifest("ab", ALL, context_length=4096, architecture="llama", quantization="Q4_K_M")
    after = manifest("a", ONLY_A)
    unite(after, known)
    assert (after.context_length, after.architecture, after.quantization) == (4096, "llama", "Q4_K_M")
