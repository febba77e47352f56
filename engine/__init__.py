"""jarvis: pull large language models, in parallel, resumable, verified.

The public page. Importing it does no work: names are loaded where they are first used,
so that `import engine` costs a millisecond and a worker process loads only its lane.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.errors import (
        AccessDenied,
        Busy,
        DigestMismatch,
        EngineError,
        NetworkError,
        NotFound,
        PathError,
        StoreError,
    )
    from engine.llm_manager import LLMManager
    from engine.model_downloader import DownloadProgress, ModelDownloader
    from engine.model_manifest import ManifestManager, ModelManifest
    from engine.model_registry import ModelPath, ModelRegistry, get_download_url

__all__ = [
    "AccessDenied",
    "Busy",
    "DigestMismatch",
    "DownloadProgress",
    "EngineError",
    "LLMManager",
    "ManifestManager",
    "ModelDownloader",
    "ModelManifest",
    "ModelPath",
    "ModelRegistry",
    "NetworkError",
    "NotFound",
    "PathError",
    "StoreError",
    "__version__",
    "get_download_url",
]

__version__ = "0.1.0"

_HOME = {
    "DownloadProgress": "model_downloader",
    "LLMManager": "llm_manager",
    "ManifestManager": "model_manifest",
    "ModelDownloader": "model_downloader",
    "ModelManifest": "model_manifest",
    "ModelPath": "model_registry",
    "ModelRegistry": "model_registry",
    "get_download_url": "model_registry",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(f"engine.{_HOME.get(name, 'errors')}"), name)
