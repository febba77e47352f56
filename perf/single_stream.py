"""The baseline: one urllib3 GET, one connection, one process, written as it arrives.

    python single_stream.py URL FILE [--cacert PEM] [--sha256 HEX]

This is what a careful script does without an engine: 1 MiB reads, no decoding, the length checked,
and with --sha256 the digest computed on the way. It exits 1 when length or digest do not fit.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import urllib3

BLOCK_BYTES = 1 << 20


def fetch(url: str, target: Path, cacert: str | None, sha256: str | None) -> str | None:
    """Write the body of url to target; the reason why it is not right, or None."""
    pool = urllib3.PoolManager(cert_reqs="CERT_REQUIRED", ca_certs=cacert)
    digest = hashlib.sha256()
    received = 0
    with pool.request("GET", url, preload_content=False) as response, target.open("wb", buffering=0) as file:
        if response.status != 200:
            return f"status {response.status}"
        while block := response.read(BLOCK_BYTES, decode_content=False):
            file.write(block)
            received += len(block)
            if sha256:
                digest.update(block)
        announced = int(response.headers["Content-Length"])
    if received != announced:
        return f"{received} bytes of {announced}"
    if sha256 and digest.hexdigest() != sha256:
        return "the SHA-256 differs"
    return None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--cacert")
    parser.add_argument("--sha256")
    args = parser.parse_args()
    if problem := fetch(args.url, args.file, args.cacert, args.sha256):
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
