"""Asking a model a question, and answering without one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.asking.answers import Answer, Passage, Sentence, Source
from tasks.asking.checking import CitationChecker
from tasks.asking.prompt import ask_instruction, passages_block
from tasks.asking.reply import AnswerReply
from tasks.asking.reply_reader import Draft, ReplyReader
from tasks.asking.retrieval import question_words, windows
from tasks.engines.llm.base import LlmError, LlmErrorKind
from tasks.engines.llm.calls import Caller

REPLY_TOKENS = 1_200
_CUTS = 5
"""How often passages that proved too long are shown again, each time fewer."""
_EXTRACTS = 5
_EXTRACT_CHARS = 400


@dataclass(frozen=True, slots=True)
class Again:
    """The model begins anew; what it wrote before does not count."""


Heard = Callable[[Draft | Sentence | Again], None]
"""Is told of the answer while it is written; sentences are checked already."""


def fitting(passages: Sequence[Passage], caller: Caller, question: str) -> list[Passage]:
    """As many of the passages, from the first, as the context of the model has room for.

    Raises:
        LlmError: of kind REFUSED: the context is too small to read anything.
    """
    return _within(passages, caller, caller.room(ask_instruction(question), REPLY_TOKENS))


def answer(
    caller: Caller, question: str, passages: Sequence[Passage], fence_key: bytes, heard: Heard
) -> Answer:
    """Have a model answer from the passages; every sentence is checked against them.

    Raises:
        LlmError: there is no valid reply.
    """
    shown = fitting(passages, caller, question)
    reply = None
    for cuts_left in reversed(range(_CUTS)):
        caller.on_text = _Hearing(caller, CitationChecker(shown), heard).hear
        try:
            reply = caller.ask(
                "answer",
                passages_block(shown, fence_key),
                ask_instruction(question),
                form=AnswerReply,
                max_tokens=REPLY_TOKENS,
            ).value
            break
        except LlmError as error:
            if error.kind is not LlmErrorKind.OVERFLOW or not cuts_left or len(shown) == 1:
                raise
            shown = _within(shown[:-1], caller, caller.smaller(_text(shown), error))
    checker = CitationChecker(shown)
    claims = reply.sentences if reply is not None and reply.answered else []
    return Answer(
        question=question,
        sentences=tuple(checker.check(claim) for claim in claims),
        model=caller.model,
        passages_read=len(shown),
        documents_read=len({passage.document for passage in shown}),
        calls=tuple(caller.calls),
    )


def extract(question: str, passages: Sequence[Passage], note: str) -> Answer:
    """The passages that say most, where there is no language model; `note` says why there is none."""
    return Answer(
        question=question,
        passages=tuple(_extracted(passage, question_words(question)) for passage in passages[:_EXTRACTS]),
        note=note,
        passages_read=len(passages),
        documents_read=len({passage.document for passage in passages}),
    )


class _Hearing:
    """Hands on what one model writes, as sentences."""

    def __init__(self, caller: Caller, checker: CitationChecker, heard: Heard) -> None:
        self._caller = caller
        self._checker = checker
        self._heard = heard
        self._call = len(caller.calls)
        self._reader = ReplyReader()
        if caller.calls:
            heard(Again())

    def hear(self, piece: str) -> None:
        if len(self._caller.calls) != self._call:  # a repair, or a longer try
            self._call = len(self._caller.calls)
            self._reader = ReplyReader()
            self._heard(Again())
        for news in self._reader.feed(piece):
            self._heard(news if isinstance(news, Draft) else self._checker.check(news.claim))


def _within(passages: Sequence[Passage], caller: Caller, tokens: float) -> list[Passage]:
    """The first passages that have so many tokens; one at least, cut if need be."""
    chosen: list[Passage] = []
    left = tokens
    for passage in passages:
        cost = caller.tokens.count(f"{passage.name}\n{passage.text}\n--- passage 99 ---\n")
        if cost > left:
            break
        chosen.append(passage)
        left -= cost
    if chosen or not passages:
        return chosen
    first = passages[0]
    share = tokens / max(caller.tokens.count(f"{first.name}\n{first.text}"), 1.0)
    return [first.model_copy(update={"text": first.text[: max(1, int(len(first.text) * share * 0.9))]})]


def _text(passages: Sequence[Passage]) -> str:
    return "\n".join(passage.text for passage in passages)


def _extracted(passage: Passage, words: Sequence[str]) -> Source:
    start, end = next(iter(windows(passage.text, words, size=_EXTRACT_CHARS, most=1)), (0, 0))
    return Source(
        document=passage.document,
        name=passage.name,
        page=passage.page,
        quote=passage.text[start:end],
        start=passage.start + start,
        end=passage.start + end,
    )
