"""skopeo, Debian's client of container registries: it checks every digest, so it is the witness for what we serve."""

import shutil
import subprocess
from pathlib import Path

import pytest


def skopeo(*words: str | Path, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run it to its end, with no policy and no credentials of this machine."""
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    return subprocess.run(
        ["skopeo", "--insecure-policy", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def skopeo_copy(source: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """From a registry that speaks http into folder: `manifest.json`, and each blob under its digest's value."""
    return skopeo("copy", "--src-tls-verify=false", f"docker://{source}", f"dir:{folder}")
