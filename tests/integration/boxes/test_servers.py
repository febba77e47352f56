"""Other people's web servers: lighttpd, caddy, and the one that comes with Python."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.integration.boxes.box import box
from tests.integration.boxes.conftest import MODEL, wait_come
from tests.integration.trial import LANES, SEGMENT, Trial


def test_lighttpd(served: Path, trial_at: Callable[..., Trial], tmp_path: Path) -> None:
    """Ranges over several connections; an interrupted pull goes on by its ETag."""

    def configure(port: int) -> list[str]:
        config = tmp_path / "lighttpd.conf"
        config.write_text(
            f'server.document-root = "{served}"\nserver.bind = "127.0.0.1"\nserver.port = {port}\n'
            'mimetype.assign = ( "" => "application/octet-stream" )\n'
            'server.modules = ( "mod_accesslog" )\n'
            f'accesslog.filename = "{tmp_path}/access.log"\naccesslog.format = "%s %b %{{Range}}i"\n'
        )
        return ["-D", "-f", str(config)]

    with box("lighttpd", tmp_path, configure) as lighttpd:
        trial = trial_at(lighttpd.url("model.gguf"))
        running = trial.spawn("--limit-rate", "4MiB")
        wait_come(trial, MODEL.size // 4)
        running.send()
        running.wait().check(130)
        held = trial.segments_on_disk()
        result = trial.pull("--json")
    trial.assert_exact()
    (done,) = result.events_named("file")
    assert done["fetched_bytes"] <= MODEL.size - held * SEGMENT + LANES * SEGMENT
    log = (tmp_path / "access.log").read_text().splitlines()
    assert len(log) > LANES
    assert {line.split()[0] for line in log} == {"206"}


def test_caddy(served: Path, trial_at: Callable[..., Trial], tmp_path: Path, tls: Certificates) -> None:
    """HTTP/1.1 over TLS, with a certificate of an authority that is named."""

    def configure(port: int) -> list[str]:
        files = [{"certificate": str(tls.server.cert), "key": str(tls.server.key)}]
        server = {
            "listen": [f"127.0.0.1:{port}"],
            "protocols": ["h1"],
            "automatic_https": {"disable": True},
            "tls_connection_policies": [{}],
            "logs": {},
            "routes": [{"handle": [{"handler": "file_server", "root": str(served)}]}],
        }
        apps = {"http": {"servers": {"it": server}}, "tls": {"certificates": {"load_files": files}}}
        config = tmp_path / "caddy.json"
        config.write_text(json.dumps({"admin": {"disabled": True}, "apps": apps}))
        return ["run", "--config", str(config)]

    folders = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with box("caddy", tmp_path, configure, env=folders) as caddy:
        url = caddy.url("model.gguf", "https")
        trial_at(url).assert_failed(trial_at(url, "--retries", 0).pull(code=5), "not trusted")
        trial = trial_at(url, "--cacert", tls.cacert, "-c", 4)
        trial.pull()
        lines = [json.loads(line) for line in caddy.log.read_text().splitlines() if '"request"' in line]
    trial.assert_exact()
    answered = {(line["status"], line["request"]["proto"]) for line in lines if "status" in line}
    assert answered == {(206, "HTTP/1.1")}
    assert len([line for line in lines if "status" in line]) > LANES


@pytest.mark.row("body/stream-cut")
def test_pythons_own_server_has_no_ranges_and_an_interruption_starts_again(
    served: Path, trial_at: Callable[..., Trial], tmp_path: Path
) -> None:
    """One stream, and it says so; a server that dies in the middle and comes back is asked for all of it, and that is
    said, too."""

    def configure(port: int) -> list[str]:
        return ["-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(served)]

    with box(sys.executable, tmp_path, configure) as first:
        trial = trial_at(first.url("model.gguf"), "--json")
        running = trial.spawn("--limit-rate", "6MiB")
        wait_come(trial, MODEL.size // 8)
    with box(sys.executable, tmp_path, configure, port=first.port):
        result = running.wait().check()
    trial.assert_exact()
    notices = " ".join(event["message"] for event in result.events_named("notice"))
    assert "no ranges: one stream" in notices
    assert "Starting again: the only stream broke" in notices
    assert first.log.read_text().count('"GET /model.gguf HTTP/1.1" 200') == 2
