"""The Python examples of document.md, as programs.

An example is called by the line on which its code begins. Those that share names are joined to one program; `core.` is
read as `engine.`; what the document leaves open ("abc123...", "https://...") is filled in by whoever runs it.
"""

import re
from collections.abc import Mapping
from pathlib import Path

TEXT = (Path(__file__).parent / "document.md").read_text(encoding="utf-8")

SETUP = 47
"""The first example: it imports what most of the others use, and makes `url` and `downloader`."""
PROGRESS, REGISTRIES, OWN_MODELS, MANIFEST, TOKEN = 71, 87, 105, 123, 160
MANAGER, ALIASES, VARIANTS, ERRORS, MIGRATION = 175, 221, 240, 251, 287
DEBUG, FORCE, FORBIDDEN, BATCH, OWN_SERVER = 342, 354, 366, 379, 397
INTEGRITY, MISSING = "Integritätsprüfung fehlgeschlagen!", "Modell nicht gefunden!"
"""What the example of errors prints."""


def examples() -> dict[int, str]:
    """All blocks marked `python`, by the number of their first line."""
    return {
        TEXT.count("\n", 0, match.start(1)) + 1: match[1]
        for match in re.finditer(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    }


def program(*parts: int | str, fill: Mapping[str, str] | None = None) -> str:
    """Examples by their line, and statements of a test between or behind them, as one program.

    fill: text of the examples, and what stands there instead; KeyError for a text that is in none of them.
    """
    known = examples()
    shown = "\n".join(
        known[part].replace("from core.", "from engine.") if isinstance(part, int) else part for part in parts
    )
    for text, instead in (fill or {}).items():
        if text not in shown:
            raise KeyError(text)
        shown = shown.replace(text, instead)
    return shown
