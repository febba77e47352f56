"""Model paths: the grammar as tables, its laws as properties."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import PathError
from engine.model_path import HUB_REGISTRY, OLLAMA_REGISTRY, ModelPath, quantization_of, with_quantization
from engine.model_registry import ALIASES, ModelRegistry, get_download_url

HEX = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def _own_shortcuts_and_endpoint(monkeypatch):
    monkeypatch.setattr(ModelRegistry, "_known", ModelRegistry.known_models())
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


def hub(namespace, repository, tag="main", **more):
    return ModelPath(HUB_REGISTRY, namespace, repository, tag, **more)


PATHS = [
    ("mistral", hub("second-state", "Mistral-Nemo-Instruct-2407-GGUF")),
    ("qwen", hub("bartowski", "Qwen2.5-7B-Instruct-GGUF")),
    ("deepseek", hub("bartowski", "DeepSeek-R1-Distill-Qwen-7B-GGUF")),
    ("llama", hub("bartowski", "Meta-Llama-3.1-8B-Instruct-GGUF")),
    ("llama:q8_0", hub("bartowski", "Meta-Llama-3.1-8B-Instruct-GGUF", "Q8_0")),
    ("hf.co/ns/repo", hub("ns", "repo")),
    ("HF.co/ns/Repo", hub("ns", "Repo")),
    ("ns/repo", hub("ns", "repo")),
    ("  ns/repo\n", hub("ns", "repo")),
    ("huggingface.co/gpt2", hub("", "gpt2")),
    ("hf.co/ns/repo:main", hub("ns", "repo")),
    ("hf.co/ns/repo:iq3_xxs", hub("ns", "repo", "IQ3_XXS")),
    ("hf.co/ns/repo:UD-Q4_K_XL", hub("ns", "repo", "UD-Q4_K_XL")),
    ("hf.co/ns/repo:bf16", hub("ns", "repo", "BF16")),
    ("hf.co/ns/repo:v1.0", hub("ns", "repo", "v1.0")),
    ("ns/repo:a-Q4.gguf", hub("ns", "repo", "a-Q4.gguf")),
    ("ns/repo:sub/a b.gguf", hub("ns", "repo", "sub/a b.gguf")),
    ("ns/repo@refs/pr/1", hub("ns", "repo", pin="refs/pr/1")),
    ("ns/repo:Q6_K@v2", hub("ns", "repo", "Q6_K", pin="v2")),
    ("https://hf.co/user/repo", hub("user", "repo")),
    ("http://hf.co/user/repo/", hub("user", "repo")),
    ("https://huggingface.co/a/b?show_file_info=b-Q4.gguf", hub("a", "b", filename="b-Q4.gguf")),
    ("https://huggingface.co/a/b/tree/main", hub("a", "b")),
    ("https://huggingface.co/a/b/tree/v2", hub("a", "b", "v2")),
    ("https://huggingface.co/a/b/tree/Q4_K_M", hub("a", "b", pin="Q4_K_M")),
    ("https://huggingface.co/a/b/blob/main/d/x.gguf", hub("a", "b", filename="d/x.gguf")),
    ("hf.co/a/b/resolve/main/x.bin", hub("a", "b", filename="x.bin")),
    (
        "https://huggingface.co/a/b/resolve/refs%2Fpr%2F1/x%20y.bin?download=true",
        hub("a", "b", "refs/pr/1", filename="x y.bin"),
    ),
    ("https://huggingface.co/a/b/resolve/refs/pr/1/x", hub("a", "b", "refs/pr/1", filename="x")),
    ("huggingface.co/a/b/resolve/main/x.bin?download=true", hub("a", "b", filename="x.bin")),
    ("https://huggingface.co/a/b/raw/main/x.json", hub("a", "b", filename="x.json")),
    ("https://huggingface.co/a/b/blame/v1/d/x.json#L3", hub("a", "b", "v1", filename="d/x.json")),
    ("https://huggingface.co/gpt2/edit/main/README.md", hub("", "gpt2", filename="README.md")),
    ("https://huggingface.co/a/b/commits/v1", hub("a", "b", "v1")),
    (f"https://huggingface.co/a/b/commit/{'1f' * 20}", hub("a", "b", "1f" * 20)),
    ("huggingface.co/a/b?library=transformers", hub("a", "b")),
    ("hf.co/a/b#readme", hub("a", "b")),
    ("https://huggingface.co/a/b.git", hub("a", "b")),
    ("https://hf-mirror.example/a/b/tree/main", ModelPath("hf-mirror.example", "a", "b")),
    ("hf-mirror.example/a/b/tree/v1", ModelPath("hf-mirror.example", "a", "b", pin="v1")),
    ("docker.io/ai/m:q4", ModelPath("registry-1.docker.io", "ai", "m", "q4")),
    ("ollama.com/library/llama3?x=1", ModelPath(OLLAMA_REGISTRY, "library", "llama3", "latest")),
    ("llama3", ModelPath(OLLAMA_REGISTRY, "library", "llama3", "latest")),
    ("llama3:8b", ModelPath(OLLAMA_REGISTRY, "library", "llama3", "8b")),
    (
        f"llama3@sha256:{HEX.upper()}",
        ModelPath(OLLAMA_REGISTRY, "library", "llama3", "latest", pin=f"sha256:{HEX}"),
    ),
    ("ollama.ai/library/llama2", ModelPath(OLLAMA_REGISTRY, "library", "llama2", "latest")),
    ("ollama/jo/m:x", ModelPath(OLLAMA_REGISTRY, "jo", "m", "x")),
    ("https://ollama.com/library/llama3:8b", ModelPath(OLLAMA_REGISTRY, "library", "llama3", "8b")),
    ("custom.ai/org/model", ModelPath("custom.ai", "org", "model")),
    ("Custom.AI/myorg/model:v1.0", ModelPath("custom.ai", "myorg", "model", "v1.0")),
    ("custom.ai/org/team/model:Q4", ModelPath("custom.ai", "org/team", "model", "Q4")),
    ("https://models.jarviscore.ai/community/model", ModelPath("models.jarviscore.ai", "community", "model")),
    ("http://lan.example/ns/m", ModelPath("lan.example", "ns", "m", scheme="http")),
    ("http://lan.example/o/t/m:v1", ModelPath("lan.example", "o/t", "m", "v1", scheme="http")),
    ("localhost:5000/ns/m", ModelPath("localhost:5000", "ns", "m", scheme="http")),
    ("127.0.0.1:0080/ns/m", ModelPath("127.0.0.1:80", "ns", "m", scheme="http")),
    ("https://127.0.0.1:8443/ns/m", ModelPath("127.0.0.1:8443", "ns", "m", scheme="https")),
    ("[0:0::1]:5000/ns/m:t", ModelPath("[::1]:5000", "ns", "m", "t", scheme="http")),
    ("bücher.example/ns/m", ModelPath("xn--bcher-kva.example", "ns", "m")),
]


@pytest.mark.parametrize(("text", "path"), PATHS)
def test_parse_table(text, path):
    """Every form of the grammar means one value, and the value's canonical spelling means the same."""
    assert ModelRegistry.parse(text) == path
    assert ModelRegistry.parse(path.canonical) == path


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_parse_registry_alias(alias):
    """An alias is its registry, with and without a scheme."""
    for text in (f"{alias}/ns/repo", f"https://{alias}/ns/repo", f"{alias.upper()}/ns/repo"):
        assert ModelRegistry.parse(text).registry == ALIASES[alias]


