"""An answer appears while it is written, however it is cut, and whatever it is."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.asking.reply import SENTENCES, AnswerReply, Claim
from tasks.asking.reply_reader import Draft, ReplyReader, Written
from tasks.engines.llm.reply_schema import json_schema

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
sources = st.lists(
    st.fixed_dictionaries({"passage": st.integers(-9, 99), "quote": texts}), min_size=1, max_size=3
)
claims = st.lists(st.fixed_dictionaries({"sources": sources, "text": texts}), max_size=4)


def read(pieces: Iterable[str]) -> tuple[str, list[Claim]]:
    """The drafts put together, and the sentences."""
    reader = ReplyReader()
    drafts, written = "", []
    for piece in pieces:
        for news in reader.feed(piece):
            match news:
                case Draft(text):
                    drafts += text
                case Written(claim):
                    written.append(claim)
    return drafts, written


def cut(text: str, data: st.DataObject) -> list[str]:
    """The text in pieces."""
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@given(claims, st.booleans(), st.booleans(), st.sampled_from([None, 2]), st.data())
def test_any_cut_gives_the_same_text(
    said: list[dict[str, Any]], text_first: bool, ascii_only: bool, indent: int | None, data: st.DataObject
) -> None:
    if text_first:
        said = [{"text": one["text"], "sources": one["sources"]} for one in said]
    reply = json.dumps({"answered": True, "sentences": said}, ensure_ascii=ascii_only, indent=indent)
    drafts, written = read(cut(reply, data))
    assert drafts == "".join(one["text"] for one in said)
    assert written == [Claim.model_validate(one) for one in said]


@given(st.text(max_size=60) | st.text(alphabet='{}[]",:\\u0dD8"text', max_size=60), st.data())
def test_nothing_that_is_written_breaks_it(reply: str, data: st.DataObject) -> None:
    assert read(cut(reply, data)) == read([reply])


def test_a_sentence_is_there_as_soon_as_it_is_whole_and_its_text_before() -> None:
    reader = ReplyReader()
    start = '{"answered": true, "sentences": [{"sources": [{"passage": 1, "quote": "a }] b"}], "text": "The'
    assert list(reader.feed(start)) == [Draft("The")]
    assert list(reader.feed(" dep")) == [Draft(" dep")]
    [draft, written] = reader.feed('osit."}')
    assert draft == Draft("osit.")
    assert isinstance(written, Written)
    assert written.claim.text == "The deposit."
    assert written.claim.sources[0].quote == "a }] b"


def test_what_does_not_answer_gives_no_sentence() -> None:
    claim = {"sources": [{"passage": 1, "quote": "deposit"}], "text": "The passages do not say."}
    assert read([json.dumps({"answered": False, "sentences": [claim]})]) == ("", [])


def test_half_characters_are_put_together_or_replaced() -> None:
    reply = r'{"sentences": [{"sources": [], "text": "\ud83d\ude00 \ud83d! \ude00 \u12"}]}'
    drafts, _ = read(reply)
    assert drafts.startswith("😀 �! � ")
    assert not any("\ud800" <= character < "\ue000" for character in drafts)


def test_only_a_text_of_a_sentence_is_text() -> None:
    reply = '{"text": "no", "answered": true, "sentences": [{"sources": [{"text": "no"}], "text": "yes"}]}'
    assert read([reply])[0] == "yes"


def test_a_sentence_of_another_form_is_passed_over() -> None:
    reply = '{"answered": true, "sentences": [{"text": 3}, {"sources": [], "text": "x"}]}'
    assert [claim.text for claim in read([reply])[1]] == ["x"]


def test_the_schema_is_bounded_and_asks_for_a_source() -> None:
    schema = json_schema(AnswerReply)
    assert list(schema["properties"]) == ["answered", "sentences"]
    assert schema["properties"]["sentences"]["maxItems"] == SENTENCES
    claim = schema["$defs"]["Claim"]["properties"]
    assert list(claim) == ["sources", "text"]  # what it stands on is written before it
    assert (claim["sources"]["minItems"], claim["sources"]["maxItems"]) == (1, 3)
    assert claim["text"]["maxLength"] == 400
    assert schema["$defs"]["Citation"]["properties"]["quote"]["maxLength"] == 240


@pytest.mark.parametrize("key", ["sentences", "answered"])
def test_a_reply_without_its_parts_is_not_valid(key: str) -> None:
    reply: dict[str, Any] = {"answered": True, "sentences": []}
    del reply[key]
    with pytest.raises(ValueError, match=key):
        AnswerReply.model_validate(reply)
