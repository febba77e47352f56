"""What becomes of a model's manifest when more of the same model is pulled.

Of one revision everything stays that any choice brought: `jarvis pull M`, then `jarvis pull M --file x`, and the
model is both. A new revision begins anew with what is pulled then. Pure.
"""

from collections.abc import Sequence

from engine.manifest_record import Layer, ModelManifest, Selection


def unite(fresh: ModelManifest, known: ModelManifest | None) -> None:
    """Make fresh, which has what was just pulled, what is to be kept. known: what was kept before; not altered."""
    if known is None:
        return
    for field in ("display_name", "parameters", "context_length", "architecture"):
        setattr(fresh, field, getattr(known, field))
    if [layer.content for layer in known.layers] == [layer.content for layer in fresh.layers]:
        fresh.quantization = fresh.quantization or known.quantization
    if _is_same_revision(fresh, known):
        _join(fresh, known)


def _is_same_revision(fresh: ModelManifest, known: ModelManifest) -> bool:
    """Whether both are of one state of the repository, and asked for it in the same way: what moves on together."""
    asked = [manifest.choice.get("revision") for manifest in (fresh, known)]
    return fresh.revision is not None and fresh.revision == known.revision and asked[0] == asked[1]


def _join(fresh: ModelManifest, known: ModelManifest) -> None:
    names = {layer.filename for layer in fresh.layers}
    rest = [layer for layer in known.layers if layer.filename not in names]
    if not rest:
        fresh.choice, fresh.selections = _chosen([*fresh.selected, *known.selected])
        return
    fresh.choice, fresh.selections = _chosen([*known.selected, *fresh.selected])
    fresh.layers = _in_order_of(known, fresh.layers)
    fresh.downloaded &= known.downloaded
    fresh.verified &= known.verified
    fresh.quantization = known.quantization or fresh.quantization


def _in_order_of(known: ModelManifest, layers: Sequence[Layer]) -> list[Layer]:
    """Those of known as they stand, with what is newly known of them, then the others."""
    by_name = {layer.filename: layer for layer in layers}
    first = [by_name.pop(layer.filename, layer) for layer in known.layers]
    return [*first, *by_name.values()]


def _chosen(selections: Sequence[Selection]) -> tuple[dict[str, str | list[str]], list[Selection]]:
    """Those that matter: what another one brought too needs no place of its own. Of two that brought the same the one
    stays that says less, since it follows what its repository becomes."""
    kept = list[Selection]()
    for one in sorted(selections, key=lambda selection: (-len(selection.files), len(selection.choice))):
        if not any(set(one.files) <= set(other.files) or one.choice == other.choice for other in kept):
            kept.append(one)
    kept.sort(key=selections.index)
    return kept[0].choice, kept if len(kept) > 1 else []
