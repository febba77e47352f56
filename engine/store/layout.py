"""Where things lie: the store's folders, and the partial folder beside a loose target."""

import hashlib
import os
from pathlib import Path

from engine.remote_file import PART_SUFFIX, RemoteFile, RemoteName

_MAX_NAME_BYTES = 255


def models(root: Path) -> Path:
    """What people open: <root>/llm/<namespace>/<repository>/<path>."""
    return root / "llm"


def blobs(root: Path) -> Path:
    """Contents by digest: <root>/blobs/sha256-<hex>."""
    return root / "blobs"


def receipts(root: Path) -> Path:
    return root / "receipts"


def manifests(root: Path) -> Path:
    """One JSON file a model: <root>/manifests/<key>.json."""
    return root / "manifests"


def registry(root: Path) -> Path:
    """What registries said, byte for byte: <root>/registry/<host>/<repository>/<tag>."""
    return root / "registry"


def partials(root: Path) -> Path:
    return root / "partial"


def pauses(root: Path) -> Path:
    """When origins may be asked again: transport/pauses.py."""
    return root / "pauses"


def lanes(root: Path) -> Path:
    """How many connections paid for an origin: transfer/lane_memory.py."""
    return root / "lanes"


def key_of(file: RemoteFile) -> str:
    """The name of a file in flight in the store: its digest where one is known, so that what came of a content
    is continued whatever its address; else its address. Files of one content share it, one after the other."""
    if file.digest is not None:
        return f"{file.digest.algorithm}-{file.digest.hex}"
    return "url-" + hashlib.sha256(file.url.encode()).hexdigest()[:40]


def partial_in_store(root: Path, file: RemoteFile) -> Path:
    """<root>/partial/<key>/"""
    return partials(root) / key_of(file)


def partial_beside(target: Path) -> Path:
    """The partial folder of a loose file: beside it, so that the last step is a rename within one file system."""
    if len(os.fsencode(target.name + PART_SUFFIX)) > _MAX_NAME_BYTES:
        name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:40] + PART_SUFFIX
        return target.with_name(name)
    return Path(f"{target}{PART_SUFFIX}")


def inside(folder: Path, name: RemoteName) -> Path:
    """folder/name, in UTF-8 whatever the locale. The name was judged at the door; folders on the way may be links, as
    their owner has made them."""
    return folder.joinpath(*os.fsdecode(name.encode()).split("/"))
