"""Guards on the wire: who is asked, who gets which secret, and how much is read."""

from tests.guards.guard import Guard

_WIRE = "engine/transport/wire.py"
_REDIRECT = "tests/unit/transport/test_redirects.py::test_redirect_refused"
_TESTS_OF_WIRE = "tests/unit/transport/test_wire.py"

GUARDS = (
    Guard(
        "credentials are an origin's",
        "engine/transport/auth.py",
        "headers = dict(self.by_origin.get(origin_of(url), {}))",
        "headers = {name: value for kept in self.by_origin.values() for name, value in kept.items()}",
        (
            "tests/unit/transport/test_auth.py::test_credentials_go_nowhere_else",
            "tests/integration/test_credentials.py::test_a_redirect_carries_no_credentials_to_another_origin",
        ),
    ),
    Guard(
        "an origin has a port",
        "engine/transport/auth.py",
        "return f\"{scheme}://{host}:{number or (443 if scheme == 'https' else 80)}\"",
        'return f"{scheme}://{host}"',
        (
            "tests/unit/transport/test_auth.py::test_credentials_go_nowhere_else",
            "tests/integration/test_credentials.py::test_a_redirect_carries_no_credentials_to_another_origin",
        ),
    ),
    Guard(
        "a token is one word",
        "engine/transport/auth.py",
        "if not token or any(not 0x21 <= ord(c) <= 0x7E for c in token):",
        "if not token:",
        ("tests/unit/transport/test_auth.py::test_token_that_cannot_be_one",),
    ),
    Guard(
        "an earned token is a repository's",
        "engine/transport/auth.py",
        'return f"{origin_of(url)}/{repository}" if repository else ""',
        'return "any"',
        ("tests/unit/transport/test_challenge.py::test_earned_tokens_belong_to_one_repository",),
    ),
    Guard(
        "a token is asked for at the registry's own site",
        "engine/transport/challenge.py",
        'if not (is_own if named.scheme.lower() == "http" else is_near):',
        "if False:",
        ("tests/unit/transport/test_challenge.py::test_realms_that_are_refused",),
    ),
    Guard(
        "a token is asked for over plain http at the registry's own port alone",
        "engine/transport/challenge.py",
        'if not (is_own if named.scheme.lower() == "http" else is_near):',
        "if not is_near:",
        ("tests/unit/transport/test_challenge.py::test_realms_that_are_refused",),
    ),
    Guard(
        "no redirect from https to http",
        "engine/transport/redirects.py",
        'if urlsplit(current).scheme.lower() == "https" and urlsplit(target).scheme.lower() != "https":',
        "if False:",
        (
            _REDIRECT,
            "tests/integration/test_faults_redirects.py::test_a_redirect_from_https_to_http_is_refused",
        ),
    ),
    Guard(
        "no other schemes",
        "engine/transport/redirects.py",
        'if parts.scheme.lower() not in ("http", "https") or not parts.hostname or not port_is_valid:',
        "if not parts.hostname or not port_is_valid:",
        (
            "tests/unit/transport/test_redirects.py::test_plain_http_leads_to_no_other_scheme",
            "tests/unit/transport/test_redirects.py::test_url_is_refused",
        ),
    ),
    Guard(
        "no user in a URL",
        "engine/transport/redirects.py",
        "if parts.username is not None or parts.password is not None:",
        "if False:",
        (_REDIRECT, "tests/unit/transport/test_redirects.py::test_url_is_refused"),
    ),
    Guard(
        "redirects come to an end",
        _WIRE,
        "if len(hops) > MAX_HOPS:",
        "if len(hops) > 3 * MAX_HOPS:",
        ("tests/integration/test_faults_redirects.py::test_a_redirect_loop_ends",),
    ),
    Guard(
        "a public server leads into no private network",
        _WIRE,
        "if must_be_public and not self._settings.allow_private_redirects and (private := self._private(url)):",
        'if (private := ""):',
        (
            f"{_TESTS_OF_WIRE}::test_a_public_server_leads_into_no_private_network",
            f"{_TESTS_OF_WIRE}::test_nor_does_it_through_a_proxy",
        ),
    ),
    Guard(
        "nor does it with an address that is private by now",
        _WIRE,
        "is_led = must_be_public or (bool(hops)",
        "is_led = (bool(hops)",
        (f"{_TESTS_OF_WIRE}::test_an_address_that_was_led_to_stays_public",),
    ),
    Guard(
        "leases say where a public server led",
        "engine/transfer/approach.py",
        "must_be_public=self._located is not None and self._must_be_public,",
        "",
        ("tests/unit/transfer/test_approach.py::test_where_a_public_server_led_stays_public",),
    ),
    Guard(
        "an IPv6 address does not hide a private one",
        "engine/transport/addresses.py",
        "parsed = _ipv4_within(parsed) or parsed",
        "pass",
        ("tests/unit/transport/test_addresses.py::test_private",),
    ),
    Guard(
        "identity encoding is asked for",
        _WIRE,
        '"Accept-Encoding": "identity",',
        '"Accept-Encoding": "gzip",',
        (f"{_TESTS_OF_WIRE}::test_a_body_comes_as_it_was_sent",),
    ),
    Guard(
        "nothing is decoded",
        _WIRE,
        "                decode_content=False,\n",
        "",
        (f"{_TESTS_OF_WIRE}::test_a_body_comes_as_it_was_sent",),
    ),
    Guard(
        "a listing is read to a limit",
        "engine/transport/bodies.py",
        "if len(body) > limit_bytes:",
        "if False:",
        ("tests/unit/transport/test_bodies.py::test_a_body_beyond_its_limit_is_refused",),
    ),
    Guard(
        "a refusal is read to a limit",
        "engine/transport/bodies.py",
        "body = answer.response.read(1 << 14, decode_content=False)",
        "body = answer.response.read(decode_content=False)",
        ("tests/unit/transport/test_bodies.py::test_a_refusals_body_is_read_to_a_limit",),
    ),
    Guard(
        "heads come to an end",
        "engine/transport/heads.py",
        "if len(lines) >= _MAX_FIELDS:",
        "if False:",
        ("tests/unit/transport/test_heads.py::test_endless_heads_are_refused",),
    ),
    Guard(
        "certificates are checked",
        "engine/transport/tls.py",
        "    if settings.insecure:\n        context.check_hostname",
        "    if True:\n        context.check_hostname",
        ("tests/unit/transport/test_tls.py::test_nobody_is_trusted_who_should_not_be",),
    ),
    Guard(
        "nobody makes us wait for ever",
        "engine/transport/verdicts.py",
        "if asked is not None and asked > MAX_WAIT_S:",
        "if False:",
        ("tests/unit/transport/test_verdicts.py::test_a_longer_wait_ends_the_pull",),
    ),
    Guard(
        "no query in a log",
        "engine/telemetry.py",
        'query = "?…" if parts.query else ""',
        'query = f"?{parts.query}" if parts.query else ""',
        ("tests/unit/test_telemetry.py::test_redact",),
    ),
    Guard(
        "urllib3 logs no addresses",
        "engine/telemetry.py",
        "return record.levelno > logging.DEBUG",
        "return True",
        ("tests/unit/test_telemetry.py::test_a_program_that_listens",),
    ),
    Guard(
        "a journal's address has no query",
        "engine/store/journal.py",
        "        url=redact(remote.url),\n",
        "        url=remote.url,\n",
        ("tests/integration/test_secrets.py::test_a_pull_keeps_secrets_to_itself",),
    ),
    Guard(
        "credentials do not print",
        "engine/transport/auth.py",
        'return f"Credentials({sorted(self.by_origin)})"',
        'return f"Credentials({self.by_origin})"',
        ("tests/unit/transport/test_auth.py::test_credentials_do_not_print",),
    ),
    Guard(
        "no transfer coding but chunked is taken",
        "engine/transport/heads.py",
        'if codings != "chunked":',
        "if False:",
        (
            "tests/unit/transport/test_heads.py::test_other_transfer_codings_are_refused",
            "tests/integration/test_faults_streams.py::test_another_transfer_coding_makes_no_file",
        ),
    ),
    Guard(
        "a trailer ends",
        "engine/transport/heads.py",
        "            if time.monotonic() > ends:\n                break\n",
        "",
        ("tests/integration/test_faults_streams.py::test_a_trailer_that_drips_is_given_up",),
    ),
    Guard(
        "a listing that drips is given up",
        "engine/transport/metered.py",
        "if time.monotonic() > self._ends:",
        "if False:",
        ("tests/integration/test_hub_source.py::test_a_listing_that_drips_is_given_up",),
    ),
)
