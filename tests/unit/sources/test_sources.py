"""Which source speaks for a path, and the plain one."""

import pytest

from engine.errors import PathError, UsageError
from engine.model_registry import ModelRegistry
from engine.remote_file import RemoteFile, RemoteName
from engine.settings import Settings
from engine.sources import Choice, find_source
from engine.sources.custom import Custom
from engine.sources.huggingface import HuggingFace
from engine.sources.oci import Oci
from engine.sources.plain_http import PlainHttp
from engine.transport.auth import Credentials
from engine.transport.client import Client


@pytest.fixture
def client():
    with Client(Settings(), Credentials()) as client:
        yield client


def test_find_source_by_registry(monkeypatch):
    """A file's URL is plain; Hugging Face is at HF_ENDPOINT; Ollama's registry speaks OCI; what a custom one speaks is
    found out later."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9/hub/")
    assert isinstance(find_source(ModelRegistry.parse("https://h.example/m.gguf")), PlainHttp)
    hub = find_source(ModelRegistry.parse("hf.co/ns/repo"))
    assert isinstance(hub, HuggingFace)
    assert hub.endpoint == "http://127.0.0.1:9/hub"
    for text in ("llama3", "ollama/ns/m:8b", "registry.ollama.ai/library/m@sha256:" + "a" * 64):
        assert isinstance(find_source(ModelRegistry.parse(text)), Oci), text
    for text in ("models.example/ns/repo", "localhost:8080/ns/deep/repo:v1"):
        assert isinstance(find_source(ModelRegistry.parse(text)), Custom), text


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "mirror",
        "ftp://h",
        "https://jo:secret@h",
        "https://h?token=secret",
        "https://",
        "http://h:99999",
        "http://h:x",
    ],
)
def test_endpoint_that_is_no_url(endpoint):
    """An HF_ENDPOINT that is no http(s) URL is refused before anything is sent. It may hold a password."""
    with pytest.raises(UsageError, match="HF_ENDPOINT") as caught:
        HuggingFace(endpoint)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://h.example/d/m%20x.gguf?sig=1", "m x.gguf"),
        ("https://h.example/download", "download"),
        ("https://h.example/a/b/%C3%A4", "ä"),
    ],
)
def test_plain_name_from_url(client, text, name):
    """A plain file is called after the last part of its URL's path, decoded."""
    path = ModelRegistry.parse(text)
    (file,) = PlainHttp().list_files(client, path, Choice())
    assert file == RemoteFile(
        name=RemoteName(name), url=path.url, model=text.partition("?")[0] + "?…" * ("?" in text)
    )
    assert PlainHttp().refresh(client, file) == file


@pytest.mark.parametrize(
    "text",
    ["https://h.example", "https://h.example/d/", "https://h.example/a%2Fb", "https://h.example/x/a/%2e%2e"],
)
def test_plain_name_must_be_one(client, text):
    """A URL without a usable file name asks for -o; a name that is given is used."""
    path = ModelRegistry.parse(text)
    with pytest.raises(PathError):
        PlainHttp().list_files(client, path, Choice())
    (file,) = PlainHttp().list_files(client, path, Choice(name="m.gguf"))
    assert file.name == "m.gguf"


@pytest.mark.parametrize(
    "choice", [Choice(quant="Q4_0"), Choice(file="x"), Choice(revision="v1"), Choice(include=("*",))]
)
def test_plain_has_nothing_to_choose(client, choice):
    """A quantization, file, revision or pattern makes no sense for one plain file."""
    with pytest.raises(UsageError):
        PlainHttp().list_files(client, ModelRegistry.parse("https://h.example/m.gguf"), choice)


def test_a_file_of_a_data_set_is_a_file(client):
    """What has the address of a file is one; and other servers may call a folder what they like."""
    for text in (
        "https://huggingface.co/datasets/ns/name/resolve/main/data.json",
        "https://h.example/datasets/data.json",
    ):
        (file,) = PlainHttp().list_files(client, ModelRegistry.parse(text), Choice())
        assert file.name == "data.json"
