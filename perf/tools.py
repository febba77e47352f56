"""The downloaders that are compared, each with the command its users would type for speed.

A command is made from a Job (what to fetch, where to) and a Kit (where programs are). No tool reads a
configuration of the person who runs the harness: HOME is an empty folder, new for every run.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from perf import hub, limit
from perf.scenarios import LIMITS, MB

OURS = "jarvis"


@dataclass(frozen=True)
class Job:
    """One download: url to target, digest known or not; home is an empty folder for this run alone."""

    url: str
    target: Path
    home: Path
    cacert: Path
    sha256: str | None = None
    hash_none: bool = False
    """Whether ours is told to hash nothing, as most peers do; its default computes a SHA-256 that nobody asked for."""
    urls: tuple[str, ...] = ()
    """Where there are many files: all of them, into the target's folder; url is the first."""

    hub: str = ""
    """Where there are many files: the endpoint of a Hub that publishes them as a model (hub.py)."""

    @property
    def url_list(self) -> Path:
        """The same, one a line, for tools that read them from a file."""
        return self.home / "urls.txt"

    @property
    def tls(self) -> bool:
        return self.url.startswith("https:")


@dataclass(frozen=True)
class Kit:
    """Where programs are. jarvis is a whole command, so that `python cli.py` of a checkout can be measured."""

    jarvis: list[str]
    hf_python: str
    import_path: str = ""
    """PYTHONPATH for ours alone: the tree whose engine is measured, whatever is installed beside this Python."""
    path: str = field(default_factory=lambda: os.environ.get("PATH", os.defpath))

    def program(self, name: str) -> str | None:
        return shutil.which(name, path=self.path)

    def masks(self) -> dict[str, str]:
        """What stands in reports in place of this machine's paths; longest first wins."""
        programs = {found: name for name in PROGRAMS if (found := self.program(name))}
        pythons = {self.hf_python: "python", sys.executable: "python"}
        ours = {self.jarvis[0]: OURS} if len(self.jarvis) == 1 else {}
        compiled = {found: limit.NAME} if (found := limit.program(self.program("cc"))) else {}
        return {**programs, **pythons, **ours, **compiled, str(Path(__file__).parent): "perf"}

    def environment(self, tool: "Tool", job: Job) -> dict[str, str]:
        """PATH, an empty HOME with our store in it, and what the tool has no option for."""
        home = str(job.home)
        settings = {"PATH": self.path, "HOME": home, "LANG": "C.UTF-8", "JARVIS_HOME": f"{home}/jarvis"}
        if tool.program == OURS and self.import_path:
            settings["PYTHONPATH"] = self.import_path
        return settings | tool.variables(job)


@dataclass(frozen=True)
class Tool:
    """A peer, a variant of one, or ours. program is looked up; command may rely on its being there."""

    name: str
    program: str
    command: Callable[[Kit, Job], list[str]]
    resumes: bool = False
    """Whether the same command, typed again, goes on with what is there."""
    trusts_by_variable: bool = False
    """Whether only SSL_CERT_FILE can tell it of the origin's authority."""
    asks_hub: bool = False
    """Whether it gets its files as a model of a Hub."""
    is_spared: bool = False
    """Whether the link does it no harm: the control of a scenario with a fault."""

    def variables(self, job: Job) -> dict[str, str]:
        """Environment variables that belong to the command as a user would type it."""
        trusted = {"SSL_CERT_FILE": str(job.cacert)} if self.trusts_by_variable and job.tls else {}
        return trusted | ({"HF_ENDPOINT": job.hub} if self.asks_hub else {})


def jarvis(kit: Kit, job: Job, *options: str) -> list[str]:
    check = ["--sha256", job.sha256] if job.sha256 else ["--hash", "none"] if job.hash_none else []
    secure = ["--cacert", str(job.cacert)] if job.tls else []
    return [*kit.jarvis, "pull", job.url, "-o", str(job.target), *check, *secure, "--quiet", *options]


def limited(bytes_s: int) -> "Tool":
    """Ours, told to take no more than so much."""
    rate = f"{bytes_s // MB}MB/s"
    return Tool(f"{OURS} at {rate}", OURS, lambda kit, job: jarvis(kit, job, "--limit-rate", rate))


