"""Page images beside the text, over a chat server that says what it is told."""

import hashlib
from typing import Any

import pytest

from app.trace import trace
from tasks.documents import DocumentText, FieldStatus, PageText, Stage
from tasks.engines.llm.base import CallTrace, ChatRequest, LlmError, LlmErrorKind
from tasks.engines.llm.engine import LlmEngine
from tasks.engines.llm.page_images import PageImage
from tasks.engines.llm.prompts import SYSTEM, images_note, summary_instruction
from tasks.ledger import Ledger
from tests.chat_script import ChatScript, Said, document_of, purpose
from tests.test_llm_engine import FOUND, INVOICE, KEY, RECIPE, SUMMARY, by_name, fields_of, honest

TEXT = "Brightwater Plumbing Ltd\nlnvoice N0: BW/1O42\nTotal due £1,144.00\n"
DOCUMENT = DocumentText(
    name="scan.pdf", pages=tuple(PageText(number=number, text=TEXT) for number in (1, 2, 3))
)
IMAGES = (PageImage(page=1, data=b"\xff\xd8\xff first"), PageImage(page=3, data=b"\xff\xd8\xff third"))
BOTH = tuple(image.data for image in IMAGES)


def engine_of(client: ChatScript, images: tuple[PageImage, ...] = IMAGES, context: int = 8192) -> LlmEngine:
    return LlmEngine(client, "reader:8b", context, KEY, images=images)


def sent(request: ChatRequest) -> tuple[bytes, ...]:
    """The images of a request, which only its first message of the user may have."""
    assert not any(message.images for place, message in enumerate(request.messages) if place != 1)
    return request.messages[1].images


def refusing_images(kind: LlmErrorKind) -> Any:
    def script(request: ChatRequest) -> Said:
        if sent(request):
            return LlmError(kind, "Multimodal data provided, but model does not support multimodal requests.")
        return honest(request)

    return script


def test_all_calls_of_an_analysis_begin_with_the_same_images_and_the_same_document() -> None:
    answers = iter(["no json", SUMMARY, fields_of(INVOICE, FOUND)])
    client = ChatScript(lambda _: next(answers))
    engine_of(client).analyse(DOCUMENT, INVOICE)
    assert [purpose(request) for request in client.requests] == ["summary", "summary", "fields"]
    assert {sent(request) for request in client.requests} == {BOTH}
    assert {request.messages[0].content for request in client.requests} == {SYSTEM}
    assert len({document_of(request) for request in client.requests}) == 1
    for request in client.requests:
        behind = request.messages[1].content.removeprefix(document_of(request))
        assert behind.startswith("\n\n" + images_note([1, 3]))
        assert "image 1 shows page 1; image 2 shows page 3" in behind


def test_a_prompt_without_images_has_not_changed() -> None:
    client = ChatScript(honest)
    engine_of(client, images=()).analyse(DOCUMENT, INVOICE)
    first = client.requests[0].messages[1]
    assert first.content == f"{document_of(client.requests[0])}\n\n{summary_instruction(INVOICE)}"
    assert not any(message.images for request in client.requests for message in request.messages)


def test_choosing_a_category_takes_no_images() -> None:
    client = ChatScript(honest)
    engine_of(client).classify(DOCUMENT, RECIPE)
    assert not sent(client.requests[0])


def test_the_trace_keeps_hashes_and_never_a_pixel() -> None:
    client = ChatScript(honest)
    engine = engine_of(client)
    engine.analyse(DOCUMENT, INVOICE)
    for call in engine.calls:
        assert [(note.page, note.size) for note in call.images] == [(1, len(BOTH[0])), (3, len(BOTH[1]))]
        assert [note.sha256 for note in call.images] == [hashlib.sha256(data).hexdigest() for data in BOTH]
        kept = call.model_dump_json()
        assert "third" not in kept
        assert CallTrace.model_validate_json(kept) == call
    assert "third" not in repr(client.requests[0]) + repr(IMAGES)


def test_the_trace_says_which_pages_were_shown(ledger: Ledger, tmp_path: Any) -> None:
    engine = engine_of(ChatScript(honest))
    engine.analyse(DOCUMENT, INVOICE)
    alone = engine_of(ChatScript(honest), IMAGES[:1])
    alone.analyse(DOCUMENT, INVOICE)
    path = tmp_path / "a.pdf"
    path.write_bytes(b"x")
    with ledger.transaction():
        row = ledger.insert_document("ab" * 32, "a.pdf", path, path.stat(), "builtin", urgent=False)
        for call in (engine.calls[0], alone.calls[0]):
            ledger.put_call(row.id, Stage.ANALYSE, 1, call)
    lines = list(trace(ledger, row))
    assert "  with the images of pages 1, 3" in lines
    assert "  with the image of page 1" in lines


