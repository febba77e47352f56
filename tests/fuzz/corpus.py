"""Seeds: a folder of small files for each target. What a fuzzer has found is kept there, and replayed ever after."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).parent / "corpus"


def seeds(name: str) -> dict[str, bytes]:
    """By the file's name, in order."""
    return {path.name: path.read_bytes() for path in sorted((ROOT / name).glob("*"))}


def keep(name: str, data: bytes) -> Path:
    """Write a finding down. The suite is red from then on, until the engine is mended."""
    path = ROOT / name / f"found-{hashlib.sha256(data).hexdigest()[:8]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
