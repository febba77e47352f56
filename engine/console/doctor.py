"""`jarvis doctor`: what a pull depends on, and whether it works here. It leaves nothing behind."""

import fcntl
import os
import shutil
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from engine import __version__
from engine.console.interruptibly import interruptibly
from engine.console.sizes import format_seconds, format_size
from engine.console.streams import stdout
from engine.errors import AccessDenied, EngineError, FormatError, NetworkError, NotFound
from engine.plain_text import printable
from engine.settings import MIB, Settings, home
from engine.telemetry import redact
from engine.transport.auth import TOKEN_VARIABLES, hub_credentials, hub_endpoint, hub_token, token_fault

_LOW_BYTES = 10 * 10**9
_MARKS = {"good": "ok  ", "note": "note", "bad": "FAIL"}


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    about: str
    text: str
    state: Literal["good", "note", "bad"] = "good"
    """note: worth knowing, some pulls still work. bad: none does."""


def run_doctor() -> int:
    """Tell all findings as they come; 1 if one of them keeps every pull from working."""
    state, out = 0, stdout()
    checks: tuple[Callable[[], Finding], ...] = (
        versions,
        lambda: disk(home()),
        cores,
        lambda: proxies(os.environ),
        lambda: certificates(os.environ),
        lambda: token(os.environ),
        server_extra,
        link,
    )
    for check in checks:
        finding = check()
        out.say(printable(f"{_MARKS[finding.state]}  {finding.about}: {finding.text}"))
        state = state or int(finding.state == "bad")
    return state


def versions() -> Finding:
    from importlib.metadata import version

    urllib3 = version("urllib3")
    python = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        "version",
        f"jarvis {__version__}, Python {python}, urllib3 {urllib3}, {ssl.OPENSSL_VERSION}",
    )


def disk(root: Path) -> Finding:
    """The store's disk, tried out with a file that is gone at once."""
    folder = root
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
        with tempfile.TemporaryFile(dir=folder) as file:
            os.ftruncate(file.fileno(), 64 * MIB)
            is_sparse = os.fstat(file.fileno()).st_blocks * 512 < MIB
            locks = _try_lock(file.fileno())
    except OSError as exc:
        return Finding(
            "disk", f"cannot write to the store {str(root)!r}: {exc.strerror}. Set JARVIS_HOME.", "bad"
        )
    text = f"{format_size(free)} free for the store {str(root)!r}; locks {locks or 'work'}; "
    text += "sparse files work" if is_sparse else "no sparse files, so a pull takes all of its room at once"
    if locks:
        return Finding("disk", f"{text}. Use a local folder.", "bad")
    is_fine = is_sparse and free >= _LOW_BYTES
    return Finding(
        "disk",
        text if free >= _LOW_BYTES else f"{text}. That is little for models",
        "good" if is_fine else "note",
    )


def cores() -> Finding:
    from engine.transfer.cores import usable_cores

    usable, present = usable_cores(), os.cpu_count() or 1
    limit = "" if usable == present else f" of {present} (affinity and the cgroup's limit count)"
    return Finding("cores", f"{usable}{limit}")


def proxies(environ: Mapping[str, str]) -> Finding:
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    found = {name: value for name, value in environ.items() if name.lower() in names and value}
    if not found:
        return Finding("proxies", "none set")
    shown = [
        f"{name}={value if name.lower() == 'no_proxy' else _shown(value)}"
        for name, value in sorted(found.items())
    ]
    socks = any(value.lower().startswith("socks") for value in found.values())
    text = ", ".join(shown)
    return (
        Finding("proxies", f"{text}; SOCKS is not spoken here", "note") if socks else Finding("proxies", text)
    )


