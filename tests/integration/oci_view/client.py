"""A registry's client, and the models that it meets."""

import hashlib
import http.client
import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
WEIGHTS = random.Random(3).randbytes(12_000_001)
FILES = {
    "acme/Tiny-GGUF/tiny-Q4_K_M.gguf": WEIGHTS,
    "acme/Tiny-GGUF/tiny-Q8_0.gguf": b"GGUF of eight bits" * 300,
    "acme/Tiny-GGUF/template": b"{{ .Prompt }}",
    "acme/Tiny-GGUF/README.md": b"# tiny",
    "acme/whole/config.json": b"{}",
    "acme/whole/model.safetensors": b"S" * 5000,
    "acme/whole/sub/vocab.txt": b"a b c",
    "solo/solo.gguf": b"GGUF without a namespace",
}
TEMPLATE = b"a template that came from a registry"
CONFIG = b'{"model_format":"gguf"}'


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def manifest_bytes(media_type: str) -> bytes:
    """With spaces and a line end, as no encoder of ours would write it: exactness shows."""
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor("application/vnd.docker.container.image.v1+json", CONFIG),
        "layers": [descriptor("application/vnd.ollama.image.template", TEMPLATE)],
    }
    return json.dumps(document, indent=3).encode() + b"\n"


STORED = {
    "registry.ollama.ai/library/stored/8b": manifest_bytes(DOCKER),
    "ghcr.io/deep/er/stored/v1": manifest_bytes(OCI),
    "registry.ollama.ai/library/broken/latest": b"not JSON",
    "registry.ollama.ai/library/odd/latest": b'{"schemaVersion": 2, "layers": 7}',
}


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


class Answer:
    """An answer that has been read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def code(self) -> str:
        """Of an error in the specification's form, which has one."""
        assert self.headers["Content-Type"] == "application/json"
        (error,) = json.loads(self.body)["errors"]
        assert set(error) == {"code", "message", "detail"}
        return str(error["code"])


class Client:
    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc

    def ask(self, method: str, target: str, *headers: tuple[str, str]) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.putrequest(method, target)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders()
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, target: str, *headers: tuple[str, str]) -> Answer:
        return self.ask("GET", target, *headers)

    def manifest(self, name: str, reference: str = "latest", *accept: str) -> Answer:
        answer = self.get(f"/v2/{name}/manifests/{reference}", *(("Accept", kind) for kind in accept))
        assert answer.status == 200, answer.body
        assert answer.headers["Docker-Content-Digest"] == digest_of(answer.body)
        assert answer.headers["Content-Type"] == json.loads(answer.body)["mediaType"]
        return answer
