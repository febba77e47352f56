"""What shows the limit fetches the very bytes, and is nobody's peer."""

import hashlib
import http.server
import shutil
import subprocess
import threading

import pytest

from perf import findings, limit

SIZE = (40 << 20) + 7


class _Ranges(http.server.BaseHTTPRequestHandler):
    """Answers ranges of one body over connections that are kept."""

    protocol_version = "HTTP/1.1"
    body = bytes(range(256)) * (SIZE // 256) + b"endings"

    def do_GET(self) -> None:
        first, last = (int(text) for text in self.headers["Range"].removeprefix("bytes=").split("-"))
        part = self.body[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(self.body)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("mode", ["recv", "splice", "recv+sha256"])
def test_limit_fetches_every_byte(mode, tmp_path):
    """A loop that lost some would be a limit of nothing."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Ranges) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/x"
        argv = limit.command(shutil.which("cc"), mode, 2, url, tmp_path / "x")
        said = subprocess.run(argv, check=True, timeout=60, capture_output=True, text=True).stdout
        server.shutdown()
    assert (tmp_path / "x").read_bytes() == _Ranges.body
    assert said.strip() == (hashlib.sha256(_Ranges.body).hexdigest() if "sha256" in mode else "")


def test_limit_is_no_peer():
    """A finding compares with what people could use instead."""
    run = {"measured": "time", "problem": None, "user_s": 0, "sys_s": 0}
    runs = [{**run, "tool": name, "wall_s": wall} for name, wall in (("limit splice", 1.0), ("curl", 2.0))]
    block = {"commands": {"limit splice": "", "curl": ""}, "missing": {}, "runs": runs, "size_bytes": 1}
    assert findings.peers(block, "wall_s") == [("curl", 2.0)]
