"""What was chosen among a registry's files, as a manifest keeps it."""

from engine.sources import Choice


def as_dict(choice: Choice) -> dict[str, str | list[str]]:
    """Without what was left open."""
    fields = {name: getattr(choice, name) for name in ("quant", "file", "revision", "include", "exclude")}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items() if v}
