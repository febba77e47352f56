"""nginx, set up in the ways in which people set it up."""

import hashlib
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.curl import Curl
from tests.integration.boxes.conftest import MODEL, wait_come
from tests.integration.trial import LANES, MIB, SEGMENT, Trial
from tests.nginx import Nginx
from tests.origin import File, Origin

SECURE_LINK = """
    secure_link $arg_md5,$arg_expires;
    secure_link_md5 "$secure_link_expires$uri secret";
    if ($secure_link = "") { return 403; }
    if ($secure_link = "0") { return 403; }
"""


def sign(nginx: Nginx, life_s: int) -> str:
    """An address that is good for so many seconds, and up to one more: nginx counts whole ones."""
    expires = int(time.time()) + life_s
    digest = hashlib.md5(f"{expires}/model.gguf secret".encode()).digest()
    return f"{nginx.url('model.gguf')}?md5={urlsafe_b64encode(digest).decode().rstrip('=')}&expires={expires}"


@pytest.mark.row("address/plain-link-expires")
def test_a_link_that_expires_midway_is_named_and_a_new_one_goes_on(
    served: Path, trial_at: Callable[..., Trial]
) -> None:
    """Nobody can renew a plain URL: the words say that it has expired and that what came is kept; a new link with the
    file's digest fetches only what is missing."""
    with Nginx(served, extra_server_config=SECURE_LINK) as nginx:
        trial = trial_at(sign(nginx, 3), "--limit-rate", "1.5MiB")
        error = trial.assert_failed(trial.pull(code=4), "has expired", "403", "is kept", "--sha256")
        assert "md5=" not in error
        held = trial.segments_on_disk()
        assert 1 <= held < MODEL.size // SEGMENT
        nginx.clear_log()
        trial.options = ("--sha256", MODEL.sha256())
        trial.url = sign(nginx, 3600)
        trial.pull()
        nginx.wait_idle()
        sent = sum(one.sent for one in nginx.log())
    trial.assert_exact()
    assert sent <= MODEL.size - held * SEGMENT + LANES * SEGMENT


@pytest.mark.row("address/expires-again-and-again")
def test_a_link_that_is_signed_anew_for_each_request_is_renewed(
    served: Path, trial_at: Callable[..., Trial], origin_factory: Callable[..., Any]
) -> None:
    """Where an address leads to signed ones, as a hub's do, an expired one is asked for again: nobody notices."""
    with Nginx(served, extra_server_config=SECURE_LINK) as nginx:
        front: Origin = origin_factory({"model.gguf": File(MODEL, redirect=lambda _: sign(nginx, 0))})
        trial = trial_at(front.url("model.gguf"), "--limit-rate", "4MiB", "--json")
        result = trial.pull()
        statuses = [one.status for one in nginx.log()]
    trial.assert_exact()
    assert 403 in statuses
    assert len(front.requests) >= 2
    assert {event["kind"] for event in result.events_named("retry")} == {"expired"}


@pytest.mark.row("pushback/connections-limited")
def test_a_limit_of_connections_is_kept_to(
    trial_at: Callable[..., Trial], tmp_path: Path, origin_factory: Callable[..., Any]
) -> None:
    """503 above two at once: fewer lanes, and the file is done."""
    http = "limit_conn_zone $server_port zone=all:64k;"
    origin: Origin = origin_factory({"model.gguf": File(MODEL, pace=4 * MIB)})
    config = f"location / {{ limit_conn all 2; proxy_pass {origin.base}; proxy_buffering off; }}"
    with Nginx(tmp_path, extra_server_config=config, http_config=http) as nginx:
        trial = trial_at(nginx.url("model.gguf"), "-c", 8)
        trial.pull()
        statuses = [one.status for one in nginx.log()]
    trial.assert_exact()
    assert 1 <= statuses.count(503) <= 16, statuses


