"""Interpreters that have a foreign client installed."""

import fcntl
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement


def python_with(cache: Path, *requirements: str) -> Path:
    """An interpreter where these exact requirements are installed: this one, or one made once below cache."""
    if all(_is_installed(Requirement(text)) for text in requirements):
        return Path(sys.executable)
    tag = f"py{sys.version_info.major}{sys.version_info.minor}"
    home = cache / "-".join([tag, *(text.replace("==", "-") for text in requirements)])
    python = home / "bin" / "python"
    done = home / "installed"
    with (cache / f"{home.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes of one run want it at once
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", *requirements], check=True)
            done.touch()
    return python


def _is_installed(requirement: Requirement) -> bool:
    try:
        return metadata.version(requirement.name) in requirement.specifier
    except metadata.PackageNotFoundError:
        return False


def hub_environment(endpoint: str, home: Path) -> dict[str, str]:
    """Environment of a Hub client that talks to endpoint and keeps everything below home."""
    kept = {
        k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("HF_")
    }
    return kept | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_TOKEN": "hf_dummy",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "10",
    }
