"""A real docker-registry (Debian's, or any other on the path), empty at first, and what fills it."""

import contextlib
import hashlib
import json
import os
import re
import signal
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPSHandler, Request, build_opener

import pytest

from tests.certificates import Certificates

_START_WITHIN_S = 10.0
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.docker.container.image.v1+json"


def digest_of(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


@dataclass
class Registry:
    """A registry that runs. `host` is 127.0.0.1:port, as it stands in model paths."""

    host: str
    scheme: str
    data: Path
    log: Path
    authorization: str | None = None
    cacert: Path | None = None
    _sizes: dict[str, int] = field(default_factory=dict)

    def put_blob(self, repository: str, body: bytes) -> str:
        """Its digest."""
        digest = digest_of(body)
        answer = self._send("POST", f"{repository}/blobs/uploads/")
        location = urlsplit(answer["Location"])
        path = location.path.removeprefix("/v2/")
        self._send("PUT", f"{path}?{location.query}&digest={digest}", body, "application/octet-stream")
        self._sizes[digest] = len(body)
        return digest

    def put_manifest(self, repository: str, reference: str, body: bytes, media_type: str) -> str:
        """Its digest."""
        self._send("PUT", f"{repository}/manifests/{reference}", body, media_type)
        return digest_of(body)

    def put_model(
        self,
        repository: str,
        tag: str,
        layers: list[tuple[str, bytes]],
        *,
        media_type: str = DOCKER_MANIFEST,
        config: bytes = b'{"model_format":"gguf"}',
        titles: Mapping[int, str] = {},
        sizes: Mapping[int, int] = {},
    ) -> str:
        """A model of (media type, content), by default in Ollama's shape; the manifest's digest. sizes says what the
        manifest shall claim instead of the truth."""
        described = [
            {
                "mediaType": kind,
                "digest": self.put_blob(repository, body),
                "size": sizes.get(number, len(body)),
                **(
                    {"annotations": {"org.opencontainers.image.title": titles[number]}}
                    if number in titles
                    else {}
                ),
            }
            for number, (kind, body) in enumerate(layers)
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": CONFIG, "digest": self.put_blob(repository, config), "size": len(config)},
            "layers": described,
        }
        return self.put_manifest(repository, tag, json.dumps(manifest).encode(), media_type)

    def blob_file(self, digest: str) -> Path:
        """Where a blob lies: the registry never looks whether it still is what its name says."""
        value = digest.removeprefix("sha256:")
        return self.data / f"docker/registry/v2/blobs/sha256/{value[:2]}/{value}/data"

    @property
    def requests(self) -> list[str]:
        """ "GET /v2/… 206" of all requests so far."""
        return [
            f"{m[1]} {m[2]} {m[3]}"
            for m in re.finditer(
                r'"(GET|HEAD|POST|PUT|PATCH) (\S+) HTTP/[0-9.]+" (\d+)', self.log.read_text()
            )
        ]

    def _send(
        self, method: str, path: str, body: bytes | None = None, media_type: str | None = None
    ) -> Mapping[str, str]:
        request = Request(f"{self.scheme}://{self.host}/v2/{path}", data=body, method=method)
        if media_type:
            request.add_header("Content-Type", media_type)
        if self.authorization:
            request.add_header("Authorization", self.authorization)
        context = ssl.create_default_context(cafile=str(self.cacert)) if self.cacert else None
        with build_opener(HTTPSHandler(context=context)).open(request) as answer:
            answer.read()
            return dict(answer.headers)


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


@contextlib.contextmanager
def docker_registry(
    folder: Path,
    *,
    tls: Certificates | None = None,
    auth: Mapping[str, Any] | None = None,
    authorization: str | None = None,
) -> Iterator[Registry]:
    """A registry on a free port until the block ends. auth is that section of its configuration; authorization is what
    its filling sends."""
    program = which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0", "secret": "tests"},
    }
    if tls is not None:
        config["http"]["tls"] = {"certificate": str(tls.server.cert), "key": str(tls.server.key)}
    if auth is not None:
        config["auth"] = auth
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    log = folder / "log"
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=out, stderr=out, env=environment
        )
    try:
        host = _wait_listening(process, log)
        yield Registry(
            host,
            "https" if tls else "http",
            folder / "data",
            log,
            authorization,
            tls.cacert if tls else None,
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _wait_listening(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        if match := re.search(r"listening on (127\.0\.0\.1:[0-9]+)", log.read_text()):
            return match[1]
        time.sleep(0.01)
    raise AssertionError(f"docker-registry did not start:\n{log.read_text()}")