def curl_limited(bytes_s: int) -> "Tool":
    """The peer that has such an option, told the same."""
    return Tool(
        f"curl at {bytes_s // MB}MB/s",
        "curl",
        lambda kit, job: [*curl(kit, job), "--limit-rate", str(bytes_s)],
    )


def jarvis_many(kit: Kit, job: Job) -> list[str]:
    return [*kit.jarvis, "pull", "-d", str(job.target.parent), "--quiet", *job.urls]


def jarvis_model(kit: Kit, job: Job) -> list[str]:
    folder = str(job.target.parent)
    return [*kit.jarvis, "pull", f"hf.co/{hub.MODEL}", "--include", "*", "-d", folder, "--quiet"]


def aria2_many(_: Kit, job: Job) -> list[str]:
    return ["aria2c", "-q", "-i", str(job.url_list), "-j16", "-d", str(job.target.parent)]


def single(_: Kit, job: Job) -> list[str]:
    check = ["--sha256", job.sha256] if job.sha256 else []
    secure = ["--cacert", str(job.cacert)] if job.tls else []
    script = str(Path(__file__).parent / "single_stream.py")
    return [sys.executable, script, job.url, str(job.target), *check, *secure]


def curl(_: Kit, job: Job) -> list[str]:
    secure = ["--cacert", str(job.cacert)] if job.tls else []
    return ["curl", "-sS", "--fail", *secure, "-o", str(job.target), job.url]


def aria2(_: Kit, job: Job, *options: str) -> list[str]:
    check = [f"--checksum=sha-256={job.sha256}"] if job.sha256 else []
    secure = [f"--ca-certificate={job.cacert}"] if job.tls else []
    place = ["-d", str(job.target.parent), "-o", job.target.name]
    return ["aria2c", "-q", *options, "-k1M", "--file-allocation=none", *check, *secure, *place, job.url]


def axel(_: Kit, job: Job) -> list[str]:
    # axel compares names with a certificate's subject only; not checking cannot make it slower.
    secure = ["--insecure"] if job.tls else []
    return ["axel", "-q", "-n", "16", *secure, "-o", str(job.target), job.url]


def wget2(_: Kit, job: Job) -> list[str]:
    secure = [f"--ca-certificate={job.cacert}"] if job.tls else []
    return ["wget2", "-q", "--chunk-size=16M", "--max-threads=16", *secure, "-O", str(job.target), job.url]


def rclone(_: Kit, job: Job) -> list[str]:
    base, name = job.url.rsplit("/", 1)
    secure = ["--ca-cert", str(job.cacert)] if job.tls else []
    streams = ["--multi-thread-streams", "16", "--multi-thread-cutoff", "1M"]
    return ["rclone", "-q", *streams, *secure, "--http-url", base, "copyto", f":http:{name}", str(job.target)]


def hf_transfer(streams: int) -> Callable[[Kit, Job], list[str]]:
    """The call that huggingface_hub 0.36 makes (file_download.py), with 10 MiB chunks as there.

    Many streams pay where each is capped; on loopback 8 of them took half the time of 64.
    """

    def command(kit: Kit, job: Job) -> list[str]:
        arguments = (
            f"{job.url!r}, {str(job.target)!r}, {streams}, 10485760, parallel_failures=3, max_retries=5"
        )
        return [kit.hf_python, "-c", f"import hf_transfer; hf_transfer.download({arguments})"]

    return command


def at_limit(mode: str, threads: int) -> Callable[[Kit, Job], list[str]]:
    """No downloader: what the machine can do (limit.c)."""
    return lambda kit, job: limit.command(kit.program("cc"), mode, threads, job.url, job.target)


def bare_lanes(*options: str) -> Callable[[Kit, Job], list[str]]:
    """No downloader either: what Python can do with many files (bare_lanes.py)."""
    script = str(Path(__file__).parent / "bare_lanes.py")
    return lambda _, job: [sys.executable, script, str(job.url_list), str(job.target.parent), *options]


