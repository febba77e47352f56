"""`jarvis pull` from a registry that behaves as Ollama's: signed addresses elsewhere, tokens, its rules."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.certificates import Certificates
from tests.command import ROOT, Result, Running
from tests.connect_proxy import ConnectProxy
from tests.origin import Pattern
from tests.origin.ollama import Layer, Model, OllamaRegistry, wire_form

Jarvis = Callable[..., Result]
Factory = Callable[..., OllamaRegistry]
WEIGHTS = Pattern(20_000_000, seed=5)
TINY = Model("library/tiny", [Layer("model", WEIGHTS), Layer("template", b"{{ .Prompt }}")])
SMALL_LEASES = ("-c", 2, "-p", 2, "--segment-size", "1MiB", "--limit-rate", "8MB/s", "--json")


def progressed(stdout: str, beyond: int) -> bool:
    events = [json.loads(line) for line in stdout.splitlines() if line.endswith("}")]
    return any(e["event"] == "progress" and e["done_bytes"] > beyond for e in events)


@pytest.mark.parametrize("tokens", [False, True], ids=["open", "tokens"])
def test_pull(jarvis: Jarvis, ollama_factory: Factory, tmp_path: Path, tokens: bool) -> None:
    """One manifest, ranges with both ends at the storage, no credential there; nothing refused but what brought the
    challenge."""
    server = ollama_factory([TINY], tokens=tokens)
    jarvis("pull", f"{server.host}/library/tiny", "-d", tmp_path / "out", "-c", 4).check(0)
    assert WEIGHTS.first_difference(tmp_path / "out/tiny-latest.gguf") is None
    assert (tmp_path / "out/tiny-latest.template").read_bytes() == b"{{ .Prompt }}"
    assert set(server.refusals) <= ({"no-token"} if tokens else set())
    storage = server.storage.requests
    assert storage and all(re.fullmatch("bytes=[0-9]+-[0-9]+", r.headers.get("Range", "")) for r in storage)
    assert not [r for r in storage if r.headers.get("Authorization")]
    assert sum(r.path.startswith("token") for r in server.registry.requests) == int(tokens)


@pytest.mark.parametrize("ends", ["addresses", "tokens", "both"])
@pytest.mark.row("address/expires-midway")
def test_what_ends_in_mid_pull_is_renewed(
    spawn: Callable[..., Running], ollama_factory: Factory, tmp_path: Path, ends: str
) -> None:
    """Signed addresses and tokens that end while two worker processes work: asked for anew, and no byte is fetched
    twice."""
    server = ollama_factory([TINY], tokens=True)
    running = spawn("pull", f"{server.host}/library/tiny", "-d", tmp_path / "out", *SMALL_LEASES)
    running.wait_output(lambda out, _: progressed(out, 4_000_000), "progress", timeout_s=60)
    if ends != "tokens":
        server.expire_addresses()
    if ends != "addresses":
        server.tokens.revoke()
    result = running.wait().check(0)
    assert WEIGHTS.first_difference(tmp_path / "out/tiny-latest.gguf") is None
    (done,) = [e for e in result.events_named("file") if e["file"] == "tiny-latest.gguf"]
    assert done["fetched_bytes"] == WEIGHTS.size
    located = [r for r in server.registry.requests if "/blobs/" in r.path and r.status == 307]
    assert len(located) >= (2 if ends == "tokens" else 3)


@pytest.mark.row("process/kill-of-every-source")
def test_killed_and_resumed(
    jarvis: Jarvis, spawn: Callable[..., Running], ollama_factory: Factory, tmp_path: Path
) -> None:
    """SIGKILL in the middle; the next run fetches the rest at a new address."""
    server = ollama_factory([TINY])
    words = ("pull", f"{server.host}/library/tiny", "-d", tmp_path / "out")
    running = spawn(*words, *SMALL_LEASES)
    running.wait_output(lambda out, _: progressed(out, 6_000_000), "progress", timeout_s=60)
    running.send(signal.SIGKILL)
    running.wait()
    server.expire_addresses()
    result = jarvis(*words, "--json").check(0)
    (done,) = [e for e in result.events_named("file") if e["file"] == "tiny-latest.gguf"]
    assert done["held_bytes"] >= 3 << 20
    assert done["held_bytes"] + done["fetched_bytes"] == WEIGHTS.size
    assert WEIGHTS.first_difference(tmp_path / "out/tiny-latest.gguf") is None


@pytest.mark.parametrize(
    "digest", ["sha256:../../x", "sha256:" + "A" * 64, "sha512:" + "a" * 128, "\x1b[31mx"]
)
@pytest.mark.row("attack/17-digest-as-path")
def test_digests_that_are_none(jarvis: Jarvis, ollama_factory: Factory, tmp_path: Path, digest: str) -> None:
    """Exit 5, the digest in the message with its control characters escaped, and nothing written or asked for."""
    server = ollama_factory([Model("library/bad", [Layer("model", b"x" * 99, digest=digest)])])
    result = jarvis("pull", f"{server.host}/library/bad", "-d", tmp_path / "out").check(5)
    assert repr(digest) in result.stderr
    assert not (tmp_path / "out").exists() and server.storage.requests == []


@pytest.mark.parametrize("size", [-1, 2**63, 1.5, "99", 2**62])
@pytest.mark.row("attack/21-impossible-sizes")
def test_sizes_that_cannot_be(jarvis: Jarvis, ollama_factory: Factory, tmp_path: Path, size: object) -> None:
    """Refused before anything is written; one that no disk has room for, too."""
    layer = Layer("model", b"x" * 99, size=size)  # type: ignore[arg-type] # that is the test
    server = ollama_factory([Model("library/bad", [layer])])
    result = jarvis("pull", f"{server.host}/library/bad", "-d", tmp_path / "out")
    assert result.code in (5, 7), result
    assert not list((tmp_path / "out").rglob("*.gguf")) and server.storage.requests == []


@pytest.mark.row("attack/37-manifest-bombs")
def test_manifest_without_end(jarvis: Jarvis, ollama_factory: Factory, tmp_path: Path) -> None:
    """A manifest of more than 16 MiB is read to there and refused."""
    server = ollama_factory([Model("library/bad", [], manifest=b" " * (40 << 20))])
    jarvis("pull", f"{server.host}/library/bad", "-d", tmp_path / "out").check(5)
    assert server.registry.bytes_sent() < 30 << 20


# Private models: the registry by its own name, behind a proxy

NAMES = ("registry.ollama.ai", "storage.example")
SECRET = Model("jo/secret", [Layer("model", WEIGHTS)], is_private=True)


@pytest.fixture
def ollama(
    ollama_factory: Factory, tls: Certificates, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OllamaRegistry]:
    server = ollama_factory([SECRET, TINY], tls=tls, names=NAMES)
    ports = dict(zip(NAMES, (server.registry.port, server.storage.port), strict=True))
    with ConnectProxy(ports) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(tls.cacert))
        yield server


def make_key(home: Path, password: bytes | None = None) -> Ed25519PrivateKey:
    """A key where Ollama keeps it, in the form in which it writes it."""
    key = Ed25519PrivateKey.generate()
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    place = home.parent / "user/.ollama/id_ed25519"
    place.parent.mkdir()
    place.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, locked)
    )
    return key


def test_private_model_opens_to_the_key(
    jarvis: Jarvis, ollama: OllamaRegistry, home: Path, tmp_path: Path
) -> None:
    """The request for a token is signed with Ollama's key, once; the registry verifies it. The storage never
    sees the token."""
    ollama.tokens.keys.add(wire_form(make_key(home).public_key()))
    jarvis("pull", "ollama/jo/secret", "-d", tmp_path / "out", "-c", 2, "-p", 1).check(0)
    assert WEIGHTS.first_difference(tmp_path / "out/secret-latest.gguf") is None
    asked = [r for r in ollama.registry.requests if r.path == "token"]
    assert len(asked) == 1
    assert "scope=repository%3Ajo%2Fsecret%3Apull" in asked[0].target and "nonce=" in asked[0].target
    assert not [r for r in ollama.storage.requests if r.headers.get("Authorization")]


def test_token_is_signed_for_anew_by_workers(
    spawn: Callable[..., Running], ollama: OllamaRegistry, home: Path, tmp_path: Path
) -> None:
    """A token that ends in mid-pull, after the address that it had opened: worker processes sign themselves."""
    ollama.tokens.keys.add(wire_form(make_key(home).public_key()))
    running = spawn("pull", "ollama/jo/secret", "-d", tmp_path / "out", *SMALL_LEASES)
    running.wait_output(lambda out, _: progressed(out, 4_000_000), "progress", timeout_s=60)
    ollama.expire_addresses()
    ollama.tokens.revoke()
    running.wait().check(0)
    assert WEIGHTS.first_difference(tmp_path / "out/secret-latest.gguf") is None
    assert sum(r.path == "token" for r in ollama.registry.requests) >= 2


def test_public_model_needs_no_key(
    jarvis: Jarvis, ollama: OllamaRegistry, home: Path, tmp_path: Path
) -> None:
    """A key that is there is not shown where nobody asks for it."""
    make_key(home)
    jarvis("pull", "tiny", "-d", tmp_path / "out").check(0)
    assert not [r for r in ollama.registry.requests if r.headers.get("Authorization")]


def test_private_model_without_a_key(
    jarvis: Jarvis, ollama: OllamaRegistry, home: Path, tmp_path: Path
) -> None:
    """Exit 4, and what to do: no key, one that is not known there, one that cannot be used, no library to sign with."""
    pull = ("pull", "ollama/jo/secret", "-d", tmp_path / "out")
    assert "`ollama signin` makes it" in jarvis(*pull).check(4).stderr
    make_key(home)
    assert "is not known there" in jarvis(*pull).check(4).stderr
    (home.parent / "user/.ollama/id_ed25519").write_text("no key")
    assert "cannot be used" in jarvis(*pull).check(4).stderr
    assert ollama.storage.requests == []


def test_key_with_a_password(jarvis: Jarvis, ollama: OllamaRegistry, home: Path, tmp_path: Path) -> None:
    """Nobody is asked for it: the key cannot be used."""
    make_key(home, b"s3cret")
    assert "cannot be used" in jarvis("pull", "ollama/jo/secret", "-d", tmp_path / "out").check(4).stderr


def test_private_model_without_the_extra(
    jarvis: Jarvis, ollama: OllamaRegistry, home: Path, tmp_path: Path
) -> None:
    """A library that is not installed is named, with how to install it."""
    (tmp_path / "shadow/cryptography").mkdir(parents=True)
    (tmp_path / "shadow/cryptography/__init__.py").write_text("raise ImportError('not installed')")
    make_key(home)
    shadowed = {"PYTHONPATH": f"{tmp_path}/shadow:{ROOT}"}
    stderr = jarvis("pull", "ollama/jo/secret", "-d", tmp_path / "out", env=shadowed).check(4).stderr
    assert "pip install 'jarviscore-engine[ollama]'" in stderr
