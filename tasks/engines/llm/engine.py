"""The engine that reads documents with a language model, whatever server runs it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.documents import Analysis, Classification, DocumentText, Field, PageText, PartAnalysis
from tasks.engines.llm.base import CallTrace, ChatClient, LlmError, LlmErrorKind, OnText, ShouldStop
from tasks.engines.llm.calls import Caller, room
from tasks.engines.llm.choosing import CategoryReader
from tasks.engines.llm.chunks import cut
from tasks.engines.llm.fence import document_block
from tasks.engines.llm.grounding import Grounding, missing
from tasks.engines.llm.merging import choose_fields
from tasks.engines.llm.prompts import (
    PROMPT_VERSION,
    fields_instruction,
    merge_instruction,
    summary_instruction,
)
from tasks.engines.llm.reply_schema import SummaryReply, fields_reply
from tasks.engines.llm.tokens import TokenEstimate
from tasks.examples import Example
from tasks.languages import detect_language
from tasks.recipes import OTHER, Category, Recipe

_SUMMARY_TOKENS = 480
_FIELD_TOKENS = 80
"""For each field; a value with its quote seldom needs half."""
_MANY = 999
"""Stands for the number of a part while it is not known."""
_CUTS = 5
"""How often a text that proved too long is cut again."""


class LlmEngine:
    """Reads with one model; implements `tasks.engines.base.ReadingEngine`.

    All calls about one document begin with the same bytes up to its end, so that the server reads it once.
    An engine serves one thread. `fence_key` is a secret of the home: the fence around a document is made
    with it. `tokens` is the estimate learned so far, and goes on learning.
    """

    version = PROMPT_VERSION
    provisional = False

    def __init__(
        self,
        client: ChatClient,
        model: str,
        num_ctx: int,
        fence_key: bytes,
        *,
        tokens: TokenEstimate | None = None,
        decision_model: bool = False,
        on_cpu: bool = False,
        num_thread: int | None = None,
        keep_alive: str = "15m",
        on_text: OnText = lambda _: None,
        should_stop: ShouldStop = lambda: False,
    ) -> None:
        self.name = model
        self.tokens = tokens or TokenEstimate(model=model)
        self._fence_key = fence_key
        self._caller = Caller(
            client, model, num_ctx, self.tokens, on_cpu, num_thread, keep_alive, on_text, should_stop
        )
        self._categories = CategoryReader(self._caller, fence_key, decision_model)

    @property
    def calls(self) -> list[CallTrace]:
        """The trace of every call in order, failed ones too."""
        return self._caller.calls

    def classify(
        self, document: DocumentText, recipe: Recipe, examples: Sequence[Example] = ()
    ) -> Classification:
        """Choose one of the recipe's categories; of a long document the beginning and the end are shown.

        Raises:
            LlmError: there is no valid answer.
        """
        if not document.text.strip():
            return Classification(category=OTHER, confidence=0.0, evidence=("there is no text",))
        return self._categories.read(document, recipe, examples)

    def analyse(
        self, document: DocumentText, category: Category, examples: Sequence[Example] = ()
    ) -> Analysis:
        """Title, summary and the fields of the category; a document that is too long is read in parts.

        Raises:
            LlmError: there is no valid answer about some part.
        """
        parts = plan_parts(document, category, self._caller.context, self.tokens, examples)
        read = [
            self.analyse_part(part, category, at, len(parts), examples)
            for at, part in enumerate(parts, start=1)
        ]
        return self.merge(read, category, _characters(document))

    def analyse_part(
        self,
        part: DocumentText,
        category: Category,
        number: int = 1,
        of: int = 1,
        examples: Sequence[Example] = (),
    ) -> PartAnalysis:
        """Title, summary and fields of one part. If it proves too long it is cut, read in pieces and merged.

        Raises:
            LlmError: there is no valid answer.
        """
        place = _Place(category, number, of, tuple(examples))
        return self._read_part(part, place, _CUTS)

    def merge(
        self, parts: Sequence[PartAnalysis], category: Category, characters: int | None = None
    ) -> Analysis:
        """One analysis of the parts of a document (at least one), in order. One part alone costs no call.

        `characters` is the length of the document's text, of which parts may be missing.

        Raises:
            LlmError: there is no valid answer.
        """
        merged = self._merge(parts, category)
        return Analysis(
            title=merged.title,
            summary=merged.summary,
            fields=merged.fields,
            language=merged.language,
            read_share=min(merged.characters / characters, 1.0) if characters else 1.0,
        )

    def _read_part(self, part: DocumentText, place: "_Place", cuts_left: int) -> PartAnalysis:
        category = place.category
        if not part.text.strip():
            nothing = SummaryReply.model_construct(title=part.title or part.name, summary="")
            return _part_analysis(part, nothing, tuple(missing(spec) for spec in category.fields))
        block = document_block(part, self._fence_key)
        try:
            said = self._ask_summary("summary", block, place.summary_instruction)
            return _part_analysis(part, said, self._read_fields(part, block, place))
        except LlmError as error:
            if error.kind is not LlmErrorKind.OVERFLOW or not cuts_left:
                raise
            most = _room(self._caller.context, self.tokens, place)
            pieces = cut(part, min(self._caller.smaller(part.text, error), most), self.tokens)
            if len(pieces) == 1:
                raise
        return self._merge([self._read_part(piece, place, cuts_left - 1) for piece in pieces], category)

    def _read_fields(self, part: DocumentText, block: str, place: "_Place") -> tuple[Field, ...]:
        category = place.category
        if not category.fields:
            return ()
        form, max_tokens = fields_reply(category), _fields_tokens(category)
        answer = self._caller.ask("fields", block, place.fields_instruction, form=form, max_tokens=max_tokens)
        found = answer.value.found()
        grounding = Grounding(part)
        said = [(spec, found[spec.name]) for spec in category.fields]
        return tuple(
            grounding.check(spec, stated.value, stated.quote) if stated else missing(spec)
            for spec, stated in said
        )

    def _merge(self, parts: Sequence[PartAnalysis], category: Category) -> PartAnalysis:
        """Summaries are merged by the model, in several rounds if they are too many; fields are chosen."""
        told = [part for part in parts if part.summary] or list(parts[:1])
        title, summary = told[0].title, told[0].summary
        texts = [f"{part.title}\n{part.summary}" for part in told]
        if len(texts) > 1:
            budget = self._caller.room(merge_instruction(category), _SUMMARY_TOKENS)
            said = self._summarise(texts, category, budget)
            title, summary = said.title, said.summary
        return PartAnalysis(
            title=title,
            summary=summary,
            fields=choose_fields(parts, category),
            first_page=parts[0].first_page,
            last_page=parts[-1].last_page,
            characters=sum(part.characters for part in parts),
            language=next((part.language for part in parts if part.language), ""),
        )

    def _summarise(self, texts: Sequence[str], category: Category, budget: int) -> SummaryReply:
        """One summary of many. What a model said of a document is as untrusted as the document: fenced."""
        pages = tuple(PageText(number=number, text=text) for number, text in enumerate(texts, start=1))
        document = DocumentText(name="", pages=pages)
        groups = cut(document, budget, self.tokens)
        instruction = merge_instruction(category)
        if len(groups) == 1:
            block = document_block(document, self._fence_key, heading="part")
            try:
                return self._ask_summary("merge", block, instruction)
            except LlmError as error:
                if error.kind is not LlmErrorKind.OVERFLOW:
                    raise
                budget = min(
                    self._caller.smaller(document.text, error),
                    self._caller.room(instruction, _SUMMARY_TOKENS),
                )
                groups = cut(document, budget, self.tokens)
        if not 1 < len(groups) < len(texts):
            raise self._caller.no_room()
        said = [self._summarise([page.text for page in group.pages], category, budget) for group in groups]
        return self._summarise([f"{each.title}\n{each.summary}" for each in said], category, budget)

    def _ask_summary(self, purpose: str, block: str, instruction: str) -> SummaryReply:
        answer = self._caller.ask(purpose, block, instruction, form=SummaryReply, max_tokens=_SUMMARY_TOKENS)
        return answer.value


@dataclass(frozen=True)
class _Place:
    """What is asked of a text: the fields of which category, as which part of how many."""

    category: Category
    number: int
    of: int
    examples: tuple[Example, ...] = ()

    @property
    def summary_instruction(self) -> str:
        return summary_instruction(self.category, self.number, self.of)

    @property
    def fields_instruction(self) -> str:
        return fields_instruction(self.category, self.number, self.of, self.examples)


def plan_parts(
    document: DocumentText,
    category: Category,
    num_ctx: int,
    tokens: TokenEstimate,
    examples: Sequence[Example] = (),
) -> list[DocumentText]:
    """The parts that a document has to be read in, which together are all of it; itself if it fits.

    Raises:
        LlmError: of kind REFUSED: the category's fields leave no room for a document.
    """
    return cut(document, _room(num_ctx, tokens, _Place(category, _MANY, _MANY, tuple(examples))), tokens)


def _room(num_ctx: int, tokens: TokenEstimate, place: _Place) -> int:
    """Tokens for a text beside the longer of the two questions: both are given the same."""
    return min(
        room(num_ctx, tokens, place.summary_instruction, _SUMMARY_TOKENS),
        room(num_ctx, tokens, place.fields_instruction, _fields_tokens(place.category)),
    )


def _fields_tokens(category: Category) -> int:
    return _FIELD_TOKENS * (len(category.fields) + 1)


def _characters(document: DocumentText) -> int:
    return sum(len(page.text) for page in document.pages)


def _part_analysis(part: DocumentText, said: SummaryReply, fields: tuple[Field, ...]) -> PartAnalysis:
    return PartAnalysis(
        title=said.title,
        summary=said.summary,
        fields=fields,
        first_page=part.pages[0].number if part.pages else 0,
        last_page=part.pages[-1].number if part.pages else 0,
        characters=_characters(part),
        language=detect_language(part.text),
    )
