"""A double of Ollama: its protocol over real llama.cpp servers, held to recordings of a real server."""

from tests.ollama.faults import Fault, FaultKind
from tests.ollama.handle import OllamaDouble
from tests.ollama.journal import Call, Load
from tests.ollama.models import DEFAULT_MODELS, ModelSpec

__all__ = ["DEFAULT_MODELS", "Call", "Fault", "FaultKind", "Load", "ModelSpec", "OllamaDouble"]
