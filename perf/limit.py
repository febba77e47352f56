"""What this machine can do at best: limit.c, compiled where it is measured.

A target that even a C loop without Python, checks or a journal does not reach on the same machine in the same round
is out of reach there; the report shows both.
"""

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

SOURCE = Path(__file__).with_name("limit.c")
NAME = "limit"


@functools.cache
def program(compiler: str | None) -> str | None:
    """The compiled program, which goes with this process; None where it cannot be made."""
    if compiler is None:
        return None
    folder = tempfile.mkdtemp(prefix="limit-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = f"{folder}/{NAME}"
    for more in (["-DTLS", "-lssl", "-lcrypto"], []):  # without OpenSSL's headers, HTTP alone
        asked = [compiler, "-O2", "-pthread", str(SOURCE), "-o", path, *more]
        if subprocess.run(asked, check=False, capture_output=True).returncode == 0:
            return path
    return None


def command(compiler: str | None, mode: str, threads: int, url: str, target: Path) -> list[str]:
    """How to fetch url (of an address) into target; mode as limit.c says, for http."""
    parts = urlsplit(url)
    place = [parts.hostname or "", str(parts.port or 80), parts.path]
    mode = mode.replace("recv", "tls") if parts.scheme == "https" else mode
    return [program(compiler) or NAME, mode, str(threads), *place, str(target)]


def is_limit(tool: str) -> bool:
    """Whether this is no downloader that anybody could use."""
    return tool.partition(" ")[0] == NAME