def certificates(environ: Mapping[str, str]) -> Finding:
    """Whose word is taken for who a server is."""
    paths = ssl.get_default_verify_paths()
    named = environ.get("SSL_CERT_FILE")
    if not named:
        place = paths.cafile or paths.capath
        return Finding("certificates", f"the system's ({place})" if place else "the system's")
    try:
        count = len(ssl.create_default_context(cafile=named).get_ca_certs())
    except (OSError, ssl.SSLError) as exc:
        return Finding(
            "certificates", f"SSL_CERT_FILE={named!r} cannot be read: {exc.strerror or exc}.", "bad"
        )
    return Finding("certificates", f"SSL_CERT_FILE={named!r}, {count} authorities")


def token(environ: Mapping[str, str]) -> Finding:
    """Whether there is one for the Hub, and where it comes from; never the token itself."""
    if fault := token_fault(environ):
        return Finding("token", fault, "note")
    value = hub_token(environ)
    if value is None:
        return Finding("token", "none for Hugging Face; public models need none")
    place = next((name for name in TOKEN_VARIABLES if environ.get(name, "").strip()), "the Hub's token file")
    return Finding("token", f"{mask(value)} from {place}")


def mask(secret: str) -> str:
    """Enough to tell two tokens apart, too little to use one."""
    return f"{secret[:3]}…{secret[-2:]}" if len(secret) >= 16 else "…"


def server_extra() -> Finding:
    from importlib.util import find_spec

    if find_spec("aiohttp"):
        return Finding("server", "aiohttp is installed: serve and demo work")
    return Finding("server", "serve and demo need: pip install 'jarviscore-engine[server]'", "note")


def link() -> Finding:
    """Whether the Hub, or what HF_ENDPOINT names, can be reached and answers as one; a token is tried."""
    started = time.monotonic()
    try:
        shown = redact(_endpoint())
        words = interruptibly(lambda: _hub_says(_endpoint()))
    except NetworkError as exc:
        if exc.status is None:
            return Finding("link", f"{shown} cannot be reached. {exc}", "note")
        return Finding("link", f"{shown} answers, but with {exc.status}", "note")
    except AccessDenied:
        return Finding("link", f"{shown} can be reached, but refuses the token. Make a new one.", "note")
    except FormatError:
        text = (
            f"{shown} answers, but not as a Hub does. Is there a login in between, or is HF_ENDPOINT wrong?"
        )
        return Finding("link", text, "note")
    except EngineError as exc:
        return Finding("link", f"nothing was asked. {exc}", "note")
    return Finding(
        "link", f"{shown} can be reached, {words} after {format_seconds(time.monotonic() - started)}"
    )


def _endpoint() -> str:
    """Raises UsageError for one that every pull from the Hub would refuse."""
    from engine.sources.huggingface import HuggingFace

    return HuggingFace(hub_endpoint()).endpoint


def _hub_says(endpoint: str) -> str:
    """What it is to be praised for. Raises FormatError for an answer that no Hub gives, else as `get_json` does."""
    has_token = hub_token() is not None
    try:
        body = _ask(f"{endpoint}/api/whoami-v2")
    except NotFound:  # servers with the Hub's endpoints do not all have this one
        return "it answers"
    except AccessDenied:
        if has_token:
            raise
        return "it answers"
    try:
        msgspec.json.decode(body, type=_Account)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise FormatError(str(exc)) from exc
    return "it accepts the token" if has_token else "it answers"


class _Account(msgspec.Struct, frozen=True):
    """Whose token it is, as far as it is looked at."""

    name: str


def _ask(url: str) -> bytes:
    from engine.transport.client import Client

    settings = Settings(retries=0, connect_timeout_s=5.0, stall_timeout_s=3.0)
    with Client(settings, hub_credentials(None)) as client:
        return client.get_json(url, limit_bytes=1 << 20).body


def _try_lock(fd: int) -> str:
    """What is wrong with locks; "" if nothing is."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        return f"do not work ({exc.strerror})"
    return ""


def _shown(proxy: str) -> str:
    return redact(proxy if "://" in proxy else f"http://{proxy}")