TOOLS = {
    tool.name: tool
    for tool in (
        Tool(OURS, OURS, jarvis, resumes=True),
        Tool("jarvis -c 8", OURS, lambda kit, job: jarvis(kit, job, "-c", "8")),
        Tool("jarvis -c 16", OURS, lambda kit, job: jarvis(kit, job, "-c", "16")),
        Tool("jarvis -c 64", OURS, lambda kit, job: jarvis(kit, job, "-c", "64")),
        Tool(
            "jarvis --hash none",
            OURS,
            lambda kit, job: jarvis(kit, replace(job, sha256=None, hash_none=True)),
        ),
        *(limited(rate) for rate in LIMITS.values()),
        *(curl_limited(rate) for rate in LIMITS.values()),
        Tool("jarvis unstalled", OURS, jarvis, is_spared=True),
        Tool("jarvis pull hf.co", OURS, jarvis_model, asks_hub=True),
        Tool("jarvis pull -d", OURS, jarvis_many),
        Tool("aria2 -i", "aria2c", aria2_many),
        Tool("single", "python", single),
        Tool("curl", "curl", curl),
        Tool("aria2", "aria2c", lambda kit, job: aria2(kit, job, "-x16", "-s16")),
        Tool("aria2 -x4", "aria2c", lambda kit, job: aria2(kit, job, "-x4", "-s4")),
        Tool(
            "aria2 -c",
            "aria2c",
            lambda kit, job: aria2(kit, job, "-x16", "-s16", "-c", "--auto-save-interval=1"),
            resumes=True,
        ),
        Tool("axel", "axel", axel),
        Tool("wget2", "wget2", wget2),
        Tool("rclone", "rclone", rclone),
        Tool("hf_transfer", "hf_transfer", hf_transfer(8), trusts_by_variable=True),
        Tool("hf_transfer 64", "hf_transfer", hf_transfer(64), trusts_by_variable=True),
        Tool("limit", limit.NAME, at_limit("recv", 2)),
        Tool("limit splice", limit.NAME, at_limit("splice", 2)),
        Tool("limit sha256", limit.NAME, at_limit("recv+sha256", 2)),
        Tool("limit 32 sha256", limit.NAME, at_limit("recv+sha256", 32)),
        Tool("limit in Python", "python", bare_lanes()),
        Tool("limit by urllib3", "python", bare_lanes("--urllib3")),
        Tool("jarvis --help", OURS, lambda kit, _job: [*kit.jarvis, "--help"]),
    )
}
PYTHON_VERSION = "import sys, urllib3; print(f'{sys.version.split()[0]}+urllib3-{urllib3.__version__}')"
PROGRAMS = ("curl", "aria2c", "axel", "wget2", "rclone")


def find_jarvis(text: str | None) -> list[str]:
    """The command behind --jarvis: a script of a checkout runs under this Python; default: beside this Python."""
    if text is None:
        return [str(Path(sys.executable).parent / OURS)]
    words = shlex.split(text)
    return (
        [sys.executable, str(Path(text).resolve())]
        if text.endswith(".py")
        else [_absolute(words[0]), *words[1:]]
    )


def versions(kit: Kit) -> dict[str, str | None]:
    """What each program says it is; None for one that is not there or does not start."""
    asked = {
        OURS: [*kit.jarvis, "--version"],
        "python": [sys.executable, "-c", PYTHON_VERSION],
        "hf_transfer": [kit.hf_python, "-c", "import hf_transfer; print(hf_transfer.__version__)"],
        **{name: [name, "--version"] for name in PROGRAMS},
    }
    if limit.program(kit.program("cc")):
        asked[limit.NAME] = ["cc", "--version"]
    found = {program: _first_version(command, kit) for program, command in asked.items()}
    if found[OURS] is None and _first_version([*kit.jarvis, "--help"], kit) is not None:
        found[OURS] = "unknown"
    return found


def start_of(argv: list[str], kit: Kit) -> list[str]:
    """argv with its program as an absolute path, as posix_spawn wants it."""
    return [kit.program(argv[0]) or argv[0], *argv[1:]]


def _first_version(command: list[str], kit: Kit) -> str | None:
    try:
        done = subprocess.run(start_of(command, kit), capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\d+(?:\.\d+)+[^\s)]*", done.stdout.strip().partition("\n")[0])
    return found.group() if found else "?"


def _absolute(word: str) -> str:
    return shutil.which(word) or str(Path(word).absolute())
