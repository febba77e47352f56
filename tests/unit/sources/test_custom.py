"""Which protocol a custom registry is asked in, what is remembered of it, and what is said where neither fits."""

import json

import pytest

from engine.errors import AccessDenied, NetworkError, NotFound, ProtocolViolation
from engine.model_registry import ModelRegistry
from engine.settings import Settings
from engine.sources import Choice
from engine.sources.custom import Custom
from engine.sources.origins import KnownOrigins
from engine.transport.auth import Credentials
from engine.transport.client import Client

BLOB = "sha256:" + "a" * 64
DESCRIPTOR = {"mediaType": "application/vnd.ollama.image.model", "digest": BLOB, "size": 5}
MANIFEST = json.dumps({"schemaVersion": 2, "config": DESCRIPTOR, "layers": [DESCRIPTOR]}).encode()
COMMIT = "b" * 40
HUB = {
    "api/models/ns/m/revision/main": json.dumps({"sha": COMMIT}).encode(),
    f"api/models/ns/m/tree/{COMMIT}": json.dumps(
        [{"type": "file", "path": "m-Q4_K_M.gguf", "size": 5, "lfs": {"oid": "a" * 64, "size": 5}}]
    ).encode(),
}
OCI = {"v2/ns/m/manifests/latest": MANIFEST}


def strike(origin, path, how):
    """From now on this path is answered with a status, in a circle, or not at all."""
    if how == "loop":
        origin.fault("redirect_loop", path=path)
    elif how == "silence":
        origin.fault("close_without_answer", path=path)
    else:
        origin.fault("status", path=path, code=how)


@pytest.fixture
def ask(origin_factory, tmp_path):
    """Ask an origin with these files for a model: names of the files, and which paths were asked for."""

    def ask(origin, path="ns/m"):
        before = len(origin.requests)
        source = Custom(origin.base, KnownOrigins(tmp_path))
        with Client(Settings(retries=0), Credentials()) as client:
            model = ModelRegistry.parse(f"{origin.base}/{path}")
            try:
                names = [file.name for file in source.list_files(client, model, Choice())]
            finally:
                asked = [record.path for record in origin.requests[before:]]
        return names, asked, source

    return ask


def test_a_hub(ask, origin_factory, tmp_path):
    """The Hub is asked first, and taken."""
    origin = origin_factory(HUB)
    names, asked, source = ask(origin)
    assert (names, asked) == (["m-Q4_K_M.gguf"], list(HUB))
    assert source.manifest is None
    assert json.loads((tmp_path / "origins.json").read_bytes()) == {origin.base: "hub"}


def test_an_oci_registry_is_remembered(ask, origin_factory):
    """After the first time it is asked alone; its manifest is kept as it came."""
    origin = origin_factory(OCI)
    names, asked, source = ask(origin)
    assert asked == ["api/models/ns/m/revision/main", "v2/ns/m/manifests/latest"]
    assert names == ["m-latest.gguf", "m-latest.config.json"]
    assert source.manifest.body == MANIFEST
    assert ask(origin)[1] == ["v2/ns/m/manifests/latest"]


def test_a_registry_that_changes(ask, origin_factory):
    """What is remembered is asked first, and not alone."""
    origin = origin_factory(OCI)
    ask(origin)
    del origin.files["v2/ns/m/manifests/latest"]
    for path, body in HUB.items():
        origin.add(path, body)
    assert ask(origin)[0] == ["m-Q4_K_M.gguf"]
    assert ask(origin)[1] == list(HUB)


@pytest.mark.parametrize("path", ["a/b/c", f"ns/m@{BLOB}"])
def test_what_can_only_be_oci(ask, origin_factory, path):
    """More than two parts, and a digest: no Hub is asked."""
    origin = origin_factory({})
    with pytest.raises(NotFound):
        ask(origin, path + (":v1" if path == "a/b/c" else ""))
    assert [record.path.split("/")[0] for record in origin.requests] == ["v2"]


