"""The engine that reads documents with a language model, whatever server runs it."""

from collections.abc import Sequence

from tasks.documents import Analysis, Classification, DocumentText, Field, PageText, PartAnalysis
from tasks.engines.llm.base import CallTrace, ChatClient, LlmError, LlmErrorKind, OnText, ShouldStop
from tasks.engines.llm.calls import Caller
from tasks.engines.llm.choosing import CategoryReader
from tasks.engines.llm.chunks import cut
from tasks.engines.llm.fence import document_block
from tasks.engines.llm.grounding import Grounding, missing
from tasks.engines.llm.merging import choose_fields
from tasks.engines.llm.page_images import PageImage, of_pages
from tasks.engines.llm.parts import SUMMARY_TOKENS, Question, plan_parts
from tasks.engines.llm.prompts import PROMPT_VERSION, merge_instruction
from tasks.engines.llm.reply_schema import SummaryReply, fields_reply
from tasks.engines.llm.tokens import TokenEstimate
from tasks.examples import Example
from tasks.languages import detect_language
from tasks.recipes import OTHER, Category, Recipe

_CUTS = 5
"""How often a text that proved too long is cut again."""
_WITHOUT_IMAGES = frozenset({LlmErrorKind.OVERFLOW, LlmErrorKind.REFUSED, LlmErrorKind.BAD_REPLY})
"""Failures that images may be the reason of: a server that is away is none, and is asked again later."""


class LlmEngine:
    """Reads with one model; implements `tasks.engines.base.ReadingEngine`.

    All calls about one document begin with the same bytes up to its end, so that the server reads it once.
    An engine serves one thread. `fence_key` is a secret of the home: the fence around a document is made
    with it. `tokens` is the estimate learned so far, and goes on learning. `images` are shown beside the text
    when it is analysed; whatever goes wrong with them, the text is then read alone.
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
        images: Sequence[PageImage] = (),
        on_text: OnText = lambda _: None,
        should_stop: ShouldStop = lambda: False,
    ) -> None:
        self.name = model
        self.tokens = tokens or TokenEstimate(model=model)
        self._fence_key = fence_key
        self._images = tuple(images)
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
        shown = len(self._images)
        parts = plan_parts(document, category, self._caller.context, self.tokens, shown, examples=examples)
        if len(parts) == 1:
            part = self.analyse_part(document, category, examples=examples)
            return self.merge([part], category, _characters(document))
        read = [
            self._read_part(
                part, Question(category, at, len(parts), tuple(examples), of_pages(self._images, part)), _CUTS
            )
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
        """Title, summary and fields of one part, which all images belong to.

        If it proves too long it is read without them, then cut, read in pieces and merged.

        Raises:
            LlmError: there is no valid answer.
        """
        return self._read_part(part, Question(category, number, of, tuple(examples), self._images), _CUTS)

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

    def _read_part(self, part: DocumentText, question: Question, cuts_left: int) -> PartAnalysis:
        category = question.category
        if not part.text.strip():
            nothing = SummaryReply.model_construct(title=part.title or part.name, summary="")
            return _part_analysis(part, nothing, tuple(missing(spec) for spec in category.fields))
        block = document_block(part, self._fence_key)
        try:
            said = self._ask_summary("summary", block, question.summary_instruction, question.images)
            return _part_analysis(part, said, self._read_fields(part, block, question))
        except LlmError as error:
            if question.images and error.kind in _WITHOUT_IMAGES:
                self._caller.note_way_out("It was asked again without the images.")
                return self._read_part(part, question.without_images(), cuts_left)
            if error.kind is not LlmErrorKind.OVERFLOW or not cuts_left:
                raise
            most = question.room(self._caller.context, self.tokens)
            pieces = cut(part, min(self._caller.smaller(part.text, error), most), self.tokens)
            if len(pieces) == 1:
                raise
        return self._merge([self._read_part(piece, question, cuts_left - 1) for piece in pieces], category)

    def _read_fields(self, part: DocumentText, block: str, question: Question) -> tuple[Field, ...]:
        category = question.category
        if not category.fields:
            return ()
        answer = self._caller.ask(
            "fields",
            block,
            question.fields_instruction,
            form=fields_reply(category),
            max_tokens=question.fields_tokens,
            images=question.images,
        )
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
            budget = self._caller.room(merge_instruction(category), SUMMARY_TOKENS)
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
                    self._caller.room(instruction, SUMMARY_TOKENS),
                )
                groups = cut(document, budget, self.tokens)
        if not 1 < len(groups) < len(texts):
            raise self._caller.no_room()
        said = [self._summarise([page.text for page in group.pages], category, budget) for group in groups]
        return self._summarise([f"{each.title}\n{each.summary}" for each in said], category, budget)

    def _ask_summary(
        self, purpose: str, block: str, instruction: str, images: Sequence[PageImage] = ()
    ) -> SummaryReply:
        answer = self._caller.ask(
            purpose, block, instruction, form=SummaryReply, max_tokens=SUMMARY_TOKENS, images=images
        )
        return answer.value


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
