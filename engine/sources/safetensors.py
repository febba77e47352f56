"""The files of a model in safetensors format, as transformers and sentence-transformers load it. Pure.

Weights: `model.safetensors`, else what `model.safetensors.index.json` maps to, else every safetensors
file of the root, else of the folders (of which diffusers' models consist). With them come configuration
and tokenizer. Other formats of the same weights (pickle, ONNX, TensorFlow, …) are left out: they would
double the download.
"""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from posixpath import basename, dirname

from engine.errors import NotFound
from engine.sources.listing import Entry, in_words
from engine.sources.splits import missing_shards, set_of

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_PIPELINE = "model_index.json"
_OTHER_FORMATS = frozenset({"onnx", "openvino", "coreml", "original", "flax", "tf", "gguf", "mlx"})
_COMPANIONS = (
    "*.json", "*.jinja", "*.model", "*.tiktoken", "*.spm", "tokenizer*", "vocab*", "merges.txt",
    "added_tokens*", "special_tokens*", "chat_template*",
    "configuration_*.py", "modeling_*.py", "tokenization_*.py", "processing_*.py", "image_processing_*.py",
)  # fmt: skip
_NOT_COMPANIONS = ("*.bin.index.json", "*.h5.index.json", "*.msgpack.index.json", "*.onnx*", "*.bin", "*.h5")
_MODULE_FOLDER = re.compile(r"[0-9]+_\w+", re.ASCII)


def choose(
    entries: list[Entry], read_index: Callable[[Entry], Iterable[str]], *, is_whole_listing: bool = True
) -> list[Entry]:
    """Weights first, then their companions in the listing's order; empty when there are no safetensors.

    is_whole_listing: none was excluded by its name, so that what is missing is missing there.
    read_index is called at most once, with the index file, and returns the paths of the shards.
    Raises NotFound when the index names a file that is not there, or no weights, and when shards are missing.
    """
    by_path = {entry.path: entry for entry in entries}
    weights = _weights(by_path, read_index)
    if not weights:
        return []
    if is_whole_listing:
        _check_whole(weights, by_path)
    folders = {"", *(dirname(entry.path) for entry in weights)}
    if "modules.json" in by_path:  # sentence-transformers: 1_Pooling/config.json, 2_Dense/model.safetensors
        modules = {folder for folder in map(dirname, by_path) if _MODULE_FOLDER.fullmatch(folder)}
        known = {entry.path for entry in weights}
        weights += [
            e for e in entries if _is_weights(e.path) and dirname(e.path) in modules and e.path not in known
        ]
        folders |= modules
    if _PIPELINE in by_path:  # diffusers: scheduler/ and tokenizer/ have no weights
        folders |= {folder for folder in map(dirname, by_path) if not _is_other_format(folder)}
    names = {entry.path for entry in weights}
    return weights + [
        e for e in entries if e.path not in names and dirname(e.path) in folders and is_companion(e.path)
    ]


def is_companion(path: str) -> bool:
    """Configuration, tokenizer, or the code that a configuration names."""
    name = basename(path)
    return any(fnmatchcase(name, glob) for glob in _COMPANIONS) and not any(
        fnmatchcase(name, glob) for glob in _NOT_COMPANIONS
    )


def _weights(by_path: dict[str, Entry], read_index: Callable[[Entry], Iterable[str]]) -> list[Entry]:
    if SINGLE in by_path:
        return [by_path[SINGLE]]
    if INDEX in by_path:
        names = sorted(set(read_index(by_path[INDEX])))
        if missing := [name for name in names if name not in by_path]:
            raise NotFound(
                f"{INDEX} names files that the repository lacks: {in_words(missing)}. "
                "Ask the repository's owner."
            )
        if not any(map(_is_weights, names)):
            raise NotFound(
                f"{INDEX} names no weights: {in_words(names)}. "
                "Choose files with --include, or ask the repository's owner."
            )
        return [by_path[name] for name in names]
    found = [entry for path, entry in by_path.items() if _is_weights(path)]
    in_root = [entry for entry in found if "/" not in entry.path]
    below = [entry for entry in found if "/" in entry.path]
    return (below or in_root) if _PIPELINE in by_path else (in_root or below)


def _check_whole(weights: list[Entry], by_path: dict[str, Entry]) -> None:
    """Raises NotFound where a set of shards is not all there. Nobody knows the end of one that is counted from 0."""
    paths = [entry.path for entry in weights]
    from_zero = {set_of(path) for path in paths if "-00000-of-" in path}
    missing = missing_shards(path for path in paths if set_of(path) not in from_zero)
    if not missing:
        return
    absent = [name for name in missing if name not in by_path]
    fault = "the repository lacks" if absent else f"{INDEX} does not name"
    raise NotFound(
        f"The model is split into several files, and {fault} {in_words(absent or missing)}. "
        "Choose files with --include, or ask the repository's owner."
    )


def _is_weights(path: str) -> bool:
    return path.endswith(".safetensors") and not _is_other_format(dirname(path))


def _is_other_format(folder: str) -> bool:
    return any(part.lower() in _OTHER_FORMATS for part in folder.split("/"))
