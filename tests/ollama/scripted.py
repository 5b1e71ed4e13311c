"""Replies made from the request: a reading that a test can check, where a random model would talk nonsense.

A document in the prompt is whatever stands between the first and the last line with the same marker of eight
or more hexadecimal digits, else the longest message of the user. Values are taken from the first line of the
document that shares a word with the field's name or description, after its colon; quotes are that line,
verbatim. Enumerations take the value that the tiny model finds most probable.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Likely = Callable[[list[str]], str]
"""Chooses one of several strings."""

DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}\.\s?\d{1,2}\.\s?\d{4}|\d{1,2}/\d{1,2}/\d{4}")
NUMBER = re.compile(r"-?\d[\d.,]*")


def document_of(messages: list[dict[str, Any]]) -> str:
    """The document in a conversation, without the lines of its marker."""
    texts = [str(m.get("content", "")) for m in messages if m.get("role") == "user"]
    text = max(texts, key=len, default="")
    for marker in re.findall(r"[0-9a-f]{8,}", text):
        lines = text.split("\n")
        at = [i for i, line in enumerate(lines) if marker in line]
        if len(at) > 1:
            return "\n".join(lines[at[0] + 1 : at[-1]])
    return text


def reply(messages: list[dict[str, Any]], schema: Any, likely: Likely) -> str:
    """The reply to a conversation: JSON of the schema, or a sentence if there is none."""
    document = document_of(messages)
    if not isinstance(schema, dict) or not schema:
        first = next((line for line in document.split("\n") if line.strip()), "nothing")
        return f"The document begins with: {first.strip()[:200]}"
    return json.dumps(_Reader(document, schema, likely).value(schema, ()), ensure_ascii=False)


class _Reader:
    def __init__(self, document: str, schema: Mapping[str, Any], likely: Likely) -> None:
        self.lines = [line.strip() for line in document.split("\n") if line.strip()]
        self.definitions: Mapping[str, Any] = schema.get("$defs", {})
        self.likely = likely

    def value(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> Any:
        """A value of the schema for the field at the path of property names."""
        if "$ref" in schema:
            return self.value(self.definitions[str(schema["$ref"]).rsplit("/", 1)[-1]], path)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.likely([str(v) for v in schema["enum"]]) if schema["enum"] else None
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema:
                return self._one_of(schema[several], path, str(schema.get("description", "")))
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            return self._one_of([{**schema, "type": k} for k in kind], path, "")
        return self._typed(str(kind), schema, path)

    def _typed(self, kind: str, schema: Mapping[str, Any], path: tuple[str, ...]) -> Any:
        line = self._line(path, str(schema.get("description", "")))
        match kind:
            case "object":
                return {name: self.value(sub, (*path, name)) for name, sub in schema["properties"].items()}
            case "array":
                count = max(1 if self.lines else 0, schema.get("minItems", 0))
                return [
                    self.value(schema["items"], path) for _ in range(min(count, schema.get("maxItems", 9)))
                ]
            case "integer" | "number":
                return self._number(line, schema, kind)
            case "boolean" | "null":
                return False if kind == "boolean" else None
        return self._text(line, path)[: schema.get("maxLength", 400)]

    def _one_of(self, choices: list[Mapping[str, Any]], path: tuple[str, ...], description: str) -> Any:
        """The first that is not null, or null if the document says nothing about the field."""
        nullable = any(choice.get("type") == "null" for choice in choices)
        if nullable and not self._line(path, description):
            return None
        return self.value(next(c for c in choices if c.get("type") != "null"), path)

    def _line(self, path: tuple[str, ...], description: str) -> str:
        """The line of the document that speaks of the field; empty if none does.

        The name counts before the description. `value` and `quote` speak of the field that holds them.
        """
        names = [name for name in path if name not in ("value", "quote", "fields", "page")]
        wanted = re.findall(r"[a-z]{3,}", names[-1].lower()) if names else []
        for words in (wanted, re.findall(r"[a-z]{5,}", description.lower())):
            for line in self.lines:
                if any(word in line.lower() for word in words):
                    return line
        return ""

    def _text(self, line: str, path: tuple[str, ...]) -> str:
        name = path[-1] if path else ""
        if name == "quote":
            return line
        if name in ("title", "summary", "answer"):
            return line or " ".join(self.lines[:2])
        value = line.partition(":")[2].strip() or line
        if any("date" in part or part == "due" for part in path) and (date := DATE.search(value)):
            return date[0]
        return value

    @staticmethod
    def _number(line: str, schema: Mapping[str, Any], kind: str) -> int | float:
        found = NUMBER.search(line.partition(":")[2] or line)
        digits = re.sub(r"[^\d-]", "", found[0]) if found else "1"
        value = max(schema.get("minimum", -1e9), min(schema.get("maximum", 1e9), int(digits)))
        return int(value) if kind == "integer" else float(value)


def pieces(text: str) -> list[str]:
    """A reply cut into what would be tokens: words, and single characters between them."""
    return re.findall(r"\w+|\W", text)
