"""`python -m perf.simulate`: what links past this machine do to the scheduler, by a model (perf/simulation).

No figure of it is a measurement but the processor time of the decisions. --validate compares it with measured runs
first.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from perf import machine
from perf.results import Result
from perf.simulation import cases, prediction
from perf.simulation.outcome import Outcome, play, table

REPORT = Path(__file__).resolve().parent / "results" / "simulation.md"


def main() -> int:
    args = _arguments()
    chosen = [
        case for case in cases.BEYOND if any(case.name.startswith(name) for name in args.scenario or [""])
    ]
    if not chosen:
        names = ", ".join(case.name for case in cases.BEYOND)
        print(f"simulate: no scenario {args.scenario}; there are: {names}", file=sys.stderr)
        return 2
    found: list[Result] = [json.loads(path.read_text()) for path in args.validate]
    rows = prediction.predictions(found) if found else []
    if rows:
        print("\n".join(prediction.lines(rows)), end="\n\n", flush=True)
    outcomes = [] if args.only_validate else [play(case) for case in chosen]
    if outcomes:
        print("\n".join(table(outcomes)))
    if rows and outcomes and not args.scenario:
        REPORT.write_text("\n".join(_report(found, rows, outcomes)) + "\n")
        print(REPORT)
    return 0 if all(row.is_within for row in rows) else 1


def _report(
    found: Sequence[Result], rows: Sequence[prediction.Prediction], outcomes: Sequence[Outcome]
) -> Iterator[str]:
    within, here = sum(row.is_within for row in rows), machine.describe()
    names = ", ".join(f"`{result['name']}` (commit `{result['commit'][:12]}`)" for result in found)
    yield f"# The scheduler past this machine: a model that foretells {within} of {len(rows)} measured runs within 15 %"
    yield ""
    yield (
        "Made by `python -m perf.simulate --validate RESULT.json`. The engine's own decisions (plan, number of lanes, "
        "health, relief, retries, journals) on a made-up clock and link: **no figure here is a measured download**, "
        "and none of them stands in another report."
    )
    yield from ["", "## What it foretells of runs that were measured", ""]
    yield from prediction.lines(rows)
    yield ""
    yield (
        f"Measured: {names}. Model: commit `{machine.commit()['commit'][:12]}`. Predicted is the model's time (median "
        f"of {len(rows[0].predicted)} draws of edges) plus {prediction.startup_s(found):.2f} s, which a pull of 1 KiB "
        "takes from exec to exit. The links are those of the scenarios' own tables: each connection's cap, the total, "
        "the round trip; together they bring what the machine carries and hashes without any cap, "
        f"{prediction.ceiling_bytes_s(found) / 1e6:.0f} MB/s in the same results. A further worker process takes 0.1 s "
        f"to start, a core hashes 1.65 GiB/s. Nothing is fitted. Load beyond {here['cores']}: cores were short."
    )
    yield from ["", "## Past this machine", ""]
    yield from (f"- **{outcome.case.name}**: {outcome.case.title}." for outcome in outcomes)
    yield ""
    yield from table(outcomes)
    yield ""
    yield (
        f"CPU is what the decisions really took on one of {here['cores']} cores ({here['cpu']}): plan, ledger, "
        "journal, watch, count of lanes, per lease with all segments that it brought. Messages to and from workers are "
        "not in it."
    )
    yield from ["", "## Lanes over time", "", "| case | when, and how many |", "| --- | --- |"]
    yield from (f"| {outcome.case.name} | {_changes(outcome)} |" for outcome in outcomes)


def _changes(outcome: Outcome) -> str:
    shown = [f"{at:.1f} s: {count}" for at, count in outcome.lanes]
    return ", ".join(shown[:12]) + (f" … ({len(shown) - 12} more)" if len(shown) > 12 else "")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m perf.simulate", description=__doc__)
    parser.add_argument(
        "--scenario", action="append", default=[], help="name or beginning of one; repeat for more"
    )
    parser.add_argument(
        "--validate",
        type=Path,
        nargs="+",
        default=[],
        metavar="RESULT.json",
        help="measured runs to foretell first; they must hold the scenario tiny",
    )
    parser.add_argument("--only-validate", action="store_true", help="and nothing else")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
