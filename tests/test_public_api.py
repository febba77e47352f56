"""What people import and call: names and signatures that are promised, so that no scheme of ours breaks a script."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import engine
from engine import errors, llm_manager, model_downloader, model_manifest, model_registry
from engine.errors import UsageError
from engine.model_downloader import DownloadProgress, ModelDownloader
from engine.model_registry import ModelRegistry

ERRORS = {
    "AccessDenied",
    "Busy",
    "DigestMismatch",
    "EngineError",
    "NetworkError",
    "NotFound",
    "PathError",
    "StoreError",
}
DOORS = {
    "DownloadProgress",
    "LLMManager",
    "ManifestManager",
    "ModelDownloader",
    "ModelManifest",
    "ModelPath",
    "ModelRegistry",
    "get_download_url",
}


def test_public_page_is_whole():
    """Every name of `__all__` can be had, the list is sorted and complete, and nothing else comes from there."""
    assert set(engine.__all__) == ERRORS | DOORS | {"__version__"}
    assert list(engine.__all__) == sorted(engine.__all__)
    assert all(getattr(engine, name) is not None for name in engine.__all__)
    with pytest.raises(AttributeError, match="Nonsense"):
        engine.Nonsense  # noqa: B018 - the access is what is tested
    assert not hasattr(engine, "import_module_of_something")


def test_public_names_are_the_modules_own():
    """`from engine import X` and the mission's `from engine.module import X` are the same thing."""
    assert engine.ModelDownloader is model_downloader.ModelDownloader
    assert engine.LLMManager is llm_manager.LLMManager
    assert engine.ManifestManager is model_manifest.ManifestManager
    assert engine.ModelManifest is model_manifest.ModelManifest
    assert engine.DownloadProgress is model_downloader.DownloadProgress
    assert engine.ModelRegistry is model_registry.ModelRegistry
    assert engine.ModelPath is model_registry.ModelPath
    assert engine.get_download_url is model_registry.get_download_url
    assert all(getattr(engine, name) is getattr(errors, name) for name in ERRORS)


