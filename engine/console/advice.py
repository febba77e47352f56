"""What the five customary quantizations are good for, as the project's description has it, for a model of 7B."""

import msgspec


class Advice(msgspec.Struct, frozen=True):
    """Marks from 1 to 6."""

    quality: int
    speed: int
    memory: str
    use_case: str


ADVICE = {
    "Q4_K_M": Advice(3, 4, "~4GB", "standard (balanced)"),
    "Q4_K_S": Advice(2, 5, "~3.5GB", "fast, less RAM"),
    "Q5_K_M": Advice(4, 3, "~5GB", "higher quality"),
    "Q6_K": Advice(5, 2, "~6GB", "very high quality"),
    "Q8_0": Advice(6, 1, "~8GB", "maximum quality"),
}
