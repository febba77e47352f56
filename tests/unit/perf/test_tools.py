"""Every run begins with nothing, and with the engine that the report names."""

from pathlib import Path

import pytest

from perf.tools import OURS, TOOLS, Job, Kit

KIT = Kit(["/opt/jarvis"], "/opt/python", import_path="/checkout", path="/usr/bin")


def environment(tool: str, url: str = "http://127.0.0.1/x") -> dict[str, str]:
    return KIT.environment(TOOLS[tool], Job(url, Path("/t/x"), Path("/home-7"), Path("/ca.pem")))


@pytest.mark.parametrize("name", TOOLS)
def test_nothing_but_a_fresh_home_is_known_to_a_run(name, monkeypatch):
    """Figures remembered below the home, or set for the person who runs the harness, favour nobody."""
    for variable in ("JARVIS_HOME", "XDG_CACHE_HOME", "HF_HOME", "http_proxy"):
        monkeypatch.setenv(variable, "/elsewhere")
    found = environment(name)
    assert found["HOME"] == "/home-7"
    assert found["JARVIS_HOME"] == "/home-7/jarvis"
    assert set(found) <= {"PATH", "HOME", "LANG", "JARVIS_HOME", "PYTHONPATH", "HF_ENDPOINT"}


def test_only_ours_is_told_where_the_engine_lies():
    """A peer written in Python keeps its own packages."""
    assert {name for name in TOOLS if "PYTHONPATH" in environment(name)} == {
        name for name, tool in TOOLS.items() if tool.program == OURS
    }


@pytest.mark.parametrize(
    ("job", "options"),
    [({}, []), ({"hash_none": True}, ["--hash", "none"]), ({"sha256": "ab"}, ["--sha256", "ab"])],
)
def test_ours_runs_with_its_defaults_unless_the_row_is_about_hashing(job, options):
    """What the peers do not compute is left out only where the row says so."""
    words = TOOLS["jarvis"].command(KIT, Job("http://h/x", Path("/t/x"), Path("/h"), Path("/c"), **job))
    assert [word for word in words if word in ("--hash", "none", "--sha256", "ab")] == options
