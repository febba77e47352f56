"""The origin that is downloaded from: a real nginx of our own, with its own configuration in a temporary folder.

/plain/ serves files as nginx users serve them (sendfile, tcp_nopush, no log). /paced/ serves the same files,
16 MiB/s a connection at most, and logs every request; sendfile_max_chunk keeps the rate limit from
letting a burst through, so that what the log calls sent is what the client received, give or take
a socket buffer. /capped-40m/ and /capped-50m/ hold each connection to so many MB/s, /unequal/ holds some to far less
than others: which one is slow is its connection's fate for as long as it lasts, as with the edges of a CDN.
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
from perf.namespace import Namespace

PACE = "16m"
UNEQUAL_EDGES = "15% 1000000; 25% 15000000; * 60000000;"
"""Bytes a second by share of connections."""

EDGE_RATE = "/edge-rate"
"""Says which of them the asking connection has."""

CONFIG = """\
{user}worker_processes auto;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format requests '$msec $request_time $connection $status $body_bytes_sent "$http_range"';
  access_log off;
  split_clients "$connection" $edge_rate {{ {edges} }}
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
    listen {host}:{http_port};
    listen {host}:{tls_port} ssl;
    location = /status {{ stub_status; }}
    location = {edge_rate} {{ return 200 $edge_rate; }}
    {locations}
  }}
}}
"""

LOCATION = "location /{name}/ {{ alias {files}/; {directives} }}\n    "


@dataclass(frozen=True)
class Origin:
    """A running nginx: where its files lie, and what their URLs are."""

    folder: Path
    files: Path
    host: str
    http_port: int
    tls_port: int

    @property
    def cacert(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def paced_log(self) -> Path:
        return self.folder / "paced.log"

    def url(self, name: str, *, tls: bool = False, location: str = "plain") -> str:
        base = f"https://{self.host}:{self.tls_port}" if tls else f"http://{self.host}:{self.http_port}"
        return f"{base}/{location}/{name}"

    def wait_idle(self, timeout_s: float = 10.0) -> bool:
        """Wait until nginx has noticed every closed connection, and so written every line of its log."""
        return wait_until(lambda: self._active_connections() == 1, timeout_s, every_s=0.05)

    def _active_connections(self) -> int:
        """As stub_status counts them, the asking one included."""
        with urllib.request.urlopen(f"http://{self.host}:{self.http_port}/status", timeout=5) as answer:
            return int(answer.readline().split(b":")[1])

    def masks(self) -> dict[str, str]:
        """What stands in reports in place of this run's ports."""
        return {f"{self.host}:{self.http_port}": "$HTTP", f"{self.host}:{self.tls_port}": "$HTTPS"}


def locations(folder: Path) -> dict[str, str]:
    """nginx directives by location; a new kind of link is one more line here."""
    return {
        "plain": "",
        "paced": f"limit_rate {PACE}; sendfile_max_chunk 128k; access_log {folder}/paced.log requests;",
        "capped-40m": "limit_rate 40000000; sendfile_max_chunk 128k;",
        "capped-50m": "limit_rate 50000000; sendfile_max_chunk 256k;",
        "unequal": "limit_rate $edge_rate; sendfile_max_chunk 128k;",
    }


def nginx_program() -> str | None:
    """nginx's path, looked for where root's PATH has it too; None when it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def serve(folder: Path, inside: Namespace | None = None, files: Path | None = None) -> Iterator[Origin]:
    """nginx over folder/files, or other files, until the block ends; in a network namespace where one is given.
    Raises RuntimeError when it does not come up."""
    program = nginx_program()
    if program is None:
        raise RuntimeError("nginx is not installed; the harness needs it (perf/README.md)")
    files = files or folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    host = inside.host if inside else "127.0.0.1"
    _make_certificate(folder, host)
    origin = Origin(folder, files, host, *_free_ports(2))
    (folder / "nginx.conf").write_text(_config(origin))
    prefix = inside.prefix if inside else ()
    command = [*prefix, program, "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: process.poll() is not None or _accepts(host, origin.tls_port), 10.0)
        if process.poll() is not None or not _accepts(host, origin.http_port):
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
    places = {"host": origin.host, "http_port": origin.http_port, "tls_port": origin.tls_port}
    shared = {
        "folder": origin.folder,
        "edges": UNEQUAL_EDGES,
        "edge_rate": EDGE_RATE,
        "locations": shown.rstrip(),
    }
    return CONFIG.format(user=user, **shared, **places)


def _make_certificate(folder: Path, host: str) -> None:
    """An authority (ca.pem) and a certificate by it for the address (origin.pem)."""
    trustme: Any = importlib.import_module("trustme")  # the type check runs without perf's requirements
    authority = trustme.CA()
    certificate = authority.issue_cert(host, "localhost", common_name=host)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "origin.pem"))


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; all are held at once while picking, so no two are the same."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _accepts(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def version() -> str | None:
    """nginx's own version, None when it is not installed."""
    program = nginx_program()
    if program is None:
        return None
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    return said.strip().rpartition("/")[2] or None
