"""How a request's target is taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.server.target import BadTarget, Target, parse_fields


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("/", ("",)),
        ("/a/b", ("a", "b")),
        ("/a//b/", ("a", "", "b", "")),
        ("/a/../b", ("a", "..", "b")),
        ("/a%2Fb/%2e%2E", ("a/b", "..")),
        ("/ca%252Fche/to%3F", ("ca%2Fche", "to?")),
        ("/a+b", ("a+b",)),
        ("/%C3%A9", ("é",)),
    ],
)
def test_segments_are_decoded_once_after_splitting(text: str, segments: tuple[str, ...]) -> None:
    """A segment is what stands between slashes as sent; nothing is tidied up, nothing decoded twice."""
    assert Target.parse(text).segments == segments


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "*",
        "http://host/a",
        "/%",
        "/%2",
        "/%zz",
        "/%00",
        "/%ff",
        "/%C0%AF",
        "/a#b",
        "/a b",
        "/a?x=%g1",
    ],
)
def test_malformed_targets_are_refused(text: str) -> None:
    """What is no origin-form, or no percent-encoded UTF-8, raises BadTarget."""
    with pytest.raises(BadTarget):
        Target.parse(text)


def test_query_fields_keep_their_order_and_the_last_value_counts() -> None:
    """Repeated fields are all kept; where one value is wanted it is the last."""
    target = Target.parse("/t?expand=a&expand=b&recursive=True&empty&plus=a+b%2B")
    assert target.all("expand") == ["a", "b"]
    assert target.get("expand") == "b"
    assert target.is_set("recursive")
    assert not target.is_set("empty")
    assert target.get("plus") == "a b+"
    assert target.get("absent", "7") == "7"


@given(st.text(max_size=60))
def test_only_the_declared_error_comes_out(text: str) -> None:
    """Strangers' text either parses or raises BadTarget."""
    for parse in (Target.parse, parse_fields):
        try:
            parse(text)
        except BadTarget:
            pass
