"""What happens to the files of a version when the next one has come in place of it."""

from collections.abc import Sequence

from engine.errors import StoreError
from engine.library.records import Renewed
from engine.library.removal import remove_replaced
from engine.telemetry import Log
from engine.transfer.events import Notice, Observer

_log = Log(__name__)


def settle(renewed: Sequence[Renewed], observer: Observer) -> None:
    """Take away what only the versions before had, where the same was chosen again, and say so; name what another
    choice has put out of its model. What cannot be removed now is left to `jarvis gc`."""
    for one in renewed:
        if not one.is_update and one.left:
            _tell(observer, one.after.model_key, _left_in_words(one))
    updates = [one.before for one in renewed if one.is_update]
    try:
        removed = remove_replaced(updates)
    except StoreError as exc:
        _log.warning("version.left", error=str(exc))
        return
    if removed:
        what = updates[0].model_key if len(updates) == 1 else f"{len(updates)} models"
        freed = sum(one.freed_bytes for one in removed)
        _tell(observer, what, f"What only the version before had is removed: {freed:,} bytes freed.")


def _left_in_words(one: Renewed) -> str:
    names, more = [layer.filename for layer in one.left[:3]], len(one.left) - 3
    return (
        f"There is a new revision, and of the one before {', '.join(names)}{f' and {more} more' if more > 0 else ''} "
        "did not come along. Pull them too, if the model shall have them; `jarvis gc` removes the old ones."
    )


def _tell(observer: Observer, what: str, message: str) -> None:
    observer(Notice(file=what, path="", message=message))