URLS = [
    ("https://h.example/a/b.gguf", "https://h.example/a/b.gguf", "b.gguf"),
    ("HTTP://H.example:8080/m.bin?sig=a%2Fb#part", "http://h.example:8080/m.bin?sig=a%2Fb", "m.bin"),
    ("https://h.example/download", "https://h.example/download", "download"),
    ("https://h.example", "https://h.example/", None),
    ("https://h.example/d/", "https://h.example/d/", None),
    ("https://h.example/a/b/c", "https://h.example/a/b/c", "c"),
    ("https://h.example/ns/repo?x=1", "https://h.example/ns/repo?x=1", "repo"),
    ("https://h.example/my files/ä.gguf", "https://h.example/my%20files/%C3%A4.gguf", "ä.gguf"),
    ("https://h.example/pkg@1.2/x.gguf", "https://h.example/pkg@1.2/x.gguf", "x.gguf"),
    (f"https://h.example/blobs/sha256:{HEX}", f"https://h.example/blobs/sha256:{HEX}", f"sha256:{HEX}"),
    ("http://127.0.0.1:9/a/b/resolve/main/x", "http://127.0.0.1:9/a/b/resolve/main/x", "x"),
    ("127.0.0.1:9/a/b/resolve/main/x", "http://127.0.0.1:9/a/b/resolve/main/x", "x"),
    (
        "https://huggingface.co/datasets/a/b/resolve/main/x",
        "https://huggingface.co/datasets/a/b/resolve/main/x",
        "x",
    ),
]


