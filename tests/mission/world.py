"""Where the document's programs run: a folder, a Hub, a server of one's own, and a proxy that leads to them."""

import hashlib
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.certificates import Certificates
from tests.command import ROOT
from tests.connect_proxy import ConnectProxy
from tests.hub import Hub
from tests.mission.gguf import write_tiny_gguf
from tests.mission.own_server import OwnServer
from tests.origin import Origin

SITE, CONTENT, OWN = "huggingface.co", "cdn-lfs.huggingface.co", "models.jarviscore.ai"
VARIANTS = ("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q6_K", "Q8_0")
MISTRAL = "second-state/Mistral-Nemo-Instruct-2407-GGUF"
QWEN = "bartowski/Qwen2.5-7B-Instruct-GGUF"
DEEPSEEK = "bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF"
Q4 = "Mistral-Nemo-Instruct-2407-Q4_K_M.gguf"
PRIVATE = "me/private-GGUF"
SET, IN_ENVIRONMENT = "hf_SetByTheProgram", "hf_FromTheEnvironment"
"""Tokens, by where they come from."""
_TIMEOUT_S = 100.0


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def setup(mistral: dict[str, bytes]) -> dict[str, str]:
    """What the first example leaves open: the digest of its file."""
    return {'"abc123..."  # Optional': f'"{sha256(mistral[Q4])}"'}


@dataclass(frozen=True)
class Ended:
    """A program that has ended."""

    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


class World:
    """From `with` to its end. Programs run in `folder`, with an environment that has proxy and authority, and
    nothing else that leads to these servers."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.folder = folder / "work"
        self.models = folder / "models"
        """What the own server hands out, and where the Hub's files are made."""
        self._certificates = certificates
        self._stack = ExitStack()
        self.folder.mkdir()
        self.models.mkdir()

    def __enter__(self) -> Self:
        identity = self._certificates.issue("mission", SITE, CONTENT, OWN)
        enter = self._stack.enter_context
        self.hub = Hub(enter(Origin(tls=identity)), enter(Origin(tls=identity)), f"https://{CONTENT}")
        self.own = enter(OwnServer(self.models, OWN, identity))
        ports = {SITE: self.hub.site.port, CONTENT: self.hub.content.port, OWN: self.own.port}
        self.proxy = enter(ConnectProxy(ports))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def make(self, repository: str, *names: str) -> dict[str, bytes]:
        """GGUF files of these names in the repository's folder, which the own server shows."""
        return {name: write_tiny_gguf(self.models / repository / name) for name in names}

    def publish(self, repository: str, *names: str, **manners: Any) -> dict[str, bytes]:
        """The same on the Hub; manners are Hub.add's. Without names: the document's five variants."""
        stem = repository.rpartition("/")[2].removesuffix("-GGUF")
        files = self.make(repository, *(names or (f"{stem}-{variant}.gguf" for variant in VARIANTS)))
        self.hub.add(repository, files, **manners)
        return files

    def run(self, program: str, code: int = 0, **environment: str) -> Ended:
        """Run a program as a plain script; AssertionError with all it said when it ends otherwise than with code."""
        script = self.folder.parent / "program.py"
        script.write_text(program, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "HTTPS_PROXY": self.proxy.url,
                "SSL_CERT_FILE": str(self._certificates.cacert),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            encoding="utf-8",
            timeout=_TIMEOUT_S,
        )
        assert done.returncode == code, (
            f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}\n{program}"
        )
        return Ended(done.stdout, done.stderr)

    def read(self, path: str) -> bytes:
        """A file below the folder that the program ran in."""
        return (self.folder / path).read_bytes()
