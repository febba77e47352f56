"""The user's own shortcuts, kept between runs: `<root>/aliases.json`, an object of name -> model path.

Read at the edge, before a path is parsed: parsing itself stays pure. A target is stored in its one spelling, so it
never is an alias itself. A file or an entry that cannot be read is passed over, and never overwritten unsaved.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.errors import PathError
from engine.model_path import ModelPath, path_fault
from engine.model_registry import ModelRegistry, check_shortcut
from engine.regular_file import read_small
from engine.store.disk import disk_errors
from engine.store.linking import write_whole
from engine.telemetry import Log

_log = Log(__name__)
_MAX_FILE = 1 << 20


class Aliases:
    """The aliases of one store root, as they were when they were read."""

    def __init__(self, root: Path) -> None:
        self.path = root / "aliases.json"
        self.fault: str | None = None
        """Why the file, or some of it, was passed over."""
        self.targets: Mapping[str, str] = self._read()
        """Name -> model path in its canonical spelling."""

    def parse(self, text: str, *, is_file: bool = False) -> ModelPath:
        """ModelRegistry.parse of what an alias stands for, or of the text itself. Raises PathError.

        Behind an alias, `:tag` and `@pin` win over those of its target.
        """
        body, at, pin = text.strip().partition("@")
        name, colon, tag = body.partition(":")
        if name not in self.targets or "/" in body or (colon and not tag) or (at and not pin):
            return ModelRegistry.parse(text, is_file=is_file)
        target = ModelRegistry.parse(self.targets[name])
        if not colon and not at:
            return target
        if target.url is not None or target.filename is not None:
            raise path_fault(text, f"{name} is an alias of one file, {target.canonical}")
        bare = msgspec.structs.replace(target, tag=None, pin=None).canonical
        tag, pin = tag or target.tag or "", pin or target.pin or ""
        return ModelRegistry.parse(bare + (f":{tag}" if tag else "") + (f"@{pin}" if pin else ""))

    def add(self, name: str, target: str) -> ModelPath:
        """Make name stand for target, for ever; what it stood for before is replaced. Raises PathError, StoreError."""
        check_shortcut(name)
        path = self.parse(target)
        self._write({**self._read(), name: path.canonical})
        return path

    def remove(self, name: str) -> None:
        """Raises PathError where there is no such alias, StoreError."""
        targets = self._read()
        if name not in targets:
            raise PathError(f"There is no alias {name!r}. `jarvis alias` lists those that there are.")
        del targets[name]
        self._write(targets)

    def _read(self) -> dict[str, str]:
        self.fault = None
        try:
            found = msgspec.json.decode(read_small(self.path, _MAX_FILE), type=dict[str, msgspec.Raw])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
            return self._passed_over({}, str(exc))
        good = {name: target for name, raw in found.items() if (target := _target(name, bytes(raw)))}
        if len(good) < len(found):
            return self._passed_over(good, f"no aliases: {', '.join(sorted({*found} - {*good}))}")
        return good

    def _passed_over(self, targets: dict[str, str], why: str) -> dict[str, str]:
        self.fault = (
            f"{str(self.path)!r} cannot be read in full and is passed over where it cannot: {why[:300]}."
        )
        _log.warning("aliases.damaged", path=str(self.path), reason=why[:300])
        return targets

    def _write(self, targets: Mapping[str, str]) -> None:
        """Atomic. What could not be read is kept beside it."""
        with disk_errors("write the aliases", self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.fault is not None:
                self.path.replace(self.path.with_suffix(".json.damaged"))
            content = msgspec.json.encode(dict(sorted(targets.items())))
            write_whole(self.path, msgspec.json.format(content, indent=1))
        self.targets, self.fault = targets, None


def _target(name: str, raw: bytes) -> str | None:
    """What this entry stands for; None where name or target cannot be one."""
    try:
        check_shortcut(name)
        return ModelRegistry.parse(msgspec.json.decode(raw, type=str)).canonical
    except (PathError, msgspec.DecodeError, UnicodeDecodeError):
        return None