URLS += [
    (
        "https://hf.co/datasets/a/b/blob/main/d/x.csv",
        "https://hf.co/datasets/a/b/resolve/main/d/x.csv",
        "x.csv",
    ),
    (
        "hf.co/spaces/a/b/resolve/main/app.py?download=true",
        "https://huggingface.co/spaces/a/b/resolve/main/app.py?download=true",
        "app.py",
    ),
    ("https://huggingface.co/api/models/a/b", "https://huggingface.co/api/models/a/b", "b"),
]


@pytest.mark.parametrize(("text", "url", "filename"), URLS)
def test_parse_file_url(text, url, filename):
    """A URL with a file in it is that file, spelt in visible ASCII, without its fragment."""
    path = ModelRegistry.parse(text)
    assert (path.url, path.filename, path.canonical) == (url, filename, url)
    assert ModelRegistry.parse(path.canonical) == path


def test_parse_file_url_by_wish():
    """A caller that knows it has a file's URL gets the file, also where a registry's model would look the same."""
    text = "https://h.example/pub/LICENSE"
    assert ModelRegistry.parse(text).url is None
    assert ModelRegistry.parse(text, is_file=True).url == text
    assert ModelRegistry.parse("https://hf.co/a/b", is_file=True) == hub("a", "b")


BAD = [
    "",
    "   ",
    "a\x00b/c",
    "a" * 5000,
    "/",
    "//",
    "/etc/passwd",
    "../x",
    "./x",
    "a/../b",
    "a/b/c",
    "a/b:",
    "a/b@",
    "a//b",
    "-x/y",
    "x/.y",
    "con/nul",
    "hf.co",
    "hf.co/",
    "hf.co/a/b/c",
    "hf.co/a/b:..",
    "hf.co/a/b:../x.gguf",
    "hf.co/a/b:/x.gguf",
    "hf.co/a/b@a..b",
    "hf.co/datasets/squad",
    "hf.co/a/b:x y",
    "ollama/a/b/c",
    "llama3:x/y",
    "llama3@main",
    f"llama3@sha256:{HEX[:-1]}",
    "host:port/a/b",
    "host.example:99999/a/b",
    "host.example:/a/b",
    "host..example/a/b",
    "999.1.1.1/a/b",
    "[::g]/a/b",
    "[::1/a/b",
    "C:\\models\\x",
    "ftp://h/x",
    "file:///etc/passwd",
    "hf://a/b",
    "https://",
    "https:///x",
    "https://user:secret@h.example/x",
    "https://h.example/a\\b",
    "https://h.example:x/y",
    "https://[::1/x",
    "https://huggingface.co/a/b/tree/main/sub",
    "my model",
    "https://huggingface.co/a/b/resolve/main/",
    "https://huggingface.co/a/b/resolve/main/%2e%2e/x",
    "a\u202eb/c",
    "https://huggingface.co/a/b/resolve/main/..%2fx",
    "https://h.example/" + "é" * 3000,
]


