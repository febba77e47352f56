"""The shapes of trees and pages."""

from pathlib import Path

import pytest

from engine.server import tree
from engine.server.catalogue import Catalogue, Listing
from tests.unit.server.conftest import write


@pytest.fixture
def listing(root: Path) -> Listing:
    write(root / "acme/tiny/sub.txt", b"")
    return Catalogue(root).listing("acme/tiny")


@pytest.mark.parametrize(
    ("folder", "recursive", "paths"),
    [
        ("", False, ["config.json", "sub/", "sub.txt", "weights.gguf"]),
        ("", True, ["config.json", "sub/", "sub.txt", "sub/deep/", "sub/deep/a.txt", "weights.gguf"]),
        ("sub", False, ["sub/deep/"]),
        ("sub", True, ["sub/deep/", "sub/deep/a.txt"]),
        ("sub/deep", False, ["sub/deep/a.txt"]),
        ("su", True, []),
        ("config.json", True, []),
        ("nope", False, []),
    ],
)
def test_nodes_in_a_folder(listing: Listing, folder: str, recursive: bool, paths: list[str]) -> None:
    """A folder shows its files and folders; recursively, all of them below it."""
    nodes = tree.nodes_in(listing, folder, recursive=recursive)
    assert [node.path + ("" if node.entry else "/") for node in nodes] == paths


def test_nodes_at_leaves_unknown_paths_out(listing: Listing) -> None:
    """Files and folders are described in the order asked, once each; what does not exist is omitted."""
    nodes = tree.nodes_at(listing, ["sub/deep/", "nope", "config.json", "sub", "", "config.json", "../x"])
    assert [node.path for node in nodes] == ["sub/deep", "config.json", "sub"]


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7])
def test_pages_hold_every_node_once(listing: Listing, count: int) -> None:
    """Following pages by the last path shows every node exactly once, in order."""
    nodes = tree.nodes_in(listing, "", recursive=True)
    seen: list[tree.Node] = []
    rest = 1
    while rest:
        page, rest = tree.page_of(nodes, seen[-1].path if seen else "", count)
        assert 0 < len(page) <= count
        seen += page
    assert seen == nodes


@pytest.mark.parametrize(
    ("mtime_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000_123_000_000, "2023-11-14T22:13:20.123Z"),
        (10**30, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_written_as_the_hub_does(mtime_ns: int, text: str) -> None:
    """UTC with milliseconds and a Z; a date that no calendar holds does not break the answer."""
    assert tree._time(mtime_ns) == text
