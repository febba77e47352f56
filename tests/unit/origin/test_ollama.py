"""The registry that behaves as Ollama's: what it answers, and that it refuses what each of its rules forbids."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.certificates import Certificates
from tests.curl import Curl
from tests.origin import Pattern
from tests.origin.ollama import RULES, Layer, Model, OllamaRegistry, sign, wire_form
from tests.origin.ollama.conditions import QUESTIONS
from tests.origin.ollama.rules import MANNERS, read_rules
from tests.skopeo import skopeo, skopeo_copy

WEIGHTS = Pattern(20_000_000, seed=5)
DOCKER = MANNERS["manifest_type"]
ACCEPT = ("-H", f"Accept: {DOCKER}")


def tiny(**options: object) -> Model:
    layers = [
        Layer("model", WEIGHTS),
        Layer("template", b"{{ .Prompt }}"),
        Layer("license", b"do as you like"),
    ]
    return Model("library/tiny", layers, **options)  # type: ignore[arg-type] # a test's own keywords


@pytest.fixture
def server(ollama_factory: Callable[..., OllamaRegistry]) -> OllamaRegistry:
    return ollama_factory([tiny(), Model("library/secret", [Layer("model", b"x" * 99)], is_private=True)])


def address_of(server: OllamaRegistry, curl: Callable[..., Curl], model: Model, digest: str) -> str:
    found = curl(server.blob_url(model, digest))
    assert found.status == 307
    return found.headers["location"]


# What it does when all is well


def test_manifest_is_the_very_bytes(server: OllamaRegistry, curl: Callable[..., Curl]) -> None:
    """Under tag and digest, in any case of letters, with the asked type, and without any Accept."""
    model = tiny()
    for name, reference in (
        ("library/tiny", "latest"),
        ("Library/TINY", "LATEST"),
        ("library/tiny", model.digest),
    ):
        found = curl(f"{server.url}/v2/{name}/manifests/{reference}", *ACCEPT)
        assert (found.status, found.body, found.headers["content-type"]) == (200, model.manifest, DOCKER)
    assert curl(server.manifest_url(model), "-H", "Accept:").body == model.manifest
    assert json.loads(model.manifest)["layers"][0]["mediaType"] == "application/vnd.ollama.image.model"


def test_head_of_a_manifest_has_no_length(server: OllamaRegistry, curl: Callable[..., Curl]) -> None:
    found = curl(server.manifest_url(tiny()), "-I", *ACCEPT)
    assert (found.status, "content-length" in found.headers) == (200, False)


def test_blob_is_at_another_host(server: OllamaRegistry, curl: Callable[..., Curl]) -> None:
    """HEAD says its size; GET 307 to an address that serves closed ranges of it, and all of it."""
    model = tiny()
    (digest, *_) = model.blobs.keys() - {model.config_layer.descriptor["digest"]} & {
        f"sha256:{WEIGHTS.sha256()}"
    }
    assert curl(server.blob_url(model, digest), "-I").headers["content-length"] == str(WEIGHTS.size)
    address = address_of(server, curl, model, digest)
    assert address.startswith("http://127.0.0.2:")
    found = curl(address, "-H", "Range: bytes=5000000-5000999")
    assert (found.status, found.body) == (206, WEIGHTS.read(5_000_000, 5_001_000))
    assert hashlib.sha256(curl(server.blob_url(model, digest), "-L").body).hexdigest() == WEIGHTS.sha256()
    assert server.refusals == []


def test_token_opens_what_is_private(server: OllamaRegistry, curl: Callable[..., Curl]) -> None:
    """As the challenge says: the realm is at the registry's own host, which gives a token for that repository to whom a
    known key has signed for."""
    url = f"{server.url}/v2/library/secret/manifests/latest"
    challenge = curl(url).headers["www-authenticate"]
    assert f'realm="{server.url}/token"' in challenge
    assert 'scope="repository:library/secret:pull"' in challenge
    query = f"service={MANNERS['service']}&scope=repository:library/secret:pull"
    realm = f"{server.url}/token?{query}&ts=1&nonce=x"
    key, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    server.tokens.keys.add(wire_form(key.public_key()))
    for wrong in (sign(stranger, realm), sign(key, f"{realm}y"), f"{wire_form(key.public_key())}:???"):
        assert curl(realm, "-H", f"Authorization: {wrong}").status == 401
    token = json.loads(curl(realm, "-H", f"Authorization: {sign(key, realm)}").body)["token"]
    assert curl(url, "-H", f"Authorization: Bearer {token}").status == 200
    assert curl(server.manifest_url(tiny()), "-H", f"Authorization: Bearer {token}").status == 401
    server.tokens.revoke()
    assert curl(url, "-H", f"Authorization: Bearer {token}").status == 401


def test_chunksums_cover_the_blob(server: OllamaRegistry, curl: Callable[..., Curl]) -> None:
    digest = f"sha256:{WEIGHTS.sha256()}"
    found = curl(f"{server.url}/v2/library/tiny/chunksums/{digest}")
    at = 0
    for line in found.body.decode().splitlines():
        value, span = line.split(" ")
        first, last = map(int, span.split("-"))
        assert first == at
        at = last + 1
        assert value == f"sha256:{hashlib.sha256(WEIGHTS.read(first, at)).hexdigest()}"
    assert at == WEIGHTS.size
    assert curl(found.headers["content-location"], "-H", "Range: bytes=0-9").body == WEIGHTS.read(0, 10)


def test_tag_that_moves(server: OllamaRegistry, curl: Callable[..., Curl]) -> None:
    newer = server.add(Model("library/tiny", [Layer("model", b"newer")]))
    assert curl(server.manifest_url(newer), *ACCEPT).body == newer.manifest != tiny().manifest


def test_faults_of_the_origin_work_in_it(server: OllamaRegistry, curl: Callable[..., Curl]) -> None:
    """Both parts are origins like any other: what is cut and slowed there is cut and slowed here."""
    digest = f"sha256:{WEIGHTS.sha256()}"
    server.storage.fault("cut", path=server.storage.path(digest), after_bytes=1000, times=1)
    assert curl(server.blob_url(tiny(), digest), "-L").code == 18
    assert server.storage.fired("cut") == 1
    server.registry.fault("status", code=429, headers={"Retry-After": "1"}, times=1)
    assert curl(server.manifest_url(tiny())).status == 429


# What it refuses. Each case: a request that breaks one rule alone.


def _refused(server: OllamaRegistry, curl: Callable[..., Curl]) -> dict[str, Callable[[], Curl]]:
    model = tiny()
    digest = f"sha256:{WEIGHTS.sha256()}"
    manifest = server.manifest_url(model)

    def address() -> str:
        return address_of(server, curl, model, digest)

    def after_its_time() -> Curl:
        old = address()
        assert curl(old, "-H", "Range: bytes=0-9").status == 206
        server.expire_addresses()
        return curl(old, "-H", "Range: bytes=0-9")

    return {
        "old-client": lambda: curl(manifest, "-A", "ollama/0.0.9 (amd64 linux) Go/go1.22", *ACCEPT),
        "no-token": lambda: curl(f"{server.url}/v2/library/secret/manifests/latest", *ACCEPT),
        "not-a-token": lambda: curl(manifest, "-u", "somebody:secret", *ACCEPT),
        "token-for-nobody": lambda: curl(f"{server.url}/token?service=another"),
        "key": lambda: curl(
            f"{server.url}/token?service={MANNERS['service']}&scope=repository:library/secret:pull"
        ),
        "accept": lambda: curl(manifest, "-H", "Accept: application/vnd.oci.image.manifest.v1+json"),
        "unknown-manifest": lambda: curl(f"{server.url}/v2/library/tiny/manifests/70b", *ACCEPT),
        "unknown-blob": lambda: curl(server.blob_url(model, f"sha256:{'0' * 64}")),
        "credential-at-storage": lambda: curl(address(), "-H", "Authorization: Bearer of-the-registry"),
        "unsigned-address": lambda: curl(address().replace("X-Amz-Expires=86400", "X-Amz-Expires=864000")),
        "expired-address": after_its_time,
        "open-range": lambda: curl(address(), "-H", "Range: bytes=1000-"),
    }


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.name)
def test_rule_refuses(rule: object, server: OllamaRegistry, curl: Callable[..., Curl]) -> None:
    """With its status and code, and nothing of the content; the request's record names the rule."""
    found = _refused(server, curl)[rule.name]()  # type: ignore[attr-defined]
    assert (found.status, server.refusals) == (rule.status, [rule.name])  # type: ignore[attr-defined]
    assert rule.code in found.body.decode()  # type: ignore[attr-defined]
    assert rule.message in found.body.decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["bytes=-100", "bytes=0-9,20-29", "bytes=9-", "items=0-9"])