@pytest.mark.parametrize("text", BAD)
def test_parse_refuses(text):
    """What cannot be a model path is a PathError."""
    with pytest.raises(PathError):
        ModelRegistry.parse(text)


ADVICE = [
    ("hf.co/datasets/ns/name", "data sets are out of scope"),
    ("datasets/ns/name", "data sets are out of scope"),
    ("hf.co/datasets/squad", "data sets are out of scope"),
    ("hf://datasets/squad", "write hf.co/datasets/squad"),
    ("https://huggingface.co/datasets/ns/name/tree/main", "data sets are out of scope"),
    ("https://hf.co/spaces/ns/name/", "spaces are out of scope"),
    ("hf.co/a/b/x-Q4_0.gguf", "write hf.co/a/b:x-Q4_0.gguf"),
    ("a/b/d/x-Q4_0.gguf", "write hf.co/a/b:d/x-Q4_0.gguf"),
    ("https://huggingface.co/a/b/config.json", "write hf.co/a/b --file 'config.json'"),
    ("a/b/c", "has too many parts; write hf.co/a/b, and a host without a dot with its port"),
    ("https://huggingface.co/a/b/settings", "write hf.co/a/b"),
    ("https://huggingface.co/a/b/discussions", "hf.co/a/b@refs/pr/<number> for a pull request"),
    ("https://huggingface.co/a/b/discussions/12#x", "hf.co/a/b@refs/pr/12 for a pull request"),
    ("https://huggingface.co/a/b/blob/v1", "no file is in it; the model is hf.co/a/b@v1"),
    ("hf.co/a/b/tree/main/sub", "--include 'sub/*'"),
    ("https://huggingface.co/models?search=x", "a page of the Hub and no model"),
    ("https://huggingface.co/collections/a/b", "a page of the Hub and no model"),
    ("hf://a/b", "write hf.co/a/b"),
    ("docker://h.example/a/b", "write h.example/a/b"),
    ("git@hf.co:a/b.git", "write hf.co/a/b"),
    ("ollama run llama3:8b", "it may be llama3:8b"),
    ("docker pull hf.co/a/b", "it may be hf.co/a/b"),
    ("https://ollama.com/library/llama3/tags", "write ollama/llama3:TAG"),
    ("ollama.com/jo/m/tags", "write ollama/jo/m:TAG"),
    ("https://ollama.com/library/llama3:8b/blobs/6a0746a1ec1a", "write ollama/llama3:8b"),
    ("ollama.com/library/llama3:8b/blobs/6a0746a1ec1a", "write ollama/llama3:8b"),
    ("https://ollama.com/search?q=x", "a page and no model"),
    ("registry.ollama.ai/v2/library/m/manifests/8b", "the model is registry.ollama.ai/library/m:8b"),
    ("https://registry.ollama.ai/v2/library/m/manifests/8b", "the model is registry.ollama.ai/library/m:8b"),
    ("localhost:5000/v2/a/b/tags/list", "the model is localhost:5000/a/b"),
    (f"r.example/v2/a/b/manifests/sha256:{HEX}", f"the model is r.example/a/b@sha256:{HEX}"),
    ("https://hub.docker.com/r/ai/m", "write docker.io/namespace/model:tag"),
]