@pytest.mark.parametrize("kind", [LlmErrorKind.REFUSED, LlmErrorKind.BAD_REPLY])
def test_a_server_that_refuses_images_is_asked_without_them(kind: LlmErrorKind) -> None:
    client = ChatScript(refusing_images(kind))
    engine = engine_of(client)
    analysis = engine.analyse(DOCUMENT, INVOICE)
    assert analysis.title == SUMMARY["title"]
    assert [sent(request) for request in client.requests] == [BOTH, (), ()]
    assert "image" not in client.requests[1].messages[1].content
    refused, *others = engine.calls
    assert refused.error.endswith(
        "does not support multimodal requests. It was asked again without the images."
    )
    assert len(refused.images) == 2
    assert not any(call.images or call.error for call in others)


def test_a_server_that_is_away_is_not_asked_again_without_images() -> None:
    client = ChatScript(refusing_images(LlmErrorKind.UNAVAILABLE))
    with pytest.raises(LlmError) as failure:
        engine_of(client).analyse(DOCUMENT, INVOICE)
    assert failure.value.kind is LlmErrorKind.UNAVAILABLE
    assert len(client.requests) == 1


def test_an_overflow_costs_the_images_before_any_text() -> None:
    client = ChatScript(honest, image_tokens=5000)
    engine = engine_of(client)
    analysis = engine.analyse(DOCUMENT, INVOICE)
    assert [sent(request) for request in client.requests] == [BOTH, (), ()]
    assert len({document_of(request) for request in client.requests}) == 1
    assert analysis.read_share == 1.0


def test_a_text_that_is_too_long_without_images_too_is_cut() -> None:
    long = DocumentText(
        name="long", pages=tuple(PageText(number=n, text=f"word{n} " * 700) for n in range(1, 4))
    )
    client = ChatScript(honest, characters_per_token=1.0, image_tokens=100)
    engine = engine_of(client, context=8192)
    engine.analyse_part(long, INVOICE)
    kinds = [bool(sent(request)) for request in client.requests]
    assert kinds[0] and not any(kinds[1:])
    assert len({document_of(request) for request in client.requests}) > 1
    read = "".join(document_of(request) for request in client.requests[2:])
    assert all(read.count(f"word{n} ") >= 700 for n in (1, 2, 3))


def test_what_images_cost_is_not_taken_for_the_tokens_of_the_text() -> None:
    long = DOCUMENT.model_copy(update={"pages": (PageText(number=1, text=TEXT * 20),)})
    engine = engine_of(ChatScript(honest, image_tokens=1500))
    engine.analyse(long, INVOICE)
    assert engine.calls[0].prompt_tokens > 3000
    assert engine.tokens.recent == []
    plain = engine_of(ChatScript(honest), images=())
    plain.analyse(long, INVOICE)
    assert len(plain.tokens.recent) == 2


def test_a_value_that_only_the_image_shows_stays_unverified() -> None:
    """The number was misread in the text. A model that looks has the right one, with or without a quote."""
    for quote in ("lnvoice N0: BW/1O42", "Invoice No: BW/1042"):
        found = {
            "number": {"quote": quote, "value": "BW/1042"},
            "total": {"quote": "Total due £1,144.00", "value": "1144.00"},
        }
        client = ChatScript(lambda r, f=found: SUMMARY if purpose(r) == "summary" else fields_of(INVOICE, f))
        fields = by_name(engine_of(client).analyse(DOCUMENT, INVOICE).fields)
        assert (fields["number"].value, fields["number"].status) == ("BW/1042", FieldStatus.UNVERIFIED)
        assert fields["total"].status is FieldStatus.VERIFIED


def test_a_long_document_shows_each_part_its_own_pages() -> None:
    pages = tuple(PageText(number=n, text=f"word{n} " * 700) for n in range(1, 9))
    images = tuple(PageImage(page=n, data=b"\xff\xd8\xff %d" % n) for n in (2, 7))
    client = ChatScript(honest)
    engine_of(client, images).analyse(DocumentText(name="long", pages=pages), INVOICE)
    for request in client.requests:
        if purpose(request) != "summary" or "summaries of the parts" in request.messages[1].content:
            continue
        shown = [image.page for image in images if image.data in sent(request)]
        assert shown == [n for n in (2, 7) if f"--- page {n} ---" in document_of(request)]
    assert sum(len(sent(request)) for request in client.requests) == 4
