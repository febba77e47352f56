"""What the server does not do, and what it never shows."""

from pathlib import Path

import pytest

from tests.integration.hub_view.client import Client


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/acme/nope/resolve/main/config.json", 404, "RepoNotFound"),
        ("/api/models/acme/nope", 404, "RepoNotFound"),
        ("/api/models/acme/nope/revision/v9", 404, "RepoNotFound"),
        ("/api/models/nope/refs", 404, "RepoNotFound"),
        ("/api/datasets/acme/tiny", 404, "RepoNotFound"),
        ("/datasets/acme/tiny/resolve/main/x", 404, "RepoNotFound"),
        ("/acme/tiny/resolve/v9/config.json", 404, "RevisionNotFound"),
        ("/acme/tiny/resolve/" + "0" * 40 + "/config.json", 404, "RevisionNotFound"),
        ("/api/models/acme/tiny/revision/refs%2Fpr%2F1", 404, "RevisionNotFound"),
        ("/api/models/acme/tiny/tree/v9", 404, "RevisionNotFound"),
        ("/acme/tiny/resolve/main/nope.gguf", 404, "EntryNotFound"),
        ("/acme/tiny/resolve/main/subfolder", 404, "EntryNotFound"),
        ("/acme/tiny/resolve/main/Config.JSON", 404, "EntryNotFound"),
        ("/api/models/acme/tiny/nonsense/main", 404, None),
        ("/api/whoami-v2", 404, None),
        ("/", 404, None),
    ],
)
def test_errors_carry_the_hubs_codes(client: Client, target: str, status: int, code: str | None) -> None:
    """What is missing is told by X-Error-Code, in words by X-Error-Message and in JSON."""
    answer = client.get(target)
    assert (answer.status, answer.headers["X-Error-Code"]) == (status, code)
    assert answer.json["error"]
    assert answer.headers["X-Error-Message"].isascii()
    head = client.ask("HEAD", target)
    assert (head.status, head.headers["X-Error-Code"], head.body) == (status, code, b"")


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("PUT", "/acme/tiny/resolve/main/config.json", "GET, HEAD"),
        ("DELETE", "/api/models/acme/tiny", "GET, HEAD"),
        ("POST", "/api/models", "GET, HEAD"),
        ("GET", "/api/models/acme/tiny/paths-info/main", "POST"),
    ],
)
@pytest.mark.row("attack/41-writes")
def test_other_methods_are_refused(client: Client, method: str, target: str, allowed: str) -> None:
    """Nothing can be changed through this server; 405 says what is possible."""
    answer = client.ask(method, target)
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)


SECRET = b"top secret outside"


@pytest.mark.parametrize(
    "path",
    [
        "../../../secret.txt",
        "..%2f..%2f..%2fsecret.txt",
        "%2e%2e/%2e%2e/%2e%2e/secret.txt",
        "%2e%2e%2f%2e%2e%2f%2e%2e%2fsecret.txt",
        "..%5c..%5c..%5csecret.txt",
        "%252e%252e/%252e%252e/%252e%252e/secret.txt",
        "..%c0%af..%c0%afsecret.txt",
        "subfolder/../../../../secret.txt",
        "./config.json",
        "//config.json",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "C:%5csecret.txt",
        "config.json%00.gguf",
        "config.json/",
        "config.json%0d%0aX-Injected:%20yes",
        "out.txt",
        "folder/secret.txt",
        "hidden.gguf.jarvis-part",
        ".env",
    ],
)
@pytest.mark.row("attack/45-traversal")
def test_nothing_outside_of_root_is_ever_served(client: Client, root: Path, path: str) -> None:
    """However a path is written, what comes back is a refusal, without a byte from outside or hidden."""
    (root.parent / "secret.txt").write_bytes(SECRET)
    tiny = root / "acme/tiny"
    (tiny / "out.txt").symlink_to(root.parent / "secret.txt")
    (tiny / "folder").symlink_to(root.parent)
    (tiny / "hidden.gguf.jarvis-part").write_bytes(SECRET)
    (tiny / ".env").write_bytes(SECRET)
    for prefix in ("/acme/tiny/resolve/main/", "/api/models/acme/tiny/tree/main/"):
        request = f"GET {prefix}{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = client.raw(request.encode())
        status = int(answer.split()[1])
        assert status in (400, 404), answer
        assert SECRET not in answer
        assert b"root:" not in answer
        assert b"\nX-Injected" not in answer
        assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "repository", ["..", "acme/..", "..%2f..", "acme%2ftiny", "%2e%2e/tiny", ".", "%00", "acme%5ctiny"]
)
@pytest.mark.row("attack/45-traversal")
def test_repository_names_cannot_leave_root(client: Client, repository: str) -> None:
    """A model's name is one or two plain folder names, nothing that leads anywhere else."""
    for target in (f"/{repository}/resolve/main/config.json", f"/api/models/{repository}"):
        request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert int(client.raw(request.encode()).split()[1]) in (400, 404)
