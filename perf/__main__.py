"""`python -m perf`: run the benchmark from a checkout, write its JSON and report (see README.md)."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perf import compare, machine, method, publish, rates, report, scenarios, servers, targets, tools
from perf.bench import Bench
from perf.results import Result

RESULTS = Path(__file__).resolve().parent / "results"
SHARED_MEMORY = Path("/dev/shm")
GIB = 1 << 30


def main() -> int:
    args = _arguments()
    if args.compare and len(args.compare) == 2:
        print("\n".join(compare.lines(_load(args.compare[0]), _load(args.compare[1]))))
        return 0
    if args.render:
        print(report.write(_load(args.render), args.render.with_suffix("")))
        return 0
    if args.publish:
        return _publish(args.publish)
    try:
        rows = scenarios.select(
            args.scenario, quick=args.quick, rounds=args.rounds, only=args.only, size_bytes=args.size
        )
    except ValueError as exc:
        print(f"perf: {exc}", file=sys.stderr)
        return 2
    result = _run(rows, args)
    path = _save(result, args.results)
    print("\n".join(_summary(result)))
    print(path)
    print(report.write(result, path.with_suffix("")))
    if args.compare:
        print("\n".join(compare.lines(_load(args.compare[0]), result)))
    return 0


def _publish(path: Path) -> int:
    try:
        print(publish.publish(_load(path), path))
    except ValueError as exc:
        print(f"perf: {exc}", file=sys.stderr)
        return 2
    return 0


def _run(rows: list[scenarios.Scenario], args: argparse.Namespace) -> Result:
    """Set the stage in two temporary folders, run, and take everything down again, also on SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # The report names the checkout's commit, so the checkout's engine is what runs, unless another was asked for.
    import_path = os.environ.get("PYTHONPATH", "") if args.jarvis else str(machine.REPOSITORY)
    kit = tools.Kit(tools.find_jarvis(args.jarvis), args.hf_python, import_path)
    largest = max((row.size_bytes for row in rows if not row.sparse), default=0)
    memory_root = args.memory_dir or _memory_folder(2 * largest + GIB)
    with (
        tempfile.TemporaryDirectory(prefix="perf-", dir=memory_root) as memory,
        tempfile.TemporaryDirectory(prefix="perf-", dir=args.dir) as disk,
        tempfile.TemporaryDirectory(prefix="perf-", dir=memory_root) as origin_folder,
        servers.serve(Path(origin_folder)) as origin,
    ):
        versions = tools.versions(kit)
        begun = time.monotonic()
        found = rates.measure(origin, {row.location for row in rows})
        result = _frame(rows, args, versions, found, in_memory=machine.is_memory_backed(Path(memory)))
        bench = Bench(
            kit,
            origin,
            versions,
            Path(memory),
            Path(disk),
            args.quick,
            lambda line: print(f"{time.monotonic() - begun:6.0f} s  {line}", flush=True),
        )
        for row in rows:
            if row.tools:
                result["scenarios"][row.name] = bench.run(row)
        result["took_s"] = round(time.monotonic() - begun)
    return result


def _frame(
    rows: list[scenarios.Scenario],
    args: argparse.Namespace,
    versions: dict[str, str | None],
    found: rates.Rates,
    *,
    in_memory: bool,
) -> Result:
    """Everything of a result but the scenarios."""
    state, started = machine.commit(), datetime.now(UTC)
    mode = "quick" if args.quick else "full"
    part = f"-{args.scenario[0]}" if len(args.scenario) == 1 else ""
    return {
        "name": args.name or f"{started:%Y-%m-%d-%H%M}-{state['commit'][:7]}-{mode}{part}",
        "mode": mode,
        "started": started.isoformat(timespec="seconds"),
        **state,
        "machine": machine.describe(),
        "versions": {**versions, "nginx": servers.version()},
        "method": method.describe(
            quick=args.quick, in_memory=in_memory, rounds={row.name: row.rounds for row in rows}, found=found
        ),
        "rates": found,
        "scenarios": {},
    }


def _summary(result: Result) -> list[str]:
    """The judged rows of what was run, for the terminal."""
    return [
        f"{row.verdict:10} {row.target.scenario:16} {row.target.figure.text}: {_number(row.value)} "
        f"({row.target.sense} {row.target.bound:g}) {row.note}".rstrip()
        for row in targets.judge(result)
        if row.target.scenario in result["scenarios"]
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _memory_folder(needed_bytes: int) -> Path | None:
    """/dev/shm when it holds the file, a target and some more; else the ordinary temporary folder."""
    if machine.is_memory_backed(SHARED_MEMORY) and shutil.disk_usage(SHARED_MEMORY).free > needed_bytes:
        return SHARED_MEMORY
    print("perf: no memory-backed folder with room; targets go to the temporary folder", file=sys.stderr)
    return None


def _save(result: Result, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['name']}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def _load(path: Path) -> Result:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m perf", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of the main tools, under two minutes")
    parser.add_argument(
        "--scenario", action="append", default=[], help="name or beginning of one; repeat for more"
    )
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="tool,tool")
    parser.add_argument(
        "--size", type=_size, help="another size for the large files, such as 256M: targets stay open"
    )
    parser.add_argument(
        "--jarvis", help="command to measure (default: jarvis beside this Python); cli.py works too"
    )
    parser.add_argument("--hf-python", default=sys.executable, help="a Python that has hf_transfer")
    parser.add_argument(
        "--dir", type=Path, help="folder on a real disk, for the 20 GiB target (default: temporary)"
    )
    parser.add_argument(
        "--memory-dir", type=Path, help="folder in memory for file and targets (default: /dev/shm)"
    )
    parser.add_argument("--name", help="of the result (default: date, commit and mode)")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder for results (default: perf/results)"
    )
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="+",
        metavar="JSON",
        help="two results side by side; or this run with one",
    )
    parser.add_argument(
        "--render", type=Path, metavar="JSON", help="draw report and charts of a result again"
    )
    parser.add_argument(
        "--publish",
        type=Path,
        metavar="JSON",
        help="draw README's chart and write its figures from a full result",
    )
    return parser.parse_args()


def _size(text: str) -> int:
    factor = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper())
    return int(text[:-1]) << factor if factor else int(text)


if __name__ == "__main__":
    sys.exit(main())
