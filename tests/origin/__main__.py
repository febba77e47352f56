"""The origin by hand: `python -m tests.origin --pattern m.gguf=100M --fault reset,after_bytes=1000,times=1`."""

import argparse
import ast
import signal
import threading
from pathlib import Path
from typing import Any

from tests.certificates import Certificates
from tests.origin import Content, File, FileContent, Origin, Pattern
from tests.origin.faults import KINDS
from tests.origin.ledger import Record

_SUFFIXES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def main() -> None:
    """Serve until interrupted, and print every request once it has ended."""
    options = _arguments()
    files: dict[str, Content | File] = {name: FileContent(Path(path)) for name, path in options.file}
    files.update({name: Pattern(size_of(size)) for name, size in options.pattern})
    tls = Certificates(options.tls) if options.tls else None
    with Origin(files, tls=tls, host=options.host, port=options.port) as origin:
        for text in options.fault:
            name, settings = fault_of(text)
            origin.fault(name, **settings)
        for name in files:
            print(origin.url(name), flush=True)
        if tls is not None:
            print(f"--cacert {tls.cacert}", flush=True)
        print_requests(origin)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.origin", description=f"Faults: {', '.join(KINDS)}")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", type=Path, metavar="DIR", help="https, with certificates written to DIR")
    parser.add_argument("--file", type=pair, action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--pattern", type=pair, action="append", default=[], metavar="NAME=SIZE")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[,OPTION=VALUE...]")
    return parser.parse_args()


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def size_of(text: str) -> int:
    factor = _SUFFIXES.get(text[-1:].upper())
    return int(text[:-1]) * factor if factor else int(text)


def fault_of(text: str) -> tuple[str, dict[str, Any]]:
    name, *settings = text.split(",")
    return name, {key: _value(value) for key, value in map(pair, settings)}


def _value(text: str) -> Any:
    """A Python literal, else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def print_requests(*origins: Origin) -> None:
    """A line a request, until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    printed: set[Record] = set()
    while not stop.wait(0.2):
        for record in (record for origin in origins for record in origin.requests):
            if record.ended is not None and record not in printed:
                printed.add(record)
                print(_line(record), flush=True)


def _line(record: Record) -> str:
    span = f"{record.range[0]}-{record.range[1]}" if record.range else "all"
    why = [*record.faults, *([record.refused] if record.refused else [])]
    struck = f"  {' '.join(why)}" if why else ""
    return f"#{record.connection} {record.method} {record.target} [{span}] {record.status} {record.sent} B{struck}"


if __name__ == "__main__":
    main()
