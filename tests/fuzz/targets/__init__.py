"""All targets, by name."""

from tests.fuzz.target import Target
from tests.fuzz.targets import files, headers, listings, messages, names, requests, stored

TARGETS: dict[str, Target] = {
    target.name: target
    for group in (names, headers, listings, files, stored, messages, requests)
    for target in group.TARGETS
}
