"""`jarvis rm`, `gc`, `outdated`, `update`: looking after the models that are here."""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.console.exit_codes import combined
from engine.console.failing import tell, warn_of_token
from engine.console.pulling import run_pull
from engine.console.sizes import format_size
from engine.console.streams import stderr, stdout
from engine.errors import EngineError
from engine.library.collection import collect
from engine.library.lookup import find_model, manifests, unreadable
from engine.library.removal import Removed, remove_model
from engine.library.updates import Standing, find_again, look_for_updates
from engine.manifest_record import LOCAL_REGISTRY, ModelManifest
from engine.plain_text import printable
from engine.settings import Settings


def run_rm(models: Sequence[str]) -> int:
    """Remove models; the exit code."""
    codes = []
    for text in models:
        try:
            manifest = find_model(text, exactly=True)
            removed = remove_model(manifest)
        except EngineError as exc:
            codes.append(tell(exc))
            continue
        stdout().say(printable(f"{manifest.model_key}: removed, {_freed(removed)}"))
        _tell_unread()
    return combined(codes)


def _tell_unread() -> None:
    """Why contents stay that no model seems to need."""
    for broken in manifests().scan()[1]:
        stderr().say(
            printable(
                f"Contents stay in the store: {str(broken.path)!r} cannot be read ({broken.why}), and nobody knows "
                "what that model needs. Mend or remove it, then run jarvis gc."
            )
        )


def run_gc(*, dry_run: bool, as_json: bool) -> int:
    """Sweep the store; the exit code."""
    sweep = collect(dry_run=dry_run)
    removed = sweep.removed
    for one in removed:
        if as_json:
            fields = {"path": str(one.path), "why": one.why, "freed_bytes": one.freed_bytes}
            stdout().say(msgspec.json.encode(fields).decode())
        else:
            stdout().say(printable(f"{one.path}: {one.why} ({format_size(one.freed_bytes)})"))
    verb = "would be removed" if dry_run else "removed"
    stderr().say(f"{len(removed)} {verb}, {_freed(removed)}")
    if not sweep.was_alone:
        stderr().say(
            "Models' files were let be: a pull is at work, or the store has no locks. Sweep again later."
        )
    return combined(tell(fault) for fault in sweep.faults)


def run_outdated(models: Sequence[str], *, as_json: bool) -> int:
    """Say which models have news; the exit code."""
    chosen = _chosen(models)
    warn_of_token()
    standings = look_for_updates(chosen, Settings())
    for standing in standings:
        if as_json:
            stdout().say(msgspec.json.encode(_fields(standing)).decode())
        elif standing.error is None:
            stdout().say(printable(f"{standing.model}: {_in_words(standing)}"))
    return _faults(models, standings)


def run_update(models: Sequence[str], *, as_json: bool) -> int:
    """Pull what has news, or may have; the exit code."""
    settings = Settings()
    chosen = _chosen(models)
    warn_of_token()
    standings = look_for_updates(chosen, settings)
    code = _faults(models, standings)
    wanted = [
        m
        for m, s in zip(chosen, standings, strict=True)
        if not s.error and (s.is_outdated or s.unknown or s.revision)
    ]
    if not wanted:
        return code
    given = _pull_options([m.model_key for m in wanted], as_json=as_json)
    return run_pull(given, lambda options, _: find_again(wanted, options.settings)) or code


def _faults(models: Sequence[str], standings: Sequence[Standing]) -> int:
    """Tell them; the exit code. Where all models are meant, what cannot be read is one of them."""
    codes = [tell(standing.error, standing.model) for standing in standings if standing.error is not None]
    return combined([*codes, *(tell(error) for error in (() if models else unreadable()))])


def _pull_options(keys: list[str], *, as_json: bool) -> dict[str, Any]:
    """What `jarvis pull KEY...` would be given."""
    from engine.console.commands import pull

    with pull.make_context("pull", [*keys, "--json"] if as_json else keys) as context:
        return dict(context.params)


def _chosen(models: Sequence[str]) -> list[ModelManifest]:
    """Those that are named; else all that somebody publishes, and a word on the others."""
    if models:
        return [find_model(text) for text in models]
    everything = manifests().list_manifests()
    for manifest in everything:
        if manifest.registry == LOCAL_REGISTRY:
            stderr().say(
                printable(f"{manifest.model_key}: imported from a file, so nobody can be asked about it")
            )
    return [manifest for manifest in everything if manifest.registry != LOCAL_REGISTRY]


def _in_words(standing: Standing) -> str:
    if standing.unknown:
        return "its server publishes no digests; `jarvis update` asks it for the file"
    if not standing.is_outdated and standing.revision:
        return f"up to date; its files are the same in the new revision, {standing.revision}"
    if not standing.is_outdated:
        return "up to date"
    return "; ".join(
        f"{what}: {', '.join(names)}"
        for what, names in (("new or changed", standing.changed), ("no longer there", standing.gone))
        if names
    )


def _fields(standing: Standing) -> dict[str, object]:
    return {
        "model": standing.model,
        "outdated": standing.is_outdated,
        "changed": standing.changed,
        "gone": standing.gone,
        "unknown": standing.unknown,
        "revision": standing.revision,
        "error": str(standing.error) if standing.error else None,
    }


def _freed(removed: Sequence[Removed]) -> str:
    return f"{format_size(sum(one.freed_bytes for one in removed))} freed"
