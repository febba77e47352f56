"""Which files of a repository make up what was asked for. Pure: a function is handed in that reads an index.

A file by name, globs, a quantization, or by default: the GGUF model (gguf.py), else the safetensors set.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from posixpath import basename
from typing import NoReturn

import msgspec

from engine.errors import NotFound, PathError, UsageError
from engine.model_path import ModelPath, with_quantization
from engine.remote_file import RemoteName
from engine.sources import gguf, safetensors
from engine.sources.listing import Entry, in_words


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What the user chose among a repository's files; None and empty leave it to path and defaults."""

    quant: str | None = None
    file: str | None = None
    revision: str | None = None
    include: tuple[str, ...] = ()
    """Globs over the whole path, `*` crossing slashes; a slash at the end means all below (as the Hub's)."""
    exclude: tuple[str, ...] = ()
    """Wins over include."""
    name: str | None = None
    """What the one file of a plain URL is to be called."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Path and choice together, free of contradictions. Made by `Wish.of`."""

    revision: str
    quant: str | None = None
    file: str | None = None
    whole: bool = True
    """Whether a shard stands for all of its split; not where a URL names one file."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: ModelPath, choice: Choice) -> "Wish":
        """Raises UsageError where two of them say different things, PathError for a quantization that cannot be."""
        typed_revision = path.pin or (path.revision if path.revision != "main" else None)
        quant = _agreed("quantization", path.quantization, choice.quant and choice.quant.upper())
        file = _agreed("file", path.filename or path.tag_file, choice.file)
        if file and quant and not choice.file:
            file, quant = with_quantization(file, quant), None
        patterns = choice.include or choice.exclude
        if (file and (quant or patterns)) or (choice.include and quant):
            raise UsageError("A file, a quantization and patterns exclude each other: choose by one of them.")
        return cls(
            revision=_agreed("revision", typed_revision, choice.revision) or "main",
            quant=quant,
            file=file,
            whole=path.filename is None,
            include=choice.include,
            exclude=choice.exclude,
        )


def select(entries: list[Entry], wish: Wish, read_index: Callable[[Entry], Iterable[str]]) -> list[Entry]:
    """The files wished for, the main one first; their names are checked, and fit beside each other on any disk.

    Raises NotFound, which lists what there is, or PathError.
    """
    chosen = _chosen(entries, wish, read_index)
    for entry in chosen:
        RemoteName.parse(entry.path)
    check_clashes([entry.path for entry in chosen])
    return chosen


def _chosen(entries: list[Entry], wish: Wish, read_index: Callable[[Entry], Iterable[str]]) -> list[Entry]:
    if wish.file is not None:
        return _named(entries, wish.file, whole=wish.whole)
    if wish.include:
        left = f" and not {' '.join(wish.exclude)!r}" if wish.exclude else ""
        return _matching(entries, wish) or _nothing(
            entries, f"No file matches {' '.join(wish.include)!r}{left}"
        )
    pool = _matching(entries, wish)
    if wish.quant is not None or any(gguf.is_model(entry.path) for entry in pool):
        if not any(gguf.is_model(entry.path) for entry in pool):
            _nothing(pool, f"There is no quantization {wish.quant!r} here, for there is no GGUF model")
        return gguf.choose(pool, wish.quant)
    return safetensors.choose(pool, read_index, is_whole_listing=not wish.exclude) or _nothing(
        entries,
        "There is neither a GGUF nor a safetensors model here",
        "Choose files with --file or --include",
    )


def matches(path: str, patterns: Iterable[str]) -> bool:
    """By the Hub's rules (huggingface_hub's filter_repo_objects): fnmatch with case over the whole path, a
    backslash is a slash, and what ends in one means all below."""
    globs = (glob.replace("\\", "/") for glob in patterns)
    path = path.replace("\\", "/")
    return any(fnmatchcase(path, f"{glob}*" if glob.endswith("/") else glob) for glob in globs)


def named_twice(paths: Iterable[str]) -> str | None:
    """The first path that comes more than once."""
    return next((path for path, times in Counter(paths).items() if times > 1), None)


def check_clashes(paths: list[str]) -> None:
    """Raises PathError where one disk or another could not hold all of these side by side."""
    if (double := named_twice(paths)) is not None:
        raise PathError(f"Refusing a listing that names {double!r} twice.")
    seen: dict[str, str] = {}
    for path in paths:
        if (other := seen.setdefault(_folded(path), path)) != path:
            raise PathError(
                f"Refusing {path!r} beside {other!r}: where case does not count, they are one file."
            )
    for path in paths:
        parts = _folded(path).split("/")
        for depth in range(1, len(parts)):
            if other := seen.get("/".join(parts[:depth]), ""):
                raise PathError(f"Refusing {path!r} beside {other!r}: a file cannot be a folder too.")


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _agreed(what: str, in_path: str | None, chosen: str | None) -> str | None:
    if in_path and chosen and in_path != chosen:
        raise UsageError(f"The model path says {what} {in_path!r}, the option {chosen!r}. Leave one out.")
    return chosen or in_path


def _matching(entries: list[Entry], wish: Wish) -> list[Entry]:
    return [
        entry
        for entry in entries
        if (not wish.include or matches(entry.path, wish.include)) and not matches(entry.path, wish.exclude)
    ]


def _named(entries: list[Entry], name: str, *, whole: bool) -> list[Entry]:
    """The file of this path, else of this path in any case, else the only one of this name in any folder."""
    folded = name.casefold()
    found = (
        [entry for entry in entries if entry.path == name]
        or [entry for entry in entries if entry.path.casefold() == folded]
        or [entry for entry in entries if basename(entry.path).casefold() == folded]
    )
    if not found:
        same_kind = (
            [entry for entry in entries if gguf.is_gguf(entry.path)] if gguf.is_gguf(name) else entries
        )
        _nothing(same_kind or entries, f"There is no file {name!r} here", "Check the name")
    if len(found) > 1:
        raise PathError(f"{name!r} may be any of {in_words(e.path for e in found)}. Name it with its folder.")
    return gguf.model_of(found[0], entries).files() if whole and gguf.is_gguf(found[0].path) else found


def _nothing(entries: list[Entry], what: str, advice: str = "Choose among them") -> NoReturn:
    raise NotFound(f"{what}. There are: {in_words(entry.path for entry in entries)}. {advice}.")
