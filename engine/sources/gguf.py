"""Models among GGUF files: splits, quantizations and projectors. Pure.

As llama.cpp's common/download.cpp chooses: Q4_K_M, else Q8_0, else the first model; a quantization that was
named has no fallback; a split model (`…-00001-of-00003.gguf`) comes whole; the nearest projector (mmproj)
comes along. Unlike there, a quantization is a whole word of the file's own name, so that a folder
called `Q4_K_M-old/` does not match.
"""

import re
from collections.abc import Callable, Iterable
from itertools import islice
from posixpath import basename, dirname

import msgspec

from engine.errors import NotFound
from engine.model_path import quantization_of
from engine.sources.listing import Entry, in_words

DEFAULTS = ("Q4_K_M", "Q8_0")
_SPLIT = re.compile(
    r"(?P<prefix>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.ASCII | re.IGNORECASE
)
_NAMED = 20
_COMPANIONS = ("mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-")


class Model(msgspec.Struct, frozen=True):
    """A GGUF model: one file, or all shards of a split that are there."""

    stem: str
    """Its path without shard number and extension."""
    count: int
    shards: dict[int, Entry]

    @property
    def quantization(self) -> str | None:
        """By the file's name, else by the folder that is called after one (`Q4_K_M/model.gguf`)."""
        return quantization_of(self.stem) or _folder_quantization(dirname(self.stem))

    @property
    def size(self) -> int:
        """Bytes of the shards that are there."""
        return sum(entry.size for entry in self.shards.values())

    def files(self) -> list[Entry]:
        """All of it, the first shard first. Raises NotFound, naming what is missing."""
        numbers = range(1, self.count + 1)
        if missing := self.count - sum(number in numbers for number in self.shards):
            # Not all of them: a name may claim 99,999, and a listing may have many such names.
            first = islice((number for number in numbers if number not in self.shards), _NAMED)
            names = (f"{self.stem}-{number:05d}-of-{self.count:05d}.gguf" for number in first)
            more = f" and {missing - _NAMED} more" if missing > _NAMED else ""
            raise NotFound(
                f"{self.stem} is split into {self.count} files, and the repository lacks {in_words(names)}{more}. "
                "Choose another quantization, or ask the repository's owner."
            )
        return [self.shards[number] for number in numbers]


def is_gguf(path: str) -> bool:
    return path.lower().endswith(".gguf")


def is_model(path: str) -> bool:
    """A GGUF file that is no projector, importance matrix or draft head."""
    return is_gguf(path) and not any(word in basename(path).lower() for word in _COMPANIONS)


def models_in(entries: Iterable[Entry]) -> list[Model]:
    """Files grouped into models, those in the root first, else in the listing's order."""
    found: dict[tuple[str, int], Model] = {}
    for entry in entries:
        match = _SPLIT.fullmatch(entry.path)
        key = (match["prefix"], int(match["count"])) if match else ("", 0)
        if match and key[1] > 0 and int(match["number"]) not in found.setdefault(key, Model(*key, {})).shards:
            found[key].shards[int(match["number"])] = entry
        else:  # or a second file for one shard, ending in .GGUF
            found[entry.path, 0] = Model(entry.path[: -len(".gguf")], 1, {1: entry})
    return sorted(found.values(), key=lambda model: model.stem.count("/"))


def model_of(entry: Entry, entries: Iterable[Entry]) -> Model:
    """The model that this file is, or is a shard of."""
    models = models_in(entry for entry in entries if is_gguf(entry.path))
    return next(model for model in models if entry in model.shards.values())


def choose(entries: list[Entry], quant: str | None) -> list[Entry]:
    """The files of the quantization asked for, or of the default one, with the projector. Raises NotFound."""
    models = models_in(entry for entry in entries if is_model(entry.path))
    if quant is None:
        found = default(models)
    else:
        match = with_tag(models, quant)
        if match is None:
            raise NotFound(
                f"There is no quantization {quant!r} here. There are: "
                f"{in_words(m.quantization or basename(m.stem) for m in models)}. Choose with -q or :TAG."
            )
        found = match
    projector = _projector(found, [entry for entry in entries if is_gguf(entry.path)])
    return found.files() + ([projector] if projector else [])


def default(models: list[Model]) -> Model:
    """The model that is meant where no quantization is named. There must be one at least."""
    return next((m for tag in DEFAULTS if (m := with_tag(models, tag)) is not None), models[0])


def with_tag(models: list[Model], tag: str) -> Model | None:
    """The first model of this quantization: by the end of its name, within its name, else by its folder."""
    word = re.escape(tag)
    ends = re.compile(rf"(?:^|[-._]){word}$", re.IGNORECASE)
    within = re.compile(rf"(?:^|[-._]){word}[-.]", re.IGNORECASE)
    tests: tuple[Callable[[Model], object], ...] = (
        # "Q4_K_XL" also ends "UD-Q4_K_XL"; who says so in full is preferred.
        lambda m: m.quantization == tag.upper(),
        lambda m: ends.search(basename(m.stem)),
        lambda m: within.search(basename(m.stem)),
        lambda m: (
            quantization_of(m.stem) is None and any(ends.search(part) for part in dirname(m.stem).split("/"))
        ),
    )
    return next((model for test in tests for model in models if test(model)), None)


def _folder_quantization(folder: str) -> str | None:
    for part in reversed(folder.split("/")):
        tag = quantization_of(part)
        if tag is not None and part.upper().endswith(tag):
            return tag
    return None


def _projector(model: Model, entries: list[Entry]) -> Entry | None:
    """The mmproj file in the model's folder or above it: the deepest, the same tag, the nearest width."""
    folder = dirname(model.stem)
    near = [
        entry
        for entry in entries
        if "mmproj" in basename(entry.path).lower() and _is_within(folder, dirname(entry.path))
    ]

    def rank(entry: Entry) -> tuple[int, bool, int]:
        tag = quantization_of(entry.path)
        return (
            -len(dirname(entry.path)),
            tag != model.quantization,
            abs(_bits(tag) - _bits(model.quantization)),
        )

    return min(near, key=rank, default=None)


def _is_within(folder: str, ancestor: str) -> bool:
    return not ancestor or folder == ancestor or folder.startswith(f"{ancestor}/")


def _bits(tag: str | None) -> int:
    digits = re.search(r"[0-9]+", tag or "")
    return int(digits[0]) if digits else 0
