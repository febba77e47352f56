"""Certificates for local TLS servers: good ones of a throw-away authority, and three that must be refused.

The authority is trusted by nobody but a client that is given `cacert`.
"""

import datetime
import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Identity:
    """A server's certificate chain with its key, as one PEM file of each kind."""

    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """A server context; HTTP/1.1 is the only protocol it agrees to."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        context.set_alpn_protocols(["http/1.1"])
        return context


class Certificates:
    """An authority and the identities it has signed (or not); PEM files, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority = trustme.CA()

    @cached_property
    def cacert(self) -> Path:
        """The authority's certificate: what goes into --cacert or SSL_CERT_FILE."""
        return self._write("ca.pem", self._authority.cert_pem.write_to_path)

    @cached_property
    def server(self) -> Identity:
        """Valid for localhost, 127.0.0.1 and ::1."""
        return self.issue("server", *LOCAL_NAMES)

    @cached_property
    def expired(self) -> Identity:
        """For the right names, but its time ended yesterday."""
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        leaf = self._authority.issue_cert(*LOCAL_NAMES, not_before=now - 30 * day, not_after=now - day)
        return self._save("expired", leaf)

    @cached_property
    def wrong_host(self) -> Identity:
        """Properly signed, for a host that is not this one."""
        return self.issue("wrong-host", "somebody-else.example")

    @cached_property
    def self_signed(self) -> Identity:
        """For the right names, signed by itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = _self_signed(key)
        key_pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        cert_pem = cert.public_bytes(serialization.Encoding.PEM)
        return Identity(
            self._write("self-signed.pem", lambda path: Path(path).write_bytes(cert_pem)),
            self._write("self-signed.key", lambda path: Path(path).write_bytes(key_pem)),
        )

    def issue(self, label: str, *names: str) -> Identity:
        """A valid certificate for these host names and addresses; label names its files."""
        return self._save(label, self._authority.issue_cert(*names))

    def _save(self, label: str, leaf: trustme.LeafCert) -> Identity:
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        return Identity(
            self._write(f"{label}.pem", lambda path: Path(path).write_bytes(chain)),
            self._write(f"{label}.key", leaf.private_key_pem.write_to_path),
        )

    def _write(self, name: str, write: Callable[[str], object]) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        write(str(path))
        return path


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    alternatives: list[x509.GeneralName] = [x509.DNSName("localhost")]
    alternatives += [x509.IPAddress(ipaddress.ip_address(text)) for text in LOCAL_NAMES[1:]]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
