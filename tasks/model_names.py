"""Names of language models, as people write them in recipes and on the command line."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_RESERVED = frozenset({"offline", "paddleocr", "reading"})
"""What stands in the ledger where a unit needs no language model."""


def _not_reserved(name: str) -> str:
    if name in _RESERVED:
        raise ValueError(f"{name!r} is no language model")
    return name


ModelName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._/~][A-Za-z0-9._/~:@+-]*$", max_length=200),
    AfterValidator(_not_reserved),
]
"""Such as `qwen3:8b`, `hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M`, or what another server calls its model."""
