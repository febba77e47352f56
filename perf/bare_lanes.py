"""The least that a crowd of files can cost in Python: keep-alive connections, and what a file needs.

    python bare_lanes.py LIST FOLDER [--lanes N] [--urllib3]

Each file of LIST (http addresses of one server, one a line) is received, hashed with SHA-256, written under another
name, synced and renamed; the folder is synced after each sixteen and at the end. Bare sockets, or a pool of urllib3;
no checks, no retries, no journal, no locks, no receipts, no progress: it is no downloader, and whatever has these
takes longer. One process: another one costs more to start than it brings.
"""

import argparse
import hashlib
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

BATCH = 16


Ask = Callable[[str], bytes]
"""The body of what lies at a path."""


def fetch_all(urls: list[str], folder: str, asker: Callable[[str], Ask]) -> None:
    """One lane."""
    ask = asker(urls[0])
    finished: list[tuple[int, str]] = []
    for url in urls:
        path = urlsplit(url).path
        body = ask(path)
        hashlib.sha256(body).hexdigest()
        finished.append(write(body, f"{folder}/{path.rpartition('/')[2]}"))
        if len(finished) == BATCH:
            place(finished, folder)
    place(finished, folder)


def by_socket(url: str) -> Ask:
    parts = urlsplit(url)
    wire = socket.create_connection((parts.hostname, parts.port or 80))
    return lambda path: receive(wire, path, parts.netloc)


def by_urllib3(url: str) -> Ask:
    import urllib3  # only where it is measured

    pool = urllib3.connection_from_url(url)
    return lambda path: pool.request("GET", path).data


def receive(wire: socket.socket, path: str, host: str) -> bytes:
    """The body of one answer, which says its length."""
    wire.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path.encode(), host.encode()))
    data = wire.recv(1 << 17)
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += wire.recv(1 << 17)
    head, body = data[:end].lower(), bytearray(data[end + 4 :])
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += wire.recv(length - len(body))
    return bytes(body)


def write(body: bytes, target: str) -> tuple[int, str]:
    """Put body beside its target."""
    fd = os.open(f"{target}.part", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, body)
    return fd, target


def place(finished: list[tuple[int, str]], folder: str) -> None:
    """Sync, rename, and sync the folder."""
    for fd, target in finished:
        os.fsync(fd)
        os.close(fd)
        os.rename(f"{target}.part", target)  # noqa: PTH104 - the least
    finished.clear()
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("list")
    parser.add_argument("folder")
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--urllib3", action="store_true", help="instead of bare sockets")
    args = parser.parse_args()
    asker = by_urllib3 if args.urllib3 else by_socket
    urls = Path(args.list).read_text("utf-8").split()
    with ThreadPoolExecutor(args.lanes) as pool:
        parts = [urls[n :: args.lanes] for n in range(args.lanes)]
        for lane in [pool.submit(fetch_all, part, args.folder, asker) for part in parts]:
            lane.result()
    return 0


if __name__ == "__main__":
    sys.exit(main())
