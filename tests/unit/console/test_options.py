"""Options of `jarvis pull`: what they become, and what contradicts what."""

from pathlib import Path

import pytest

from engine.console.options import parse_options
from engine.errors import EngineError, PathError, UsageError
from tests.unit.console.made import given, options

URL = "https://example.org/m.gguf"
HEX = "0f" * 32


def test_defaults_are_the_engines_own() -> None:
    """Without options, nothing differs from what the library does by itself."""
    settings = options(URL).settings
    assert (settings.connections, settings.processes, settings.limit_rate) == (None, None, None)
    assert (settings.retries, settings.stall_timeout_s, settings.hash) == (3, 10.0, "sha256")
    assert (settings.segment_size, settings.allocate) == (8 << 20, "sparse")


def test_every_option_arrives(tmp_path: Path) -> None:
    """Each option of the contract ends up where the engine reads it."""
    pem = tmp_path / "ca.pem"
    pem.touch()
    words = ["-q", "q8_0", "--revision", "v1", "--exclude", "*.bin", "-d", "models", "--force", "--repair"]
    words += ["-c", "12", "-p", "2", "--segment-size", "4MiB", "--limit-rate", "10MB/s", "--token", "hf_x"]
    words += ["--header", "X-Key: a b", "--cacert", str(pem), "--proxy", "proxy:3128", "--retries", "0"]
    words += [
        "--stall-timeout",
        "2.5",
        "--allocate",
        "full",
        "--dry-run",
        "--json",
        "--verbose",
        "--log-file",
        "log",
    ]
    got = options("hf.co/a/b", "a/c", *words)
    assert [path.canonical for path in got.targets] == ["huggingface.co/a/b", "huggingface.co/a/c"]
    assert (got.choice.quant, got.choice.revision, got.choice.exclude) == ("q8_0", "v1", ("*.bin",))
    settings = got.settings
    assert (settings.connections, settings.processes, settings.segment_size) == (12, 2, 4 << 20)
    assert (settings.limit_rate, settings.retries, settings.stall_timeout_s) == (10_000_000, 0, 2.5)
    assert (settings.force, settings.repair, settings.allocate) == (True, True, "full")
    assert (settings.cacert, settings.proxy) == (str(pem), "http://proxy:3128")
    assert (got.token, got.headers) == ("hf_x", {"X-Key": "a b"})
    assert (got.directory, got.log_file) == (Path.cwd() / "models", Path.cwd() / "log")
    assert got.dry_run and got.manner.json and got.manner.verbose and not got.manner.quiet


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://files.example/models/tiny", "https://files.example/models/tiny"),
        ("https://files.example/models/tiny:v1", None),
        ("https://files.example/models/tiny/tree/main", None),
        ("https://huggingface.co/team/tiny", None),
        ("files.example/models/tiny", None),
    ],
)
def test_with_output_a_url_that_may_be_a_model_is_a_file(text: str, url: str | None) -> None:
    """A name for one file says which of both is meant, unless the target does."""
    assert options(text, "-o", "f").targets[0].url == url
    assert options(text).targets[0].url is None


def test_auto_means_that_the_engine_chooses() -> None:
    """-c auto and -p auto are the defaults, written out; -p 0 is not auto."""
    settings = options(URL, "-c", "auto", "-p", "AUTO").settings
    assert (settings.connections, settings.processes) == (None, None)
    assert options(URL, "-p", "0").settings.processes == 0


FAULTS = {
    ("-o", "f", "-d", "d"): "--output names the file, --dir its folder",
    ("-o", "f.bin.jarvis-part/data"): "unfinished",
    ("-o", "folder/"): "--output names a file",
    ("--hash", "none"): "--hash none needs --output or --dir",
    ("--hash", "none", "-o", "f", "--sha256", HEX): "cannot be compared with --hash none",
    ("--sha256", "abc"): "digest",
    ("--sha256", f"git-sha1:{'a' * 40}"): "takes a SHA-256",
    ("--quiet", "--verbose"): "exclude each other",
    ("--insecure", "--cacert", "/etc/hostname"): "--insecure checks no certificate",
    ("--cacert", "/nowhere/ca.pem"): "there is no file",
    ("--token", "a b"): "--token is empty or holds spaces",
    ("--token", ""): "--token is empty",
    ("--token", "t", "--header", "authorization: Basic eA=="): "exclude each other",
    ("--header", "no colon"): "--header is written as",
    ("--header", "X: a\r\nY: b"): "--header is written as",
    ("--header", "Range: bytes=0-1"): "engine's own",
    ("--header", "accept-encoding: gzip"): "engine's own",
    ("-c", "0"): "--connections is 'auto' or a number",
    ("-c", "many"): "--connections is 'auto' or a number",
    ("-p", "-1"): "--processes is 'auto' or a number",
    ("--segment-size", "1k"): "--segment-size must be from",
    ("--segment-size", "big"): "Not a size",
    ("--limit-rate", "8Mbit"): "bytes, not bits",
    ("--retries", "-1"): "--retries must be 0 at least",
    ("--stall-timeout", "0"): "--stall-timeout must be above 0",
    ("--stall-timeout", "nan"): "--stall-timeout must be above 0",
    ("--proxy", "socks5://h:1"): "--proxy takes",
}


@pytest.mark.parametrize(
    ("words", "message"),
    FAULTS.items(),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_fault_is_refused(words: tuple[str, ...], message: str) -> None:
    """Options that contradict each other or cannot be are refused before anything is asked or written."""
    with pytest.raises(EngineError) as caught:
        options(URL, *words)
    assert isinstance(caught.value, UsageError | PathError)
    assert message in str(caught.value)


@pytest.mark.parametrize("words", [("-o", "f"), ("--sha256", HEX)])
def test_option_for_one_file_with_several_targets(words: tuple[str, ...]) -> None:
    """--output and --sha256 are one file's."""
    with pytest.raises(UsageError, match="several targets"):
        options(URL, "https://example.org/n.gguf", *words)


def test_all_faults_are_told_at_once() -> None:
    """Whoever made three mistakes sees three, not one after the other."""
    with pytest.raises(UsageError) as caught:
        options("https://user:pw@h/f", "-c", "0", "--limit-rate", "x", "--quiet", "--verbose")
    for part in ("user or password", "--connections", "Not a rate", "--quiet"):
        assert part in str(caught.value)


@pytest.mark.parametrize("secret", ["--token", "--header"])
def test_fault_does_not_show_a_secret(secret: str) -> None:
    """A malformed token or header may be a real one with a typing error: it is not repeated."""
    with pytest.raises(UsageError) as caught:
        options(URL, secret, "hf_SECRET value\n")
    assert "SECRET" not in str(caught.value)


def test_options_do_not_show_their_secrets() -> None:
    """What may end up in a log or traceback holds no token."""
    assert "hf_SECRET" not in repr(options(URL, "--token", "hf_SECRET"))


def test_given_is_what_parse_options_needs() -> None:
    """The command has no option that nobody reads, and none is read that it has not."""
    parse_options(given(URL))


@pytest.mark.parametrize("option", ["--output", "--dir", "--log-file"])
def test_an_empty_place_is_a_usage_error(option):
    """An unset variable in a script is told as what it is, not found out by the disk."""
    with pytest.raises(UsageError, match=f"{option} is empty"):
        options("https://example.org/m.gguf", option, "")
