"""Which files of a repository make up the model that was asked for. Pure.

GGUF is chosen as llama.cpp chooses (its common/download.cpp): Q4_K_M, else Q8_0, else the first model;
a quantization that was named has no fallback; a split model comes whole; the nearest projector (mmproj)
comes along. Unlike there, a quantization is a whole word of the file's own name, so that a folder called
`Q4_K_M-old/` does not match. Without GGUF it is the safetensors set as transformers would load it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from os.path import commonpath
from posixpath import basename, dirname
from typing import NoReturn

import msgspec

from engine.digest import Digest
from engine.errors import NotFound, PathError, UsageError
from engine.model_path import quantization_of
from engine.model_registry import DEFAULT_QUANTIZATION
from engine.sources import safetensors


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What the user chose among a repository's files; None and empty leave it to the path and the defaults."""

    quant: str | None = None
    file: str | None = None
    revision: str | None = None
    include: tuple[str, ...] = ()
    """Globs over the whole path, `*` crossing slashes; a trailing slash means all that is below (as the Hub's)."""
    exclude: tuple[str, ...] = ()
    """Wins over include."""
    name: str | None = None
    """What the one file of a plain URL is to be called."""
