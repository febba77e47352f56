"""All pages: links, names of files, options."""

import re
from pathlib import Path

import click
import pytest

from engine.console.commands import cli
from tests.command import ROOT
from tests.integration.docs.pages import GUIDE, PAGES, text_of


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links name files that are there, and headings that are in them."""
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, (
                link
            )


@pytest.mark.parametrize("name", ["docs/architecture.md", "docs/formats.md", "CONTRIBUTING.md"])
def test_files_that_a_page_names_exist(name: str) -> None:
    """Paths in backticks are in the project, seen from its root or from engine/."""
    named = re.findall(r"`(\w[\w.]*/[\w./]*(?:\.py|/))`", text_of(name))
    assert named
    for path in named:
        assert (ROOT / path).exists() or (ROOT / "engine" / path).exists(), path


def test_options_that_the_documents_name_exist() -> None:
    """Every --option in README and guide is one of the command's."""
    assert isinstance(cli, click.Group)
    known = {
        name
        for command in cli.commands.values()
        for parameter in command.params
        for name in parameter.opts
        if isinstance(parameter, click.Option)
    }
    known |= {"--help", "--version"}
    for page in [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "docs/errors.md",
        ROOT / "docs/api.md",
        *GUIDE,
    ]:
        text = page.read_text(encoding="utf-8").partition("\n## Not there yet\n")[0]
        text = re.sub(
            r"\b(?:skopeo|ollama) [^`\n]*", "", text
        )  # other people's commands have options of their own
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))
        assert named <= known, page


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """The last line of .ci/run is the command that README gives for the tests."""
    command = text_of(".ci/run").rstrip().splitlines()[-1]
    assert f"    {command}\n" in text_of("README.md")
    assert f"    {command}\n" in text_of("CONTRIBUTING.md")
