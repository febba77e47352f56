"""`--quant auto`: the largest quantization that fits in this machine's memory."""

from typing import TYPE_CHECKING

import msgspec

from engine.model_path import ModelPath
from engine.sources import Choice

if TYPE_CHECKING:
    from engine.transport.client import Client

AUTO = "auto"


def is_auto(path: ModelPath, choice: Choice) -> bool:
    """Whether the quantization is to be chosen here. A plain file has none."""
    return path.url is None and choice.quant is not None and choice.quant.lower() == AUTO


def fitted(client: "Client", path: ModelPath, choice: Choice) -> Choice:
    """The choice with "auto" replaced by what fits. Raises EngineError where nothing does, and as survey does."""
    from engine.sources.survey import survey

    variant = survey(client, path, choice).largest_within(available_memory())
    if variant.tag is not None:
        return msgspec.structs.replace(choice, quant=None, revision=variant.tag)
    if variant.quantization is None:
        return msgspec.structs.replace(choice, quant=None, file=variant.files[0])
    return msgspec.structs.replace(choice, quant=variant.quantization)


def available_memory() -> int:
    """Bytes that could be taken without swapping, now."""
    import psutil  # type: ignore[import-untyped]  # it ships no types

    return int(psutil.virtual_memory().available)