@pytest.mark.parametrize(("text", "said"), ADVICE)
def test_parse_refusal_says_what_to_write(text, said):
    """Of all that is wrong with it, a name's error tells what its writer can do something about."""
    with pytest.raises(PathError) as caught:
        ModelRegistry.parse(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["bob:S3cret@h.example:1/a/b:v1", "bob:S3c:r@et@h.example/a/b", "acme/tiny?token=S3cret"],
)
def test_parse_refusal_keeps_credentials_secret_without_a_scheme(text):
    """User, password and query are left out, where a scheme is forgotten, too."""
    with pytest.raises(PathError, match="Not a model path") as caught:
        ModelRegistry.parse(text)
    assert "S3c" not in str(caught.value) and "r@et" not in str(caught.value)


def test_parse_refusal_shows_a_wrong_pin():
    """It looks a little like a password."""
    with pytest.raises(PathError, match="'llama3:8b@v1'"):
        ModelRegistry.parse("llama3:8b@v1")


def test_parse_refusal_keeps_password_secret():
    """A user and password in a URL are refused, and not repeated."""
    with pytest.raises(PathError, match="--token") as caught:
        ModelRegistry.parse("https://jo:hunter2@h.example/x.gguf")
    assert "hunter2" not in str(caught.value)


_WORDS = st.sampled_from(
    [
        "hf.co",
        "ollama",
        "h.example",
        "localhost:5000",
        "[::1]:80",
        "1.2.3.4",
        "a",
        "B.c",
        "q4_k_m",
        "Q8_0",
        "main",
        "x.gguf",
        "sha256",
        HEX,
        "resolve",
        "blob",
        "tree",
        "refs",
        "pr",
        "..",
        ".",
        "",
        " ",
        "%2F",
        "%2e",
        "%zz",
        "é",
        "ａ",
        "https",
        "http",
        "mistral",
        "1",
        "library",
        "datasets",
        "v2",
        "+",
        "?",
        "#",
        "\\",
        "con",
        "ß",
        "İ",
    ]
)
_MARKS = st.sampled_from(["/", ":", "@", "://", "/", "/", "-", ".", "?", "#"])
_MADE = st.lists(st.one_of(_WORDS, _MARKS), max_size=16).map("".join)


@given(st.one_of(st.text(), _MADE, _MADE.map("https://".__add__), _MADE.map("hf.co/a/b/".__add__)))
@example("http://h.example/a/resolve/b/c:t")
@example("ｈｆ.co/a/b")
@example("https://h.example/ns/repo@refs/pr/1")
@example("hf.co/a/b/localhost:5000.//--/")
@example("hf.co/models/x/tree//main")
def test_parse_canonical_is_stable(text):
    """Whatever is typed, only PathError comes out; what parses has a canonical spelling of equal meaning."""
    try:
        path = ModelRegistry.parse(text)
    except PathError:
        return
    assert ModelRegistry.parse(path.canonical) == path
    assert path.canonical.isascii() or path.tag_file or path.filename


def test_str_shows_fields():
    """A path prints as its constructor call."""
    text = str(ModelRegistry.parse("hf.co/bartowski/Qwen2.5-7B-Instruct-GGUF"))
    assert text.startswith(
        "ModelPath(registry='huggingface.co', namespace='bartowski', repository='Qwen2.5-7B"
    )


@pytest.mark.parametrize(
    ("text", "quantization", "tag_file", "revision"),
    [
        ("a/b", None, None, "main"),
        ("a/b:q5_k_m", "Q5_K_M", None, "main"),
        ("a/b:x-Q4_0.gguf", None, "x-Q4_0.gguf", "main"),
        ("a/b:dev", None, None, "dev"),
        ("a/b:Q4_0@dev", "Q4_0", None, "dev"),
        ("llama3:q4_0", None, None, "q4_0"),
        ("custom.ai/a/b:q4_0", "Q4_0", None, "main"),
    ],
)
def test_tag_meaning(text, quantization, tag_file, revision):
    """A tag on a Hub is a quantization, a .gguf file or a revision; a pin is the revision in any case."""
    path = ModelRegistry.parse(text)
    assert (path.quantization, path.tag_file, path.revision) == (quantization, tag_file, revision)


