"""What was typed after `jarvis pull`, judged at the door: every fault found is told, not only the first."""

import errno
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from engine.console.sizes import parse_rate, parse_size
from engine.digest import Digest
from engine.errors import EngineError, UsageError
from engine.library.finding import Request
from engine.model_registry import check_revision
from engine.remote_file import PART_SUFFIX
from engine.settings import DEFAULT_SEGMENT, MAX_CONNECTIONS, MAX_PROCESSES, MIB, Settings, home, proxy_url
from engine.sources import Choice
from engine.store.aliases import Aliases

T = TypeVar("T")

_SEGMENTS = (64 << 10, 1024 * MIB)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)")
_OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "if-match",
        "if-none-match",
        "if-range",
        "keep-alive",
        "proxy-authorization",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that decide what bytes come, or on which connection: the engine's own business."""


class Manner(msgspec.Struct, frozen=True):
    """How a command is to talk."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False


class PullOptions(Request, frozen=True, kw_only=True):
    """Options of `jarvis pull`, free of contradictions."""

    dry_run: bool
    manner: Manner
    log_file: Path | None
    into: Literal["hf-cache", "ollama"] | None = None
    """Whose store gets the models, too."""

    @property
    def may_write(self) -> bool:
        return not self.dry_run


class _Faults:
    """Collects what is wrong, so that all of it is told at once."""

    def __init__(self) -> None:
        self.found: list[EngineError] = []

    def check(self, is_wrong: object, message: str) -> None:
        if is_wrong:
            self.found.append(UsageError(message))

    def parse(self, parser: Callable[[str], T], text: str | None, default: T) -> T:
        """parser(text); default where nothing was typed, or the wrong thing."""
        if text is None:
            return default
        try:
            return parser(text)
        except EngineError as exc:
            self.found.append(exc)
            return default

    def raise_any(self) -> None:
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            raise UsageError(" ".join(str(fault) for fault in self.found))


def parse_options(given: Mapping[str, Any]) -> PullOptions:
    """From the command line's words by name. Raises UsageError or PathError with all that is wrong."""
    faults = _Faults()
    aliases = Aliases(home())
    parse = partial(aliases.parse, is_file=bool(given["output"]))
    targets = [faults.parse(parse, text, None) for text in given["targets"]]
    digest = faults.parse(_sha256, given["sha256"], None)
    headers = dict(filter(None, (faults.parse(_header, text, None) for text in given["header"])))
    settings = Settings(
        connections=faults.parse(_count("--connections", 1, MAX_CONNECTIONS), given["connections"], None),
        processes=faults.parse(_count("--processes", 0, MAX_PROCESSES), given["processes"], None),
        segment_size=faults.parse(_segment, given["segment_size"], DEFAULT_SEGMENT),
        limit_rate=faults.parse(parse_rate, given["limit_rate"], None),
        retries=max(given["retries"], 0),  # judged below, with all other faults
        stall_timeout_s=given["stall_timeout"] if given["stall_timeout"] > 0 else 0.0,
        hash=None if given["hash"] == "none" else given["hash"],
        allocate=given["allocate"],
        repair=given["repair"],
        force=given["force"],
        cacert=faults.parse(_readable, given["cacert"], None),
        insecure=given["insecure"],
        proxy=faults.parse(_proxy, given["proxy"], None),
    )
    places = {
        name: faults.parse(_absolute, given[name], None) for name in ("directory", "output", "log_file")
    }
    revision = faults.parse(_revision, given["revision"], None)
    _contradictions(given, headers, faults)
    faults.raise_any()
    return PullOptions(
        targets=tuple(path for path in targets if path is not None),
        settings=settings,
        choice=Choice(
            quant=given["quant"],
            file=given["file"],
            revision=revision,
            include=given["include"],
            exclude=given["exclude"],
        ),
        directory=places["directory"],
        output=places["output"],
        digest=digest,
        token=faults.parse(_token, given["token"], None),
        headers=headers,
        dry_run=given["dry_run"],
        manner=Manner(given["json"], given["quiet"], given["verbose"]),
        log_file=places["log_file"],
        into=given["into"],
    )


_OPTION = {"directory": "dir", "log_file": "log-file"}


