"""The least that a crowd of files can cost in Python: keep-alive connections on bare sockets, and what a file needs.

    python bare_lanes.py LIST FOLDER [--lanes N]

Each file of LIST (http addresses of one server, one a line) is received, hashed with SHA-256, written under another
name, synced and renamed; the folder is synced after each sixteen and at the end. No HTTP library, no checks, no
retries, no journal, no locks, no receipts, no progress: it is no downloader, and whatever has these takes longer.
One process: another one costs more to start than it brings.
"""

import argparse
import hashlib
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

BATCH = 16


def fetch_all(urls: list[str], folder: str) -> None:
    """One lane."""
    parts = urlsplit(urls[0])
    wire = socket.create_connection((parts.hostname, parts.port or 80))
    finished: list[tuple[int, str]] = []
    for url in urls:
        path = urlsplit(url).path
        body = ask(wire, path, parts.netloc)
        hashlib.sha256(body).hexdigest()
        finished.append(write(body, f"{folder}/{path.rpartition('/')[2]}"))
        if len(finished) == BATCH:
            place(finished, folder)
    place(finished, folder)


def ask(wire: socket.socket, path: str, host: str) -> bytes:
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
    args = parser.parse_args()
    urls = Path(args.list).read_text("utf-8").split()
    with ThreadPoolExecutor(args.lanes) as pool:
        for lane in [pool.submit(fetch_all, urls[n :: args.lanes], args.folder) for n in range(args.lanes)]:
            lane.result()
    return 0


if __name__ == "__main__":
    sys.exit(main())
