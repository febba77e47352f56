"""Which model of this machine a person means."""

from engine.errors import NotFound, PathError, StoreError
from engine.library.keys import key_of
from engine.library.views import views_of
from engine.manifest_file import Broken
from engine.manifest_record import ModelManifest
from engine.model_manifest import ManifestManager
from engine.settings import home
from engine.store import layout
from engine.store.aliases import Aliases


def manifests() -> ManifestManager:
    """Those of the store."""
    return ManifestManager(layout.manifests(home()))


def find_model(text: str, *, exactly: bool = False) -> ModelManifest:
    """By key, by any spelling of its path, by shortcut, or by a part of the key that only one has; exactly: not that,
    for whoever is going to destroy something. Raises NotFound, with the keys that are near.
    """
    manager = manifests()
    aliases = Aliases(home())
    meant = _canonical(text, aliases)
    for key in (text, meant):
        if key and (manifest := manager.get_manifest(key)) is not None:
            return manifest
    if text in aliases.targets:  # a whole name, not a part of one
        raise NotFound(
            f"{text!r} stands for {meant or aliases.targets[text]}, which is not in the store. `jarvis pull {text}` "
            "fetches it; `jarvis list` names manifests that cannot be read."
        )
    everything = manager.list_manifests()
    found = [m for m in everything if text.casefold() in m.model_key.casefold()]
    if len(found) == 1 and not exactly:
        return found[0]
    keys = [m.model_key for m in found or everything]
    from difflib import get_close_matches

    near = sorted(keys) if found else get_close_matches(text, keys, 5, 0.4)
    hint = f" Meant may be: {', '.join(near[:10])}." if near else " `jarvis list` shows what there is."
    if manager.scan()[1]:
        hint += " Some manifests cannot be read, too: `jarvis list` names them."
    what = "There is no model" if len(found) < 2 else f"{len(found)} models are called something like"
    raise NotFound(f"{what} {text[:200]!r} in the store.{hint}")


def unreadable(*, also_misplaced: bool = False) -> list[StoreError]:
    """Of all models, those of which nothing can be said: whoever asks about all of them is to hear of these.
    also_misplaced: those, too, whose files' names lead out of the store."""
    models, broken = manifests().scan()
    for model in models if also_misplaced else []:
        try:
            views_of(model)
        except PathError as exc:  # written by hand: its names lead elsewhere
            broken.append(Broken(manifests().path_of(model.model_key), str(exc)))
    return [StoreError(str(one)) for one in broken]


def _canonical(text: str, aliases: Aliases) -> str | None:
    try:
        return key_of(aliases.parse(text))
    except PathError:
        return None
