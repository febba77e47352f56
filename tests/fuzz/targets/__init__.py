"""All targets, by name."""

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    addresses,
    files,
    headers,
    hub,
    listings,
    messages,
    names,
    oci,
    requests,
    stored,
)

TARGETS: dict[str, Target] = {
    target.name: target
    for group in (names, addresses, headers, hub, oci, listings, files, stored, messages, requests)
    for target in group.TARGETS
}
