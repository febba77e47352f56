"""The document's larger examples: a batch, and a server of one's own."""

from tests.mission import document
from tests.mission.document import program
from tests.mission.world import DEEPSEEK, OWN, Q4, QWEN, World, setup


def test_batch(world: World, mistral: dict[str, bytes]) -> None:
    """Three models, three successes, three files with the Hub's bytes."""
    qwen = world.publish(QWEN)["Qwen2.5-7B-Instruct-Q4_K_M.gguf"]
    deepseek = world.publish(DEEPSEEK)["DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf"]
    ended = world.run(program(document.SETUP, document.BATCH, fill=setup(mistral)))
    assert ended.lines[1:] == [f"✅ {model} downloaded" for model in ("mistral", "qwen", "deepseek")]
    for model, content in (("mistral", mistral[Q4]), ("qwen", qwen), ("deepseek", deepseek)):
        assert world.read(f"models/llm/{model}.gguf") == content


def test_batch_with_one_that_fails(world: World, mistral: dict[str, bytes]) -> None:
    """One that is not there says so, and stops nobody."""
    world.publish(DEEPSEEK)
    ended = world.run(program(document.SETUP, document.BATCH, fill=setup(mistral)))
    assert [line.split()[:2] for line in ended.lines[1:]] == [
        ["✅", "mistral"],
        ["❌", "qwen"],
        ["✅", "deepseek"],
    ]
    assert "404" in ended.lines[2]


def test_model_of_an_own_server(world: World, mistral: dict[str, bytes]) -> None:
    """The file comes from the server that the path names: from the project's own."""
    content = world.make("jarviscore/custom-model-GGUF", "jarvis-7b-q4.gguf")["jarvis-7b-q4.gguf"]
    ended = world.run(
        program(document.SETUP, document.OWN_SERVER, "print(model_path, url, sep='\\n')", fill=setup(mistral))
    )
    url = f"https://{OWN}/jarviscore/custom-model-GGUF/resolve/main/jarvis-7b-q4.gguf"
    assert ended.lines[-1] == url
    assert f"registry='{OWN}'" in ended.lines[-2]
    assert world.read("models/llm/jarvis-7b-q4.gguf") == content
    assert {(r.host, r.path) for r in world.own.asked} == {(OWN, url.removeprefix(f"https://{OWN}"))}
