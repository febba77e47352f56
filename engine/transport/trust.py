"""The authorities that this machine trusts, without reading them all where it can be seen that one will do.

A bundle of 150 certificates takes OpenSSL 30 ms, in each process that speaks TLS; from a folder in which each lies
under its subject's hash (openssl-rehash(1)) it takes the one that a server's chain ends at. Distributions keep both,
made of the same files, but a bundle may have been replaced or appended to. So the folder stands for it only where the
certificates in it have, together, the bundle's very size.
"""

import os
import re
import ssl
import sys

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def trust_system(context: ssl.SSLContext) -> bool:
    """Make a client context trust what OpenSSL's own places hold, or SSL_CERT_FILE and SSL_CERT_DIR. False, and
    nothing done, where only truststore knows: on macOS and Windows, and where those places are empty."""
    paths = ssl.get_default_verify_paths()
    if sys.platform != "linux" or paths.cafile is None:
        return False
    if paths.capath is not None and _holds_all(paths.capath, paths.cafile):
        context.load_verify_locations(capath=paths.capath)
    else:
        context.load_default_certs()
    return True


def _holds_all(folder: str, bundle: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            sizes = [entry.stat().st_size for entry in entries if _HASHED.fullmatch(entry.name)]
        return sum(sizes) == os.stat(bundle).st_size  # noqa: PTH116 - a Path costs more than the call
    except OSError:
        return False
