"""Whom the system trusts: the same authorities, whether they are read at once or found when a chain ends at one."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from engine.transport.trust import trust_system
from tests.certificates import Certificates, Identity


@pytest.fixture
def system(tmp_path: Path, tls: Certificates, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution's two places: a bundle, and a folder of the same certificates by their subjects' hashes."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder, bundle = tmp_path / "certs", tmp_path / "ca-certificates.crt"
    folder.mkdir()
    shutil.copy(tls.cacert, folder / "ours.pem")
    shutil.copy(tls.cacert, bundle)
    subprocess.run(["openssl", "rehash", folder], check=True)
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    return bundle


def shake_hands(context: ssl.SSLContext, identity: Identity) -> None:
    """With a real server on a socket pair. Raises SSLCertVerificationError."""
    near, far = socket.socketpair()
    near.settimeout(20)
    far.settimeout(20)

    def serve() -> None:
        with contextlib.suppress(OSError), identity.context().wrap_socket(far, server_side=True) as wire:
            wire.recv(1)
        far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with context.wrap_socket(near, server_hostname="localhost") as stream:
            stream.sendall(b".")
    finally:
        near.close()
        thread.join()


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert trust_system(context)
    return context


def loaded(context: ssl.SSLContext) -> int:
    return context.cert_store_stats()["x509_ca"]


def test_an_authority_is_found_when_it_is_needed(system: Path, tls: Certificates) -> None:
    """Nothing is read before a handshake, and then the one that signed; who is signed by nobody stays out."""
    context = trusting()
    assert loaded(context) == 0
    shake_hands(context, tls.server)
    assert loaded(context) == 1
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(context, tls.self_signed)


def test_what_only_the_bundle_holds_is_trusted(system: Path, tls: Certificates, tmp_path: Path) -> None:
    """A company appends its own authority to the bundle, or puts a bundle in the place of it: all of it is read."""
    theirs = Certificates(tmp_path)
    system.write_bytes(system.read_bytes() + theirs.cacert.read_bytes())
    context = trusting()
    assert loaded(context) == 2
    shake_hands(context, theirs.server)
    shake_hands(context, tls.server)
    system.write_bytes(theirs.cacert.read_bytes() + b"# and a remark, so that it has another size\n")
    shake_hands(trusting(), theirs.server)


def test_a_folder_without_hashes_is_not_believed(system: Path, tls: Certificates) -> None:
    """Certificates that OpenSSL would not find there are read from the bundle."""
    for link in system.with_name("certs").glob("*.0"):
        link.unlink()
    shake_hands(trusting(), tls.server)


def test_no_bundle_is_left_to_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where OpenSSL's places are empty, nothing is trusted by this."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert not trust_system(context)
    assert loaded(context) == 0