def test_only_closed_ranges(form: str, server: OllamaRegistry, curl: Callable[..., Curl]) -> None:
    address = address_of(server, curl, tiny(), f"sha256:{WEIGHTS.sha256()}")
    assert curl(address, "-H", f"Range: {form}").status == 416


def test_curl_keeps_its_credential_from_the_storage(
    ollama_factory: Callable[..., OllamaRegistry], curl: Callable[..., Curl]
) -> None:
    """curl -L drops Authorization at another host and is served; with --location-trusted it is refused."""
    server = ollama_factory([tiny()], tokens=True)
    query = f"service={MANNERS['service']}&scope=repository:library/tiny:pull"
    token = json.loads(curl(f"{server.url}/token?{query}").body)["token"]
    url = server.blob_url(tiny(), f"sha256:{WEIGHTS.sha256()}")
    assert curl(url, "-L", "-H", f"Authorization: Bearer {token}").status == 200
    assert server.refusals == []
    assert curl(url, "--location-trusted", "-H", f"Authorization: Bearer {token}").status == 400
    assert server.refusals == ["credential-at-storage"]


# The rules' file


def test_rules_ask_questions_that_exist() -> None:
    """And every question is asked: none of them is a rule that nobody wrote down."""
    assert {rule.question for rule in RULES.rules} == set(QUESTIONS)


