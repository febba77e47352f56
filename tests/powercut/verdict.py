"""What must hold on every disk that a cut leaves, before the next pull and after it."""

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.errors import EngineError
from engine.model_downloader import pull
from engine.store import layout
from engine.store.journal import Claim
from engine.transfer.job import Job
from engine.transport.auth import Credentials
from engine.transport.pauses import Pauses
from tests.powercut.laying import lay_out
from tests.powercut.outage import Manner, Outage
from tests.powercut.resume import Resume
from tests.powercut.scenes import SEGMENT, Scene

_EXPECTED = (
    "is not what an earlier run wrote",
    "what an earlier run left cannot be continued",
    "the file changed on the server",
)
"""What a resume may say of what a cut has spoilt; a wrong digest is not among it."""


@dataclass
class Findings:
    """Of many states."""

    states: int = 0
    resumed: int = 0
    """Some of what had come was held."""
    anew: int = 0
    whole_pulls: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    """How many states had it, by its name."""
    first: dict[str, str] = field(default_factory=dict)
    """The first state that had it."""

    def note(self, problem: str, where: str) -> None:
        self.problems[problem] += 1
        self.first.setdefault(problem, where)

    def __iadd__(self, other: "Findings") -> "Findings":
        self.states += other.states
        self.resumed += other.resumed
        self.anew += other.anew
        self.whole_pulls += other.whole_pulls
        self.problems += other.problems
        self.first = other.first | self.first
        return self


def explore(scene: Scene, states: int, seed: int = 0, whole_every: int = 0, since: float = 0) -> Findings:
    """Try so many states of one scene, of moments from since on. Every whole_every-th ends with a pull from the
    origin, all others with lanes that cost nothing."""
    findings = Findings()
    for number in range(states):
        name = f"{scene.name}/{seed}/{number}"
        rng = random.Random(name)
        outage = Outage(scene.tape, _moment(scene, since, rng), Manner.choose(rng), rng)
        state = outage.state()
        lay_out(state, scene.tape)
        findings.states += 1
        is_whole = whole_every > 0 and number % whole_every == 0
        found = set(_before(scene, outage))
        found |= set(_pulled(scene, findings) if is_whole else _resumed(scene, findings))
        for problem in sorted(found):
            findings.note(problem, f"{name} at {outage.moment} of {scene.tape.stop}, {outage.manner}")
    return findings


def _moment(scene: Scene, since: float, rng: random.Random) -> float:
    """Just before or after an operation's end, as a rule of one that came while bytes did; syncs and renames, of which
    there are few, get a share of their own. At times everything had been done."""
    since = max(since, scene.since)
    if rng.random() < 0.05 or since >= scene.done:
        return scene.done
    some = scene.tape.turns if rng.random() < 0.4 else scene.tape.operations
    op = rng.choice([op for op in some if op.end >= since])
    return min(op.begin if rng.random() < 0.5 else op.end, scene.tape.stop)


def _before(scene: Scene, outage: Outage) -> Iterator[str]:
    """As the cut left it: a name means complete, a receipt that fits is true, and what was done is there."""
    if outage.manner.has_order and any(_lacks_journal(job) for job in scene.jobs):
        yield "data without its journal"
    receipts = scene.jobs[0].receipts
    targets = {job.target for job in scene.jobs}
    for path, contents in scene.names.items():
        if not path.is_file():
            if outage.moment >= scene.done and path in targets:
                yield "what was done is gone"
            continue
        found = path.read_bytes()
        if found not in contents:
            yield "a final name has another content"
        receipt = receipts.find(path)
        if (
            receipt is not None
            and receipt.fits(path.stat())
            and receipt.sha256 != hashlib.sha256(found).hexdigest()
        ):
            yield "a receipt vouches for another content"


def _lacks_journal(job: Job) -> bool:
    """Whether the data of a file that can be resumed is there, and nothing that says what it is."""
    data = job.partial / "data"
    return data.exists() and data.stat().st_size > SEGMENT and Claim.read(job.partial / "journal") is None


def _resumed(scene: Scene, findings: Findings) -> Iterator[str]:
    pauses = Pauses(layout.pauses(scene.home))
    for job in scene.jobs:
        content = scene.content_of(job)
        resume = Resume(job, content, scene.etag_of(job), scene.settings, pauses)
        resume.run()
        if resume.has_passed_others:
            yield "the hash has passed what is not the file's"
        findings.resumed += resume.held_bytes > 0
        findings.anew += resume.held_bytes == 0
        if any(not any(words in notice for words in _EXPECTED) for notice in resume.notices):
            yield "a wrong digest was the first to notice"
        yield from _after(job, content, resume.error)


def _pulled(scene: Scene, findings: Findings) -> Iterator[str]:
    findings.whole_pulls += 1
    outcomes = pull(scene.jobs, scene.settings, Credentials(), lambda _: None)
    for job, outcome in zip(scene.jobs, outcomes, strict=True):
        error = outcome if isinstance(outcome, EngineError) else None
        yield from _after(job, scene.content_of(job), error)


def _after(job: Job, content: bytes, error: EngineError | None) -> Iterator[str]:
    """The file is there and exact, and its receipt vouches for it."""
    if error is not None:
        yield f"the next pull fails: {type(error).__name__}"
    elif not job.target.exists() or job.target.read_bytes() != content:
        yield "the next pull ends with another content"
    elif (receipt := job.receipts.find(job.target)) is None or not receipt.fits(job.target.stat()):
        yield "the next pull leaves no receipt"
