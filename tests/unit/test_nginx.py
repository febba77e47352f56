"""The nginx of the tests: it serves, tells what it served, and leaves nothing behind."""

import ssl
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.certificates import Certificates
from tests.nginx import Nginx
from tests.origin import Pattern

MODEL = Pattern(2_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "served folder"
    (folder / "ns").mkdir(parents=True)
    MODEL.write_to(folder / "ns" / "model 1.gguf")
    return folder


def fetch(url: str, context: ssl.SSLContext | None = None, **headers: str) -> bytes:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.read()


def test_serves_plain_and_tls_and_logs_ranges(folder: Path, tls: Certificates) -> None:
    """Both addresses hand out the folder, and the log tells method, range, status and bytes of each."""
    with Nginx(folder, tls) as nginx:
        trusted = ssl.create_default_context(cafile=str(tls.cacert))
        assert fetch(nginx.url("ns/model 1.gguf")) == MODEL.read()
        part = fetch(nginx.tls_url("ns/model 1.gguf"), trusted, Range="bytes=1000-1999")
        assert part == MODEL.read(1000, 2000)
        whole, span = sorted(nginx.wait_log(2), key=lambda served: served.status)
    assert (whole.method, whole.status, whole.sent, whole.range) == ("GET", 200, MODEL.size, None)
    assert (span.status, span.sent, span.range) == (206, 1000, "bytes=1000-1999")
    assert span.path == "/ns/model 1.gguf"


def test_extra_configuration_is_used(folder: Path) -> None:
    """Lines for the server and for http reach the configuration."""
    with Nginx(folder, extra_server_config="max_ranges 0;", http_config="etag off;") as nginx:
        assert fetch(nginx.url("ns/model 1.gguf"), Range="bytes=0-9") == MODEL.read()


def test_a_wrong_configuration_is_told(folder: Path) -> None:
    """An nginx that does not start says why, in its own words."""
    with pytest.raises(RuntimeError, match="no_such_directive"), Nginx(folder, None, "no_such_directive on;"):
        pass


def test_nothing_is_left(folder: Path) -> None:
    """After its end neither a process nor the folder of its logs is there."""
    with Nginx(folder) as nginx:
        fetch(nginx.url("ns/model 1.gguf"))  # what answers is a worker; the master listens before it has any
        pid, workers = nginx.pid, psutil.Process(nginx.pid).children()
        assert workers
    assert not psutil.pid_exists(pid)
    assert not any(worker.is_running() for worker in workers)
    assert not nginx.folder.exists()
