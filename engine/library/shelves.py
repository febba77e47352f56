"""Which folder below llm/ a model has.

It is `<namespace>/<repository>`, and belongs to the registry whose model came there first. A model of that name from
another registry gets `<host>/<namespace>/<repository>`, a port after an underscore. Its manifest remembers that, and
all models of one repository lie in one folder.
"""

from urllib.parse import unquote, urlsplit

import msgspec

from engine.errors import PathError
from engine.library.keys import key_of
from engine.library.lookup import manifests
from engine.library.views import folder_name
from engine.manifest_record import ModelManifest
from engine.model_path import ModelPath
from engine.remote_file import RemoteName
from engine.settings import home
from engine.store import layout


class Shelf(msgspec.Struct, frozen=True):
    """A model's folder."""

    folder: str
    """Below llm/, with slashes."""
    usual: str
    """What it would be if nobody were in the way."""
    taken_by: str | None = None
    """Whose model the usual one belongs to, where that was just found."""

    @property
    def explanation(self) -> str | None:
        """Why it is not the usual folder, for people; None where there is nothing to explain."""
        if self.taken_by is None:
            return None
        place = layout.models(home()) / self.folder
        return f"Its files lie below {str(place)!r}, for {self.usual!r} is the folder of {self.taken_by}."


class Shelves:
    """Folders for the models of one pull, which may be in each other's way, too."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[str, str]] = {}
        """Registry and key of the first model of this pull, by its usual folder."""

    def find(self, path: ModelPath) -> Shelf:
        """The folder that a model has, or is to have. Raises PathError for a name that can be none."""
        usual = "/".join(shelf_of(path))
        if path.url is not None:
            return Shelf(usual, usual)
        return self.choose(key_of(path), path.registry, usual)

    def choose(self, key: str, registry: str, usual: str) -> Shelf:
        """The same by key and registry. All manifests are read only for a new model in a folder that is there."""
        known = manifests().get_manifest(key)
        if known is not None and known.registry == registry:
            return Shelf(_folder_of(known) or usual, usual)
        RemoteName.parse(usual)
        owners = self._owners(usual)
        mine = [folder for _, owner, folder in owners if owner == registry]
        if mine:
            return Shelf(mine[0], usual)
        others = [other for other, _, folder in owners if folder == usual]
        if others:
            qualified = RemoteName.parse(f"{registry.replace(':', '_')}/{usual}")
            return Shelf(qualified, usual, taken_by=others[0])
        self._given.setdefault(usual, (registry, key))
        return Shelf(usual, usual)

    def _owners(self, usual: str) -> list[tuple[str, str, str]]:
        """Key, registry and folder of each model that would usually lie there."""
        owners = []
        if layout.inside(layout.models(home()), RemoteName.parse(usual)).is_dir():
            models = [m for m in manifests().list_manifests() if f"{m.namespace}/{m.repository}" == usual]
            owners = [(m.model_key, m.registry, _folder_of(m) or usual) for m in models]
        if usual in self._given:
            registry, key = self._given[usual]
            owners.append((key, registry, usual))
        return owners


def _folder_of(manifest: ModelManifest) -> str | None:
    try:
        return folder_name(manifest)
    except PathError:
        return None


def shelf_of(path: ModelPath) -> tuple[str, str]:
    """Namespace and repository under which a target is kept; a plain file's are its host and its folders."""
    if path.url is None:
        return path.namespace or path.registry.replace(":", "_"), path.repository
    parts = urlsplit(path.url)
    host = parts.netloc.replace(":", "_").strip("[]")
    folder = unquote(parts.path.rpartition("/")[0]).strip("/")
    try:
        return host, str(RemoteName.parse(folder or "files"))
    except PathError as exc:
        raise PathError(
            f"The folders of {path.canonical} cannot be kept as they are. Say where to with -o FILE."
        ) from exc
