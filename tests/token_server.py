"""A token service for docker-registry's `token` authentication: real JWTs, signed with a key that it trusts."""

import base64
import datetime
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from tests.certificates import Certificates

SERVICE, ISSUER = "tests-registry", "tests-issuer"
LEEWAY_S = 60
"""For so long docker-registry takes a token that has expired."""


class TokenServer:
    """Use it in a `with` block. It gives tokens to anybody unless `user` ("name:password") or `refresh` is set."""

    def __init__(
        self,
        folder: Path,
        *,
        tls: Certificates | None,
        host: str = "127.0.0.1",
        life_s: float = 300,
        user: str = "",
        refresh: str = "",
    ) -> None:
        self.life_s, self.user, self.refresh = life_s, user, refresh
        self.requests: list[tuple[str, str]] = []
        """Method, and scope that was asked for; refused ones too."""
        self.credentials: list[str] = []
        """The Authorization headers that arrived."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / "token.crt"
        self.certificate.write_bytes(self._self_signed())
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.answer(self, parse_qs(urlsplit(self.path).query))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                service.answer(self, parse_qs(body))

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._scheme = "https" if tls else "http"
        if tls is not None:
            self._server.socket = tls.server.context().wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def auth(self) -> dict[str, Any]:
        """The section of docker-registry's configuration."""
        realm = f"{self._scheme}://{self._server.server_address[0]}:{self._server.server_port}/token"
        return {
            "token": {
                "realm": realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(self.certificate),
            }
        }

    def answer(self, handler: BaseHTTPRequestHandler, asked: dict[str, list[str]]) -> None:
        scope = asked.get("scope", [""])[0]
        self.requests.append((handler.command, scope))
        self.credentials += handler.headers.get_all("Authorization", [])
        if handler.command == "POST":
            allowed = bool(self.refresh) and asked["refresh_token"] == [self.refresh]
            status = 200 if allowed else 401 if self.refresh else 405
        else:
            basic = "Basic " + base64.b64encode(self.user.encode()).decode()
            allowed = not self.refresh and (not self.user or handler.headers.get("Authorization") == basic)
            status = 200 if allowed else 401
        name = "access_token" if handler.command == "POST" else "token"
        body = json.dumps({name: self.token(scope)} if status == 200 else {"error": "no"}).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def token(self, scope: str) -> str:
        """A JWT for "repository:NAME:ACTIONS"."""
        access = []
        if scope.count(":") >= 2:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            access = [{"type": kind, "name": name, "actions": actions.split(",")}]
        now = time.time()
        claims = {
            "iss": ISSUER, "sub": "", "aud": SERVICE, "jti": str(now), "access": access,
            "iat": int(now) - 3600, "nbf": int(now) - 3600, "exp": int(now + self.life_s - LEEWAY_S),
        }  # fmt: skip
        head = {"typ": "JWT", "alg": "ES256", "kid": self._key_id()}
        signed = ".".join(_b64(json.dumps(part).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def _key_id(self) -> str:
        """libtrust's fingerprint, as docker-registry looks keys up."""
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        text = base64.b32encode(hashlib.sha256(public).digest()[:30]).decode()
        return ":".join(text[at : at + 4] for at in range(0, 48, 4))

    def _self_signed(self) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
