"""A real nginx over a folder: the good server that figures and clients are judged by."""

import contextlib
import errno
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psutil
import pytest

from tests.certificates import Certificates

_START_WITHIN_S = 10.0
_STOP_WITHIN_S = 5.0
_LOG_FORMAT = (
    "$request_method\\t$status\\t$body_bytes_sent\\t$http_range\\t$connection\\t$request_time\\t$uri"
)

_CONFIG = """\
daemon off;
{user}
worker_processes {workers};
worker_shutdown_timeout 1s;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    log_format fields '{log_format}';
    access_log {folder}/access.log fields;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 100000;
    keepalive_timeout 65s;
    {http_config}
    server {{
        {listen}
        root "{root}";
        {server_config}
    }}
}}
"""


@dataclass(frozen=True)
class Served:
    """One line of the access log, written when the request has ended."""

    method: str
    status: int
    sent: int
    """Body bytes."""
    range: str | None
    """The Range header as it was sent."""
    connection: int
    seconds: float
    path: str


class Nginx:
    """nginx with free ports, from `with` to its end. Without nginx the test is skipped (in CI it fails)."""

    def __init__(
        self,
        root: Path,
        tls: Certificates | None = None,
        extra_server_config: str = "",
        http_config: str = "",
        *,
        workers: int = 2,
        host: str = "127.0.0.1",
    ) -> None:
        self.root = root
        self._tls = tls
        self._server_config = extra_server_config
        self._http_config = http_config
        self._workers = workers
        self.host = host
        self.port = 0
        self.tls_port = 0

    def __enter__(self) -> Self:
        binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if binary is None:
            pytest.skip("nginx is not installed")
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nginx-"))
            self.folder = Path(folder)
            self.folder.chmod(0o755)
            self._start(binary)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()
        self._stack.close()

    @property
    def pid(self) -> int:
        """Of the master process."""
        return self._process.pid

    def url(self, path: str = "") -> str:
        return f"http://{self.host}:{self.port}/{quote(path)}"

    def tls_url(self, path: str = "") -> str:
        assert self._tls is not None, "this nginx was started without certificates"
        return f"https://{self.host}:{self.tls_port}/{quote(path)}"

    def log(self) -> list[Served]:
        """Requests that have ended so far, in that order."""
        path = self.folder / "access.log"
        text = path.read_text("utf-8", "replace") if path.exists() else ""
        return [_parse(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def wait_log(self, count: int, timeout_s: float = 5.0) -> list[Served]:
        """The log once it has so many lines: nginx writes a line a moment after the client has its body."""
        until = time.monotonic() + timeout_s
        while len(log := self.log()) < count and time.monotonic() < until:
            time.sleep(0.01)
        assert len(log) >= count, f"{len(log)} requests in nginx's log, {count} were expected"
        return log

    def wait_idle(self, timeout_s: float = 5.0) -> None:
        """Until no connection is open, so that all requests are in the log: a killed client has some to come."""
        until = time.monotonic() + timeout_s
        while open_ones := self._connections():
            assert time.monotonic() < until, f"{len(open_ones)} connections to nginx are still open"
            time.sleep(0.01)

    def _connections(self) -> list[Any]:
        found = [c for p in psutil.Process(self.pid).children() for c in p.net_connections("tcp")]
        return [c for c in found if c.status != psutil.CONN_LISTEN]

    def clear_log(self) -> None:
        """Forget the requests so far, also those whose lines are still to come."""
        self.wait_idle()
        os.truncate(self.folder / "access.log", 0)

    def error_log(self) -> str:
        path = self.folder / "error.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def _start(self, binary: str) -> None:
        for _ in range(5):
            self.port, self.tls_port = _free_ports(self.host)
            config = self.folder / "nginx.conf"
            config.write_text(self._config(), encoding="utf-8")
            self._process = subprocess.Popen(
                [binary, "-e", str(self.folder / "error.log"), "-p", str(self.folder), "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if self._wait_accepting():
                return
            said = self.error_log()
            self._stop()
            if os.strerror(errno.EADDRINUSE) not in said:
                raise RuntimeError(f"nginx does not start:\n{said}")
        raise RuntimeError("nginx found no free port five times")

    def _config(self) -> str:
        listen = [f"listen {self.host}:{self.port} backlog=1024;"]
        if self._tls is not None:
            identity = self._tls.server
            listen.append(f"listen {self.host}:{self.tls_port} ssl backlog=1024;")
            listen.append(f"ssl_certificate {identity.cert}; ssl_certificate_key {identity.key};")
            listen.append("ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:1m;")
        return _CONFIG.format(
            # A master that runs as root gives its workers an account that may not read our folders.
            user=f"user {_account()};" if os.geteuid() == 0 else "",
            workers=self._workers,
            folder=self.folder,
            log_format=_LOG_FORMAT,
            http_config=self._http_config,
            listen="\n        ".join(listen),
            root=self.root,
            server_config=self._server_config,
        )

    def _wait_accepting(self) -> bool:
        """Whether all its ports take connections; False when it ends before that, or takes too long."""
        until = time.monotonic() + _START_WITHIN_S
        ports = [self.port, self.tls_port] if self._tls else [self.port]
        while ports and time.monotonic() < until:
            if self._process.poll() is not None:
                return False
            if _accepts(self.host, ports[0]):
                ports.pop(0)
            else:
                time.sleep(0.01)
        return not ports

    def _stop(self) -> None:
        """SIGTERM ends workers and their connections at once; SIGKILL if it does not."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _account() -> str:
    import grp
    import pwd

    return f"{pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name}"


def _parse(line: str) -> Served:
    method, status, sent, span, connection, seconds, path = line.rstrip("\n").split("\t")
    asked = None if span == "-" else span
    return Served(method, int(status), int(sent), asked, int(connection), float(seconds), path)


def _free_ports(host: str) -> tuple[int, int]:
    """Two ports that were free a moment ago."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as first, socket.socket(family) as second:
        first.bind((host.strip("[]"), 0))
        second.bind((host.strip("[]"), 0))
        return first.getsockname()[1], second.getsockname()[1]


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host.strip("[]"), port), 1).close()
    except OSError:
        return False
    return True
