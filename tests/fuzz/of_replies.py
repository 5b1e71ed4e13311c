"""Targets that read what models write: replies that are not of the form asked for, quotes, answers."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.asking.answers import Passage
from tasks.asking.checking import CitationChecker
from tasks.asking.reply import AnswerReply
from tasks.asking.reply_reader import Draft, ReplyReader, Written
from tasks.documents import DocumentText, FieldStatus, PageText
from tasks.engines.llm.base import (
    Alternative,
    ChatReply,
    LlmError,
    ReplyToken,
)
from tasks.engines.llm.calls import Caller
from tasks.engines.llm.confidence import measure
from tasks.engines.llm.grounding import Grounding
from tasks.engines.llm.reply_schema import category_reply, fields_reply
from tasks.engines.llm.tokens import TokenEstimate
from tasks.recipes import load_recipe
from tests.fuzz.runner import Target
from tests.fuzz.shapes import json_values, mutated, mutated_json, pieces_of, texts, whole

_CATEGORIES = ("invoice", "letter")


class _Model:
    """A chat client that gives the replies that it was given."""

    name = "ollama"

    def __init__(self, replies: list[ChatReply]) -> None:
        self._replies = replies

    def chat(self, *_: Any) -> ChatReply:
        """The next reply; the last one again and again."""
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


_PAGE = (
    "Invoice 12 of 3 March 2026\nAcme Ltd, IBAN DE02 1203 0000 0000 2020 51\n"
    "Total: 1.234,56 \u20ac, due 31/12/2026\n"
)
_CATEGORY = load_recipe("builtin", Path("/nowhere")).category("invoice")
_VALUES = ("1.234,56", "1234.56", "2026-03-03", "EUR", "Acme Ltd", "DE02120300000000202051")
_FIELDS = {spec.name: {"quote": "Total: 1.234,56 \u20ac", "value": "1234.56"} for spec in _CATEGORY.fields}


def _replies(*samples: Any) -> st.SearchStrategy[ChatReply]:
    written = (mutated_json(samples) | json_values()).map(json.dumps)
    near = written | mutated([json.dumps(one) for one in samples]) | texts()
    content = whole(near)  # as the clients give it
    fenced = content.map(lambda text: f"```json\n{text}\n```")
    return st.builds(
        ChatReply,
        content=content | fenced,
        thinking=st.just("") | content,
        done_reason=st.sampled_from(["stop", "stop", "stop", "length"]),
        prompt_tokens=st.integers(-5, 5_000),
        reply_tokens=st.integers(0, 99),
        load_seconds=st.just(0.0),
        tokens=st.lists(_tokens(), max_size=12).map(tuple),
    )


def _tokens() -> st.SearchStrategy[ReplyToken]:
    pieces = st.sampled_from(
        ['{"', "category", '": "', '"', "inv", "oice", "letter", '"}', " ", "\n"]
    ) | st.text(max_size=3)
    chance = (
        st.sampled_from([0.0, -0.1, -5.0, -9999.0, 1.0, float("-inf"), float("nan"), 1e308]) | st.floats()
    )
    alternatives = st.lists(st.builds(Alternative, token=pieces, logprob=chance), max_size=3).map(tuple)
    return st.builds(ReplyToken, token=pieces, logprob=chance, alternatives=alternatives)


def check_repairs(replies: list[ChatReply]) -> None:
    """A reply is valid by its form at once, or after one repair, or an LlmError."""
    for form in (fields_reply(_CATEGORY), category_reply(_CATEGORIES)):
        estimate = TokenEstimate(model="m")
        caller = Caller(
            _Model(list(replies)), "m", 4096, estimate, True, 1, "5m", lambda _: None, lambda: False
        )  # type: ignore[arg-type]
        with suppress(LlmError):
            answer = caller.ask("fields", _PAGE, "What?", form=form, max_tokens=64)
            assert form.model_validate(answer.value.model_dump(by_alias=True)) == answer.value
        for call in caller.calls:
            call.model_dump_json()
    for reply in replies:
        shares = measure(reply.tokens, "category", _CATEGORIES)
        assert shares is None or all(0 <= share <= 1 + 1e-9 for share in shares.values()), shares


def check_grounding(example: tuple[str, str, str]) -> None:
    """A value is kept only in the form of its type; what counts as verified stands on the page."""
    value, quote, page = example
    document = DocumentText(name="a.pdf", pages=(PageText(number=1, text=page),))
    grounding = Grounding(document)
    for spec in _CATEGORY.fields:
        found = grounding.check(spec, value, quote)
        found.model_dump_json()
        if found.status is FieldStatus.VERIFIED:
            assert found.start is not None and found.end is not None
            assert page[found.start : found.end] == found.quote


_ANSWER = {
    "answered": True,
    "sentences": [
        {
            "sources": [{"passage": 1, "quote": "Total: 1.234,56 \u20ac"}],
            "text": "The total is 1.234,56 euros.",
        }
    ],
}
_PASSAGE = Passage(number=1, document="a1", name="a.pdf", page=1, start=0, text=_PAGE)


@st.composite
def _asked(draw: st.DrawFn) -> list[str]:
    written = (mutated_json([_ANSWER]) | json_values()).map(json.dumps)
    text = draw(written | mutated([json.dumps(_ANSWER)]) | texts('{}[]",:\\u0dD8-text'))
    return pieces_of(draw, text)


def check_asking(pieces: list[str]) -> None:
    """However a reply is cut, the same comes out; a sentence stands only with words of its passage."""
    together, cut = ReplyReader(), ReplyReader()
    whole = list(together.feed("".join(pieces)))
    parts = [news for piece in pieces for news in cut.feed(piece)]
    assert [one for one in whole if isinstance(one, Written)] == [
        one for one in parts if isinstance(one, Written)
    ]
    assert _drafts(whole) == _drafts(parts)
    for news in whole:
        if isinstance(news, Written):
            sentence = CitationChecker([_PASSAGE]).check(news.claim)
            assert sentence.problem or all(_PAGE[s.start : s.end] == s.quote for s in sentence.sources)
    with suppress(ValidationError):
        AnswerReply.model_validate_json("".join(pieces))


def _drafts(found: list[Draft | Written]) -> str:
    return "".join(one.text for one in found if isinstance(one, Draft))


TARGETS = (
    Target(
        "repairs", st.lists(_replies(_FIELDS, {"category": "letter"}), min_size=1, max_size=3), check_repairs
    ),
    Target(
        "grounding",
        st.tuples(
            whole(mutated(_VALUES) | texts(longest=60)),
            whole(mutated([_PAGE, "Total: 1.234,56 \u20ac", "Acme Ltd"])),
            whole(mutated([_PAGE])),
        ),
        check_grounding,
    ),
    Target(
        "asking", _asked(), check_asking, (['{"answered": true, "sentences": [{"\\u-123'], ['["\\u+12_"'])
    ),
)
