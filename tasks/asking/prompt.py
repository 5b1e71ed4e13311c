"""What a model is told that answers a question: the passages first, then the question."""

from collections.abc import Sequence

from tasks.asking.answers import Passage
from tasks.asking.reply import SENTENCES
from tasks.documents import DocumentText, PageText
from tasks.engines.llm.fence import document_block, neutral
from tasks.plain_text import shortened

_NAME_CHARS = 120


def passages_block(passages: Sequence[Passage], key: bytes) -> str:
    """The passages in one fence: data, whatever they say. Each names its document and page."""
    pages = tuple(PageText(number=one.number, text=f"{_origin(one)}\n{one.text}") for one in passages)
    return document_block(DocumentText(name="", pages=pages), key, heading="passage")


def ask_instruction(question: str) -> str:
    """Asks the question."""
    return (
        "These are numbered passages from several documents. Below the number stand the name of the document "
        "and the page. Answer this question from them alone:\n"
        f"{neutral(' '.join(question.split()))}\n"
        f"Write at most {SENTENCES} short sentences, in the language of the question, each with one "
        "statement. Do not name the numbers of passages in a sentence. For each sentence give its sources "
        "first: the number of the passage, and a quote that is copied from that passage, character by "
        "character, short, from one place, and that states what the sentence says. Write numbers, amounts "
        "and dates as the passage has them, and compute nothing.\n"
        'Answer as {"answered": true, "sentences": [{"sources": [{"passage": NUMBER, "quote": TEXT}], '
        '"text": TEXT}]}. If the passages do not answer the question: {"answered": false, "sentences": []}.'
    )


def _origin(passage: Passage) -> str:
    return f"{shortened(passage.name, _NAME_CHARS)}, page {passage.page}:"