def _contradictions(given: Mapping[str, Any], headers: Mapping[str, str], faults: _Faults) -> None:
    several = len(given["targets"]) > 1
    output, digest = given["output"], given["sha256"]
    for name in ("output", "directory", "log_file"):
        faults.check(
            given[name] == "", f"--{_OPTION.get(name, name)} is empty. Name a place, or leave it out."
        )
    faults.check(output and given["directory"], "--output names the file, --dir its folder: leave one out.")
    faults.check(output and several, "--output names one file, and there are several targets. Use --dir.")
    faults.check(output and output.endswith("/"), "--output names a file. For a folder use --dir.")
    is_in_part = output and any(part.casefold().endswith(PART_SUFFIX) for part in Path(output).parts)
    faults.check(
        is_in_part, f"--output is in a folder of what is unfinished ({PART_SUFFIX}). Name another place."
    )
    faults.check(digest and several, "--sha256 is one file's, and there are several targets.")
    faults.check(
        given["into"] and (output or given["directory"]),
        "--into shares what is in the store; --output and --dir keep files out of it: leave one out.",
    )
    no_hash = given["hash"] == "none"
    faults.check(no_hash and digest, "--sha256 cannot be compared with --hash none: leave one out.")
    faults.check(
        no_hash and not output and not given["directory"],
        "--hash none needs --output or --dir: what goes into the store is always hashed.",
    )
    faults.check(given["quiet"] and given["verbose"], "--quiet and --verbose exclude each other.")
    faults.check(
        given["cacert"] and given["insecure"], "--insecure checks no certificate: leave out --cacert."
    )
    faults.check(
        given["token"] and "Authorization" in headers,
        "--token and an Authorization header exclude each other.",
    )
    faults.check(given["retries"] < 0, "--retries must be 0 at least.")
    faults.check(
        not 0 < given["stall_timeout"] <= 3600, "--stall-timeout must be above 0 and at most 3600 seconds."
    )
    faults.parse(_token, given["token"], None)


def _sha256(text: str) -> Digest:
    digest = Digest.parse(text)
    if digest.algorithm != "sha256":
        raise UsageError(f"--sha256 takes a SHA-256 digest, not {digest.algorithm}.")
    return digest


def _count(option: str, least: int, most: int) -> Callable[[str], int | None]:
    def parse(text: str) -> int | None:
        if text.lower() == "auto":
            return None
        if not re.fullmatch(r"[0-9]{1,6}", text) or not least <= int(text) <= most:
            raise UsageError(f"{option} is 'auto' or a number from {least} to {most}, not {text[:40]!r}.")
        return int(text)

    return parse


def _revision(text: str) -> str:
    check_revision(f"--revision {text}", text.removeprefix("sha256:"))
    return text


def _segment(text: str) -> int:
    size, (least, most) = parse_size(text), _SEGMENTS
    if not least <= size <= most:
        raise UsageError("--segment-size must be from 64KiB to 1GiB.")
    return size


def _header(text: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(text.strip())
    if match is None:
        # Not quoted: it may hold a secret.
        raise UsageError("A --header is written as 'Name: value', in visible ASCII.")
    name = match[1]
    if name.lower() in _OURS:
        raise UsageError(f"The header {name} is the engine's own and cannot be set.")
    return ("Authorization" if name.lower() == "authorization" else name), match[2]


def _token(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", text.strip()):
        raise UsageError("The --token is empty or holds spaces or characters that no token has.")
    return text.strip()


def _readable(text: str) -> str:
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise UsageError(f"--cacert: there is no file {str(path)!r}.")
    return str(path)


def _proxy(text: str) -> str:
    proxy = proxy_url(text)
    if proxy is None:
        raise UsageError("--proxy takes the address of an HTTP proxy, such as http://proxy.example:3128.")
    return proxy


def _absolute(text: str) -> Path:
    try:
        path = Path(text).expanduser().absolute()
    except FileNotFoundError:
        raise UsageError(
            "The current folder is gone: change to another one, or name places from / on."
        ) from None
    try:
        path.lstat()
    except OSError as exc:
        if exc.errno == errno.ENAMETOOLONG:
            raise UsageError(
                f"{text[:80]!r}… is longer than a name may be here. Choose a shorter one."
            ) from None
    return path
