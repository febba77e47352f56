"""Every Python example of the mission document, as a plain script against servers that speak the real protocols.

The names in them (huggingface.co, models.jarviscore.ai) reach local TLS servers through HTTPS_PROXY and
SSL_CERT_FILE; nothing in `engine` is changed. See tests/mission/.
"""

import ast
import re
from pathlib import Path

from tests.mission import document
from tests.mission.document import MISSING, TEXT, examples, program
from tests.mission.world import DEEPSEEK, MISTRAL, QWEN, SET, VARIANTS, World, setup, sha256


def test_every_example_is_run_here() -> None:
    """All blocks of the document are known by name, and each is used by a test of this folder."""
    names = {name: line for name, line in vars(document).items() if name.isupper() and isinstance(line, int)}
    assert sorted(names.values()) == sorted(examples())
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in Path(__file__).parent.glob("test_*.py")]
    used = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(names) <= used


def test_aliases() -> None:
    """Each line of the alias table is true of parse()."""
    from engine.model_registry import ModelRegistry

    table = re.findall(r'^"(.+?)" +→ "(.+?)"$', examples()[document.ALIASES], re.MULTILINE)
    assert len(table) == 4
    for alias, registry in table:
        assert ModelRegistry.parse(f"{alias}/namespace/model").registry == registry


def test_variants(world: World, mistral: dict[str, bytes]) -> None:
    """The five of the table, in its order; each is a file of the Hub."""
    ended = world.run(program(document.VARIANTS))
    in_table = re.findall(r"^\| \*\*(\w+)\*\* \|", TEXT, re.MULTILINE)
    assert tuple(in_table) == VARIANTS
    assert ended.lines == [
        f"https://huggingface.co/{MISTRAL}/resolve/main/Mistral-Nemo-Instruct-2407-{variant}.gguf"
        for variant in in_table
    ]
    assert all(url.removeprefix("https://huggingface.co/") in world.hub.site.files for url in ended.lines)


def test_the_whole_document_is_one_program(world: World, mistral: dict[str, bytes]) -> None:
    """All examples one after the other, each with what those before it left."""
    qwen, deepseek = world.publish(QWEN), world.publish(DEEPSEEK)
    own = world.make("jarviscore/custom-model-GGUF", "jarvis-7b-q4.gguf")
    lines = sorted(set(examples()) - {document.ALIASES})
    lines.insert(lines.index(document.PROGRESS), 'download_url = get_download_url("qwen")')
    missing = "https://huggingface.co/ns/none-GGUF/resolve/main/none.gguf"
    ended = world.run(
        program(
            *lines,
            fill={
                **setup(mistral),
                'sha256="abc123...",\n    size': f'sha256="{sha256(b"x")}",\n    size',
                '"https://..."': f'"{missing}"',
                '"abc123..."': f'"{"a" * 64}"',
                '"hf_YourTokenHere"': f'"{SET}"',
            },
        )
    )
    assert [line for line in ended.lines if line.startswith("✅") and line.endswith("downloaded")] == [
        f"✅ {model} downloaded" for model in ("mistral", "qwen", "deepseek")
    ]
    assert MISSING in ended.lines
    assert world.read("models/llm/qwen.gguf") == qwen["Qwen2.5-7B-Instruct-Q4_K_M.gguf"]
    assert world.read("models/llm/deepseek.gguf") == deepseek["DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf"]
    assert world.read("models/llm/jarvis-7b-q4.gguf") == own["jarvis-7b-q4.gguf"]