def test_full_url_by_registry(monkeypatch):
    """A file's address follows its registry, and HF_ENDPOINT moves Hugging Face alone."""
    assert (
        ModelRegistry.parse("models.jarviscore.ai/jarviscore/custom-model-GGUF").full_url("jarvis-7b-q4.gguf")
        == "https://models.jarviscore.ai/jarviscore/custom-model-GGUF/resolve/main/jarvis-7b-q4.gguf"
    )
    assert (
        ModelRegistry.parse(f"llama3@sha256:{HEX}")
        .full_url(HEX)
        .endswith(f"/v2/library/llama3/blobs/sha256:{HEX}")
    )
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9/")
    assert ModelRegistry.parse("a/b@refs/pr/1").full_url("x y.bin") == (
        "http://127.0.0.1:9/a/b/resolve/refs%2Fpr%2F1/x%20y.bin"
    )
    assert ModelRegistry.parse("lan.example/a/b").full_url("x").startswith("https://lan.example/")
    with pytest.raises(PathError):
        ModelRegistry.parse("a/b").full_url("../x")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://127.0.0.1:9/hub/"])
def test_pages_of_the_endpoint_are_those_of_the_hub(monkeypatch, endpoint):
    """What HF_ENDPOINT names has the Hub's own addresses; what is no page of a model there stays a file or a model."""
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    at, parse = endpoint.rstrip("/"), ModelRegistry.parse
    assert parse(f"{at}/a/b/blob/main/d/x.gguf") == hub("a", "b", filename="d/x.gguf")
    assert parse(f"{at}/a/b/raw/v1/x.json?download=true") == hub("a", "b", "v1", filename="x.json")
    assert parse(f"{at}/a/b/tree/v2").revision == "v2"
    assert parse(f"{at.removeprefix('http://')}/a/b/blob/main/x.gguf") == hub("a", "b", filename="x.gguf")
    for page, advice in (
        ("tree/main/d", "--include 'd/"),
        ("discussions", "hf.co/a/b"),
        ("blob/main", "hf.co/a/b"),
    ):
        with pytest.raises(PathError, match=advice):
            parse(f"{at}/a/b/{page}")
    assert parse(f"{at}/files/deep/model.gguf").url == f"{at}/files/deep/model.gguf"
    assert parse("http://127.0.0.1:8/a/b/blob/main/x.gguf").url


HUB, JARVIS = "https://huggingface.co", "https://models.jarviscore.ai/community"
NEMO = "Mistral-Nemo-Instruct-2407"
MISTRAL = f"second-state/{NEMO}-GGUF"
DOWNLOADS = [
    ("mistral", "Q4_K_M", f"{HUB}/{MISTRAL}/resolve/main/{NEMO}-Q4_K_M.gguf"),
    ("hf.co/ns/M-GGUF", None, f"{HUB}/ns/M-GGUF/resolve/main/M-Q4_K_M.gguf"),
    ("hf.co/ns/M-gguf:q8_0@v1", None, f"{HUB}/ns/M-gguf/resolve/v1/M-Q8_0.gguf"),
    ("ns/M:x-q4_0.gguf", None, f"{HUB}/ns/M/resolve/main/x-q4_0.gguf"),
    ("ns/M:x-q4_0.gguf", "Q8_0", f"{HUB}/ns/M/resolve/main/x-q8_0.gguf"),
    (
        "models.jarviscore.ai/community/my-model:v1.0",
        None,
        f"{JARVIS}/my-model/resolve/v1.0/my-model-Q4_K_M.gguf",
    ),
    ("llama3", None, "https://registry.ollama.ai/v2/library/llama3/manifests/latest"),
    ("https://h.example/m-Q4_0.gguf?x=1", None, "https://h.example/m-Q4_0.gguf?x=1"),
    ("https://h.example/d/m-Q4_0.gguf", "q6_k", "https://h.example/d/m-Q6_K.gguf"),
]