def test_star_import():
    """In a fresh interpreter too, `from engine import *` gives exactly the page."""
    program = "from engine import *\nprint(' '.join(sorted(n for n in dir() if not n.startswith('__'))))"
    root = Path(engine.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == sorted(ERRORS | DOORS)


def test_version():
    """The version is one, wherever it is read."""
    assert engine.__version__.count(".") == 2
    pyproject = Path(engine.__file__).parent.parent / "pyproject.toml"
    if pyproject.exists():
        assert f'version = "{engine.__version__}"' in pyproject.read_text()


SIGNATURES = [
    (
        ModelDownloader.download,
        [
            "self",
            "model_key",
            "url",
            "filename",
            "expected_sha256=None",
            "progress_callback=None",
            "force=False",
        ],
    ),
    (ModelDownloader.set_hf_token, ["self", "token"]),
    (ModelDownloader.calculate_file_hash, ["self", "path"]),
    (ModelRegistry.parse, ["text"]),
    (ModelRegistry.get_variants, ["text"]),
    (ModelRegistry.add_known_model, ["shortcut", "namespace", "repository", "filename", "tag='main'"]),
    (engine.get_download_url, ["text", "quantization=None"]),
    (engine.ModelPath.full_url, ["self", "filename"]),
    (
        engine.ManifestManager.create_manifest,
        [
            "self",
            "model_key",
            "registry",
            "namespace",
            "repository",
            "display_name=None",
            "parameters=None",
            "context_length=None",
        ],
    ),
    (engine.ManifestManager.update_manifest, ["self", "key", "manifest"]),
    (engine.ManifestManager.get_manifest, ["self", "key"]),
    (engine.ManifestManager.list_manifests, ["self"]),
    (engine.ManifestManager.delete_manifest, ["self", "key"]),
    (engine.ManifestManager.get_model_stats, ["self"]),
    (engine.ModelManifest.add_layer, ["self", "filename", "sha256", "size_bytes"]),
    (engine.ModelManifest.mark_downloaded, ["self"]),
    (engine.ModelManifest.mark_verified, ["self"]),
    (engine.LLMManager.__init__, ["self", "download_dir=None", "manifest_dir=None"]),
    (
        engine.LLMManager.download_model_from_path,
        ["self", "path", "quantization=None", "progress_callback=None"],
    ),
]


def positional(function) -> list[str]:
    """Parameters that may be given by position, with their defaults, as they are written."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]
    assert all(p.kind is kinds[1] for p in found), "every one may be given by name too"
    return [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in found]


@pytest.mark.parametrize(
    ("function", "parameters"), SIGNATURES, ids=lambda value: getattr(value, "__qualname__", "")
)
def test_signature(function, parameters):
    """Promised parameters stand in their order with their defaults; what we add is by name only and has a default."""
    assert positional(function) == parameters
    added = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert all(p.default is not p.empty for p in added)


def test_downloader_takes_a_folder(tmp_path):
    """One argument, a string or a path; the rest is by name."""
    assert positional(ModelDownloader.__init__) == ["self", "download_dir"]
    assert ModelDownloader(str(tmp_path)).download_dir == tmp_path
    assert ModelDownloader(tmp_path, hash=None).hash is None


def test_downloader_refuses_what_it_would_not_do(tmp_path):
    """A digest that nobody would compute, and a hash that is none of ours, are errors before anything is asked for."""
    url = "http://127.0.0.1:1/m"
    with pytest.raises(UsageError, match="expected_sha256"):
        ModelDownloader(tmp_path, hash=None).download("m", url, "m", expected_sha256="0" * 64)
    for name in ("md5", "none"):
        with pytest.raises(UsageError, match="hash is"):
            ModelDownloader(tmp_path, hash=name).download("m", url, "m")
    assert list(tmp_path.iterdir()) == []


def test_downloader_attributes(tmp_path):
    """Attributes that are read at each download, with their promised defaults."""
    downloader = ModelDownloader(tmp_path)
    assert (downloader.max_retries, downloader.retry_delay) == (3, 1.0)
    assert (downloader.chunk_size, downloader.progress_interval) == (4 << 20, 0.5)
    assert list(tmp_path.iterdir()) == [], "making one touches nothing"


def test_downloader_limit(tmp_path):
    """It may be set any time, and what cannot be a rate is refused where it is set."""
    downloader = ModelDownloader(tmp_path, limit_rate=1_000_000)
    downloader.limit_rate = 2_000_000
    with pytest.raises(UsageError, match="limit_rate is 0"):
        downloader.limit_rate = 0
    assert downloader.limit_rate == 2_000_000
    with pytest.raises(UsageError, match="limit_rate is -1"):
        ModelDownloader(tmp_path, limit_rate=-1)


def test_progress_attributes():
    """What a callback may read."""
    progress = DownloadProgress(
        model="m",
        filename="f",
        phase="downloading",
        downloaded_bytes=250,
        total_bytes=1000,
        speed_bytes_s=2_500_000.0,
        eta_s=83.0,
    )
    assert (progress.model, progress.filename, progress.phase) == ("m", "f", "downloading")
    assert (progress.downloaded_bytes, progress.total_bytes) == (250, 1000)
    assert (progress.percent, progress.speed_mbps, progress.eta_formatted) == (25.0, 2.5, "1m 23s")


UNKNOWN = [
    ({"total_bytes": None}, 0.0, "--"),
    ({"total_bytes": 0, "downloaded_bytes": 0}, 0.0, "--"),
    ({"total_bytes": None, "phase": "done"}, 100.0, "--"),
    ({"total_bytes": 0, "downloaded_bytes": 0, "phase": "done", "eta_s": 0.0}, 100.0, "0s"),
    ({"eta_s": 45.4}, 25.0, "45s"),
    ({"eta_s": 7500.0}, 25.0, "2h 05m"),
    ({"eta_s": float("inf")}, 25.0, "--"),
    ({"eta_s": float("nan")}, 25.0, "--"),
    ({"eta_s": -1.0}, 25.0, "--"),
]


@pytest.mark.parametrize(("changes", "percent", "eta"), UNKNOWN)
def test_progress_of_what_is_not_known(changes, percent, eta):
    """0.0 percent while the size is unknown, "--" while the time is, 100 at the end."""
    fields = {
        "model": "m",
        "filename": "f",
        "phase": "downloading",
        "downloaded_bytes": 250,
        "total_bytes": 1000,
        "speed_bytes_s": 0.0,
        "eta_s": None,
    }
    progress = DownloadProgress(**fields | changes)
    assert (progress.percent, progress.eta_formatted) == (percent, eta)


def test_model_path_attributes():
    """What a parsed path says."""
    path = ModelRegistry.parse("hf.co/ns/repo:Q4_K_M")
    assert (path.namespace, path.repository, path.tag, path.scheme) == ("ns", "repo", "Q4_K_M", "https")
    assert isinstance(path.registry, str)
    assert ModelRegistry.parse(path.canonical) == path
    assert path.full_url("x.gguf").endswith("/ns/repo/resolve/main/x.gguf")


def test_everything_public_is_explained():
    """Every public class and function has a docstring, and so has every public method of the doors."""
    for name in DOORS:
        item = getattr(engine, name)
        assert item.__doc__, name
        for member, value in vars(item).items() if inspect.isclass(item) else ():
            if not member.startswith("_") and callable(getattr(value, "__func__", value)):
                assert getattr(value, "__func__", value).__doc__, f"{name}.{member}"
