"""The origin that is downloaded from: a real nginx of our own, with its own configuration in a temporary folder.

/plain/ serves files as nginx users serve them (sendfile, tcp_nopush, no log). /paced/ serves the same files,
16 MiB/s a connection at most, and logs every request; sendfile_max_chunk keeps the rate limit from
letting a burst through, so that what the log calls sent is what the client received, give or take
a socket buffer.
"""

import contextlib
import importlib
import os
import pwd
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.measure import wait_until

PACE = "16m"

CONFIG = """\
{user}worker_processes auto;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format requests '$msec $request_time $connection $status $body_bytes_sent "$http_range"';
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_certificate {folder}/origin.pem;
  ssl_certificate_key {folder}/origin.pem;
  server {{
    listen 127.0.0.1:{http_port};
    listen 127.0.0.1:{tls_port} ssl;
    location = /status {{ stub_status; }}
    {locations}
  }}
}}
"""

LOCATION = "location /{name}/ {{ alias {files}/; {directives} }}\n    "


@dataclass(frozen=True)
class Origin:
    """A running nginx: where its files lie, and what their URLs are."""

    folder: Path
    http_port: int
    tls_port: int

    @property
    def files(self) -> Path:
        return self.folder / "files"

    @property
    def cacert(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def paced_log(self) -> Path:
        return self.folder / "paced.log"

    def url(self, name: str, *, tls: bool = False, location: str = "plain") -> str:
        base = f"https://127.0.0.1:{self.tls_port}" if tls else f"http://127.0.0.1:{self.http_port}"
        return f"{base}/{location}/{name}"

    def wait_idle(self, timeout_s: float = 10.0) -> bool:
        """Wait until nginx has noticed every closed connection, and so written every line of its log."""
        return wait_until(lambda: self._active_connections() == 1, timeout_s, every_s=0.05)

    def _active_connections(self) -> int:
        """As stub_status counts them, the asking one included."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/status", timeout=5) as answer:
            return int(answer.readline().split(b":")[1])

    def masks(self) -> dict[str, str]:
        """What stands in reports in place of this run's ports."""
        return {f"127.0.0.1:{self.http_port}": "$HTTP", f"127.0.0.1:{self.tls_port}": "$HTTPS"}


def locations(folder: Path) -> dict[str, str]:
    """nginx directives by location; a new kind of link is one more line here."""
    return {
        "plain": "",
        "paced": f"limit_rate {PACE}; sendfile_max_chunk 128k; access_log {folder}/paced.log requests;",
    }


def nginx_program() -> str | None:
    """nginx's path, looked for where root's PATH has it too; None when it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Origin]:
    """nginx over folder/files until the block ends; raises RuntimeError when it does not come up."""
    program = nginx_program()
    if program is None:
        raise RuntimeError("nginx is not installed; the harness needs it (perf/README.md)")
    (folder / "files").mkdir(parents=True, exist_ok=True)
    _make_certificate(folder)
    origin = Origin(folder, *_free_ports(2))
    (folder / "nginx.conf").write_text(_config(origin))
    command = [program, "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: process.poll() is not None or _accepts(origin.tls_port), 10.0)
        if process.poll() is not None or not _accepts(origin.http_port):
            raise RuntimeError(f"nginx does not start: {(folder / 'error.log').read_text()[-500:]}")
        yield origin
    finally:
        process.terminate()
        process.wait(10)


def _config(origin: Origin) -> str:
    # nginx started by root would serve as nobody, who cannot read a private temporary folder.
    user = f"user {pwd.getpwuid(0).pw_name};\n" if os.getuid() == 0 else ""
    shown = "".join(
        LOCATION.format(name=name, files=origin.files, directives=directives)
        for name, directives in locations(origin.folder).items()
    )
    ports = {"http_port": origin.http_port, "tls_port": origin.tls_port}
    return CONFIG.format(user=user, folder=origin.folder, locations=shown.rstrip(), **ports)


def _make_certificate(folder: Path) -> None:
    """An authority (ca.pem) and a certificate by it for the loopback address (origin.pem)."""
    trustme: Any = importlib.import_module("trustme")  # the type check runs without perf's requirements
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost", common_name="127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "origin.pem"))


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; all are held at once while picking, so no two are the same."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def version() -> str | None:
    """nginx's own version, None when it is not installed."""
    program = nginx_program()
    if program is None:
        return None
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    return said.strip().rpartition("/")[2] or None