@pytest.mark.row("body/no-ranges")
def test_no_ranges_and_compression_are_one_stream_of_identity(
    served: Path, trial_at: Callable[..., Trial], curl: Callable[..., Curl]
) -> None:
    """A server that compresses for whoever likes that, and has no ranges: bytes come as they are, in one stream."""
    config = "max_ranges 0; gzip on; gzip_types *; gzip_min_length 1;"
    with Nginx(served, extra_server_config=config) as nginx:
        asked = curl(nginx.url("model.gguf"), "-H", "Accept-Encoding: gzip", "-r", "0-9")
        assert (asked.status, asked.headers["content-encoding"]) == (200, "gzip")
        nginx.clear_log()
        trial = trial_at(nginx.url("model.gguf"))
        assert "no ranges" in trial.pull().stderr
        (one,) = nginx.wait_log(1)
    trial.assert_exact()
    assert (one.status, one.sent) == (200, MODEL.size)


def test_without_etags_the_date_tells_versions_apart(served: Path, trial_at: Callable[..., Trial]) -> None:
    """Last-Modified is enough to resume: what was there is not fetched again."""
    with Nginx(served, extra_server_config="etag off;") as nginx:
        trial = trial_at(nginx.url("model.gguf"))
        running = trial.spawn("--limit-rate", "4MiB")
        wait_come(trial, MODEL.size // 4)
        running.send()
        running.wait().check(130)
        held = trial.segments_on_disk()
        nginx.clear_log()
        trial.pull()
        nginx.wait_idle()
        sent = sum(one.sent for one in nginx.log())
    trial.assert_exact()
    assert sent <= MODEL.size - held * SEGMENT + LANES * SEGMENT


def test_connections_that_end_after_three_requests_are_replaced(
    served: Path, trial_at: Callable[..., Trial]
) -> None:
    """keepalive_requests: a closed connection is no failure, and no byte is fetched twice."""
    with Nginx(served, extra_server_config="keepalive_requests 3; limit_rate 16m;") as nginx:
        trial = trial_at(nginx.url("model.gguf"), "--json")
        result = trial.pull()
        nginx.wait_idle()
        log = nginx.log()
    trial.assert_exact()
    assert result.events_named("retry") == []
    assert max(sum(o.connection == one.connection for o in log) for one in log) <= 3
    assert len({one.connection for one in log}) > LANES
    assert sum(one.sent for one in log) == MODEL.size


def test_a_proxy_that_buffers_for_a_slow_client_is_exact(
    trial_at: Callable[..., Trial], tmp_path: Path, origin_factory: Callable[..., Any]
) -> None:
    """It fetches faster than we read, into its memory and its files; some of that is thrown away when a lease ends."""
    origin: Origin = origin_factory({"model.gguf": File(MODEL)})
    config = f"location / {{ proxy_pass {origin.base}; proxy_buffering on; proxy_buffers 4 16k; }}"
    with Nginx(tmp_path, extra_server_config=config) as nginx:
        trial = trial_at(nginx.url("model.gguf"), "--limit-rate", "6MiB", "--json")
        result = trial.pull()
        assert {one.status for one in nginx.log()} == {206}
    trial.assert_exact()
    assert result.events_named("retry") == []


def test_a_cache_of_slices_is_exact_and_asked_twice_fetches_once(
    trial_at: Callable[..., Trial], tmp_path: Path, origin_factory: Callable[..., Any]
) -> None:
    """nginx's slice module asks the origin for pieces of its own size, and answers our ranges out of them."""
    origin: Origin = origin_factory({"model.gguf": File(MODEL)})
    http = f"proxy_cache_path {tmp_path}/cache keys_zone=slices:1m;"
    config = f"""location / {{
        slice 1m; proxy_cache slices; proxy_cache_key $uri$slice_range; proxy_cache_valid 200 206 1h;
        proxy_set_header Range $slice_range; proxy_http_version 1.1; proxy_pass {origin.base};
    }}"""
    with Nginx(tmp_path, extra_server_config=config, http_config=http) as nginx:
        trial = trial_at(nginx.url("model.gguf"))
        for _ in range(2):
            trial.forget()
            trial.pull()
            trial.assert_exact()
    origin.wait_idle()
    assert {record.range[1] - record.range[0] for record in origin.requests if record.range} == {MIB}
    assert origin.bytes_sent() < 2 * MODEL.size
