"""What a program hands in that cannot be is refused at the door, by the name of the argument."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import LLMManager, ManifestManager, ModelDownloader
from engine.errors import UsageError

_URL = "https://models.example.org/a.gguf"


def _download(folder: Path, *given: Any, **more: Any) -> object:
    return ModelDownloader(folder).download(*given, **more)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("model_key", lambda folder: _download(folder, None, _URL, "a")),
        ("url", lambda folder: _download(folder, "m", None, "a")),
        ("url", lambda folder: _download(folder, "m", _URL.encode(), "a")),
        ("filename", lambda folder: _download(folder, "m", _URL, Path("a"))),
        ("expected_sha256", lambda folder: _download(folder, "m", _URL, "a", expected_sha256=b"a" * 64)),
        ("progress_callback", lambda folder: _download(folder, "m", _URL, "a", progress_callback=5)),
        ("path", lambda folder: LLMManager(folder).download_model_from_path(None)),  # type: ignore[arg-type]
        ("path", lambda folder: LLMManager(folder).get_model(7)),  # type: ignore[arg-type]
        ("quantization", lambda folder: LLMManager(folder).download_model_from_path("qwen", 4)),  # type: ignore[arg-type]
        ("progress_callback", lambda folder: LLMManager(folder).download_model_from_path("qwen", None, "x")),  # type: ignore[arg-type]
        ("key", lambda folder: ManifestManager(folder).get_manifest(None)),  # type: ignore[arg-type]
    ],
)
def test_an_argument_of_another_type(name: str, call: Callable[[Path], object], tmp_path: Path) -> None:
    """Nothing is asked, nothing is made."""
    with pytest.raises(UsageError, match=f"^{name} must be "):
        call(tmp_path / "models")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("download_dir", lambda: ModelDownloader(None)),  # type: ignore[arg-type]
        ("download_dir", lambda: ModelDownloader("a\0b")),
        ("path", lambda: ModelDownloader("models").calculate_file_hash("a\0b")),
        ("path", lambda: ModelDownloader("models").calculate_file_hash(b"a")),  # type: ignore[arg-type]
        ("download_dir", lambda: LLMManager(5)),  # type: ignore[arg-type]
        ("manifest_dir", lambda: LLMManager(manifest_dir="a\0b")),
        ("manifest_dir", lambda: ManifestManager(None)),  # type: ignore[arg-type]
    ],
)
def test_a_path_that_none_can_be(name: str, make: Callable[[], object]) -> None:
    """Said at once, and not by the first call that uses it."""
    with pytest.raises(UsageError, match=f"^{name} must be a path"):
        make()


def test_settings_of_another_type(tmp_path: Path) -> None:
    """They may be replaced any time, so they are looked at when they are used."""
    manager = LLMManager(tmp_path)
    manager.settings = None  # type: ignore[assignment]
    with pytest.raises(UsageError, match="settings must be Settings, not NoneType"):
        manager.download_model_from_path("qwen")


@pytest.mark.parametrize("kind", [ModelDownloader, LLMManager])
def test_a_token_of_another_type(kind: Callable[[str], Any]) -> None:
    """It is not repeated; None is that of a variable which is not set."""
    with pytest.raises(UsageError, match="token must be text, not bytes") as caught:
        kind("models").set_hf_token(b"hf_secret")
    assert "secret" not in str(caught.value)
    kind("models").set_hf_token(None)
