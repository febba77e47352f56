"""Runs scenarios: alternating rounds, one process at a time, each output compared with what was served."""

import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from perf import hub, links, machine, measure, payload, resume, targets, trace
from perf.measure import WarmMemory
from perf.payload import Payload
from perf.results import Block
from perf.scenarios import GIB, Scenario
from perf.servers import Origin
from perf.tools import OURS, TOOLS, Job, Kit, Tool, start_of

WARM_BEYOND_BYTES = 512 << 20
Run = dict[str, Any]


@dataclass
class Bench:
    """Everything a run needs: programs, origin, and two empty folders (in memory, on disk)."""

    kit: Kit
    origin: Origin
    versions: dict[str, str | None]
    memory: Path
    disk: Path
    quick: bool
    say: Callable[[str], None]
    _payloads: dict[tuple[int, int, bool], Payload] = field(default_factory=dict)
    _warm: WarmMemory = field(default_factory=WarmMemory)
    _count: int = 0

    def run(self, scenario: Scenario) -> Block:
        """All rounds of a scenario. Tools that are not there are named with the reason."""
        missing = {name: why for name in scenario.tools if (why := self._absence(scenario, TOOLS[name]))}
        tools = [TOOLS[name] for name in scenario.tools if name not in missing]
        block: Block = {
            "title": scenario.title,
            "kind": scenario.kind,
            "size_bytes": scenario.size_bytes,
            "as_specified": scenario.is_as_specified,
            "tls": scenario.tls,
            "cap_bytes_s": scenario.cap_bytes_s,
            "limit_bytes_s": scenario.limit_bytes_s,
            "verified": scenario.verified,
            "rounds": scenario.rounds,
            "commands": {},
            "missing": missing,
            "runs": [],
        }
        if tools:
            served = self._served(scenario)
            if scenario.is_on_disk:
                self._warm.hold(0)
            elif self._is_warmed(scenario):
                self._warm.hold(scenario.size_bytes + WARM_BEYOND_BYTES)
            for run in self._rounds(scenario, tools, served, block["commands"]):
                block["runs"].append(run)
                self.say(_line(scenario, run))
        return block

    def _rounds(
        self, scenario: Scenario, tools: list[Tool], served: Payload, commands: dict[str, str]
    ) -> Iterator[Run]:
        for number, measured, tool in plan(scenario, tools, quick=self.quick):
            with self._way(scenario, tool) as way, self._job(scenario, served, way.origin) as job:
                commands.setdefault(tool.name, self._shown(tool, job))
                facts = way.facts | self._measure(scenario, measured, tool, job, served)
                facts["problem"] = facts["problem"] or way.problem
            yield {"tool": tool.name, "round": number, "measured": measured, **facts}

    def _measure(self, scenario: Scenario, measured: str, tool: Tool, job: Job, served: Payload) -> Run:
        argv, env = start_of(tool.command(self.kit, job), self.kit), self.kit.environment(tool, job)
        log = job.home / "output.log"
        timeout_s = 120 + scenario.size_bytes / (20 << 20)
        load1 = machine.load1()
        if self._is_warmed(scenario):
            self._warm.release()
        if measured == "resume":
            facts, problem = resume.kill_and_resume(
                argv, env, log, job.target, self.origin, timeout_s, scenario.size_bytes
            )
        else:
            told: dict[str, Any] = {}
            if measured == "trace":
                argv += ["--json"] if tool.program == OURS else []
                done, told = trace.traced(argv, env, log, timeout_s, job.target.parent, scenario.size_bytes)
            else:
                start = measure.sampled if measured == "memory" else measure.timed
                done = start(argv, env, log, timeout_s)
            facts = told | {key: value for key, value in asdict(done).items() if value is not None}
            problem = None if done.code == 0 else f"exit {done.code}: {_tail(log)}"
        if problem is None and facts["leftovers"]:
            problem = f"{facts['leftovers']} processes still alive a second after the end"
        if problem is None and scenario.kind == "many":
            problem = payload.folder_difference(job.target.parent, served)
        elif problem is None and scenario.kind != "command":
            problem = payload.difference(job.target, served, whole=not (self.quick or scenario.sparse))
        return {**facts, "load1": load1, "problem": self._masked(problem) if problem else None}

    def _absence(self, scenario: Scenario, tool: Tool) -> str | None:
        if self.versions.get(tool.program) is None:
            return "not installed"
        if why := links.why_impossible(scenario):
            return why
        if scenario.sparse and shutil.disk_usage(self._place(scenario)).free < scenario.size_bytes * 1.1:
            return f"no room {'on disk' if scenario.is_on_disk else 'in memory'}"
        return None

    def _is_warmed(self, scenario: Scenario) -> bool:
        """Whether the memory that its runs fill is held between them."""
        return scenario.size_bytes >= GIB and not scenario.is_on_disk

    def _place(self, scenario: Scenario) -> Path:
        """Where targets go."""
        return self.disk if scenario.is_on_disk else self.memory

    def _served(self, scenario: Scenario) -> Payload:
        key = (scenario.size_bytes, scenario.files, scenario.sparse)
        if key not in self._payloads and scenario.kind == "many":
            folder = self.origin.files / f"random-{scenario.files}x{scenario.size_bytes}"
            self._payloads[key] = payload.random_files(folder, scenario.files, scenario.size_bytes)
            hub.publish(self.origin.files / f"hub-{folder.name}", self._payloads[key])
        elif key not in self._payloads:
            make = payload.sparse_file if scenario.sparse else payload.random_file
            path = (
                self.origin.files / f"{'sparse' if scenario.sparse else 'random'}-{scenario.size_bytes}.bin"
            )
            self._payloads[key] = make(path, scenario.size_bytes)
        return self._payloads[key]

    @contextmanager
    def _way(self, scenario: Scenario, tool: Tool) -> Iterator[links.Way]:
        """The scenario's link; what a server at its other end needs is removed afterwards."""
        with (
            tempfile.TemporaryDirectory(prefix="link-", dir=self.origin.folder) as folder,
            links.way_to(self.origin, scenario, Path(folder), is_spared=tool.is_spared) as way,
        ):
            yield way

    @contextmanager
    def _job(self, scenario: Scenario, served: Payload, origin: Origin) -> Iterator[Job]:
        """A download into a folder of its own. The home goes afterwards, the target before the next run at latest."""
        self._count += 1
        folder = self._place(scenario) / f"run-{self._count}"
        home = self.memory / f"home-{self._count}"
        (folder).mkdir()
        home.mkdir()
        names = [served.path.name]
        if scenario.kind == "many":
            names = [f"{served.path.name}/{path.name}" for path in sorted(served.path.iterdir())]
        urls = tuple(origin.url(name, tls=scenario.tls, location=scenario.location) for name in names)
        sha256 = served.sha256 if scenario.verified else None
        endpoint = origin.url(f"hub-{served.path.name}", location=scenario.location)
        try:
            job = Job(
                urls[0],
                folder / "target.bin",
                home,
                origin.cacert,
                sha256,
                scenario.hash_none,
                urls,
                endpoint,
            )
            job.url_list.write_text("\n".join(urls))
            yield job
        finally:
            shutil.rmtree(home)
            if self._is_warmed(scenario):
                self._warm.hold_again(folder)
            else:
                shutil.rmtree(folder)

    def _shown(self, tool: Tool, job: Job) -> str:
        """The command as it would be typed, without anything that names this machine or this run."""
        variables = [f"{name}={value}" for name, value in tool.variables(job).items()]
        words = [*variables, *tool.command(self.kit, job)]
        text = shlex.join(word for word in words if word not in job.urls[1:])
        if len(job.urls) > 1 and job.url in words:
            text += f" … ({len(job.urls)} addresses)"
        text = text.replace(str(job.target.parent), "$TARGET").replace(str(job.home), "$HOME")
        return self._masked(text.replace(job.url.split("/")[2], "$HTTPS" if job.tls else "$HTTP"))

    def _masked(self, text: str) -> str:
        folders = {str(self.origin.folder): "$WORK", str(self.memory): "$WORK", str(self.disk): "$DISK"}
        masks = folders | self.origin.masks() | self.kit.masks() | {str(machine.REPOSITORY): "$REPOSITORY"}
        for found in sorted(masks, key=len, reverse=True):
            text = text.replace(found, masks[found])
        return text


