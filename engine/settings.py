"""How a pull is to be done: one frozen value, handed down whole, so no one passes twelve arguments on."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.errors import UsageError

MIB = 1 << 20
DEFAULT_SEGMENT = 8 * MIB
MAX_CONNECTIONS, MAX_PROCESSES = 256, 64
_PROXY = re.compile(
    r"https?://([A-Za-z0-9._~!$&'()*+,;=:%-]{0,512}@)?([A-Za-z0-9._-]{1,255}|\[(?P<v6>[0-9A-Fa-f:.]{2,45})\])(:(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE,
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a user may turn, with its default. Sent to workers as it is, so no secrets live here."""

    connections: int | None = None
    """Most lanes at once for one origin; None lets the engine choose."""
    processes: int | None = None
    """Worker processes; 0 means threads of the calling process only, None lets the engine choose."""
    segment_size: int = DEFAULT_SEGMENT
    limit_rate: int | None = None
    """Bytes of content a second, over all lanes of all worker processes; None is unlimited."""
    retries: int = 3
    """Further attempts after a failure; counted anew once the file got further than ever before."""
    retry_delay_s: float = 1.0
    """First backoff; doubles each time, with jitter, up to 60 s."""
    stall_timeout_s: float = 10.0
    """Without a byte for so long, a lane is replaced; three times that before its first byte."""
    connect_timeout_s: float = 10.0
    chunk_size: int = 4 * MIB
    """Upper bound of one read or hash step, in bytes."""
    hash: str | None = "sha256"
    """None: trust the transport, compute no digest."""
    allocate: str = "sparse"
    """"sparse" (ftruncate) or "full" (posix_fallocate)."""
    repair: bool = False
    """On a wrong digest, fetch every segment once more instead of a sample."""
    force: bool = False
    """Start at zero even where something is held."""
    cacert: str | None = None
    insecure: bool = False
    proxy: str | None = None
    progress_interval_s: float = 0.5
    allow_private_redirects: bool = False

    def __post_init__(self) -> None:
        faults = [
            f"{name} is {value!r:.40}, and must be {words}"
            for name, (words, fits) in _RULES.items()
            if not fits(value := getattr(self, name))
        ]
        if self.proxy is not None and not _is_proxy(self.proxy):
            faults.append("the proxy is not a URL such as http://host:port")
        if faults:
            raise UsageError(f"These settings cannot be: {'; '.join(faults)}.")


def proxy_url(text: str) -> str | None:
    """The URL of an HTTP proxy, whose scheme may be left out; None for what cannot be one."""
    url = text if "://" in text else f"http://{text}"
    match = _PROXY.fullmatch(url)
    if not match or not 0 < int(match["port"] or 80) < 1 << 16:
        return None
    return url if match["v6"] is None or _is_ipv6(match["v6"]) else None


def _is_proxy(value: object) -> bool:
    return isinstance(value, str) and "://" in value and proxy_url(value) is not None


def _is_ipv6(text: str) -> bool:
    import socket  # nearly nobody has such a proxy

    try:
        socket.inet_pton(socket.AF_INET6, text)
    except OSError:
        return False
    return True


_Rule = tuple[str, Callable[[object], bool]]
"""In words, and as a test."""


def _whole(least: int, most: int, *, may_be_none: bool = False) -> _Rule:
    def fits(value: object) -> bool:
        return (may_be_none and value is None) or (type(value) is int and least <= value <= most)

    bounds = f" from {least} to {most:,}" if most <= 1 << 30 else f", at least {least}"
    return f"a whole number{bounds}{', or None' if may_be_none else ''}", fits


def _seconds(least: float = 0, most: float = 1e9) -> _Rule:
    def fits(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most

    return f"a number of seconds from {least:g} to {most:,.0f}", fits


def _one_of(*allowed: str | None) -> _Rule:
    return f"one of {', '.join(map(repr, allowed))}", lambda value: value in allowed


def _is_flag(value: object) -> bool:
    return type(value) is bool


def _path_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


_RULES: dict[str, _Rule] = {
    "connections": _whole(1, MAX_CONNECTIONS, may_be_none=True),
    "processes": _whole(0, MAX_PROCESSES, may_be_none=True),
    "segment_size": _whole(1, 1 << 30),
    "limit_rate": _whole(1, 1 << 62, may_be_none=True),
    "retries": _whole(0, 1 << 31),
    "retry_delay_s": _seconds(),
    "stall_timeout_s": _seconds(),
    "connect_timeout_s": _seconds(least=0.001),
    "chunk_size": _whole(1, 1 << 30),
    "hash": _one_of("sha256", None),
    "allocate": _one_of("sparse", "full"),
    "cacert": ("a path as text, or None", _path_or_none),
    "progress_interval_s": _seconds(),
    **dict.fromkeys(("repair", "force", "insecure", "allow_private_redirects"), ("True or False", _is_flag)),
}


def home() -> Path:
    """The store's root: `JARVIS_HOME`, else the platform's data folder. Raises UsageError for `~name` of nobody."""
    if text := os.environ.get("JARVIS_HOME"):
        try:
            return Path(text).expanduser().absolute()
        except RuntimeError as exc:
            raise UsageError(f"JARVIS_HOME is {text!r}, and there is no such home folder here.") from exc
    from platformdirs import user_data_path

    return user_data_path("jarvis", appauthor=False)
