"""Guards between here and the server: addresses, proxies, clocks; and what a registry says of its manifests."""

from tests.guards.guard import Guard

_WIRE = "engine/transport/wire.py"
_PROXIES = "engine/transport/proxies.py"
_OCI = "engine/sources/oci.py"
_TESTS = "tests/integration/test_faults_network.py"
_TESTS_OF_MANIFESTS = "tests/integration/test_faults_manifests.py"

GUARDS = (
    Guard(
        "a name has more addresses than its first",
        _WIRE,
        "                failure = exc\n                continue\n",
        "                raise\n",
        (
            f"{_TESTS}::test_an_address_that_refuses_is_passed_over",
            f"{_TESTS}::test_an_address_that_is_silent_is_passed_over",
        ),
    ),
    Guard(
        "proxies of the environment are used",
        _PROXIES,
        'name = next((name for name in (parts.scheme.lower(), "all") if self._by_scheme.get(name)), None)',
        "name = None",
        (f"{_TESTS}::test_plain_http_goes_through_its_proxy", f"{_TESTS}::test_tls_goes_through_a_tunnel"),
    ),
    Guard(
        "a proxy gets its password",
        _PROXIES,
        'headers = {"proxy-authorization": basic(user)}',
        "headers = {}",
        (f"{_TESTS}::test_a_proxys_password_is_for_the_proxy",),
    ),
    Guard(
        "NO_PROXY excepts a server",
        _PROXIES,
        'if proxy_bypass(f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""):',
        "if False:",
        (f"{_TESTS}::test_what_is_excepted_from_the_proxy_is_asked_directly",),
    ),
    Guard(
        "where there are no locks nothing is written",
        "engine/store/part_lock.py",
        "(errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)",
        "()",
        (f"{_TESTS}::test_a_file_system_without_locks_is_refused",),
    ),
    Guard(
        "a registry's word for its manifest holds",
        _OCI,
        "said if _DIGEST.fullmatch(said) else None",
        "None",
        (f"{_TESTS_OF_MANIFESTS}::test_a_manifest_that_is_not_what_its_header_says",),
    ),
    Guard(
        "an end below TLS is none",
        "engine/transport/tls.py",
        "        except ssl.SSLZeroReturnError:\n",
        "        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):\n",
        (
            "tests/integration/test_faults_streams.py::test_an_end_that_tls_does_not_confirm_is_never_taken_for_the_end",
        ),
    ),
    Guard(
        "416 without a range is a failure",
        "engine/transfer/misfits.py",
        "if lease.is_probe and lease.span is not None and answer.status == 416:",
        "if lease.is_probe and answer.status == 416:",
        ("tests/integration/test_faults_ranges.py::test_a_server_that_answers_416_whatever_is_asked_ends",),
    ),
    Guard(
        "what a server repeats is hidden",
        "engine/plain_text.py",
        'text = re.sub(re.escape(word), "***", text, flags=re.IGNORECASE)',
        "pass",
        (
            "tests/integration/test_credentials.py::test_a_token_in_a_servers_headers_is_in_no_log_receipt_or_journal",
            "tests/integration/test_credentials.py::test_what_a_token_endpoint_repeats_is_not_shown",
        ),
    ),
)