def plan(scenario: Scenario, tools: list[Tool], *, quick: bool) -> Iterator[tuple[int, str, Tool]]:
    """(round, what is measured, tool) in order. Each round begins with the next tool: nobody is always first.

    Round 0 is what disturbs a run, sampled memory and watched growth; a quick run has none.
    """
    asked = targets.asked(scenario.name)
    for measured, names in (("memory", scenario.sampled), ("trace", scenario.watched)):
        for tool in (tool for tool in tools if tool.name in names and not quick):
            times = scenario.repeats if (tool.name, measured) in asked else 1
            yield from ((0, measured, tool) for _ in range(times))
    measured = {"memory": "memory", "watch": "trace", "resume": "resume"}.get(scenario.kind, "time")
    for number in range(1, scenario.rounds + 1):
        turn = (number - 1) % len(tools)
        yield from ((number, measured, tool) for tool in (*tools[turn:], *tools[:turn]))


def _tail(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").split())[-200:]


def _line(scenario: Scenario, run: Run) -> str:
    what = f"{run['wall_s']:7.2f} s" if "wall_s" in run else "      -  "
    which = f"{scenario.name:16} {run['measured']:7} {run['round']:2} {run['tool']:17}"
    return f"{which} {what} {run['problem'] or ''}".rstrip()
