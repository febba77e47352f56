"""The rules of conftest.py hold: they are tried out on small suites of their own, run by a pytest of their own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
Run = Callable[..., str]
NO_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # a second for each start


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a suite given as text under our conftest; what pytest printed."""

    def run(text: str, **env: str) -> str:
        (tmp_path / "test_it.py").write_text(text, encoding="utf-8")
        words = ["-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rA", "--rootdir", "."]
        done = subprocess.run(
            [sys.executable, *words, "test_it.py"],
            cwd=tmp_path,
            env={
                **{k: v for k, v in os.environ.items() if k != "CI"},
                **NO_PLUGINS,
                "PYTHONPATH": str(ROOT),
                **env,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    return run


SKIPS = """
import pytest
@pytest.mark.skip(reason="no curl here")
def test_marked(): pass
def test_inside(): pytest.skip("no nginx here")
@pytest.mark.xfail(strict=True)
def test_known(): assert False
"""


def test_a_skip_fails_in_ci_and_names_the_test(run: Run) -> None:
    """With CI set, a skipped test is a failure that says which and why; expected failures stay what they are."""
    said = run(SKIPS, CI="true")
    assert "1 failed, 1 xfailed, 1 error" in said
    assert "test_it.py::test_inside was skipped, which CI does not allow" in said
    assert "no nginx here" in said
    assert "2 skipped, 1 xfailed" in run(SKIPS)


def test_a_skipped_module_fails_in_ci(run: Run) -> None:
    """The same for a whole module whose import is not there."""
    text = "import pytest\npytest.importorskip('no_such_module')\n"
    assert "test_it.py was skipped, which CI does not allow" in run(text, CI="1")
    assert "1 skipped" in run(text)


def test_a_thread_left_behind_fails(run: Run) -> None:
    """A thread that outlives its test is named; one that ends in a moment is no fault."""
    said = run(
        """
import threading, time
def test_left(): threading.Thread(target=time.sleep, args=(8,), name="straggler", daemon=True).start()
def test_ends(): threading.Thread(target=time.sleep, args=(0.3,)).start()
"""
    )
    assert "2 passed, 1 error" in said
    assert "test_left left running: thread 'straggler'" in said


def test_a_process_left_behind_fails_even_an_orphan(run: Run, tmp_path: Path) -> None:
    """A process whose parent has died is found by its mark, named, and ended; a session's own is left alone."""
    said = run(
        """
import subprocess, sys, pytest
SLEEP = [sys.executable, "-c", "import time; time.sleep(30)"]
@pytest.fixture(scope="session")
def server():
    process = subprocess.Popen(SLEEP)
    yield process
    assert process.poll() is None
    process.kill()
    process.wait()
def test_uses_the_session(server): pass
def test_orphan():
    code = f"import subprocess as s; print(s.Popen({SLEEP}, stdout=s.DEVNULL, start_new_session=True).pid)"
    pid = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True).stdout
    open("pid", "w").write(pid)
def test_after(server): pass
"""
    )
    assert "3 passed, 1 error" in said
    assert "test_orphan left running: process" in said
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_works_beside_hypothesis(run: Run) -> None:
    """Hypothesis does not take the rule for a fixture that each example would need anew."""
    text = "from hypothesis import given, strategies as st\n@given(st.integers())\ndef test_it(n): pass\n"
    assert "1 passed" in run(text, PYTEST_DISABLE_PLUGIN_AUTOLOAD="")


def test_one_that_wants_to_be_alone_is_alone(run: Run, tmp_path: Path) -> None:
    """While one process of a run is in a test marked `alone`, the other one waits; those come last."""
    said = run(
        """
import pathlib, time, pytest
now = pathlib.Path("now")
now.mkdir(exist_ok=True)
def seen(n, at_least=1):
    mine, until = now / str(n), time.monotonic() + 5
    mine.touch()
    time.sleep(0.05)
    while (count := len(list(now.iterdir()))) < at_least and time.monotonic() < until:
        time.sleep(0.01)
    mine.unlink()
    return count
@pytest.mark.alone
@pytest.mark.parametrize("n", range(4))
def test_alone(n): assert seen(n) == 1
@pytest.mark.parametrize("n", range(10, 20))
def test_beside(n): pathlib.Path(f"most-{seen(n, 1 if pathlib.Path('most-2').exists() else 2)}").touch()
""",
        PYTEST_ADDOPTS="-p xdist -n 2 -v",
    )
    assert "14 passed" in said
    assert (tmp_path / "most-2").exists()
    for worker in ("[gw0]", "[gw1]"):  # which of the two is first at the door is left to them
        order = [
            "alone" in line for line in said.splitlines() if "PASSED" in line and line.startswith(worker)
        ]
        assert order == sorted(order)


def test_home_is_empty_and_the_environment_clean(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """`home` takes proxies, tokens and endpoints away, however they are written."""
    for name in (
        "http_proxy",
        "HTTPS_PROXY",
        "NO_PROXY",
        "HF_TOKEN",
        "HF_ENDPOINT",
        "SSL_CERT_FILE",
        "OLLAMA_MODELS",
    ):
        monkeypatch.setenv(name, "x")
    home = request.getfixturevalue("home")
    assert os.environ["JARVIS_HOME"] == str(home)
    assert not home.exists()
    left = [
        n for n in os.environ if n.lower().endswith("_proxy") or n.startswith(("HF_T", "HF_E", "SSL_", "OLL"))
    ]
    assert not left


def test_the_real_models_are_real(minilm: Path, gguf_file: Path) -> None:
    """The safetensors file is the 90 MB one, and the GGUF can be read back: bert, 6 blocks, 101 tensors."""
    assert (minilm / "model.safetensors").stat().st_size > 90_000_000
    assert (minilm / "tokenizer.json").exists()
    gguf = pytest.importorskip("gguf")
    reader = gguf.GGUFReader(gguf_file)
    assert reader.get_field("general.architecture").contents() == "bert"
    assert reader.get_field("bert.block_count").contents() == 6
    assert len(reader.tensors) == 101
    assert sum(tensor.n_elements for tensor in reader.tensors) > 22_000_000
