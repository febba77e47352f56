"""The document's error example, in all of its branches, and its troubleshooting."""

import re

from tests.mission import document
from tests.mission.document import INTEGRITY, MISSING, program
from tests.mission.world import MISTRAL, Q4, QWEN, SET, World, setup, sha256


def errors(mistral: dict[str, bytes], url: str, digest: str) -> str:
    return program(
        document.SETUP,
        document.ERRORS,
        fill={**setup(mistral), '"https://..."': f'"{url}"', '"abc123..."': f'"{digest}"'},
    )


def test_error_of_integrity(world: World, mistral: dict[str, bytes]) -> None:
    """Content with another digest than promised: the first branch, and no file. The address has "404" in it."""
    world.publish("ns/model-404-GGUF", "m-Q4_K_M.gguf")
    url = "https://huggingface.co/ns/model-404-GGUF/resolve/main/m-Q4_K_M.gguf"
    ended = world.run(errors(mistral, url, "404" + "0" * 61))
    assert ended.lines[1:] == [INTEGRITY]
    assert not (world.folder / "models/llm/model.gguf").exists()


def test_error_of_a_missing_model(world: World, mistral: dict[str, bytes]) -> None:
    """An address that is not there: the second branch, even if it has "SHA256" in it."""
    url = "https://huggingface.co/ns/SHA256-GGUF/resolve/main/SHA256.gguf"
    ended = world.run(errors(mistral, url, "a" * 64))
    assert ended.lines[1:] == [MISSING]


def test_other_errors(world: World, mistral: dict[str, bytes]) -> None:
    """A refusal of another kind: the third branch, which says what happened, though the address has both words."""
    world.publish("ns/SHA256-404-GGUF", "m-Q4_K_M.gguf")
    world.hub.site.fault("status", path="ns/SHA256-404-GGUF/resolve/main/m-Q4_K_M.gguf", code=400)
    url = "https://huggingface.co/ns/SHA256-404-GGUF/resolve/main/m-Q4_K_M.gguf"
    ended = world.run(errors(mistral, url, "a" * 64))
    assert len(ended.lines) == 2
    assert ended.lines[1].startswith("Download-Fehler: https://huggingface.co/ns/S")
    assert "400" in ended.lines[1]


# Troubleshooting


def test_debug_mode(world: World, mistral: dict[str, bytes]) -> None:
    """Debug lines show requests, retries and waits, and neither signed addresses nor tokens; max_retries holds."""
    qwen = world.publish(QWEN)["Qwen2.5-7B-Instruct-Q4_K_M.gguf"]
    path = f"{QWEN}/resolve/main/Qwen2.5-7B-Instruct-Q4_K_M.gguf"
    world.hub.site.fault("status", path=path, code=503, headers={"Retry-After": "0"}, times=5)
    ended = world.run(
        program(
            document.SETUP,
            document.DEBUG,
            f'downloader.set_hf_token("{SET}")\ndownloader.download("qwen", get_download_url("qwen"), "q.gguf")',
            fill=setup(mistral),
        )
    )
    assert world.hub.site.fired("status") == 5
    assert world.read("models/llm/q.gguf") == qwen
    assert f"download.started model=qwen file=q.gguf url=https://huggingface.co/{path}\n" in ended.stderr
    assert re.search(r"^DEBUG:engine\S*:lease.sent .*file=q.gguf span=\S+", ended.stderr, re.MULTILINE)
    retries = re.findall(r"lease.failed file=q.gguf .*503.* wait_s=(\S+) attempt=(\d)", ended.stderr)
    assert [attempt for _, attempt in retries] == ["1", "2", "3", "4", "5"]
    for secret in (SET, "X-Signature", *signatures(world)):
        assert secret not in ended.stderr


def signatures(world: World) -> set[str]:
    """The secrets of all signed addresses that were asked for."""
    found = {
        match[1] for r in world.hub.content.requests if (match := re.search(r"X-Signature=(\w+)", r.target))
    }
    assert found
    return found


def test_retries_end(world: World, mistral: dict[str, bytes]) -> None:
    """max_retries is the number of further attempts."""
    path = f"{QWEN}/resolve/main/Qwen2.5-7B-Instruct-Q4_K_M.gguf"
    world.publish(QWEN)
    world.hub.site.fault("status", path=path, code=503, headers={"Retry-After": "0"})
    fetch = 'downloader.download("qwen", get_download_url("qwen"), "q.gguf")'
    ended = world.run(program(document.SETUP, document.DEBUG, fetch, fill=setup(mistral)), code=1)
    assert "engine.errors.NetworkError" in ended.stderr
    assert len(world.hub.site.requests_for(path)) == 6


def test_force(world: World, mistral: dict[str, bytes]) -> None:
    """What is there is fetched anew, though its receipt fits; the new file takes its place."""
    ready = 'downloader.download("mistral", url, "model.gguf")'
    world.run(program(document.SETUP, ready, fill=setup(mistral)))
    sent = world.hub.content.bytes_sent()
    changed = mistral[Q4][:-1] + b"?"
    world.hub.add(MISTRAL, {Q4: changed})
    world.run(program(document.SETUP, ready, fill=setup(mistral)))
    assert world.read("models/llm/model.gguf") == mistral[Q4]
    assert world.hub.content.bytes_sent() == sent
    world.run(program(document.SETUP, document.FORCE, fill=setup(mistral)))
    assert world.read("models/llm/model.gguf") == changed
    assert world.hub.content.bytes_sent(sha256(changed)) == len(changed)
