"""squid in between: as a tunnel that asks for a password, and as a cache that rewrites ranges."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.integration.boxes.box import Box, box
from tests.integration.boxes.conftest import MODEL
from tests.integration.trial import LANES, Trial
from tests.origin import File, Origin

USER, PASSWORD = "ada", "p@ss:word/1"
IN_ADDRESS = "ada:p%40ss%3Aword%2F1"

COMMON = """\
http_port 127.0.0.1:{port}
visible_hostname box.example
pid_filename none
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
max_filedescriptors 1024
cache_mem 64 MB
maximum_object_size_in_memory 32 MB
maximum_object_size 32 MB
"""
WITH_PASSWORD = """\
auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/passwords
auth_param basic children 1 startup=1
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
"""
A_CACHE = """\
range_offset_limit none
quick_abort_min -1 KB
collapsed_forwarding on
http_access allow all
"""


@contextlib.contextmanager
def squid(more: str) -> Iterator[tuple[Box, list[list[str]]]]:
    """squid with these further lines, and the words of its log, which are there once it has ended. Its folder is not
    below the test's: it does not run as root, and its account may not read that."""
    with tempfile.TemporaryDirectory(prefix="squid-") as name:
        folder = Path(name)

        def configure(port: int) -> list[str]:
            hashed = subprocess.run(
                ["openssl", "passwd", "-apr1", PASSWORD], capture_output=True, text=True, check=True
            )
            (folder / "passwords").write_text(f"{USER}:{hashed.stdout}")
            (folder / "squid.conf").write_text((COMMON + more).format(port=port, folder=folder))
            if os.geteuid() == 0:
                for path in (folder, *folder.iterdir()):
                    shutil.chown(path, _account())
            return ["-N", "-f", str(folder / "squid.conf")]

        log: list[list[str]] = []
        with box("squid", folder, configure) as running:
            yield running, log
        lines = [line.split() for line in (folder / "access.log").read_text().splitlines()]
        log += [words for words in lines if not words[3].endswith("/000")]  # a connection without a request


def _account() -> str:
    """Which squid takes, when it is started by root."""
    try:
        return pwd.getpwnam("proxy").pw_name
    except KeyError:
        return "nobody"


@pytest.fixture
def secret(tls: Certificates, origin_factory: Callable[..., Any]) -> Origin:
    return origin_factory({"model.gguf": File(MODEL)}, tls=tls)


@pytest.mark.row("network/proxy-connect", "network/proxy-auth")
def test_a_tunnel_with_the_right_password_is_exact(
    secret: Origin, trial_at: Callable[..., Trial], tls: Certificates
) -> None:
    """HTTPS_PROXY with user and password, which have what an address may not: every connection is a CONNECT."""
    with squid(WITH_PASSWORD) as (proxy, log):
        trial = trial_at(secret.url("model.gguf"), "--cacert", tls.cacert, "--verbose")
        env = {"HTTPS_PROXY": f"http://{IN_ADDRESS}@127.0.0.1:{proxy.port}"}
        result = trial.command.run(*trial.arguments(), env=env).check()
    trial.assert_exact()
    for text in (PASSWORD, IN_ADDRESS):
        assert text not in result.stdout + result.stderr
    assert len(log) == secret.connections >= LANES
    assert all("CONNECT" in words and USER in words for words in log)


@pytest.mark.row("network/proxy-auth-missing")
@pytest.mark.parametrize(
    ("scheme", "user"), [("https", "ada:wrong-one@"), ("http", "ada:wrong-one@"), ("https", "")]
)
def test_a_tunnel_with_the_wrong_password_is_an_error_without_it(
    trial_at: Callable[..., Trial],
    tls: Certificates,
    origin_factory: Callable[..., Any],
    scheme: str,
    user: str,
) -> None:
    """Asked once: another attempt would be refused as well, and some proxies lock an account for that."""
    origin: Origin = origin_factory({"model.gguf": File(MODEL)}, tls=tls if scheme == "https" else None)
    with squid(WITH_PASSWORD) as (proxy, log):
        trial = trial_at(origin.url("model.gguf"), "--cacert", tls.cacert, "--verbose")
        address = f"http://{user}127.0.0.1:{proxy.port}"
        result = trial.command.run(
            *trial.arguments(), env={"HTTPS_PROXY": address, "HTTP_PROXY": address}
        ).check(5)
    trial.assert_failed(result, "proxy", "credentials", "407")
    assert "wrong-one" not in result.stdout + result.stderr
    assert not trial.part.exists()
    assert origin.connections == 0
    assert [words[3].endswith("/407") for words in log] == [True]


@pytest.mark.row("network/proxy")
def test_a_cache_that_fetches_the_whole_file_for_a_range_is_exact(
    trial_at: Callable[..., Trial], origin_factory: Callable[..., Any]
) -> None:
    """range_offset_limit none: squid asks for everything and answers our ranges out of it. Of the second pull the
    origin is asked at most whether the version is still the same."""
    origin: Origin = origin_factory({"model.gguf": File(MODEL, headers={"Cache-Control": "max-age=3600"})})
    with squid(A_CACHE) as (proxy, log):
        trial = trial_at(origin.url("model.gguf"), "--proxy", proxy.url(), "--segment-size", "1MiB")
        trial.pull()
        trial.assert_exact()
        asked = len(origin.requests)
        trial.forget()
        trial.pull()
        trial.assert_exact()
    assert any(record.range is None for record in origin.requests)
    assert {record.status for record in origin.requests[asked:]} <= {304}
    assert {words[3].rpartition("/")[2] for words in log} == {"206"}
