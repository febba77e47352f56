"""The servers that a page's commands meet, and a shell in an empty folder."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from engine.store.journal import read_records
from tests.command import ROOT
from tests.journals import journals_below
from tests.origin import File, Origin

TOKEN = "hf_YourTokenHere"
COMMIT = "7d5a9f2e6b1c4038af52d9e0c6b7a1f3e8d40c95"


_TIMEOUT_S = 60.0


class World:
    """The servers that a page's commands meet, and a shell in an empty folder."""

    def __init__(self, folder: Path, origin: Origin, hub: str, registry: str | None = None) -> None:
        """registry: host and port of an OCI registry, which pages call localhost:5000."""
        self.folder = folder
        self._registry = registry or "localhost:5000"
        self.work = folder / "work"
        self.work.mkdir()
        self._origin = origin
        self._hub = hub
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = str(free.getsockname()[1])
        self._background: list[subprocess.Popen[bytes]] = []
        (folder / "bin").mkdir()
        self._put_on_path("jarvis", '-c "from engine.cli import main; main()"')
        self._put_on_path("python", "")

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "JARVIS_HOME"}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        hub = {"HF_ENDPOINT": self._hub, "HF_HUB_DISABLE_TELEMETRY": "1"}
        return {**kept, **hub, "PATH": path, "PYTHONPATH": str(ROOT)}

    def _put_on_path(self, name: str, words: str) -> None:
        script = self.folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        script.chmod(0o755)

    def translate(self, text: str) -> str:
        """A document's addresses become local ones."""
        text = text.replace("https://models.example.org", self._origin.base).replace("8080", self._port)
        return text.replace("localhost:5000", self._registry)

    def shown(self, printed: str) -> str:
        """And back. Errors break up a "404" in an address, which a port may hold by chance."""
        printed = printed.replace("\u2060", "")
        for real, name in (
            (self._origin.base, "https://models.example.org"),
            (self._hub, "https://huggingface.co"),
            (self._registry, "localhost:5000"),
            (f"/llm/{self._registry.replace(':', '_')}/", "/llm/localhost_5000/"),
            (str(self.folder / "user"), "/home/ada"),
            (str(self.work), "/home/ada/work"),
            (f"127.0.0.1:{self._port}", "127.0.0.1:8080"),
            ("that 127.0.0.1 publishes", "that huggingface.co publishes"),
        ):
            printed = printed.replace(real, name)
        return printed

    def start(self, command: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            ["bash", "-c", f"exec 2>&1\n{self.translate(command)}"],
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._background.append(process)
        return process

    def run(self, command: str, shown: str) -> str:
        """What the command printed. "^C" on a line of what is shown: it is interrupted once something is kept."""
        process = self.start(command)
        if "^C" in shown.splitlines():
            self._wait_kept()
            os.killpg(process.pid, signal.SIGINT)
        if command.endswith("&"):
            return self._first_lines(process, len(shown.splitlines()))
        printed, _ = process.communicate(timeout=_TIMEOUT_S)
        return self.shown(printed.decode())

    def _first_lines(self, process: "subprocess.Popen[bytes]", count: int) -> str:
        assert process.stdout is not None
        return self.shown(b"".join(process.stdout.readline() for _ in range(count)).decode())

    def _wait_kept(self) -> None:
        """Until a journal holds more than its header."""
        until = time.monotonic() + 20
        while not any(len(read_records(journal)[0]) > 1 for journal in journals_below(self.folder)):
            assert time.monotonic() < until, "nothing was kept"
            time.sleep(0.01)

    def close(self) -> None:
        for process in self._background:
            if process.stdout is not None:
                process.stdout.close()
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(10)


def add_model(origin: Origin, repository: str, name: str, data: bytes, bearer: str | None) -> None:
    """A repository of one large file, as the Hub serves it."""
    digest = hashlib.sha256(data).hexdigest()
    tree = [
        {
            "type": "file",
            "path": name,
            "size": len(data),
            "oid": "0" * 40,
            "lfs": {"oid": digest, "size": len(data)},
        }
    ]
    for path, answer in (("revision/main", {"sha": COMMIT}), (f"tree/{COMMIT}", tree)):
        origin.add(f"api/models/{repository}/{path}", File(json.dumps(answer).encode(), bearer=bearer))
    origin.add(
        f"{repository}/resolve/{COMMIT}/{name}", File(data, bearer=bearer, headers={"X-Repo-Commit": COMMIT})
    )
