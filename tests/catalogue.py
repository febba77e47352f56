"""catalogue.toml, read: what may happen to a pull, and what is promised then."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Row:
    """One case; its id is what tests are marked with."""

    id: str
    fault: str
    """What a server, a network, a disk or a stranger does."""
    promise: str

    @property
    def family(self) -> str:
        return self.id.partition("/")[0]


_TOLD = tomllib.loads(FILE.read_text(encoding="utf-8"))
TITLES: dict[str, str] = _TOLD["titles"]
"""Of the families, in their order."""
NOT_OURS: dict[str, str] = _TOLD["not-ours"]
"""What is left out, each with the reason."""
ROWS = tuple(Row(f"{family}/{name}", *told) for family in TITLES for name, told in _TOLD[family].items())