def test_neither(ask, origin_factory):
    """Both answers are told; what is broken says more than what is absent."""
    with pytest.raises(NotFound, match=r"as a Hub: .*as an OCI registry: "):
        ask(origin_factory({}))
    with pytest.raises(ProtocolViolation, match="schemaVersion"):
        ask(origin_factory({"v2/ns/m/manifests/latest": b"{}"}))
    with pytest.raises(ProtocolViolation, match="does not answer as a Hub"):
        ask(origin_factory({"api/models/ns/m/revision/main": b"<html>"}))


def test_access_denied(ask, origin_factory):
    """401 in one protocol is what the user can do something about."""
    origin = origin_factory(OCI)
    origin.fault("status", path="v2/ns/m/manifests/latest", code=401)
    with pytest.raises(AccessDenied, match="USER:PASSWORD"):
        ask(origin)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(400, NotFound), (405, NotFound), (501, NotFound), (500, NetworkError), ("silence", NetworkError)],
)
def test_neither_where_one_is_answered_badly(ask, origin_factory, code, kind):
    """A server that fails may have it; one that has no such addresses has not, where the other answer is 404."""
    origin = origin_factory({})
    strike(origin, "api/models/ns/m/revision/main", code)
    told = "broke the connection" if code == "silence" else code
    with pytest.raises(kind, match=rf"as a Hub: .*{told}.*as an OCI registry: .*does not exist"):
        ask(origin)


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_asks_for_time_is_not_asked_again(ask, origin_factory, code):
    """In the other protocol, either."""
    origin = origin_factory(OCI)
    origin.fault("status", path="api/models/ns/m/revision/main", code=code)
    with pytest.raises(NetworkError, match=str(code)):
        ask(origin)
    assert len(origin.requests) == 1


def test_nobody_there(ask, origin_factory):
    """A server that is not there is asked once, not in two protocols."""
    origin = origin_factory({})
    origin.close()
    with pytest.raises(NetworkError, match="Cannot connect"):
        ask(origin)


@pytest.mark.parametrize("code", [400, 405, 418, 500, 501, 502, "loop", "silence"])
@pytest.mark.row("attack/registry-behind-a-front")
def test_a_front_that_does_not_know_the_hub(ask, origin_factory, code):
    """Proxies answer addresses that they do not know in many ways: the registry behind them is asked all the same."""
    origin = origin_factory(OCI)
    strike(origin, "api/models/ns/m/revision/main", code)
    assert ask(origin)[0] == ["m-latest.gguf", "m-latest.config.json"]
    assert ask(origin)[1] == list(OCI)


@pytest.mark.parametrize("code", [500, 503, "silence", 429])
def test_an_outage_of_a_known_hub(ask, origin_factory, code):
    """It is told as that, and nobody is asked in another protocol."""
    origin = origin_factory(HUB)
    ask(origin)
    strike(origin, "api/models/ns/m/revision/main", code)
    before = len(origin.requests)
    with pytest.raises(NetworkError) as caught:
        ask(origin)
    assert "both protocols" not in str(caught.value)
    assert {record.path for record in origin.requests[before:]} == {"api/models/ns/m/revision/main"}


@pytest.mark.parametrize("text", [b"", b"[]", b'{"a": 5}', b"\xff", b"[" * 99999, b"x" * (2 << 20)])
def test_a_broken_memory_is_none(tmp_path, text):
    """It is read as empty, and written anew."""
    (tmp_path / "origins.json").write_bytes(text)
    known = KnownOrigins(tmp_path)
    assert known.protocol_of("http://a") is None
    known.remember("http://a", "oci")
    assert known.protocol_of("http://a") == "oci"
    assert [path.name for path in tmp_path.iterdir()] == ["origins.json"]


def test_a_memory_that_cannot_be_written_fails_nothing(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    KnownOrigins(tmp_path / "file").remember("http://a", "oci")