@pytest.mark.parametrize(("text", "quantization", "url"), DOWNLOADS)
def test_get_download_url_table(text, quantization, url):
    """The address of a model's file follows from conventions alone."""
    assert get_download_url(text, quantization) == url


@pytest.mark.parametrize(
    ("text", "quantization"),
    [("llama3", "Q4_0"), ("ns/M:model.gguf", "Q8_0"), ("mistral", "../x"), ("mistral", ""), ("a/b/c", None)],
)
def test_get_download_url_refuses(text, quantization):
    """A quantization that cannot be put into the name is a PathError."""
    with pytest.raises(PathError):
        get_download_url(text, quantization)


def test_add_known_model_is_used_everywhere():
    """A shortcut that a user adds names its file at its tag, and swaps its quantization."""
    ModelRegistry.add_known_model(
        shortcut="my-model",
        namespace="myuser",
        repository="awesome-model-GGUF",
        filename="model-q4_k_m.gguf",
        tag="v1.0",
    )
    base = "https://huggingface.co/myuser/awesome-model-GGUF/resolve"
    assert get_download_url("my-model") == f"{base}/v1.0/model-q4_k_m.gguf"
    assert get_download_url("my-model:Q8_0") == f"{base}/v1.0/model-q8_0.gguf"
    assert get_download_url("my-model@abc") == f"{base}/abc/model-q4_k_m.gguf"
    path = ModelRegistry.parse("my-model")
    assert path == hub("myuser", "awesome-model-GGUF", "v1.0", filename="model-q4_k_m.gguf")
    assert ModelRegistry.parse(path.canonical) == path


@pytest.mark.parametrize("bad", [("a/b", "n", "r", "f"), ("a", "n", "..", "f"), ("a", "n", "r", "../f")])
def test_add_known_model_refuses(bad):
    """A shortcut that could not be parsed again is refused when it is added."""
    with pytest.raises(PathError):
        ModelRegistry.add_known_model(*bad)


def test_get_variants_order():
    """The variants come as the five customary quantizations, the default first."""
    names = [url.rpartition("2407-")[2] for url in ModelRegistry.get_variants("mistral")]
    assert names == ["Q4_K_M.gguf", "Q4_K_S.gguf", "Q5_K_M.gguf", "Q6_K.gguf", "Q8_0.gguf"]


@pytest.mark.parametrize(
    ("name", "quantization", "swapped"),
    [
        ("m-Q4_K_M.gguf", "Q4_K_M", "m-Q8_0.gguf"),
        ("m.q4_k_m.gguf", "Q4_K_M", "m.q8_0.gguf"),
        ("Q2_K/m_IQ4_XS_chat.gguf", "IQ4_XS", "Q2_K/m_Q8_0_chat.gguf"),
        ("Qwen2-F16-UD-Q4_K_XL-00001-of-00002.gguf", "UD-Q4_K_XL", "Qwen2-F16-Q8_0-00001-of-00002.gguf"),
    ],
)
def test_quantization_in_name(name, quantization, swapped):
    """The last quantization in a file's name is its own, and is swapped in its own case."""
    assert quantization_of(name) == quantization
    assert with_quantization(name, "Q8_0") == swapped


@pytest.mark.parametrize("name", ["AVQ2.gguf", "Qwen2.gguf", "model.gguf", "eq4x.gguf"])
def test_quantization_absent(name):
    """A quantization is a whole word of the name."""
    assert quantization_of(name) is None


@pytest.mark.parametrize("value", [None, 5, b"mistral", ["mistral"]])
def test_what_is_no_text_is_no_model_path(value):
    """A setting that is missing comes as None: that is a PathError too, which names the type."""
    with pytest.raises(PathError, match=type(value).__name__):
        ModelRegistry.parse(value)
