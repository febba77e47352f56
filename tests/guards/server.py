"""Guards of `jarvis serve`."""

from tests.guards.guard import Guard

_CONNECTION = "engine/server/connection.py"
_APP = "engine/server/app.py"
_OUTSIDE = "tests/integration/hub_view/test_refusals.py::test_nothing_outside_of_root_is_ever_served"

GUARDS = (
    Guard(
        "the Host is one of ours",
        _APP,
        'if "*" in allowed or match.group(1).lower() in allowed:',
        "if True:",
        (
            "tests/integration/hub_view/test_strangers.py::test_host_header_must_be_loopbacks",
            "tests/integration/oci_view/test_strangers.py::test_the_host_must_be_loopbacks",
        ),
    ),
    Guard(
        "there is one Host",
        _APP,
        "match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None",
        'match = _HOST.fullmatch(hosts[0] if hosts else "localhost")',
        ("tests/integration/hub_view/test_strangers.py::test_host_header_missing_or_doubled",),
    ),
    Guard(
        "pages of other sites get nothing",
        _APP,
        'if fetch["Site"] not in ("cross-site", "same-site") or is_visit:',
        "if True:",
        ("tests/integration/hub_view/test_strangers.py::test_pages_of_other_sites_get_nothing",),
    ),
    Guard(
        "browsers sniff nothing",
        _CONNECTION,
        '    "X-Content-Type-Options": "nosniff",\n',
        "",
        ("tests/integration/hub_view/test_files.py::test_every_answer_is_closed_to_browsers",),
    ),
    Guard(
        "browsers run nothing",
        _CONNECTION,
        "default-src 'none'; frame-ancestors 'none'; sandbox",
        "default-src 'self'",
        ("tests/integration/hub_view/test_files.py::test_every_answer_is_closed_to_browsers",),
    ),
    Guard(
        "a public address is meant",
        "engine/server/run.py",
        "if not is_loopback and not allow_public:",
        "if False:",
        ("tests/integration/test_server_run.py::test_public_address_is_refused_unless_allowed",),
    ),
    Guard(
        "a linked file lies within the root",
        "engine/server/catalogue.py",
        "if not stat.S_ISREG(status.st_mode) or (item.is_symlink() and not self._contains(path)):",
        "if not stat.S_ISREG(status.st_mode):",
        (_OUTSIDE,),
    ),
    Guard(
        "linked folders are not entered",
        "engine/server/catalogue.py",
        "if item.is_dir(follow_symlinks=False):",
        "if item.is_dir():",
        (_OUTSIDE,),
    ),
    Guard(
        "what is hidden stays so",
        "engine/server/catalogue.py",
        "    if _HIDDEN.fullmatch(part):\n        return False\n",
        "",
        (_OUTSIDE,),
    ),
    Guard(
        "a repository lies within the root",
        "engine/server/catalogue.py",
        "if not self._contains(folder) or not Path(folder).is_dir():",
        "if not Path(folder).is_dir():",
        ("tests/unit/server/test_catalogue.py::test_links_that_lead_out_or_to_hidden_files_are_not_there",),
    ),
    Guard(
        "an encoded slash is none",
        "engine/server/answering.py",
        'if any("/" in part for part in parts):',
        "if False:",
        ("tests/integration/hub_view/test_refusals.py::test_repository_names_cannot_leave_root",),
    ),
    Guard(
        "a target is decoded once",
        "engine/server/target.py",
        'decoded = unquote_to_bytes(text).decode("utf-8")',
        'decoded = unquote_to_bytes(unquote_to_bytes(text)).decode("utf-8")',
        ("tests/unit/server/test_target.py::test_segments_are_decoded_once_after_splitting",),
    ),
    Guard(
        "one range is answered",
        "engine/server/conditions.py",
        'if not unit or "," in text:',
        "if not unit:",
        ("tests/integration/hub_view/test_files.py::test_several_ranges_get_the_whole_file",),
    ),
    Guard(
        "half a request is not waited for",
        "engine/server/patience.py",
        "            if now - begun > IDLE_S:\n",
        "            if False:\n",
        ("tests/integration/test_server_run.py::test_a_connection_on_which_nothing_is_asked_ends",),
    ),
)
