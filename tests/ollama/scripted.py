"""Replies made from the request: a reading that a test can check, where a random model would talk nonsense.

A document in the prompt is whatever stands between the first and the last line with the same marker of
eight or more hexadecimal digits, else the longest message of the user; lines such as `--- page 3 ---` are not
part of it. Values are taken from the line that shares most words with the field's name or description, after
the colon; quotes are that line, verbatim. Where the prompt lists the field as `- NAME: ... (value as
YYYY-MM-DD)`, or as digits with a decimal point, the value is written so. Enumerations take the value of whose
words (labels.py) the document has most, with probabilities by the same count; instructions do not sway them.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.ollama.labels import LABELS

Chances = dict[str, float]
"""Value of an enumeration -> log probability, the likeliest first."""

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


def reply(messages: list[dict[str, Any]], schema: Any) -> tuple[str, dict[str, Chances]]:
    """The reply to a conversation, and for each value chosen from several, what it was chosen from.

    The reply is JSON of the schema, or a sentence if there is none.
    """
    document = document_of(messages)
    if not isinstance(schema, dict) or not schema:
        first = next((line for line in document.split("\n") if line.strip()), "nothing")
        return f"The document begins with: {first.strip()[:200]}", {}
    reader = _Reader(document, schema, "\n".join(str(m.get("content", "")) for m in messages))
    return json.dumps(reader.value(schema, ()), ensure_ascii=False), reader.chosen


def chances(document: str, values: Sequence[str]) -> Chances:
    """How likely each value is: each of its words in the document makes it e times as likely."""
    words = re.findall(r"\w+", document.casefold())
    counts = {}
    for value in values:
        telling = set(re.findall(r"\w+", f"{value} {LABELS.get(value, '')}".casefold()))
        counts[value] = sum(word in telling for word in words)
    total = math.log(sum(math.exp(count - max(counts.values())) for count in counts.values()))
    logs = {value: count - max(counts.values()) - total for value, count in counts.items()}
    return dict(sorted(logs.items(), key=lambda item: -item[1]))


class _Reader:
    def __init__(self, document: str, schema: Mapping[str, Any], asked: str) -> None:
        lines = (line.strip() for line in document.split("\n"))
        self.lines = [line for line in lines if line and not re.fullmatch(r"-{3} .+ -{3}", line)]
        self.asked = asked
        self.definitions: Mapping[str, Any] = schema.get("$defs", {})
        self.document = document
        self.chosen: dict[str, Chances] = {}

    def value(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> Any:
        """A value of the schema for the field at the path of property names."""
        if "$ref" in schema:
            return self.value(self.definitions[str(schema["$ref"]).rsplit("/", 1)[-1]], path)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choose([str(value) for value in schema["enum"]])
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

    def _choose(self, values: list[str]) -> str:
        found = chances(self.document, values)
        best = next(iter(found))
        self.chosen[best] = found
        return best

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
            counts = [sum(word in line.lower() for word in words) for line in self.lines]
            if any(counts):
                return self.lines[counts.index(max(counts))]
        return ""

    def _text(self, line: str, path: tuple[str, ...]) -> str:
        name = path[-1] if path else ""
        if name == "quote":
            return line
        if name in ("title", "summary", "answer"):
            return line or " ".join(self.lines[:2])
        value = line.partition(":")[2].strip() or line
        field = path[-2] if name == "value" and len(path) > 1 else name
        listed = re.search(rf"^- {re.escape(field)}: .*\((.*)\)$", self.asked, re.MULTILINE)
        return _written(value, listed[1] if listed else "")

    @staticmethod
    def _number(line: str, schema: Mapping[str, Any], kind: str) -> int | float:
        found = NUMBER.search(line.partition(":")[2] or line)
        digits = re.sub(r"[^\d-]", "", found[0]) if found else "1"
        value = max(schema.get("minimum", -1e9), min(schema.get("maximum", 1e9), int(digits)))
        return int(value) if kind == "integer" else float(value)


def _written(value: str, form: str) -> str:
    """The value in the form that the prompt asks for, if it asks and the value has one."""
    if "YYYY-MM-DD" in form and (date := DATE.search(value)):
        numbers = re.findall(r"\d+", date[0])
        year, month, day = numbers if len(numbers[0]) == 4 else reversed(numbers)
        return f"{year}-{int(month):02}-{int(day):02}"
    if "digits with a decimal point" in form and (amount := NUMBER.search(value)):
        whole, _, cents = re.sub(r"[.,](?=\d{3})", "", amount[0]).replace(",", ".").partition(".")
        return f"{whole}.{cents}" if cents else whole
    if "ISO 4217" in form:
        return next(iter(re.findall(r"\b[A-Z]{3}\b", value)), "EUR")
    return value


def pieces(text: str) -> list[str]:
    """A reply cut into what would be tokens: words, and single characters between them."""
    return re.findall(r"\w+|\W", text)
