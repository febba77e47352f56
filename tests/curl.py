"""curl as a client that does exactly what it is told, one request after the other."""

import subprocess
from pathlib import Path


class Curl:
    """What curl made of an address: exit code, body, and the last answer's status and headers."""

    def __init__(self, folder: Path, url: str, *options: str, time_s: float = 20) -> None:
        body, head = folder / "curl-body", folder / "curl-head"
        for path in (body, head):
            path.unlink(missing_ok=True)
        words = ["curl", "-sS", "--noproxy", "*", "-o", str(body), "-D", str(head), "-m", str(time_s)]
        done = subprocess.run(  # the exit code is what tests look at
            [*words, *options, url], capture_output=True, text=True, timeout=time_s + 10, check=False
        )
        self.code, self.stderr = done.returncode, done.stderr
        self.body = body.read_bytes() if body.exists() else b""
        heads = head.read_bytes().decode("latin-1").split("\r\n\r\n") if head.exists() else []
        lines = heads[-2].splitlines() if len(heads) > 1 else []
        self.status = int(lines[0].split()[1]) if lines else None
        self.headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:]) if k}
