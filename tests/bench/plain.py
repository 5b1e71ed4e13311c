"""What somebody writes without Shoebox: the three calls that a document takes, in a loop or in tasks.

The questions and the forms of the replies are Shoebox's own, so that the server has the same to say. What
differs is where the document stands, and in which order the calls are made.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.engines.llm.prompts import classify_instruction, fields_instruction, summary_instruction
from tasks.engines.llm.reply_schema import SummaryReply, category_reply, fields_reply, json_schema
from tasks.recipes import BUILTIN, load_recipe

NUM_CTX = 8192
CALLS = 3
"""For each document: category, title and summary, fields."""
_RULES = "You read documents for an office. Answer with JSON of the form that is asked for and nothing else."


@dataclass
class PlainReader:
    """Asks one model on one server, one call after the other.

    Args:
        document_first: the document stands before the instruction, under a system prompt that never changes.
            Else the instruction is the system prompt, as most examples have it.
    """

    host: str
    model: str
    document_first: bool

    def __post_init__(self) -> None:
        from ollama import Client

        self._client = Client(self.host)
        self._recipe = load_recipe(BUILTIN, Path())

    def category(self, text: str) -> str:
        """The first call."""
        form = category_reply(self._recipe.category_names)
        return str(self._ask(text, classify_instruction(self._recipe), form)["category"])

    def summary(self, text: str, category: str) -> dict[str, Any]:
        """Title and summary."""
        return self._ask(text, summary_instruction(self._recipe.category(category)), SummaryReply)

    def fields(self, text: str, category: str) -> dict[str, Any]:
        """The category's fields; no call where it has none."""
        kind = self._recipe.category(category)
        return self._ask(text, fields_instruction(kind), fields_reply(kind)) if kind.fields else {}

    def _ask(self, text: str, instruction: str, form: Any) -> dict[str, Any]:
        if self.document_first:
            messages = [("system", _RULES), ("user", text), ("user", instruction)]
        else:
            messages = [("system", f"{_RULES}\n{instruction}"), ("user", text)]
        reply = self._client.chat(
            model=self.model,
            messages=[{"role": role, "content": content} for role, content in messages],
            format=json_schema(form),
            options={"num_ctx": NUM_CTX, "temperature": 0},
        )
        found: dict[str, Any] = json.loads(reply.message.content or "{}")
        return found
