"""What strace(1) wrote, as calls. Strict: a line that is not understood is an error, for what it says would be missing
from the recording.

Every string is in hex (-xx) and whole (-s), every descriptor has its path (-y). A call that another thread's line
interrupts comes as two lines, so each call has a begin and an end: what one call did before another began is certain
only where the first had ended.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CHANGING = (
    "open", "creat", "openat", "openat2", "write", "pwrite64", "writev", "pwritev", "pwritev2",
    "ftruncate", "truncate", "fallocate", "fsync", "fdatasync", "sync", "syncfs", "sync_file_range",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink",
    "unlinkat", "mkdir", "mkdirat", "mknod", "mknodat", "rmdir", "copy_file_range", "sendfile",
    "splice", "ioctl",
)  # fmt: skip
"""Whatever may change a file system, also what no pull does: it is to be noticed if one does."""

STEP = 10
"""Between the positions of two lines, so that a planted mistake finds room."""

_LINE = re.compile(r"(\d+) +(.*)")
_NEWS = re.compile(r"(\+\+\+|---) .* (\+\+\+|---)")
_UNREAD = re.compile(r"\?\?\?\( <unfinished \.\.\.>|<\.\.\. \?\?\? resumed>\)? += \?")
"""A process that was killed where it entered a call, before strace could ask which: it has not done it."""
_EXIT = re.compile(r"\+\+\+ exited with (\d+) \+\+\+")
_BEGUN = re.compile(r"(\w+)\((.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_WHOLE = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(.*)")
_ARGUMENT = re.compile(r"\[.*?\]|\{.*?\}|\"[^\"]*\"(?:\.\.\.)?|[^,]+")
_TEXT = re.compile(r"\"((?:\\x[0-9a-f]{2})*)\"(?:, \.\.\.)?")
_PATH = re.compile(r"<((?:\\x[0-9a-f]{2})+)>")


@dataclass(frozen=True)
class Call:
    """One system call. result None: the process was killed in its midst, and end is infinite."""

    name: str
    arguments: tuple[str, ...]
    result: int | None
    opened: str
    """What stands behind the result: the path of a new descriptor, or an error's name."""
    begin: float
    end: float


def options(output: object) -> list[str]:
    """strace's own, to record a command and its children to output."""
    traced = ",".join(f"?{name}" for name in CHANGING)
    return [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-y",
        "-xx",
        "-s",
        str(1 << 24),
        "-e",
        f"trace={traced}",
        "-o",
        str(output),
    ]


def calls(lines: Iterable[str], start: float = 0) -> Iterator[Call]:
    """In the order of their ends; what was killed comes last. ValueError for what is not understood."""
    begun: dict[str, tuple[str, float]] = {}
    for number, line in enumerate(lines):
        at = start + number * STEP
        pid, text = _match(_LINE, line)
        if _NEWS.fullmatch(text) or _UNREAD.fullmatch(text):
            continue
        if match := _BEGUN.fullmatch(text):
            begun[pid] = (f"{match[1]}({match[2]}", at)
            continue
        begin = at
        if match := _RESUMED.fullmatch(text):
            head, begin = begun.pop(pid)
            text = head + match[2].replace(" <unfinished ...>", "")
        name, arguments, result, opened = _match(_WHOLE, text)
        if result == "?":
            yield Call(name, _arguments(arguments), None, opened, begin, math.inf)
        else:
            yield Call(name, _arguments(arguments), int(result), opened, begin, at)
    for head, begin in begun.values():
        name, _, arguments = head.partition("(")
        yield Call(name, _arguments(arguments), None, "", begin, math.inf)


def text_of(argument: str) -> bytes:
    """The bytes of a string; ValueError where strace has cut it short."""
    (digits,) = _match(_TEXT, argument)
    return bytes.fromhex(digits.replace("\\x", ""))


def path_of(argument: str) -> str | None:
    """The path that -y has added to a descriptor; None where there is none."""
    match = _PATH.search(argument)
    return bytes.fromhex(match[1].replace("\\x", "")).decode() if match else None


def _arguments(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in _ARGUMENT.findall(text))


def _match(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(f"strace wrote what is not understood: {text[:200]!r}")
    return match.groups()
