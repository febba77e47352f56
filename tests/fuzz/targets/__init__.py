"""All targets, by name."""

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    addresses,
    answers,
    files,
    headers,
    hub,
    library,
    listings,
    messages,
    names,
    oci,
    ollama,
    pipe,
    requests,
    server,
    settings,
    store,
)

_NAMED = (*names.TARGETS, *addresses.TARGETS)
_READ = (*headers.TARGETS, *answers.TARGETS, *hub.TARGETS, *oci.TARGETS, *listings.TARGETS, *files.TARGETS)
_STORED = (*store.TARGETS, *library.TARGETS, *ollama.TARGETS, *settings.TARGETS)
_SENT = (*pipe.TARGETS, *messages.TARGETS, *requests.TARGETS, *server.TARGETS)
TARGETS: dict[str, Target] = {target.name: target for target in (*_NAMED, *_READ, *_STORED, *_SENT)}