def test_rule_without_a_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[lines]\na = "b"\n[manners.x]\nfrom = "nowhere"\nvalue = 1\n[[rules]]\n' + _RULE)
    with pytest.raises(KeyError, match="nowhere"):
        read_rules(path)


_RULE = 'name = "n"\nfrom = "a"\non = []\nif = "q"\nstatus = 400\ncode = "C"\nmessage = "m"\n'


# Other people's clients


@pytest.mark.parametrize("tokens", [False, True])
def test_skopeo_pulls(tokens: bool, ollama_factory: Callable[..., OllamaRegistry], tmp_path: Path) -> None:
    """All blobs by their digests, through the challenge and the redirect. (It knows no Ollama layers in a manifest of
    Docker's type, so this one is of the OCI type.)"""
    model = tiny(manifest_type=MANNERS["oci_manifest_type"])
    server = ollama_factory([model], tokens=tokens)
    done = skopeo_copy(f"{server.host}/library/tiny:latest", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "manifest.json").read_bytes() == model.manifest
    for digest in model.blobs:
        value = digest.removeprefix("sha256:")
        assert hashlib.sha256((tmp_path / "out" / value).read_bytes()).hexdigest() == value
    assert set(server.refusals) == ({"no-token"} if tokens else set())
    assert any(record.status == 307 for record in server.registry.requests)


def test_skopeo_reads_the_manifest_of_dockers_type(server: OllamaRegistry) -> None:
    done = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{server.host}/library/tiny:latest")
    assert (done.returncode, done.stdout.encode()) == (0, tiny().manifest), done.stderr


def test_skopeo_finds_a_wrong_blob(ollama_factory: Callable[..., OllamaRegistry], tmp_path: Path) -> None:
    """It is a witness: bytes that are not those of the digest do not pass it."""
    wrong = Layer("model", b"these are not the bytes", digest=f"sha256:{'1' * 64}")
    server = ollama_factory([Model("library/tiny", [wrong], manifest_type=MANNERS["oci_manifest_type"])])
    done = skopeo_copy(f"{server.host}/library/tiny:latest", tmp_path / "out")
    assert done.returncode != 0
    assert "igest did not match" in done.stderr


def test_over_tls(
    ollama_factory: Callable[..., OllamaRegistry], tls: Certificates, curl: Callable[..., Curl]
) -> None:
    """Both hosts with certificates of the one authority."""
    server = ollama_factory([tiny()], tls=tls)
    found = curl(server.blob_url(tiny(), f"sha256:{WEIGHTS.sha256()}"), "-L", "--cacert", str(tls.cacert))
    assert hashlib.sha256(found.body).hexdigest() == WEIGHTS.sha256()


def test_by_hand(curl: Callable[..., Curl]) -> None:
    """`python -m tests.origin.ollama` prints a model's name and the address of its manifest, then the requests."""
    words = [
        sys.executable,
        "-m",
        "tests.origin.ollama",
        "--model",
        "tiny:8b=1M",
        "--template",
        "{{ .Prompt }}",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            name, url = process.stdout.readline().split()
            assert name.endswith("/library/tiny:8b")
            kinds = [layer["mediaType"].rpartition(".")[2] for layer in json.loads(curl(url).body)["layers"]]
            assert kinds == ["model", "template"]
            assert curl(url.replace("8b", "70b")).status == 404
            lines = [process.stdout.readline() for _ in range(2)]
            assert "404" in lines[1]
            assert lines[1].endswith("unknown-manifest\n")
        finally:
            process.terminate()
