"""A registry that behaves as registry.ollama.ai does and refuses what that one's rules (rules.toml) forbid."""

from tests.origin.ollama.models import Layer, Model
from tests.origin.ollama.rules import RULES
from tests.origin.ollama.server import OllamaRegistry
from tests.origin.ollama.tokens import sign, wire_form

__all__ = ["RULES", "Layer", "Model", "OllamaRegistry", "sign", "wire_form"]
