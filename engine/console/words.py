"""Events in human words, one line each. Pure."""

from engine.console.sizes import format_rate, format_seconds, format_size
from engine.errors import EngineError
from engine.model_downloader import format_eta
from engine.transfer.events import Event, FileDone, Notice, Plan, Progress, Retry, Shared, Verified, Waiting

_KINDS = {
    "reset": "the connection broke",
    "cut": "the answer was cut short",
    "stalled": "the server went silent",
    "slow": "a connection was far slower than the others",
    "changed": "the file has changed on the server",
    "encoding": "the server sent compressed content",
    "protocol": "the server does not keep to HTTP",
    "frames": "what the server sent does not fit together",
    "redirect": "the redirect is refused",
    "disk": "the disk refused",
    "address": "the address cannot be asked",
    "range": "the answer does not fit what was asked for",
    "page": "the server sent a web page",
    "expired": "the signed address has expired and is renewed",
    "connect": "cannot connect",
    "worker": "a worker process died and is replaced",
    "digest": "the content does not agree with its digest",
    "tls": "the certificate is not trusted",
    "denied": "no access is given",
}


def of_model(model: str, error: EngineError) -> str:
    """An error's text, where there are several models: with the one that it is of, unless it names that. At which
    address a Hub has it, HF_ENDPOINT says."""
    text, name = str(error), model.partition("/")[2].partition(":")[0] or model
    return text if name in text else f"{model}: {text}"


def in_words(event: Event, *, verbose: bool = False) -> str | None:
    """A line for people; None where there is nothing that they need to know now."""
    match event:
        case Retry():
            return _retry(event, verbose=verbose)
        case Notice():
            return f"{event.file}: {event.message}"
        case Waiting():
            return f"{event.file}: waiting for {event.holder or 'another process'}, which is fetching it."
        case Plan():
            return _plan(event, verbose=verbose)
        case Shared():
            return _shared(event)
        case FileDone() if verbose:
            return _file(event)
        case _:
            return None


def _retry(event: Retry, *, verbose: bool) -> str:
    kind = (
        f"the server answered {event.status}"
        if event.kind == "status"
        else _KINDS.get(event.kind, event.kind)
    )
    again = f"again in {format_seconds(event.wait_s)}" if event.wait_s else "trying again"
    count = f" (attempt {event.attempt} of {event.attempts})" if event.attempt and event.attempts else ""
    if not verbose:
        return f"{event.file}: {kind}, {again}{count}"
    at = f" [{event.url}]" if event.url and event.url not in event.cause else ""
    return f"{event.file}: {event.cause.rstrip('.')}{at}{_place(event)}; {again}{count}"


def _place(event: Retry) -> str:
    """What was being fetched, by which connection, and how far that had come."""
    asked = f"bytes {event.start:,} to {event.stop:,}" if event.start is not None and event.stop else ""
    lane = f"connection {event.lane}" if event.lane is not None else ""
    where = f"at byte {event.offset:,}" if event.offset else ""
    told = ", ".join(part for part in (lane, asked, where) if part)
    return f" ({told})" if told else ""


def _plan(event: Plan, *, verbose: bool) -> str | None:
    size = "of unknown size" if event.size is None else format_size(event.size)
    if event.held_bytes:
        return f"{event.file}: {size}, of which {format_size(event.held_bytes)} are here from an earlier run"
    return f"{event.file}: {size} from {event.url}" if verbose else None


def _file(event: FileDone) -> str:
    if event.already_there:
        return f"{event.file}: already there, {format_size(event.size)}"
    took = f"{format_size(event.fetched_bytes)} fetched in {format_seconds(event.seconds)}"
    extra = [f"{format_size(event.held_bytes)} held"] if event.held_bytes else []
    extra += [f"{format_size(event.discarded_bytes)} thrown away"] if event.discarded_bytes else []
    extra += [f"{event.retries} retries"] if event.retries else []
    return ", ".join([f"{event.file}: {took}", *extra, how_verified(event.verified, event.sha256, None)])


def _shared(event: Shared) -> str:
    if event.into == "hf-cache":
        return f"{event.model}: in the Hugging Face cache, too: {event.root}"
    return f"{event.model}: in Ollama's store, too: {event.root}. Run it with `ollama run {event.model}`"


def how_verified(verified: Verified, sha256: str | None, publisher: str | None) -> str:
    """What the check was worth, without boasting. publisher says whose digest it was compared with."""
    if verified is True:
        return f"verified against the digest that {publisher}" if publisher else "verified against its digest"
    if verified == "computed":
        return "SHA-256 computed, nothing to compare it with" + (f": {sha256}" if sha256 else "")
    return "not hashed"


def progress_line(event: Progress) -> str:
    """Where one file stands, for plain output."""
    if event.phase == "connecting":
        return f"{event.file}: connecting"
    if event.phase == "verifying":
        return f"{event.file}: verifying, {_of(event.hashed_bytes, event.size)}"
    lanes = f"{event.lanes} connection{'' if event.lanes == 1 else 's'}"
    eta = f", {format_eta(event.eta_s)} left" if event.eta_s is not None else ""
    return (
        f"{event.file}: {_of(event.done_bytes, event.size)}, {format_rate(event.bytes_per_s)}{eta}, {lanes}"
    )


def _of(done: int, size: int | None) -> str:
    if not size:
        return format_size(done)
    return f"{format_size(done)} of {format_size(size)} ({100 * done // size} %)"
