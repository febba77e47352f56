"""Guards of the door: names, digests, manifests and headers that strangers write."""

from tests.guards.guard import Guard

_NAMES = ("tests/unit/test_remote_file.py::test_name_is_refused",)
_MANIFEST = "engine/sources/oci_manifest.py"

GUARDS = (
    Guard(
        "a digest is hexadecimal and of its length",
        "engine/digest.py",
        'if length is None or not re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", value):',
        "if length is None:",
        ("tests/unit/test_digest.py::test_digest_refuses",),
    ),
    Guard(
        "a manifest's digest is one",
        _MANIFEST,
        "if not _SHA256.fullmatch(descriptor.digest):",
        "if False:",
        ("tests/unit/sources/test_oci_manifest.py::test_digests_that_are_none",),
    ),
    Guard(
        "one digest has one size",
        _MANIFEST,
        "if sizes.setdefault(descriptor.digest, descriptor.size) != descriptor.size:",
        "if False:",
        ("tests/unit/sources/test_oci_manifest.py::test_refused",),
    ),
    Guard(
        "no key of a manifest comes twice",
        _MANIFEST,
        "if len(found) != len(pairs):",
        "if False:",
        ("tests/unit/sources/test_oci_manifest.py::test_refused",),
    ),
    Guard(
        "indexes are followed to a depth",
        "engine/sources/oci.py",
        "for _ in range(_MAX_DEPTH):",
        "for _ in range(1000):",
        ("tests/integration/test_oci_limits.py::test_indexes_are_followed_to_a_depth",),
    ),
    Guard(
        "a manifest is what its digest promised",
        "engine/sources/oci.py",
        "if promised is not None and promised != digest:",
        "if False:",
        ("tests/integration/test_oci_limits.py::test_an_index_that_names_itself_is_found_out",),
    ),
    Guard(
        "a file's name does not climb",
        "engine/remote_file.py",
        'if any(p in ("", ".", "..") for p in parts)',
        "if False",
        _NAMES,
    ),
    Guard(
        "a file's name is none of Windows' paths",
        "engine/remote_file.py",
        'if "\\\\" in text or any(p[1:2] == ":" for p in parts)',
        "if False",
        _NAMES,
    ),
    Guard(
        "a file's name does not deceive a terminal",
        "engine/remote_file.py",
        "if _DECEPTIVE.search(text)",
        "if False",
        _NAMES,
    ),
    Guard(
        "a file is not called like a part",
        "engine/remote_file.py",
        "if any(p.casefold().endswith(PART_SUFFIX) for p in parts)",
        "if False",
        _NAMES,
    ),
    Guard(
        "the next page of a listing is at the same origin",
        "engine/sources/listing.py",
        "if origin_of(url) not in origins:",
        "if False:",
        ("tests/integration/test_hub_source.py::test_next_page_elsewhere_is_refused",),
    ),
    Guard(
        "a relation that is none hides no next page",
        "engine/sources/links.py",
        'if "next" in text.lower() and not all(map(_RELATION.fullmatch, types)):',
        "if False:",
        ("tests/unit/sources/test_links.py::test_what_cannot_be_read",),
    ),
    Guard(
        "what came is not given up with the file",
        "engine/transfer/assembly.py",
        "if self.plan is None or self.proof is None or self.plan.written_bytes or self.proof.checks:",
        "if self.plan is None or self.proof is None:",
        ("tests/integration/test_faults_manifests.py::test_a_refusal_takes_nothing_away_that_came",),
    ),
    Guard(
        "a file's name does not lie too deep",
        "engine/remote_file.py",
        "if len(parts) > _MAX_PARTS",
        "if False",
        ("tests/unit/test_hostile_names.py::test_hostile_file_name",),
    ),
)
