"""By hand: `python -m tests.origin.ollama --model library/tiny:latest=100M --template "{{ .Prompt }}"`."""

import argparse
from pathlib import Path

from tests.certificates import Certificates
from tests.origin.__main__ import fault_of, pair, print_requests, size_of
from tests.origin.content import Content, FileContent, Pattern
from tests.origin.ollama.models import Layer, Model
from tests.origin.ollama.rules import MANNERS
from tests.origin.ollama.server import OllamaRegistry


def main() -> None:
    """Serve until interrupted, and print every request once it has ended, with the rule that refused it."""
    options = _arguments()
    tls = Certificates(options.tls) if options.tls else None
    with OllamaRegistry(
        _models(options), life_s=options.life, tokens=options.tokens, tls=tls, port=options.port
    ) as server:
        for origin, texts in (
            (server.registry, options.registry_fault),
            (server.storage, options.storage_fault),
        ):
            for text in texts:
                name, settings = fault_of(text)
                origin.fault(name, **settings)
        for model in _models(options):
            print(f"{server.host}/{model.name}:{model.tag}  {server.manifest_url(model)}", flush=True)
        if tls is not None:
            print(f"--cacert {tls.cacert}", flush=True)
        print_requests(server.registry, server.storage)


def _models(options: argparse.Namespace) -> list[Model]:
    contents: list[tuple[str, Content]] = [(name, Pattern(size_of(text))) for name, text in options.model]
    contents += [(name, FileContent(Path(path))) for name, path in options.file]
    extra = [Layer("template", options.template.encode())] if options.template else []
    return [_model(name, [Layer("model", content), *extra]) for name, content in contents]


def _model(text: str, layers: list[Layer]) -> Model:
    name, _, tag = text.partition(":")
    return Model(name if "/" in name else f"library/{name}", layers, tag or "latest")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.origin.ollama")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", type=pair, action="append", default=[], metavar="NAME[:TAG]=SIZE")
    parser.add_argument("--file", type=pair, action="append", default=[], metavar="NAME[:TAG]=PATH")
    parser.add_argument("--template", help="one more layer of each model")
    parser.add_argument("--life", type=int, default=MANNERS["address_life_s"], metavar="SECONDS")
    parser.add_argument("--tokens", action="store_true", help="every model asks for a token")
    parser.add_argument("--tls", type=Path, metavar="DIR", help="https, with certificates written to DIR")
    for which in ("registry", "storage"):
        parser.add_argument(f"--{which}-fault", action="append", default=[], metavar="NAME[,OPTION=VALUE...]")
    return parser.parse_args()


if __name__ == "__main__":
    main()
